// Why a browser may not play the sound of this file.

export const LOAD_FAILURE =
  "The browser does not run the synthesizer in this page. Use a newer browser to hear the run.";

// Returns what a user can do where a browser gives the page no AudioWorklet.
export function insecureReason() {
  return "A browser plays this page from a file or from an https address only. " +
    "Save the page, and open the file.";
}
