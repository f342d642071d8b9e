// The controls of the sound: buttons, volume, band buttons and their keys.

const VOLUME_KEY_PERCENT = 5; // of a press of a key
const BAND_KEYS = 9; // digits

const element = (id) => document.getElementById(id);

// onListen(): the user starts or pauses. onVolume(gain): linear, 0 to 1. onMute(whether).
export function setUpControls({ onListen, onVolume, onMute }) {
  const slider = element("volume");
  const reportVolume = () => {
    element("volume-text").textContent = `${slider.value} %`;
    slider.setAttribute("aria-valuetext", `${slider.value} percent`);
    onVolume((slider.valueAsNumber / 100) ** 2); // as a square, equal steps sound about equal
  };
  const changeVolume = (percent) => {
    slider.valueAsNumber += percent;
    reportVolume();
  };
  slider.addEventListener("input", reportVolume);
  reportVolume();
  element("listen").addEventListener("click", onListen);
  element("mute").addEventListener("click", () => onMute(toggle(element("mute"))));
  element("help-button").addEventListener("click", () => element("help").showModal());
  element("help-close").addEventListener("click", () => element("help").close());
  document.addEventListener("keydown", (event) => handleKey(event, { onListen, changeVolume }));
}

// Creates a button for each line. onSwitch(tracks, off): the user silences or restores its
// tracks.
// onPoint(spans): the user points at its button; with no spans, at none any more.
export function setUpBands(lines, { onSwitch, onPoint }) {
  element("bands").replaceChildren(...lines.map((line, index) => {
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
    button.addEventListener("click", () => onSwitch(line.tracks, !toggle(button)));
    const pointAt = (types, spans) => {
      for (const type of types) button.addEventListener(type, () => onPoint(spans));
    };
    pointAt(["pointerenter", "focus"], line.spans);
    pointAt(["pointerleave", "blur"], []);
    return button;
  }));
}

// Presses a toggle button, or releases it. Returns whether it is pressed.
function toggle(button) {
  const pressed = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", pressed);
  return pressed;
}

// Handles the page's keys, except those with a modifier and those of the focused element.
function handleKey(event, { onListen, changeVolume }) {
  const { key, target } = event;
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
  if (element("help").open) {
    if (key === "?") element("help").close();
    else return;
  } else if (key === " " && !target.closest("button, input")) {
    if (!event.repeat && !element("listen").disabled) onListen();
  } else if (key === "+" || (key === "ArrowUp" && !usesArrows(target))) {
    changeVolume(VOLUME_KEY_PERCENT);
  } else if (key === "-" || (key === "ArrowDown" && !usesArrows(target))) {
    changeVolume(-VOLUME_KEY_PERCENT);
  } else if (event.repeat) return;
  else if (key.toLowerCase() === "m") element("mute").click();
  else if (key === "?") element("help").showModal();
  else if (key >= "1" && key <= "9" && key.length === 1) {
    element("bands").children[key - 1]?.click();
  } else return;
  event.preventDefault();
}

function usesArrows(target) {
  return target.closest("input, #picture, #captions, #rows") !== null;
}
