// The list of captions under "What happened", the newest first.

import { markElement } from "./alarm_marks.js";

const MAX_ITEMS = 200; // a week of alarms must not fill the page

export class CaptionList {
  #list;
  #placeholder;
  #onChoose;
  #items = new Map(); // item by key of its caption, the newest last

  // onChoose(caption): the user chooses a caption that names a layer.
  constructor(region, placeholder, onChoose) {
    this.#list = region.querySelector("ol");
    this.#placeholder = placeholder;
    this.#onChoose = onChoose;
  }

  // Adds a caption unless the list has it. If the user plays a run again (repeated is true),
  // its caption moves to the top. The user can choose it if it leads to a layer (leads).
  add(caption, { repeated, leads }) {
    const key = `${caption.step} ${caption.type} ${caption.text}`;
    if (this.#items.has(key) && !repeated) return;
    this.#items.get(key)?.remove();
    const item = createItem(caption, leads ? this.#onChoose : null);
    this.#items.delete(key); // set() would keep the old place in the order of the map
    this.#items.set(key, item);
    this.#list.prepend(item);
    this.#placeholder.hidden = true;
    if (this.#items.size > MAX_ITEMS) this.#drop(this.#items.keys().next().value);
  }

  #drop(key) {
    this.#items.get(key).remove();
    this.#items.delete(key);
  }
}

function createItem(caption, onChoose) {
  const item = document.createElement("li");
  item.className = caption.warns ? "warning" : "info";
  item.dataset.type = caption.type;
  // Screen readers speak new captions, not the history.
  if (caption.past) item.setAttribute("aria-live", "off");
  item.append(markElement(caption.type), createSpan("clock", caption.clock), " ");
  if (caption.warns) item.append(createSpan("visually-hidden", "Warning: "));
  item.append(onChoose ? createButton(caption, onChoose) : createSpan("text", caption.text));
  return item;
}

function createButton(caption, onChoose) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "text";
  button.textContent = caption.text;
  button.title = "Show this layer in the picture";
  button.addEventListener("click", () => onChoose(caption));
  return button;
}

function createSpan(className, text) {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = text;
  return element;
}
