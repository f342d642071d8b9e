// The cursor of the picture: follows the pointer or the arrow keys and describes the norms there.

import { formatClock, formatNorm, formatNumber, formatSteps } from "./format.js";
import { rowAt } from "./layout.js";

const MARK_DISTANCE = 6; // CSS pixels to a mark, at most, for the cursor to describe it
const MAX_MARKS = 3; // in a description; the list of captions has all
const SHIFT_COLUMNS = 10; // that an arrow key moves with Shift

export class Cursor {
  #target = null; // {x, y} from the pointer, or {column, row} from the keys
  #onChange;

  // onChange(): the cursor moved. keyStart(): returns the target of the first arrow
  // key; null for none yet. moveTarget(target, byColumns, byRows): returns a neighbour of a target. onChoose(): the
  // user clicked or pressed Enter.
  constructor(canvas, { onChange, keyStart, moveTarget, onChoose }) {
    this.#onChange = onChange;
    const follow = ({ offsetX, offsetY }) => this.#setTarget({ x: offsetX, y: offsetY });
    canvas.addEventListener("pointermove", follow);
    canvas.addEventListener("pointerleave", ({ pointerType }) => {
      if (pointerType !== "touch") this.#setTarget(null); // a user lifts the finger to read
    });
    canvas.addEventListener("click", (event) => {
      follow(event);
      onChoose();
    });
    canvas.addEventListener("keydown", (event) =>
      this.#handleKey(event, { keyStart, moveTarget, onChoose }));
    canvas.addEventListener("blur", () => this.#setTarget(null));
  }

  get byKeys() {
    return this.#target !== null && "column" in this.#target;
  }

  // Returns the cursor's place, or null: left and right in CSS pixels, from and to as
  // positions, the columns there, the row or null, and whether keys chose one column.
  locate(viewport, columns) {
    if (this.#target === null || columns.newest === null) return null;
    if (this.byKeys) {
      const { column, row } = this.#target;
      const left = Math.max(viewport.layout.left, viewport.x(column.start));
      const right = Math.max(left, viewport.x(column.end));
      return {
        left, right, from: column.start, to: column.end, columns: [column], row, exact: true,
      };
    }
    const { x, y } = this.#target;
    if (x < viewport.layout.left || x >= viewport.layout.right) return null;
    const from = viewport.position(x);
    const to = from + viewport.layout.pixelRatio / viewport.pixelsPerUnit; // one CSS pixel
    const near = columns.all.slice(columns.indexAfter(from), columns.indexAfter(to) + 1);
    const covered = near.filter(({ start }) => start < to);
    const row = rowAt(viewport.layout, y);
    return { left: x, right: x, from, to, columns: covered, row, exact: false };
  }

  // Moves the cursor to a row of a column as the arrow keys do; to nowhere with null.
  moveTo(column, row) {
    this.#setTarget(column === null ? null : { column, row });
  }

  #setTarget(target) {
    if (target === null && this.#target === null) return;
    this.#target = target;
    this.#onChange();
  }

  #handleKey(event, { keyStart, moveTarget, onChoose }) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const columns = event.shiftKey ? SHIFT_COLUMNS : 1;
    const moves = {
      ArrowLeft: [-columns, 0], ArrowRight: [columns, 0], ArrowUp: [0, 1], ArrowDown: [0, -1],
      Home: [-Infinity, 0], End: [Infinity, 0],
    };
    if (event.key in moves) {
      // The first arrow key only shows the cursor; Home and End go to a known place at once.
      const onlyShows = !this.byKeys && event.key.startsWith("Arrow");
      const from = this.byKeys ? this.#target : keyStart();
      if (from !== null) this.#setTarget(onlyShows ? from : moveTarget(from, ...moves[event.key]));
    } else if (event.key === "Escape") this.#setTarget(null);
    else if (event.key === "Enter") onChoose();
    else return;
    event.preventDefault();
    event.stopPropagation(); // the page uses some of these keys for the volume
  }
}

// Returns the target some columns and rows away from another.
export function moveTarget(columns, rowCount, { column, row }, byColumns, byRows) {
  const index = columns.findIndex(({ end }) => end > column.start) + byColumns;
  return {
    column: columns[Math.min(columns.length - 1, Math.max(0, index))],
    row: Math.min(rowCount - 1, Math.max(0, row + byRows)),
  };
}

// Returns the steps, norms and marks at the cursor's place as text; empty for null.
export function describe(place, rows, marks, viewport) {
  if (place === null) return "";
  const reach = (MARK_DISTANCE * viewport.layout.pixelRatio) / viewport.pixelsPerUnit;
  const [from, to] = [place.from - reach, place.to + reach];
  const isNear = ({ position }) => position !== null && from <= position && position <= to;
  const isInColumns = ({ step }) =>
    place.columns.some(({ first, last }) => first <= step && step <= last);
  const found = marks.filter(place.exact ? isInColumns : isNear);
  const texts = found.slice(0, MAX_MARKS).map(({ text }) => text);
  const more = found.length > MAX_MARKS ? [`and ${found.length - MAX_MARKS} more`] : [];
  return [describeNorm(place, rows), ...texts, ...more].join(" · ");
}

function describeNorm({ columns, row }, rows) {
  if (columns.length === 0) return "no step here";
  const first = columns[0].first;
  const last = columns.at(-1).last;
  const steps = `${formatSteps(first, last)} at ${formatClock(columns.at(-1).time)}`;
  if (row === null) return steps;
  const norm = Math.max(...columns.map(({ norms }) => norms[row])); // NaN wins
  const isPlain = norm > 0 && norm < Infinity;
  const label = isPlain ? (first === last ? "norm " : "greatest norm ") : "";
  const { name, size } = rows[row];
  const which = size > 1 ? `${name}, largest of ${formatNumber(size)} layers` : name;
  return `${steps}, ${which}: ${label}${formatNorm(norm)}`;
}
