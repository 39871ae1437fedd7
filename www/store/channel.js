// @ts-check
/** Messages between the tabs of this page. */

/**
 * A change that other tabs read from the storage: `pictures` and `gone` name pictures.
 * @typedef {{about: "pictures", ids: string[]} | {about: "gone", ids: string[]}
 *   | {about: "queue"}} TabMessage
 */

const NAME = "darkroom";

export class TabChannel {
  /** @type {BroadcastChannel | null} */ #channel = null;
  #onMessage;

  /** @param {(message: TabMessage) => void} onMessage */
  constructor(onMessage) {
    this.#onMessage = onMessage;
    this.open();
  }

  open() {
    if (this.#channel) return;
    try {
      this.#channel = new BroadcastChannel(NAME);
    } catch {
      // Blocked: then there is no storage to share either.
      return;
    }
    this.#channel.addEventListener("message", ({ data }) => this.#onMessage(data));
  }

  /** @param {TabMessage} message */
  send(message) {
    this.#channel?.postMessage(message);
  }

  /** Closes the channel. An open one keeps the page out of the back/forward cache. */
  close() {
    this.#channel?.close();
    this.#channel = null;
  }
}
