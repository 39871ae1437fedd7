// @ts-check
/**
 * What both contenders have in common: a worker that answers `{act, what}` with `{value}` or `{error}`, one at a time.
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
