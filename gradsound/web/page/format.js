// Text for numbers, times, step numbers, norms and layer names.

const NORM_DIGITS = 3; // significant; a picture shows no finer differences

export function formatNumber(value) {
  return value.toLocaleString("en");
}

// Formats seconds: 0:42, 59:59, 1:02:03.
export function formatClock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const twoDigits = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = twoDigits(whole % 60);
  return hours ? `${hours}:${twoDigits(minutes)}:${rest}` : `${minutes}:${rest}`;
}

export function formatSteps(first, last) {
  if (first === last) return `step ${formatNumber(first)}`;
  return `steps ${formatNumber(first)} to ${formatNumber(last)}`;
}

// Formats a norm from the server; -1 means no gradient.
export function formatNorm(value) {
  if (Number.isNaN(value)) return "NaN";
  if (value === Infinity) return "infinite";
  if (value < 0) return "no gradient";
  if (value === 0) return "exactly 0";
  if (value >= 1e5 || value < 1e-3) return value.toExponential(NORM_DIGITS - 1);
  return String(Number(value.toPrecision(NORM_DIGITS)));
}

// Returns a hello message whose names all have a letter. nn.Sequential names its layers by
// numbers alone, and a band of one layer has the layer's name.
export function withReadableNames(hello) {
  const readable = (name) => (/\p{L}/u.test(name) ? name : `layer ${name}`);
  const isLayer = ({ name, layers }) => layers.length === 1 && hello.layers[layers[0]] === name;
  const rename = (track) => (isLayer(track) ? { ...track, name: readable(track.name) } : track);
  return { ...hello, layers: hello.layers.map(readable), lines: hello.lines.map(rename) };
}
