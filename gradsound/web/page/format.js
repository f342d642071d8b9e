// How numbers and times are written in words.

const SIGNIFICANT = 3; // digits of a norm; more would not be seen in a picture

export function number(value) {
  return value.toLocaleString("en");
}

// Seconds as one says them: 0:42, 59:59, 1:02:03.
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = two(whole % 60);
  return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

export function steps(first, last) {
  return first === last ? `step ${number(first)}` : `steps ${number(first)} to ${number(last)}`;
}

// A norm as the server sends it: -1 is a layer that had no gradient.
export function norm(value) {
  if (Number.isNaN(value)) return "NaN";
  if (value === Infinity) return "infinite";
  if (value < 0) return "no gradient";
  if (value === 0) return "exactly 0";
  if (value >= 1e5 || value < 1e-3) return value.toExponential(SIGNIFICANT - 1);
  return String(Number(value.toPrecision(SIGNIFICANT)));
}

// A run with names that say what they are: in nn.Sequential layers are but numbers, and so
// are the bands of one of them.
export function named(hello) {
  const called = (name) => (/\p{L}/u.test(name) ? name : `layer ${name}`);
  const own = ({ name, layers }) => layers.length === 1 && hello.layers[layers[0]] === name;
  return {
    ...hello,
    layers: hello.layers.map(called),
    lines: hello.lines.map((line) => (own(line) ? { ...line, name: called(line.name) } : line)),
  };
}
