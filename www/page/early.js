// @ts-check
/**
 * Settings for the studio before its tag is defined: those of the address, so that no other model
 * begins to load. Waits for the studio's styles, so that the first form that is seen looks right.
 */
import { fromFragment } from "../studio/settings.js";
import { studioStyles } from "../studio/styles.js";

const LOCAL = ["localhost", "127.0.0.1", "[::1]"];

const studio = document.querySelector("darkroom-studio");
if (studio) {
  // Tests use a hub of their own.
  const hub = new URLSearchParams(location.search).get("hub");
  if (hub && LOCAL.includes(location.hostname)) studio.setAttribute("hub", hub);
  Object.assign(studio, { link: fromFragment(location.hash) });
}
// The published page declares the form with its styles.
if (!studio?.shadowRoot) await studioStyles().catch(() => {});
