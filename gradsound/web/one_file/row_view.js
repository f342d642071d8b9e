// The rows of the picture, as gradsound.web.row_view has them: bands, and the groups and
// layers that the user has opened.

export class RowView {
  #tree;
  #path;
  rows; // as messages have them, the lowest first

  // tree: its groups, each with name, label, begin, end and groups; the order of its layers;
  // and the greatest number of rows. path: the open groups, from outside.
  constructor(tree, path = []) {
    this.#tree = tree;
    const levels = [tree.groups];
    for (const index of path) {
      const groups = levels.at(-1)[index]?.groups ?? [];
      if (groups.length === 0) break;
      levels.push(groups);
    }
    this.#path = path.slice(0, levels.length - 1);
    let surplus = levels.reduce((sum, { length }) => sum + length, 0) - tree.rows_max;
    const hidden = new Set(); // levels that show only their open group
    for (let level = 1; level < levels.length - 1; level += 1) {
      if (surplus <= 0) break;
      surplus -= levels[level].length - 1;
      hidden.add(level);
    }
    this.rows = this.#visible(tree.groups, [], hidden);
  }

  // Returns the view that a message of the page asks for.
  opened({ path, layer }) {
    return new RowView(this.#tree, layer === undefined ? path : this.#pathOf(layer).slice(0, -1));
  }

  // Returns the indices of the rows that have layers in some spans.
  rowsOf(spans) {
    const has = ({ span: [begin, end] }) => spans.some(([from, to]) => from < end && begin < to);
    return [...this.rows.keys()].filter((row) => has(this.rows[row]));
  }

  #visible(groups, parent, hidden) {
    const level = parent.length;
    return groups.flatMap((group, index) => {
      const path = [...parent, index];
      const isOpen = path.every((one, k) => this.#path[k] === one);
      const inside = isOpen ? this.#visible(group.groups, path, hidden) : [];
      if (!isOpen && hidden.has(level)) return inside;
      return [...inside, this.#row(group, path, groups.length, isOpen)];
    });
  }

  #row({ name, label, begin, end, groups }, path, siblings, isOpen) {
    const isLayer = groups.length === 0;
    return {
      path, siblings, name, label, span: [begin, end],
      open: isLayer ? null : isOpen,
      layer: isLayer ? this.#tree.order[begin] : null,
    };
  }

  #pathOf(layer) {
    const place = this.#tree.order.indexOf(layer);
    const path = [];
    for (let groups = this.#tree.groups; groups.length > 0; groups = groups[path.at(-1)].groups) {
      path.push(groups.findIndex(({ end }) => place < end));
    }
    return path;
  }
}
