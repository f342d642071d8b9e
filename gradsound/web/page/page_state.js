// The state of the page: its name, and what is said of it.

const DOUBTFUL = 5; // failed attempts, some 15 s: a server that restarts is there by then
const ELSEWHERE = "of an earlier run; the address of a new one is printed where the training runs.";
const NEXT = "The next run has another address, which is printed where it begins.";
const HOW = "Press Listen, or the space bar, to hear it.";

// link is connecting, open, lost, refused or closed.
export function stateOf({ link, listening, heard, over }) {
  if (link === "refused" || link === "lost" || link === "connecting") return link;
  if (over) return "over";
  if (listening) return "listening";
  return heard ? "paused" : "waiting";
}

// how is what is known of how the run ended, wanted whether it is to sound once it is there.
export function wordsOf(state, { hello, attempts, step, how, wanted }) {
  const lost = hello ? "Connection lost." : "No connection.";
  const over = how ? `The run is over: ${how}.` : "The run is over.";
  const first = hello?.live && step === null ? " No step has come yet." : "";
  return {
    connecting: wanted ? "Connecting; then it plays." : "Connecting.",
    waiting: `${hello?.live ? "Live." : "A finished run."}${first} ${HOW}`,
    listening: hello?.live ? `Listening live.${first}` : "Playing.",
    paused: "Paused.",
    lost: attempts > DOUBTFUL ? `${lost} This address may be ${ELSEWHERE}` : lost,
    over: hello?.live ? `${over} ${NEXT}` : over,
    refused: `This address is not valid any more. It is ${ELSEWHERE}`,
  }[state];
}
