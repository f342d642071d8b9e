// The names of the rows of a deep model, left of the picture: a tree of groups and layers.
//
// Its keys are those of a treegrid (WAI-ARIA Authoring Practices).

import { formatNumber } from "./format.js";
import { rowTop } from "./layout.js";

export class RowNames {
  #container;
  #onOpen;
  #rows = []; // from top to bottom

  // onOpen(path): the user opens a group, or closes the one below it; path has the indices of
  // the groups that shall be open, from outside.
  constructor(container, onOpen) {
    this.#container = container;
    this.#onOpen = onOpen;
    container.addEventListener("click", ({ target }) => {
      const row = this.#rowOf(target);
      if (row) this.#toggle(row);
    });
    container.addEventListener("keydown", (event) => this.#handleKey(event));
  }

  // Shows rows, the lowest first; hides the tree if they are a row for each layer.
  show(rows, layout) {
    this.#container.hidden = !layout.grouped;
    if (!layout.grouped) return;
    const active = this.#rowOf(document.activeElement);
    const current = this.#rows.find(({ element }) => element.tabIndex === 0);
    this.#rows = rows.map((row, index) => ({ ...row, element: createRow(row, index, layout) }));
    this.#rows.reverse();
    this.#container.style.top = `${layout.top}px`;
    this.#container.style.width = `${layout.nameRight}px`;
    this.#container.style.height = `${layout.plotHeight}px`;
    this.#container.style.fontSize = `${layout.nameSize}px`;
    this.#container.replaceChildren(...this.#rows.map(({ element }) => element));
    const place = current ? this.#nearest(current.path) : this.#rows[0];
    place.element.tabIndex = 0;
    if (active) place.element.focus({ preventScroll: true });
  }

  // Returns the row of a group, or of the innermost visible group around it.
  #nearest(path) {
    for (let length = path.length; length > 0; length--) {
      const found = this.#find(path.slice(0, length));
      if (found) return found;
    }
    return this.#rows[0];
  }

  #find(path) {
    return this.#rows.find((row) => String(row.path) === String(path));
  }

  #rowOf(target) {
    const element = target?.closest('[role="row"]');
    return this.#rows.find((row) => row.element === element);
  }

  #toggle(row) {
    this.#focus(row);
    if (row.open !== null) this.#onOpen(row.open ? row.path.slice(0, -1) : row.path);
  }

  #focus(row) {
    for (const { element } of this.#rows) element.tabIndex = -1;
    row.element.tabIndex = 0;
    row.element.focus();
  }

  #handleKey(event) {
    const row = this.#rowOf(event.target);
    if (!row || event.ctrlKey || event.altKey || event.metaKey) return;
    const index = this.#rows.indexOf(row);
    const go = (place) => this.#focus(this.#rows.at(Math.min(place, this.#rows.length - 1)));
    const actions = {
      ArrowUp: () => go(Math.max(0, index - 1)),
      ArrowDown: () => go(index + 1),
      Home: () => go(0),
      End: () => go(Infinity),
      Enter: () => this.#toggle(row),
      ArrowRight: () => (row.open === false ? this.#toggle(row) : row.open && go(index + 1)),
      ArrowLeft: () => (row.open ? this.#toggle(row) : this.#focus(this.#nearest(
        row.path.length > 1 ? row.path.slice(0, -1) : row.path))),
    };
    if (!(event.key in actions)) return;
    actions[event.key]();
    event.preventDefault();
    event.stopPropagation(); // the page uses some of these keys for the volume
  }
}

function createRow(row, index, layout) {
  const element = document.createElement("div");
  element.setAttribute("role", "row");
  element.setAttribute("aria-level", row.path.length);
  element.setAttribute("aria-setsize", row.siblings);
  element.setAttribute("aria-posinset", row.siblings - row.path.at(-1)); // the last is on top
  if (row.open !== null) element.setAttribute("aria-expanded", row.open);
  const what = row.size > 1 ? `, largest norm of ${formatNumber(row.size)} layers` : "";
  element.setAttribute("aria-label", `${row.name}${what}`);
  element.title = `${row.name}${what}`;
  element.tabIndex = -1;
  element.style.top = `${rowTop(layout, index) - layout.top}px`;
  element.style.height = `${layout.rowHeight / layout.pixelRatio}px`;
  element.style.paddingLeft = `${layout.indents[index]}px`;
  element.append(
    createCell("rowheader", "name", layout.names[index]),
    createCell("gridcell", "size", layout.sizes[index]),
  );
  return element;
}

function createCell(role, className, text) {
  const cell = document.createElement("span");
  cell.setAttribute("role", role);
  cell.className = className;
  cell.textContent = text;
  return cell;
}
