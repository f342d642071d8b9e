// What the page says of the run, the connection and the sound, put into its elements.

import { clock, number } from "./format.js";
import { stateOf, wordsOf } from "./page_state.js";

const HINT = "Point at the picture, or use the arrow keys on it, to read it.";
const HINTS = { live: HINT, finished: `${HINT} A click, or Enter, plays from there.` };
const NOTHING = {
  live: "Nothing yet. Alarms, epochs and minutes are written here, the newest first.",
  finished: "Alarms, epochs and minutes are written here as they sound, the newest first. " +
    "Point at a mark above the picture to read it before.",
};
const TIME_HELP = {
  live: "Time goes from left to right, with the training; where it is empty, no step came.",
  finished: "Steps go from left to right; a click plays from there.",
};

const at = (id) => document.getElementById(id);
const kind = (live) => (live ? "live" : "finished");

export function run({ run, note, live }) {
  document.title = `${run}, gradsound`;
  at("run").textContent = run;
  at("note").textContent = note;
  at("note").hidden = !note;
  at("seek-key").hidden = live;
  at("nothing").textContent = NOTHING[kind(live)];
  at("time-help").textContent = TIME_HELP[kind(live)];
}

export function state(now) {
  const { hello, listening, link, over, wanted } = now;
  const name = stateOf(now);
  document.body.dataset.state = name;
  put(at("words"), wordsOf(name, now));
  at("again").hidden = name !== "lost" && name !== "refused";
  const sounds = (listening && !over) || wanted;
  const ended = link === "refused" || (hello?.live && (link === "closed" || over));
  at("listen").disabled = ended && !sounds; // what came before may sound still
  at("listen").dataset.does = sounds ? "pause" : "listen";
  put(at("listen-text"), sounds ? "Pause" : "Listen");
  put(at("step-label"), listening || !hello?.live ? "Step" : "Newest step");
}

export function countdown(words) {
  put(at("countdown"), words);
}

// time is in seconds since the start of the run, null if it is not known.
export function step(first, last, time) {
  put(at("step-number"), first === last ? number(first) : `${number(first)}–${number(last)}`);
  put(at("step-clock"), time === null ? "" : `at ${clock(time)}`);
}

export function reading(words, byKeys, live) {
  // Moving the pointer must not make a screen reader speak without end.
  at("reading").setAttribute("aria-live", byKeys ? "polite" : "off");
  at("reading").classList.toggle("hint", !words);
  put(at("reading"), words || HINTS[kind(live)]);
}

// Why there is no sound, in a sentence; empty where there is.
export function trouble(sentence) {
  at("trouble").hidden = !sentence;
  put(at("trouble"), sentence);
}

// A live region speaks when it is written to, even the same words.
function put(element, words) {
  if (element.textContent !== words) element.textContent = words;
}
