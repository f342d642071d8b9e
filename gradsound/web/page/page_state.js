// The state of the page, as a name and as a sentence for the user.

import { LOST, LOST_FOR_LONG, NEXT_RUN, NO_LINK, REFUSED } from "./link_texts.js";

const MANY_ATTEMPTS = 5; // failed ones, about 15 s; a server that restarts is back by then
const HOW_TO_LISTEN = "Press Listen, or the space bar, to hear it.";

export const state = {
  hello: null, // the server's first message
  link: "connecting", // connecting, open, lost, refused or closed
  attempts: 0, // to connect, failed in a row
  listening: false,
  starting: false, // while the audio output opens
  hasListened: false,
  playOnConnect: false, // the user has pressed Listen before the first message
  over: false,
  outcome: "", // how the training ended, if known
  unansweredPlays: 0, // until "playing" arrives, messages belong to the playback before
  step: null, // the first of the steps that sound
  chosen: null, // the caption whose layer the picture shall show
  lastFrame: 0, // at which the schedule has something to show
  volume: 1,
  muted: false,
};

export function stateName({ link, listening, hasListened, over }) {
  if (link === "refused" || link === "lost" || link === "connecting") return link;
  if (over) return "over";
  if (listening) return "listening";
  return hasListened ? "paused" : "waiting";
}

// outcome: how the training ended, if known. playOnConnect: whether the user has started the
// sound before the page was connected.
export function stateText(name, { hello, attempts, step, outcome, playOnConnect }) {
  const lost = hello ? LOST : NO_LINK;
  const over = outcome ? `The run is over: ${outcome}.` : "The run is over.";
  const noStep = hello?.live && step === null ? " No step has come yet." : "";
  return {
    connecting: playOnConnect ? "Connecting; then the run plays." : "Connecting.",
    waiting: `${hello?.live ? "Live." : "A finished run."}${noStep} ${HOW_TO_LISTEN}`,
    listening: hello?.live ? `Listening live.${noStep}` : "Playing.",
    paused: "Paused.",
    lost: attempts > MANY_ATTEMPTS ? `${lost} ${LOST_FOR_LONG}` : lost,
    over: hello?.live ? `${over} ${NEXT_RUN}`.trimEnd() : over,
    refused: REFUSED,
  }[name];
}
