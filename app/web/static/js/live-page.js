// A page that the server renders anew whenever the lab has changed; what follows is in its markup.
import { live } from "./live.js";

const root = document.querySelector("[data-stream]");
const renewedBy = (root?.getAttribute("data-renewed-by") ?? "runs queue").split(" ");
live({ renewedBy, everyMs: 1000, draw: () => {} });
