// The state of the page: its name, and what is said of it.

const DOUBTFUL = 5; // failed attempts, some 15 s: a server that restarts is there by then
const ELSEWHERE = "of an earlier run; the address of a new one is printed where the training runs.";
const HOW = "Press Listen, or the space bar, to hear it.";

// link is connecting, open, lost, refused or closed.
export function stateOf({ link, listening, heard, over }) {
  if (link === "refused" || link === "lost" || link === "connecting") return link;
  if (over) return "over";
  if (listening) return "listening";
  return heard ? "paused" : "waiting";
}

export function wordsOf(state, { hello, attempts }) {
  const lost = hello ? "Connection lost." : "No connection.";
  return {
    connecting: "Connecting.",
    waiting: `${hello?.live ? "Live." : "A finished run."} ${HOW}`,
    listening: hello?.live ? "Listening live." : "Playing.",
    paused: "Paused.",
    lost: attempts > DOUBTFUL ? `${lost} This address may be ${ELSEWHERE}` : lost,
    over: "The run is over.",
    refused: `This address is not valid any more. It is ${ELSEWHERE}`,
  }[state];
}
