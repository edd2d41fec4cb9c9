// The switch for single keys, on the page that lists them.
import { areOff, turnOff } from "./keys.js";

const box = document.getElementById("keys-on");
const line = document.getElementById("keys-switch");
if (box instanceof HTMLInputElement && line) {
  box.checked = !areOff();
  box.addEventListener("change", () => turnOff(!box.checked));
  line.hidden = false;
}
