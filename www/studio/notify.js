// @ts-check
/**
 * Progress outside of the page: in its title, as a badge of the installed page, and as a
 * notification when a hidden tab has finished. Notifications begin only after the visitor has
 * switched them on; the browser asks at that press.
 */
import { strings } from "../strings/index.js";

/** Key of the visitor's choice in local storage. */
const CHOSEN = "darkroom-notify";

export class Notifier {
  /** The page's own title. */ #title = "";
  #made = 0;
  /** @type {Notification | null} */ #notification = null;
  #onVisible = () => {
    if (document.hidden) return;
    this.#notification?.close();
    this.#notification = null;
    if (this.#made === 0) this.#restoreTitle();
  };

  constructor() {
    document.addEventListener("visibilitychange", this.#onVisible);
  }

  close() {
    document.removeEventListener("visibilitychange", this.#onVisible);
    this.#restoreTitle();
  }

  /** The browser can show notifications here. */
  get possible() {
    return typeof Notification === "function" && window.isSecureContext;
  }

  /** The visitor has switched them on, and the browser allows them. */
  get on() {
    return this.possible && Notification.permission === "granted" && chosen();
  }

  /**
   * Switches notifications on or off.
   * @returns {Promise<boolean>} false: the visitor wants them, but the browser blocks them
   */
  async toggle() {
    if (this.on) return choose(false);
    const answer = await Notification.requestPermission();
    return answer === "granted" && choose(true);
  }

  /** @param {number} fraction of the run, 0 … 1 @param {number} waiting pictures */
  progress(fraction, waiting) {
    this.#rememberTitle();
    document.title = `${Math.round(fraction * 100)} % · ${this.#title}`;
    void badge(waiting + 1);
  }

  /** A picture is finished. */
  picture() {
    this.#made += 1;
  }

  /** Nothing is in progress, and nothing waits. */
  rest() {
    const made = this.#made;
    this.#made = 0;
    void badge(0);
    if (!document.hidden || made === 0) return this.#restoreTitle();
    this.#rememberTitle();
    document.title = `✓ ${this.#title}`;
    if (this.on) this.#show(strings().gallery.tools.finished(made));
  }

  /** @param {string} text */
  #show(text) {
    try {
      this.#notification = new Notification(this.#title, { body: text, tag: "darkroom" });
    } catch {
      // Some phones allow notifications from a service worker only: the title has to do.
      return;
    }
    this.#notification.addEventListener("click", () => window.focus());
  }

  #rememberTitle() {
    this.#title ||= document.title;
  }

  #restoreTitle() {
    if (this.#title) document.title = this.#title;
    this.#title = "";
  }
}

function chosen() {
  try {
    return localStorage.getItem(CHOSEN) === "on";
  } catch {
    return false;
  }
}

/** @param {boolean} on @returns {boolean} true */
function choose(on) {
  try {
    localStorage.setItem(CHOSEN, on ? "on" : "off");
  } catch {
    // Blocked: the choice cannot be kept, so that nothing is shown.
  }
  return true;
}

/** Shows a number on the icon of the installed page; 0: none. @param {number} count */
async function badge(count) {
  try {
    if (count > 0) await navigator.setAppBadge?.(count);
    else await navigator.clearAppBadge?.();
  } catch {
    // Not installed, or not allowed.
  }
}
