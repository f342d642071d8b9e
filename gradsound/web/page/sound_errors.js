// Why a browser may not play the page's sound.

export const LOAD_FAILURE =
  "The page cannot load its synthesizer: does the run's server still run?";

// Returns what a user can do where a browser gives the page no AudioWorklet.
export function insecureReason() {
  const port = location.port || "80";
  return "A browser plays this page only from an address of its own machine. On that machine, " +
    `type "ssh -L ${port}:127.0.0.1:${port} ${location.hostname}" and open ` +
    `http://127.0.0.1:${port}${location.pathname}`;
}
