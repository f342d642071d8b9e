// The worklet's modules inside of this page, and why a browser may not run them.

import { inlineAddresses } from "./inline_modules.js";

export const LOAD_FAILURE =
  "The browser does not run the synthesizer in this notebook. Use a newer browser to hear the run.";

// Returns the addresses of the modules, in the order in which they must run.
export function moduleAddresses() {
  return inlineAddresses();
}

// Returns what a user can do where a browser gives the page no AudioWorklet.
export function insecureReason() {
  return "A browser plays sound only in a notebook at an https address, or at localhost. " +
    "Open the notebook at one, for example through an ssh tunnel.";
}
