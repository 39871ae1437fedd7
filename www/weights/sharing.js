// @ts-check
/**
 * Tabs that share downloads: only one of them fetches a model, the others wait and read the cache.
 * A model that is deleted in one tab is known to be deleted in all.
 */

const LOCK = "darkroom-download ";
const CHANNEL = "darkroom-models";
/** Waits so long for more bytes of another tab, which may be frozen or offline. */
const PATIENCE_MS = 20_000;

/**
 * Waits until no other tab downloads the model, or until the other one gets no further.
 * @param {string} address of the model
 * @param {object} options
 * @param {() => Promise<number>} options.bytes cached bytes of the model
 * @param {(waiting: boolean) => void} options.onWait
 * @param {AbortSignal} options.signal ends the wait
 * @param {number} [options.patience] milliseconds without more bytes
 * @returns {Promise<() => void>} lets the next tab go on
 */
export async function takeTurn(address, { bytes, onWait, signal, patience = PATIENCE_MS }) {
  const { locks } = navigator;
  if (!locks) return () => {};
  const abort = new AbortController();
  signal.addEventListener("abort", () => abort.abort(), { once: true });
  let waiting = true;
  const mine = new Promise((/** @type {(release: () => void) => void} */ resolve) => {
    const hold = () =>
      new Promise((release) => {
        waiting = false;
        resolve(() => release(undefined));
      });
    locks
      .request(LOCK + address, { signal: abort.signal }, hold)
      // Not in line any more, or no locks here: the download begins without one.
      .catch(() => resolve(() => {}));
  });
  const first = await Promise.race([mine, soon()]);
  if (first) return first;
  onWait(true);
  void giveUpWithout(bytes, patience, () => waiting && !abort.signal.aborted).then(() =>
    abort.abort(),
  );
  const release = await mine;
  onWait(false);
  return release;
}

/** A moment in which a free lock is granted. @returns {Promise<null>} */
const soon = () => new Promise((resolve) => setTimeout(() => resolve(null), 50));

/**
 * Resolves when no bytes have come for a while.
 * @param {() => Promise<number>} bytes
 * @param {number} patience milliseconds
 * @param {() => boolean} waiting
 */
async function giveUpWithout(bytes, patience, waiting) {
  for (let before = -1; waiting(); ) {
    const now = await bytes();
    if (now === before) return;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, patience));
  }
}

/** Tells the other tabs about a deleted model. @param {string | null} address null: all models */
export function tellDeleted(address) {
  if (!globalThis.BroadcastChannel) return;
  const channel = new BroadcastChannel(CHANNEL);
  channel.postMessage({ deleted: address });
  channel.close();
}

/**
 * Hears of models that other tabs delete.
 * @param {(address: string | null) => void} onDeleted null: all models
 * @returns {() => void} ends it
 */
export function hearDeleted(onDeleted) {
  if (!globalThis.BroadcastChannel) return () => {};
  const channel = new BroadcastChannel(CHANNEL);
  channel.addEventListener("message", ({ data }) => {
    const deleted = /** @type {{deleted?: unknown} | null} */ (data)?.deleted;
    if (deleted === null || typeof deleted === "string") onDeleted(deleted);
  });
  return () => channel.close();
}
