// The list of what happened, the newest first.

import { markElement } from "./alarm_marks.js";

const MOST = 200; // lines; more are not read, and a week of alarms must not fill the page

export class CaptionList {
  #list;
  #nothing;
  #lines = new Map(); // the key of a caption -> its line

  constructor(region, nothing) {
    this.#list = region.querySelector("ol");
    this.#nothing = nothing;
  }

  // Adds a line, unless it is there. Where a run is played again (once more is true), its
  // line is moved to the top, for it has been said again.
  add(caption, onceMore) {
    const key = `${caption.step} ${caption.type} ${caption.text}`;
    if (this.#lines.has(key) && !onceMore) return;
    this.#lines.get(key)?.remove();
    const line = lineOf(caption);
    this.#lines.delete(key); // so that it is last, the newest, in the order of the map
    this.#lines.set(key, line);
    this.#list.prepend(line);
    this.#nothing.hidden = true;
    if (this.#lines.size > MOST) this.#drop(this.#lines.keys().next().value);
  }

  #drop(key) {
    this.#lines.get(key).remove();
    this.#lines.delete(key);
  }
}

function lineOf(caption) {
  const line = document.createElement("li");
  line.className = caption.warns ? "warns" : "tells";
  line.dataset.type = caption.type;
  // History is there to be read; only what happens now is to be spoken.
  if (caption.past) line.setAttribute("aria-live", "off");
  line.append(markElement(caption.type), span("clock", caption.clock), " ");
  if (caption.warns) line.append(span("unseen", "Warning: "));
  line.append(span("text", caption.text));
  return line;
}

function span(className, text) {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = text;
  return element;
}
