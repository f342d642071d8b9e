// The page: connects the server's messages with sound, picture, captions and controls.

import { CaptionList } from "./caption_list.js";
import { Connection } from "./connection.js";
import { setUpBands, setUpControls } from "./controls.js";
import { setUpNotes, showNote } from "./desktop_notes.js";
import { DisplaySchedule } from "./display_schedule.js";
import { formatSteps } from "./format.js";
import { drawColourBar, setUpLegend } from "./legend.js";
import { Losses } from "./losses.js";
import { COLUMNS, EVENTS, messageType, parseColumns, parseSteps } from "./binary_messages.js";
import { Picture } from "./picture.js";
import { state } from "./page_state.js";
import * as readout from "./readout.js";
import { RowNames } from "./row_names.js";
import { areGroups, heldPicture, readRows, readLines } from "./rows.js";
import { showSignals } from "./signals.js";
import { Sound } from "./sound.js";

const POLL_MS = 100; // between checks of the sound's position; a step sounds longer
const TAIL_MS = 2000; // after the last step; longer than any alarm sound

const element = (id) => document.getElementById(id);

let sound = null;
let picture = null;
let tailTimer = null; // pauses the sound after its end
const losses = new Losses(element("losses"));
const schedule = new DisplaySchedule();
const captions = new CaptionList(element("captions"), element("no-captions"), showLayer);
const handlers = {
  onText: handleText,
  onBinary: handleBinary,
  onOpening: () => readout.showCountdown(state.link === "lost" ? "Trying now." : ""),
  onLost: handleLoss,
  onRefused: handleRefusal,
  onClosed: () => setLink("closed"),
};
const connection = new Connection(handlers, () => heldPicture(picture), () => sound.frame);
const tree = new RowNames(element("rows"), (path) => connection.send({ kind: "open", path }));

setUpLegend(element("patterns"), element("pattern-help"), element("mark-help"));
setUpControls({
  onListen: toggleListening,
  onVolume: (volume) => setLoudness({ volume }),
  onMute: (muted) => setLoudness({ muted }),
});
element("retry").addEventListener("click", () => connection.retry());
setInterval(showDue, POLL_MS);
connection.open();

function handleText(message) {
  if (message.kind === "hello") handleHello(message);
  else if (message.kind === "rows") picture.rows = readRows(message.rows);
  else if (message.kind === "losses") losses.show(message);
  else if (message.kind === "playing") state.unansweredPlays -= 1;
  else if (state.unansweredPlays > 0 && message.kind !== "marks") return;
  else if (message.kind === "caption") handleCaption(message);
  else if (message.kind === "signals") showAt(message.frame, () => showSignals(message));
  else if (message.kind === "marks") message.marks.forEach(addMark);
  else if (message.kind === "over") handleEnd(message.how);
}

function handleBinary(buffer) {
  if (messageType(buffer) === COLUMNS) {
    addColumns(parseColumns(buffer, picture.rows.length));
  } else if (messageType(buffer) === EVENTS && state.unansweredPlays === 0) playEvents(buffer);
}

function handleHello(hello) {
  if (state.hello === null) setUpRun(hello);
  else if (JSON.stringify(hello) !== JSON.stringify(state.hello)) location.reload(); // another run
  else resumeAfterLoss();
  setLink("open");
  if (state.playOnConnect) listen();
}

function setUpRun(hello) {
  state.hello = hello;
  readout.showRun(hello);
  setUpNotes(element("notes"), hello);
  sound = new Sound(hello);
  setLoudness(state);
  picture = new Picture(element("picture"), hello, {
    onDescribe: (text, byKeys, step) =>
      readout.showCursorText(text + losses.textAt(step), byKeys, hello.live),
    onRange: (range) => drawColourBar(element("colour-bar"), element("colour-ticks"), range),
    onChoose: playFrom,
    onLayout: (rows, layout) => {
      tree.show(rows, layout);
      losses.layout = layout;
      readout.showGrouping(layout.grouped);
    },
  });
  setUpBands(readLines(hello.lines), {
    onSwitch: (tracks, off) => tracks.forEach((track) => sound.silence(track, off)),
    onPoint: (spans) => (picture.highlighted = spans),
  });
}

// Opens the groups of the layer that a caption names, and points at it.
function showLayer(caption) {
  const shown = picture.pointAt(caption.step, caption.layer);
  state.chosen = !shown && connection.send({ kind: "open", layer: caption.layer }) ? caption : null;
}

