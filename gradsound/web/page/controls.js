// The controls of the sound, and their keys.

const KEY_STEP = 5; // percent of volume for a press of a key
const BAND_KEYS = 9; // there are no more digits

const at = (id) => document.getElementById(id);

// What acts: listen(), volume(0 to 1), mute(bool).
export function setUpControls({ listen, volume, mute }) {
  const slider = at("volume");
  const loud = () => {
    at("volume-text").textContent = `${slider.value} %`;
    slider.setAttribute("aria-valuetext", `${slider.value} percent`);
    volume(slider.valueAsNumber / 100);
  };
  const louder = (percent) => {
    slider.valueAsNumber += percent;
    loud();
  };
  slider.addEventListener("input", loud);
  loud();
  at("listen").addEventListener("click", listen);
  at("mute").addEventListener("click", () => mute(toggle(at("mute"))));
  at("help-button").addEventListener("click", () => at("help").showModal());
  at("help-close").addEventListener("click", () => at("help").close());
  document.addEventListener("keydown", (event) => press(event, { listen, louder }));
}

// A button for each line that sounds: switched(index, off), pointed(layers or none).
export function setUpBands(lines, { switched, pointed }) {
  at("bands").replaceChildren(...lines.map((line, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    if (index < BAND_KEYS) {
      const key = document.createElement("kbd");
      key.textContent = index + 1;
      key.setAttribute("aria-hidden", "true");
      button.setAttribute("aria-keyshortcuts", index + 1);
      button.append(key);
    }
    const name = document.createElement("span");
    name.textContent = line.name;
    button.append(name);
    button.addEventListener("click", () => switched(index, !toggle(button)));
    const listen = (types, layers) => {
      for (const type of types) button.addEventListener(type, () => pointed(layers));
    };
    listen(["pointerenter", "focus"], line.layers);
    listen(["pointerleave", "blur"], []);
    return button;
  }));
}

function toggle(button) {
  const pressed = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", pressed);
  return pressed;
}

// Keys of the page: none with a modifier, none that the focused element has a use for.
function press(event, { listen, louder }) {
  const { key, target } = event;
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
  if (at("help").open) {
    if (key === "?") at("help").close();
    else return;
  } else if (key === " " && !target.closest("button, input")) {
    if (!event.repeat && !at("listen").disabled) listen();
  } else if (key === "+" || (key === "ArrowUp" && !hasArrows(target))) louder(KEY_STEP);
  else if (key === "-" || (key === "ArrowDown" && !hasArrows(target))) louder(-KEY_STEP);
  else if (event.repeat) return;
  else if (key.toLowerCase() === "m") at("mute").click();
  else if (key === "?") at("help").showModal();
  else if (key >= "1" && key <= "9" && key.length === 1) at("bands").children[key - 1]?.click();
  else return;
  event.preventDefault();
}

function hasArrows(element) {
  return element.closest("input, #picture, #captions") !== null;
}
