// The recording of a run inside of this file: its facts as JSON, and its arrays, compressed.

const HEADER = 4; // bytes: the length of the JSON text

// Reads the recording. Throws an Error if the browser is too old for it.
export async function readRecording() {
  if (!window.DecompressionStream) {
    throw new Error("This browser cannot decompress the run in this page. Use a newer browser.");
  }
  const text = atob(document.getElementById("recording").textContent);
  const packed = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(unpacked).arrayBuffer();
  const size = new DataView(buffer).getUint32(0, true);
  const json = new TextDecoder().decode(new Uint8Array(buffer, HEADER, size));
  const { arrays, ...facts } = JSON.parse(json);
  return { facts, arrays: restoreArrays(arrays, new Uint8Array(buffer, HEADER + size)) };
}

// Returns the buffer of each array by name. Of the file's items, all first bytes come first,
// then all second ones: alike bytes side by side need less space.
function restoreArrays(entries, bytes) {
  const arrays = {};
  let offset = 0;
  for (const [name, width, count] of entries) {
    const items = new Uint8Array(width * count);
    for (let place = 0; place < width; place += 1) {
      for (let k = 0; k < count; k += 1) items[k * width + place] = bytes[offset + k];
      offset += count;
    }
    arrays[name] = items.buffer;
  }
  return arrays;
}

// Returns the running sums of differences, as doubles.
export function addUp(differences) {
  let sum = 0;
  return Float64Array.from(differences, (difference) => (sum += difference));
}
