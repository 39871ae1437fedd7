// @ts-check
/** The finished pair under a wipe slider. */
import { strings } from "../strings/index.js";

/**
 * Lets the slider move the edge between the two pictures. Without a script the edge stays in the
 * middle, and both pictures stand side by side where the browser says that scripts are off.
 * @param {ParentNode} root
 */
export function wipePair(root) {
  const wipe = /** @type {HTMLElement | null} */ (root.querySelector(".wipe"));
  const slider = /** @type {HTMLInputElement | null} */ (wipe?.querySelector("input"));
  if (!wipe || !slider) return;
  const move = () => {
    wipe.style.setProperty("--edge", `${slider.value}%`);
    slider.setAttribute("aria-valuetext", strings().page.wiped(Number(slider.value)));
  };
  slider.addEventListener("input", move);
  // A browser may restore the slider of the last visit.
  move();
}
