// The limiter of gradsound.synth.limiter. Levels are linear.

const { abs, fround, min } = Math;

const KNEE = fround(0.8);
const HEADROOM = fround(1 - 0.8);
const LARGE = fround(1e30); // an infinite level would become NaN

// Bends a sample beyond the knee to within 1; NaN becomes 0.
export function limit(sample) {
  const size = abs(sample);
  if (size <= KNEE) return sample;
  if (Number.isNaN(sample)) return 0;
  const over = fround(fround(min(size, LARGE) - KNEE) / HEADROOM);
  const bent = fround(KNEE + fround(HEADROOM * fround(over / fround(1 + over))));
  return sample < 0 ? -bent : bent;
}
