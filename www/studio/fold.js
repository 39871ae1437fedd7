// @ts-check
/** The folded settings. The browser keeps whether they are open. */

const STORED = "darkroom-settings-open";
/** A first visit shows the settings where there is room for them. */
const ROOMY = "(min-width: 61rem) and (min-height: 50rem)";

/** The last state; null where there is none, or storage is blocked. @param {string} key */
function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/**
 * Opens the settings if they were open last, and keeps what the visitor does.
 * @param {HTMLDetailsElement} fold
 * @param {object} [options] of another fold than the settings
 * @param {string} [options.key] its name in the browser's storage
 * @param {boolean} [options.open] it is open on a first visit
 */
export function rememberFold(fold, { key = STORED, open = matchMedia(ROOMY).matches } = {}) {
  const last = stored(key);
  fold.open = last === null ? open : last === "yes";
  fold.querySelector("summary")?.addEventListener("click", () => {
    try {
      // The click changes the state after this.
      localStorage.setItem(key, fold.open ? "no" : "yes");
    } catch {
      // Without storage the next visit begins with the default.
    }
  });
}

/** Opens all folds around an element. @param {Element} element */
export function unfold(element) {
  let fold = element.closest("details");
  for (; fold; fold = fold.parentElement?.closest("details") ?? null) fold.open = true;
}
