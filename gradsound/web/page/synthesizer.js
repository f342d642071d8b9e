// Where the worklet's modules are.

// Returns the addresses of the modules, in the order in which they must run.
export function moduleAddresses() {
  return ["worklet.js", "voices.js"];
}
