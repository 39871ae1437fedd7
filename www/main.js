// @ts-check
/** Script of the page: adds a studio and keeps its settings in the address bar. */
import { DarkroomStudio } from "./darkroom-studio.js";
import { setLanguage } from "./strings/index.js";
import { fromFragment, toFragment } from "./studio/settings.js";

const MODEL = "models/portraits";
/**
 * Settings left out of the address at these values. All others are written, so that a link is
 * complete.
 */
const UNSAID = {
  sampler: "",
  width: "",
  height: "",
  device: "auto",
  model: MODEL,
  prediction: "auto",
};
/** Browsers refuse to change the address at every key press. */
const WRITE_AFTER_MS = 300;

// One language for the page and the studio in it.
document.documentElement.lang = setLanguage(...wantedLanguages());
const studio = new DarkroomStudio();
// Pictures, prompts and the form outlive this page.
studio.toggleAttribute("keep", true);
// Settings of a first visit. With this seed the same man has or loses his mustache. The demo model
// needs less guidance than a large one: with more of it, other things change as well.
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
// Tests use a hub of their own.
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

// Files dropped beside the studio are for the studio, too. Otherwise the browser would open them.
for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    if (!studio.contains(/** @type {Node} */ (event.target)))
      studio.drag(/** @type {DragEvent} */ (event));
  });
}

// An experiment is a link to its settings. A click also makes the picture.
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
    studio.generate().catch(() => {});
  });
}

// Registered after the page has loaded: the first visit does not wait for the cache.
window.addEventListener("load", () => {
  navigator.serviceWorker
    ?.register("sw.js", { updateViaCache: "none" })
    .catch((error) => console.warn(`Not saved for offline use: ${error}`));
});

/**
 * Languages in the order of preference: of the address (`?lang=de`), of an earlier choice, of the
 * browser.
 */
function wantedLanguages() {
  const asked = new URLSearchParams(location.search).get("lang");
  const languages = [asked, storedLanguage(), ...navigator.languages];
  return languages.filter((tag) => typeof tag === "string");
}

/** The visitor's earlier choice; null where there is none or storage is blocked. */
function storedLanguage() {
  try {
    return localStorage.getItem("darkroom-language");
  } catch {
    return null;
  }
}
