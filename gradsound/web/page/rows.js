// The rows of the picture, as the server describes them: layers, or groups of layers.

import { readableName } from "./format.js";

// Returns rows with names that all have a letter, and with their numbers of layers.
export function readRows(rows) {
  return rows.map((row) => ({
    ...row,
    name: readableName(row.name),
    label: readableName(row.label),
    size: row.span[1] - row.span[0],
  }));
}

// Returns the path of the innermost open group: indices of groups from outside.
function openPath(rows) {
  const paths = rows.filter(({ open }) => open).map(({ path }) => path);
  return paths.reduce((longest, path) => (path.length > longest.length ? path : longest), []);
}

export function areGroups(rows) {
  return rows.some(({ open }) => open !== null);
}

// Returns the indices of the rows whose layers lie in one of some spans of layers.
export function rowsWithin(rows, spans) {
  const isWithin = ({ span: [begin, end] }) =>
    spans.some(([from, to]) => from <= begin && end <= to);
  return [...rows.keys()].filter((row) => isWithin(rows[row]));
}

// Returns what a page has of a picture, as parameters of the server's address: its last step,
// and its open groups.
export function heldPicture(picture) {
  const path = openPath(picture?.rows ?? []);
  const since = picture?.newest ?? null;
  return { ...(since !== null && { since }), ...(path.length && { open: path.join(".") }) };
}

// Returns the lines of tracks, with the readable names of those that have the name of their
// only layer.
export function readLines(lines) {
  const isLayer = ({ spans }) => spans.length === 1 && spans[0][1] - spans[0][0] === 1;
  return lines.map((one) => (isLayer(one) ? { ...one, name: readableName(one.name) } : one));
}
