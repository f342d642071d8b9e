// The worklet's modules as elements of the page that contains them.

// Returns the addresses of the modules, in the order in which they must run. An address with
// the module itself works from a file too, where Chromium loads no blob.
export function inlineAddresses() {
  const text = (id) => document.getElementById(id).textContent;
  return ["worklet", "voices"].map(
    (id) => `data:text/javascript;charset=utf-8,${encodeURIComponent(text(id))}`,
  );
}
