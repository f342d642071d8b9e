// The synthesis kernel in WebAssembly: renders all events of a voice in one call. It makes the
// samples of kernel.js in less time.

const { floor, fround, min } = Math;

const CHANNELS = 2;
const PADDING = 16; // frames after a block to which the kernel may add 0
const EVENT = 18; // words of an event, as in gradsound/synth/events.py
const WORDS = 16384; // of the memory: 64 KiB
const PERIOD = fround(1 / sampleRate); // seconds

// Returns a function for each voice, by its number. It adds the block of `quantum` frames that
// begins at a frame to the channels. Returns none if the server or the browser cannot do it.
//
// digits: the module in hexadecimal; undefined if the server has none.
export function compileKernels(digits, quantum) {
  if (digits === undefined) return [];
  try {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const bytes = Uint8Array.from(digits.match(/../g), (pair) => parseInt(pair, 16));
    const module = new WebAssembly.Module(bytes);
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    const play = withMemory(memory, quantum);
    return Array.from(Object.keys(exports), (_, k) => play(exports[`voice${k}`]));
  } catch {
    return []; // no SIMD, no memory left, or a policy that forbids modules
  }
}

// Returns a function that makes a player of a kernel, which has its block and events in the
// memory.
function withMemory(memory, quantum) {
  const stride = quantum + PADDING;
  const ints = new Int32Array(memory.buffer);
  const floats = new Float32Array(memory.buffer);
  const rows = Array.from({ length: CHANNELS }, (_, k) =>
    floats.subarray(k * stride, k * stride + quantum),
  );
  const list = CHANNELS * stride; // the word at which events begin
  const room = floor((WORDS - list) / EVENT); // events of a call
  const size = [BigInt(stride), BigInt(quantum)];

  function writeEvent(event, at) {
    ints[at] = event.first; // modulo 2 ** 32
    ints[at + 1] = floor(event.first / 2 ** 32);
    ints[at + 2] = event.count;
    ints[at + 3] = event.slot;
    ints[at + 4] = event.phase;
    ints[at + 5] = event.increment;
    ints[at + 6] = event.glide;
    ints[at + 7] = event.fade;
    floats.set(event.gain, at + 8);
    floats.set(event.pan, at + 10);
    floats.set(event.controls, at + 12);
  }

  return (kernel) => (channels, start, events) => {
    rows.forEach((row, k) => row.set(channels[k]));
    for (let begin = 0; begin < events.length; begin += room) {
      const count = min(room, events.length - begin);
      for (let k = 0; k < count; k += 1) writeEvent(events[begin + k], list + EVENT * k);
      kernel(0, ...size, BigInt(start), PERIOD, BigInt(count), 4 * list);
    }
    rows.forEach((row, k) => channels[k].set(row));
  };
}