// The new connection may count frames from 0, so the schedule cannot wait for the old ones.
function resumeAfterLoss() {
  sound.clear();
  state.lastFrame = state.unansweredPlays = 0;
  if (state.hello.live) schedule.showUntil(Infinity);
  else if (state.listening && !state.over) requestPlayback(state.step);
}

// Changes the volume, or whether the sound is muted; until the run is known, for later.
function setLoudness({ volume = state.volume, muted = state.muted }) {
  Object.assign(state, { volume, muted });
  if (sound) Object.assign(sound, { volume, muted });
}

function toggleListening() {
  if (state.hello === null) state.playOnConnect = !state.playOnConnect;
  else if (state.listening && !state.over) pause();
  else listen();
  showState();
}

async function listen() {
  state.playOnConnect = false;
  if (state.starting) return;
  state.starting = true;
  try {
    await sound.start();
    state.listening = state.hasListened = true;
    readout.showSoundError("");
    if (!state.hello.live) requestPlayback(state.over ? null : state.step);
  } catch (error) {
    readout.showSoundError(error.message);
  } finally {
    state.starting = false;
    showState();
  }
}

async function pause() {
  state.listening = false;
  if (state.hello.live) schedule.showUntil(Infinity);
  else {
    schedule.clear();
    connection.send({ kind: "pause" });
  }
  showState();
  await sound.stop();
}

// Asks the server to play a finished run from a step; null means the first.
function requestPlayback(step) {
  clearTimeout(tailTimer);
  state.over = false;
  state.lastFrame = 0; // the server counts frames from 0 in each playback
  state.step = step ?? picture.oldest ?? 0;
  schedule.clear();
  sound.clear();
  state.unansweredPlays += connection.send({ kind: "play", from: state.step });
}

function playFrom(step) {
  showPlayingSteps(step, step);
  state.over = false;
  if (state.listening) requestPlayback(step);
  else listen();
  showState();
}

function playEvents(buffer) {
  const steps = parseSteps(buffer);
  sound.events(buffer, steps?.begin);
  if (steps && state.listening) showAt(steps.begin, () => showPlayingSteps(steps.first, steps.last));
}

function addColumns(columns) {
  picture.add(columns);
  if (state.chosen && picture.pointAt(state.chosen.step, state.chosen.layer)) state.chosen = null;
  const newest = columns.at(-1);
  const silent = state.hello.live && !state.listening;
  if (newest && silent) showPlayingSteps(newest.first, newest.last);
}

function handleCaption(caption) {
  // The message "marks" has all alarms of a finished run already.
  if (state.hello.live || caption.type === "epoch") picture.mark(caption);
  const leads = caption.layer !== null && areGroups(picture.rows);
  const show = () => captions.add(caption, { repeated: !state.hello.live && !caption.past, leads });
  showNote(caption, connection.wasLost);
  if (caption.past) show();
  else showAt(caption.frame, show);
}

// Adds the mark of an alarm of a finished run, with the text that its caption will have.
function addMark({ step, type, text, rows }) {
  picture.mark({ step, type, rows, text: `${formatSteps(step, step)}: ${text}` });
}

// The server sends nothing more; the events that it sent may still sound.
function handleEnd(outcome) {
  state.outcome = outcome;
  if (state.hello.live) connection.end();
  showAt(state.lastFrame, () => {
    state.over = true;
    showState();
    tailTimer = setTimeout(() => {
      if (state.listening) pause();
    }, TAIL_MS);
  });
}

// Calls a function when the sound reaches a frame; at once if nothing sounds.
function showAt(frame, show) {
  state.lastFrame = Math.max(state.lastFrame, frame);
  if (state.listening && sound.running && sound.frame !== null) schedule.add(frame, show);
  else show();
}

function showDue() {
  if (state.listening) schedule.showUntil(sound.running ? sound.frame ?? -Infinity : Infinity);
}

function handleLoss(seconds, attempts) {
  state.attempts = attempts;
  setLink("lost");
  readout.showCountdown(seconds === null ? "" : `Trying again in ${seconds} s.`);
}

function handleRefusal() {
  if (state.listening) pause();
  setLink("refused");
}

function setLink(link) {
  state.link = link;
  if (link !== "lost") readout.showCountdown("");
  if (link === "open") state.attempts = 0;
  showState();
}

function showState() {
  readout.showState(state);
  if (picture) picture.running = state.link === "open" && !state.over;
}

function showPlayingSteps(first, last) {
  const before = state.step;
  state.step = first;
  if (before === null) showState();
  readout.showStep(first, last, picture.timeOf(first));
  if (!state.hello.live) picture.playhead = losses.playhead = first;
}
