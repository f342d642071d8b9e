// The list of runs: keeps a table of the runs in a folder, the newest first.

import { Connection } from "./connection.js";
import { formatNumber } from "./format.js";

const STATES = { // of the connection
  connecting: "Connecting.",
  open: "Up to date.",
  lost: "Connection lost. The list may be old.",
  refused: "This address is no longer valid. The command that serves the list prints a new one.",
};

const element = (id) => document.getElementById(id);
const runs = new Map(); // by identifier: what the server says, and the row of the table
const body = document.querySelector("#runs tbody");
const connection = new Connection({
  onText: handleText,
  onBinary: () => {},
  onOpening: () => (element("countdown").textContent = ""),
  onLost: (seconds) => {
    showState("lost");
    element("countdown").textContent = `Trying again in ${seconds} s.`;
  },
  onRefused: () => showState("refused"),
  onClosed: () => {},
}, () => ({}));

element("retry").addEventListener("click", () => connection.retry());
element("words").addEventListener("input", showFound);
connection.open();

function handleText(message) {
  if (message.kind !== "runs") return;
  if (document.body.dataset.state !== "open") forgetOthers(message.runs);
  element("folder").textContent = message.folder;
  document.title = `${message.folder}, gradsound`;
  for (const id of message.gone) remove(id);
  for (const run of message.runs) update(run);
  element("runs").hidden = element("search").hidden = runs.size === 0;
  element("empty").hidden = runs.size > 0;
  showFound();
  showState("open");
}

// The first message of a connection has all runs; others are gone since the last one.
function forgetOthers(kept) {
  const ids = new Set(kept.map(({ id }) => id));
  for (const id of runs.keys()) if (!ids.has(id)) remove(id);
}

function remove(id) {
  runs.get(id)?.row.remove();
  runs.delete(id);
}

function update(run) {
  const known = runs.get(run.id);
  const row = known?.row ?? makeRow(run);
  runs.set(run.id, { ...run, row });
  fillRow(row, run);
  // A row that moves would lose the focus.
  if (known?.began !== run.began) body.insertBefore(row, findSuccessor(run));
}

// Returns the row before which a run belongs; null for the end of the table. The server sends
// new runs in their order, so the search begins at the end.
function findSuccessor(run) {
  let successor = null;
  for (let row = body.lastElementChild; row !== null; row = row.previousElementSibling) {
    const other = runs.get(row.dataset.id);
    const isBefore = other.began > run.began || (other.began === run.began && other.run < run.run);
    if (isBefore) break;
    if (other.id !== run.id) successor = row;
  }
  return successor;
}

function makeRow({ id }) {
  const row = document.createElement("tr");
  row.dataset.id = id;
  const name = document.createElement("th");
  name.scope = "row";
  const link = document.createElement("a");
  link.href = `run/${id}/`;
  name.append(link);
  row.append(name);
  for (const part of ["comment", "began", "number", "state", "alarms"]) {
    const cell = document.createElement("td");
    cell.className = part;
    row.append(cell);
  }
  return row;
}

function fillRow(row, { run, note, began, steps, ranks, state, tool, alarms, warns }) {
  const [name, comment, time, count, growth, found] = row.children;
  const write = (cell, text) => {
    if (cell.textContent !== text) cell.textContent = text; // a screen reader reads changes
  };
  write(name.firstChild, ranks > 1 ? `${run} (${ranks} ranks)` : run);
  write(comment, note);
  write(time, formatTime(began));
  write(count, steps === null ? "" : formatNumber(steps));
  write(growth, state || tool);
  growth.className = `state ${state.replace(" ", "-")}`;
  write(found, alarms ?? "");
  found.className = warns ? "alarms warns" : "alarms";
}

// Shows the runs whose name, comment or state has all the words.
function showFound() {
  const words = element("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const { run, note, state, tool, row } of runs.values()) {
    const text = `${run} ${note} ${state} ${tool}`.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    count += !row.hidden;
  }
  const all = `${formatNumber(runs.size)} ${runs.size === 1 ? "run" : "runs"}`;
  const text = words.length ? `${formatNumber(count)} of ${all}` : all;
  if (element("count").textContent !== text) element("count").textContent = text;
}

function showState(name) {
  if (document.body.dataset.state !== name) element("state-text").textContent = STATES[name];
  document.body.dataset.state = name;
  if (name === "open") element("countdown").textContent = "";
  element("retry").hidden = name !== "lost";
}

// Formats seconds since 1970 in the time zone of the reader.
function formatTime(seconds) {
  const date = new Date(1000 * seconds);
  const two = (value) => String(value).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}
