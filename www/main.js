// @ts-check
/** Script of the page: connects the studio with the address bar and with the page around it. */
// In this order: the language and the settings of the address, then the studio.
import "./page/language.js";
import "./page/early.js";
import { DarkroomStudio } from "./darkroom-studio.js";
import { wipePair } from "./page/pair.js";
import { listenToWords, loadShowcase } from "./page/showcase.js";
import { ADVANCED_DEFAULTS } from "./studio/advanced-settings.js";
import { complete, fromFragment, toFragment } from "./studio/settings.js";

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
  ...ADVANCED_DEFAULTS,
};
/** Browsers refuse to change the address at every key press. */
const WRITE_AFTER_MS = 300;

const found = document.querySelector("darkroom-studio");
if (!(found instanceof DarkroomStudio)) throw new TypeError("the page has no studio");
const studio = found;

let timer = 0;
studio.addEventListener("settings", () => {
  clearTimeout(timer);
  timer = window.setTimeout(
    () => history.replaceState(null, "", toFragment(studio.linkSettings, UNSAID)),
    WRITE_AFTER_MS,
  );
});
window.addEventListener("hashchange", () => {
  // Other fragments name a place on the page.
  if (location.hash.includes("="))
    void studio.openLink({ ...UNSAID, ...fromFragment(location.hash) });
});

// Files dropped beside the studio are for the studio, too. Otherwise the browser would open them.
for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    if (!studio.contains(/** @type {Node} */ (event.target)))
      studio.drag(/** @type {DragEvent} */ (event));
  });
}

/** Calls back for a click that does not open the link elsewhere. */
function onPress(/** @type {HTMLAnchorElement} */ link, /** @type {() => void} */ act) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    act();
  });
}

const links = (/** @type {string} */ selector) =>
  /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll(selector));

// An experiment is a link to its settings. A click also makes the picture.
for (const link of links(".experiment a")) {
  onPress(link, () => {
    studio.settings = complete({ sampler: "", width: "", height: "", ...fromFragment(link.hash) });
    studio.scrollIntoView();
    studio.generate().catch(() => {});
  });
}

// The fragment of the address holds the settings, so that these links leave it alone.
for (const link of links("[data-scroll]")) {
  onPress(link, () => {
    const place = document.querySelector(link.hash);
    place?.scrollIntoView();
    /** @type {HTMLElement | null} */ (place?.querySelector("[tabindex]"))?.focus({
      preventScroll: true,
    });
  });
}

wipePair(document);
listenToWords(studio);
void loadShowcase(studio);
// The finished pair, made again on this machine.
for (const link of links("[data-live]")) {
  onPress(link, () => {
    const { seed, ...settings } = complete(fromFragment(link.hash));
    // A seed that is set is also locked.
    studio.settings = seed === studio.settings.seed ? settings : { seed, ...settings };
    studio.generate({ compare: true }).catch(() => {});
  });
}

// Registered after the page has loaded: the first visit does not wait for the cache.
function workOffline() {
  navigator.serviceWorker
    ?.register("sw.js", { updateViaCache: "none" })
    .catch((error) => console.warn(`Not saved for offline use: ${error}`));
}
// The page may have loaded while this script waited for the styles.
if (document.readyState === "complete") workOffline();
else window.addEventListener("load", workOffline);
