// Desktop notes of the alarms of a training, while its tab is hidden.

const notes = new Map(); // those on the desktop, by the kind of their alarms
const known = new Set(); // alarms that the page has received
let button = null; // pressed while the user wants notes; null if there can be none
let title = "";

// Offers notes by a button, if the browser has them and the user has not refused them. A
// permission of before switches them on.
export function setUpNotes(toggle, { run, live }) {
  if (!live || !("Notification" in window)) return;
  [button, title] = [toggle, run];
  button.addEventListener("click", () => switchNotes(!areWanted()));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) notes.forEach((note) => note.close());
  });
  press(true);
}

// Shows a note of a new alarm, or of the end. One of the same kind replaces it. Of the alarms
// that have passed, those are new that came while the connection was lost.
export function showNote({ step, text, type, warns, past }, wasLost) {
  if (!warns && type !== "end") return;
  const key = `${step} ${type} ${text}`;
  const isNew = !known.has(key) && (!past || wasLost);
  known.add(key);
  if (!isNew || !document.hidden || !areWanted()) return;
  // The tag begins with the address, because pages of several runs may be open.
  const options = { body: text, tag: `${location.pathname} ${type}`, renotify: true };
  try {
    const note = new Notification(title, options);
    note.addEventListener("click", () => window.focus());
    notes.set(type, note);
  } catch {
    button.hidden = true; // browsers of phones refuse notes of pages
  }
}

async function switchNotes(wanted) {
  if (wanted && Notification.permission === "default") await Notification.requestPermission();
  press(wanted);
}

// Presses the button, or releases it; only a permission keeps it pressed.
function press(wanted) {
  button.setAttribute("aria-pressed", wanted && Notification.permission === "granted");
  button.hidden = Notification.permission === "denied";
}

function areWanted() {
  return button !== null && !button.hidden && button.getAttribute("aria-pressed") === "true";
}
