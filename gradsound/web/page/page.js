// The page: joins the connection, the sound, the picture and the words.

import { CaptionList } from "./caption_list.js";
import { Connection } from "./connection.js";
import { setUpBands, setUpControls } from "./controls.js";
import { named, steps } from "./format.js";
import { drawScale, setUpLegend } from "./legend.js";
import { COLUMNS, EVENTS, columnsOf, soundingSteps, typeOf } from "./messages.js";
import { Picture } from "./picture.js";
import { Schedule } from "./display_schedule.js";
import * as showing from "./readout.js";
import { Sound } from "./sound.js";

const TICK = 100; // ms between looks at what sounds: a step sounds longer
const TAIL = 2000; // ms; what began to sound last, an alarm's figure at most, is over by then

const at = (id) => document.getElementById(id);

const now = {
  hello: null,
  link: "connecting",
  attempts: 0, // that failed on end
  listening: false,
  starting: false, // the sound, which takes a moment
  heard: false, // whether it was ever listened to
  wanted: false, // whether it is to be, as soon as there is a run
  over: false,
  how: "", // the run ended, where that is known
  asked: 0, // playings that did not begin yet: what comes is of the one before
  step: null, // the first of those that sound
  latest: 0, // frame of the last thing that was sent
  volume: 1,
  muted: false,
};
let sound = null;
let picture = null;
let tail = null; // the timer of when it is silent after its end
const schedule = new Schedule();
const captions = new CaptionList(at("captions"), at("nothing"));
const connection = new Connection(
  { text, binary, opening, lost, refused, closed: () => link("closed") },
  () => picture?.newest ?? null,
);

setUpLegend(at("patterns"), at("pattern-help"), at("mark-help"));
setUpControls({
  listen: press,
  volume: (volume) => {
    now.volume = volume;
    if (sound) sound.volume = volume;
  },
  mute: (muted) => {
    now.muted = muted;
    if (sound) sound.muted = muted;
  },
});
at("again").addEventListener("click", () => connection.again());
setInterval(tick, TICK);
connection.open();

function text(message) {
  if (message.kind === "hello") greet(named(message));
  else if (message.kind === "playing") now.asked -= 1;
  else if (now.asked > 0 && message.kind !== "marks") return;
  else if (message.kind === "caption") tell(message);
  else if (message.kind === "marks") message.marks.forEach(mark);
  else if (message.kind === "over") end(message.how);
}

function binary(buffer) {
  if (typeOf(buffer) === EVENTS && now.asked === 0) hear(buffer);
  else if (typeOf(buffer) === COLUMNS) see(columnsOf(buffer, now.hello.layers.length));
}

function greet(hello) {
  if (now.hello === null) begin(hello);
  else if (JSON.stringify(hello) !== JSON.stringify(now.hello)) location.reload(); // another run
  else goOn();
  link("open");
  if (now.wanted) listen();
}

function begin(hello) {
  now.hello = hello;
  showing.run(hello);
  sound = new Sound(hello);
  sound.volume = now.volume;
  sound.muted = now.muted;
  picture = new Picture(at("picture"), hello, {
    reading: (words, byKeys) => showing.reading(words, byKeys, hello.live),
    range: (range) => drawScale(at("scale-bar"), at("scale-ticks"), range),
    chosen: seek,
  });
  setUpBands(hello.lines, {
    switched: (line, off) => sound.silence(line, off),
    pointed: (layers) => (picture.band = layers),
  });
}

// After a reconnection: frames may count anew, so nothing waits for the old ones.
function goOn() {
  sound.clear();
  now.latest = now.asked = 0;
  if (now.hello.live) schedule.reach(Infinity);
  else if (now.listening && !now.over) play(now.step);
}

function press() {
  if (now.hello === null) now.wanted = !now.wanted;
  else if (now.listening && !now.over) pause();
  else listen();
  settle();
}

async function listen() {
  now.wanted = false;
  if (now.starting) return;
  now.starting = true;
  try {
    await sound.start();
    now.listening = now.heard = true;
    showing.trouble("");
    if (!now.hello.live) play(now.over ? null : now.step);
  } catch (error) {
    showing.trouble(error.message);
  } finally {
    now.starting = false;
    settle();
  }
}

async function pause() {
  now.listening = false;
  if (now.hello.live) schedule.reach(Infinity);
  else {
    schedule.clear();
    connection.send({ kind: "pause" });
  }
  settle();
  await sound.stop();
}

// Plays a finished run from a step; null for the first.
function play(step) {
  clearTimeout(tail);
  now.over = false;
  now.latest = 0; // frames may count anew
  now.step = step ?? picture.oldest ?? 0;
  schedule.clear();
  sound.clear();
  now.asked += connection.send({ kind: "play", from: now.step });
}

function seek(step) {
  stepSounds(step, step);
  now.over = false;
  if (now.listening) play(step);
  else listen();
  settle();
}

function hear(buffer) {
  const sounding = soundingSteps(buffer);
  sound.events(buffer, sounding?.begin);
  if (sounding === null || !now.listening) return;
  when(sounding.begin, () => stepSounds(sounding.first, sounding.last));
}

function see(columns) {
  picture.add(columns);
  const newest = columns.at(-1);
  if (newest && now.hello.live && !now.listening) stepSounds(newest.first, newest.last);
}

function tell(caption) {
  // Of a finished run, all alarms are marked before it is heard.
  if (now.hello.live || caption.type === "epoch") picture.mark(caption);
  const show = () => captions.add(caption, !now.hello.live && !caption.past);
  if (caption.past) show();
  else when(caption.frame, show);
}

// Marks an alarm of a finished run in the picture, named as its caption will name it.
function mark({ step, type, text }) {
  picture.mark({ step, type, text: `${steps(step, step)}: ${text}` });
}

// Nothing more will come; what came is still to be heard.
function end(how) {
  now.how = how;
  if (now.hello.live) connection.end();
  when(now.latest, () => {
    now.over = true;
    settle();
    tail = setTimeout(() => {
      if (now.listening) pause();
    }, TAIL);
  });
}

// Shows something when the sound reaches a frame; at once where nothing sounds.
function when(frame, show) {
  now.latest = Math.max(now.latest, frame);
  if (now.listening && sound.running && sound.frame !== null) schedule.add(frame, show);
  else show();
}

function tick() {
  if (!now.listening) return;
  schedule.reach(sound.running ? sound.frame ?? -Infinity : Infinity);
}

function opening() {
  showing.countdown(now.link === "lost" ? "Trying now." : "");
}

function lost(seconds, attempts) {
  now.attempts = attempts;
  link("lost");
  showing.countdown(`Trying again in ${seconds} s.`);
}

// Nothing will come from here again.
function refused() {
  if (now.listening) pause();
  link("refused");
}

function link(name) {
  now.link = name;
  if (name !== "lost") showing.countdown("");
  if (name === "open") now.attempts = 0;
  settle();
}

// Makes what is seen agree with how things are.
function settle() {
  showing.state(now);
  if (picture) picture.running = now.link === "open" && !now.over;
}

function stepSounds(first, last) {
  const before = now.step;
  now.step = first;
  if (before === null) settle();
  showing.step(first, last, picture.timeOf(first));
  if (!now.hello.live) picture.playhead = first;
}
