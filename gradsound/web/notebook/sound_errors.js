// Why a browser may not play sound in a notebook.

export const LOAD_FAILURE =
  "The browser does not run the synthesizer in this notebook. Use a newer browser to hear the run.";

// Returns what a user can do where a browser gives the page no AudioWorklet.
export function insecureReason() {
  return "A browser plays sound only in a notebook at an https address, or at localhost. " +
    "Open the notebook at one, for example through an ssh tunnel.";
}
