// The readout: writes run, state, step, cursor text and errors into the page's elements.

import { formatClock, formatNumber } from "./format.js";
import { stateName, stateText } from "./page_state.js";

const CURSOR_HINT = "Point at the picture, or press the arrow keys on it, to read it.";
const CURSOR_HINTS = {
  live: CURSOR_HINT,
  finished: `${CURSOR_HINT} A click, or Enter, plays from there.`,
};
const NO_CAPTIONS = {
  live: "Nothing yet. Alarms, epochs and minutes appear here, the newest first.",
  finished: "Alarms, epochs and minutes appear here as they sound, the newest first. " +
    "Point at a mark above the picture to read it earlier.",
};
const TIME_HELP = {
  live: "Time runs from left to right; where the picture is empty, no step came.",
  finished: "Steps run from left to right; a click plays from a step.",
};

const element = (id) => document.getElementById(id);
const runKind = (live) => (live ? "live" : "finished");

export function showRun({ run, note, live }) {
  document.title = `${run}, gradsound`;
  element("run").textContent = run;
  element("comment").textContent = note;
  element("comment").hidden = !note;
  element("seek-key").hidden = live;
  element("no-captions").textContent = NO_CAPTIONS[runKind(live)];
  element("time-help").textContent = TIME_HELP[runKind(live)];
}

export function showState(state) {
  const { hello, listening, link, over, playOnConnect } = state;
  const name = stateName(state);
  document.body.dataset.state = name;
  write("state-text", stateText(name, state));
  element("retry").hidden = name !== "lost" && name !== "refused";
  const sounds = (listening && !over) || playOnConnect;
  const ended = link === "refused" || (hello?.live && (link === "closed" || over));
  element("listen").disabled = ended && !sounds; // events from before the end may still sound
  element("listen").dataset.action = sounds ? "pause" : "listen";
  write("listen-text", sounds ? "Pause" : "Listen");
  write("step-label", listening || !hello?.live ? "Step" : "Newest step");
}

export function showCountdown(text) {
  write("countdown", text);
}

// time: seconds since the start of the run; null if unknown.
export function showStep(first, last, time) {
  const range = `${formatNumber(first)}–${formatNumber(last)}`;
  write("step-number", first === last ? formatNumber(first) : range);
  write("step-clock", time === null ? "" : `at ${formatClock(time)}`);
}

// Shows the help of a picture whose rows are groups.
export function showGrouping(grouped) {
  element("row-help").hidden = grouped;
  element("group-help").hidden = element("tree-help").hidden = !grouped;
}

export function showCursorText(text, byKeys, live) {
  // With the pointer, a screen reader would speak at every move.
  element("cursor-text").setAttribute("aria-live", byKeys ? "polite" : "off");
  element("cursor-text").classList.toggle("hint", !text);
  write("cursor-text", text || CURSOR_HINTS[runKind(live)]);
}

// Shows why the run does not sound; an empty sentence hides the message.
export function showSoundError(sentence) {
  element("sound-error").hidden = !sentence;
  write("sound-error", sentence);
}

// Writes a text only if it changed: screen readers speak every write to a live region.
function write(id, text) {
  if (element(id).textContent !== text) element(id).textContent = text;
}
