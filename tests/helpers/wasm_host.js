// Makes calls of WebAssembly modules on an image of their memory; see native_code.py.

const { readFileSync, writeSync } = require("node:fs");

const PAGE = 65536; // bytes
const image = readFileSync(0);
const memory = new WebAssembly.Memory({ initial: Math.ceil(image.length / PAGE) });
const bytes = new Uint8Array(memory.buffer, 0, image.length);
bytes.set(image);
const functions = process.argv.slice(2).flatMap((path) => {
  const module = new WebAssembly.Module(readFileSync(path));
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const [mono, stereo] = Object.keys(exports).sort(); // whatever their order in the module
  return [exports[mono], exports[stereo]];
});

const view = new DataView(memory.buffer);
const int = (at) => view.getBigInt64(at, true);
const count = Number(int(0));
for (let at = 8; at < 8 + 64 * count; at += 64) {
  const [index, out, stride, frames, start, , events, list] = Array.from({ length: 8 }, (_, k) =>
    int(at + 8 * k),
  );
  const period = view.getFloat32(at + 40, true);
  functions[index](Number(out), stride, frames, start, period, events, Number(list));
}
for (let sent = 0; sent < bytes.length; ) sent += writeSync(1, bytes, sent);
