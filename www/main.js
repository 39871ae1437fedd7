// @ts-check
/** The page: puts a studio on it, and keeps studio and address bar the same. */
import { DarkroomStudio } from "./darkroom-studio.js";
import { fromFragment, toFragment } from "./studio/settings.js";

const MODEL = "models/portraits";
/** Left out of the address where they are so; everything else stands there, so that a link says all. */
const UNSAID = {
  sampler: "",
  width: "",
  height: "",
  device: "auto",
  model: MODEL,
  prediction: "auto",
};
/** Browsers refuse to be told a new address at every key. */
const WRITE_AFTER_MS = 300;

const studio = new DarkroomStudio();
// What stands there at a first visit. With this seed the same man keeps or loses his mustache; the demo model needs less guidance than a
// large one, and with more of it other things than the mustache change.
const FIRST = {
  model: MODEL,
  prompt: "Portrait photo of a man",
  "negative-prompt": "mustache",
  seed: "14",
  "guidance-scale": "3",
};
for (const [name, value] of Object.entries(FIRST)) {
  studio.setAttribute(name, value);
}
// Tests bring a hub of their own.
const hub = new URLSearchParams(location.search).get("hub");
if (hub && ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname))
  studio.setAttribute("hub", hub);
studio.settings = fromFragment(location.hash);
document.querySelector("#studio")?.replaceChildren(studio);

let timer = 0;
studio.addEventListener("settings", (event) => {
  const { detail } = /** @type {CustomEvent<import("./studio/settings.js").Settings>} */ (event);
  clearTimeout(timer);
  timer = window.setTimeout(
    () => history.replaceState(null, "", toFragment(detail, UNSAID)),
    WRITE_AFTER_MS,
  );
});
window.addEventListener("hashchange", () => {
  studio.settings = { ...UNSAID, ...fromFragment(location.hash) };
});

// A file dropped beside the studio is for it as well: the browser would leave the page for it.
for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    if (!studio.contains(/** @type {Node} */ (event.target)))
      studio.drag(/** @type {DragEvent} */ (event));
  });
}

// An experiment is a link: followed it sets the studio, clicked it also makes the picture.
for (const link of document.querySelectorAll(".experiment a")) {
  link.addEventListener("click", (event) => {
    const { ctrlKey, metaKey, shiftKey } = /** @type {MouseEvent} */ (event);
    if (ctrlKey || metaKey || shiftKey) return;
    event.preventDefault();
    studio.settings = {
      sampler: "",
      width: "",
      height: "",
      ...fromFragment(/** @type {HTMLAnchorElement} */ (link).hash),
    };
    void studio.generate();
  });
}

// The page itself for later visits without a network. Not before it stands: the first visit is in a hurry.
window.addEventListener("load", () => {
  navigator.serviceWorker
    ?.register("sw.js", { updateViaCache: "none" })
    .catch((error) => console.warn(`Not kept for visits without a network: ${error}`));
});
