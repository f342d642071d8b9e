// The worklet's modules inside of this page.

import { inlineAddresses } from "./inline_modules.js";

// Returns the addresses of the modules, in the order in which they must run.
export function moduleAddresses() {
  return inlineAddresses();
}
