// @ts-check
/**
 * A worker that answers `{act, what}` with `{value}` or `{error}`, one at a time: both contenders
 * are such workers.
 */

/**
 * @param {Record<string, (what: any) => Promise<unknown>>} acts
 */
export function serve(acts) {
  let last = Promise.resolve();
  self.addEventListener("message", (event) => {
    const { act, what } = /** @type {MessageEvent} */ (event).data;
    last = last.then(async () => {
      try {
        self.postMessage({ value: await acts[act](what) });
      } catch (error) {
        self.postMessage({ error: error instanceof Error ? error.message : String(error) });
      }
    });
  });
  self.addEventListener("unhandledrejection", (event) => {
    self.postMessage({ error: String(event.reason) });
  });
}
