// The table of signals: the last numbers of each band, and a bar for its note.

import { formatNorm, formatNumber, readableName } from "./format.js";

const LONGEST = 2; // usual durations of a note, as in gradsound.music.articulation
const SHORTEST = 1 / 8;
const USUAL_RATIO = 1e-3;
const [NOISE_SNR, PURE_SNR] = [0.05, 0.6];
const PALEST = 0.45; // opacity of the bar of a note with the most breath

const element = (id) => document.getElementById(id);

// Shows the signals of a message, which has a row for each band.
export function showSignals({ step, rows }) {
  element("signals").hidden = element("signals-help").hidden = false;
  element("signals-step").textContent = `at step ${formatNumber(step)}`;
  const names = Object.keys(rows[0]).filter((name) => name !== "name");
  const titles = ["band", "note", ...names.map((name) => name.replace("_", " "))];
  element("signal-names").replaceChildren(...titles.map((title) => createCell("th", title)));
  element("signal-rows").replaceChildren(...rows.map((row) => createRow(row, names)));
}

function createRow(row, names) {
  const tr = document.createElement("tr");
  const name = createCell("th", readableName(row.name));
  name.scope = "row";
  const numbers = names.map((key) => createCell("td", row[key] === null ? "-" : formatSignal(row[key])));
  tr.append(name, createNote(row), ...numbers);
  return tr;
}

function createCell(tag, text) {
  const cell = document.createElement(tag);
  cell.textContent = text;
  return cell;
}

// 0 is a number of a signal like any other.
function formatSignal(number) {
  return number === 0 ? "0" : formatNorm(number);
}

// Returns a cell with the bar of a note, which screen readers leave out.
function createNote({ update_ratio: ratio, snr }) {
  const cell = document.createElement("td");
  cell.setAttribute("aria-hidden", "true");
  const bar = document.createElement("div");
  bar.className = "note";
  bar.style.width = `${(100 * noteLength(ratio)) / LONGEST}%`;
  bar.style.opacity = PALEST + (1 - PALEST) * purity(snr);
  cell.append(bar);
  return cell;
}

// Returns how many times as long as usual a note is held.
function noteLength(ratio) {
  if (typeof ratio !== "number") return 1;
  return Math.min(LONGEST, Math.max(SHORTEST, 2 ** Math.log10(ratio / USUAL_RATIO)));
}

// Returns how pure a note is, 0 to 1.
function purity(snr) {
  if (typeof snr !== "number") return 1;
  const place = Math.log(snr / NOISE_SNR) / Math.log(PURE_SNR / NOISE_SNR);
  return Math.min(1, Math.max(0, place));
}
