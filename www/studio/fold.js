// @ts-check
/** The folded settings. The browser keeps whether they are open. */

const STORED = "darkroom-settings-open";
/** A first visit shows the settings where there is room for them. */
const ROOMY = "(min-width: 61rem) and (min-height: 50rem)";

/** The last state; null where there is none, or storage is blocked. */
function stored() {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}

/**
 * Opens the settings if they were open last, and keeps what the visitor does.
 * @param {HTMLDetailsElement} fold
 */
export function rememberFold(fold) {
  const last = stored();
  fold.open = last === null ? matchMedia(ROOMY).matches : last === "yes";
  fold.querySelector("summary")?.addEventListener("click", () => {
    try {
      // The click changes the state after this.
      localStorage.setItem(STORED, fold.open ? "no" : "yes");
    } catch {
      // Without storage the next visit begins with the default.
    }
  });
}
