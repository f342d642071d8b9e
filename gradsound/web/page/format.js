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

// Returns the name of a layer with a letter: nn.Sequential names its layers by numbers alone.
export function readableName(name) {
  return /\p{L}/u.test(name) ? name : `layer ${name}`;
}
