// The mark of each kind of alarm: a shape and its meaning.

const SVG = "http://www.w3.org/2000/svg";
export const MARK_SIZE = 12; // CSS pixels, the unit of the paths below

// Outlines differ, so that users can distinguish the marks without colour.
export const MARKS = {
  nonfinite: {
    path: "M1 3 3 1 6 4 9 1 11 3 8 6 11 9 9 11 6 8 3 11 1 9 4 6Z",
    meaning: "a norm is NaN or infinite",
  },
  loss: { path: "M1 11V8H4V5H7V1H11V4H9V7H6V10H4V11Z", meaning: "the loss rises and stays high" },
  stall: { path: "M2 1H5V11H2ZM7 1H10V11H7Z", meaning: "no step arrives" },
  dead: { path: "M6 0.5 11.5 6 6 11.5 0.5 6Z", meaning: "a layer no longer has a gradient" },
  rank: { path: "M1 7H4V11H1ZM4.5 1H7.5V11H4.5ZM8 7H11V11H8Z", meaning: "a rank far from the others" },
  straggler: { path: "M1 1H3V4H1ZM1 4.5H3V7.5H1ZM1 8H3V11H1ZM7 4.5H11V7.5H7Z", meaning: "a rank later than the others" },
  still: { path: "M1 1H11V11H1ZM3 3V9H9V3Z", meaning: "the optimizer does not move a layer" },
  spike: { path: "M6 1 11.5 11H0.5Z", meaning: "a norm far above its median" },
  leap: { path: "M0.5 11V8H4L8 1H11.5L6 11Z", meaning: "weights change far more than usual" },
  rise: { path: "M1 11 8 4 6 2H11V7L9.5 5.5 4 11Z", meaning: "the norm rises and stays high" },
  vanishing: { path: "M0.5 1H11.5L6 11Z", meaning: "a norm far below the largest" },
  collapsed: { path: "M0.5 2.5H7.5V9.5H0.5ZM9 1H11V3H9ZM9 5H11V7H9ZM9 9H11V11H9Z", meaning: "few of the experts are in use" },
  echo: { path: "M1 1H3V11H1ZM4 3H6V11H4ZM7 5H9V11H7ZM10 7H11.5V11H10Z", meaning: "gradients repeat those before" },
  coarse: { path: "M1 1H4V4H1ZM8 1H11V4H8ZM4.5 4.5H7.5V7.5H4.5ZM1 8H4V11H1ZM8 8H11V11H8Z", meaning: "far more of a gradient is 0" },
  skipped: { path: "M1 1 6 6 1 11ZM6 1 11 6 6 11Z", meaning: "the scaler skipped a step" },
  slow: { path: "M1 1H11L7 6 11 11H1L5 6Z", meaning: "steps take longer" },
  overfit: { path: "M5 11V7L1 3 3 1 6 4 9 1 11 3 7 7V11Z", meaning: "the evaluation loss rises" },
  plateau: { path: "M0.5 4.5H11.5V7.5H0.5Z", meaning: "the loss no longer falls" },
  often: { path: "M0.5 11 3 6 5.5 11ZM3.5 5 6 0 8.5 5ZM6.5 11 9 6 11.5 11Z", meaning: "spikes now and then" },
  drift: { path: "M0.5 8 3.5 5 6 7 11.5 2V5L6 10 3.5 8 0.5 11Z", meaning: "the norm has changed slowly" },
  recovery: {
    path: "M6 1A5 5 0 1 1 6 11A5 5 0 1 1 6 1ZM6 3.5A2.5 2.5 0 1 0 6 8.5A2.5 2.5 0 1 0 6 3.5Z",
    meaning: "an alarm is over",
  },
  end: { path: "M1.5 1.5H10.5V10.5H1.5Z", meaning: "the end of the run" },
};

const NO_WARNINGS = ["often", "drift", "recovery", "end"];

export function isWarning(type) {
  return type in MARKS && !NO_WARNINGS.includes(type);
}

const outlines = new Map(Object.entries(MARKS).map(([type, { path }]) => [type, new Path2D(path)]));

// Draws a mark above x, y; nothing for a type without a shape.
export function drawMark(context, type, x, y) {
  const outline = outlines.get(type);
  if (!outline) return;
  context.save();
  context.translate(x - MARK_SIZE / 2, y - MARK_SIZE);
  context.lineWidth = 2;
  context.stroke(outline);
  context.fill(outline, "evenodd");
  context.restore();
}

// Returns a mark as an element for a line of text.
export function markElement(type) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${MARK_SIZE} ${MARK_SIZE}`);
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "mark");
  if (type in MARKS) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", MARKS[type].path);
    path.setAttribute("fill-rule", "evenodd");
    svg.append(path);
  }
  return svg;
}
