// @ts-check
/** Runs a function in a module worker, where the engine runs. */

/**
 * @template T
 * @param {import("playwright-core").Page} page with any document of the worker's origin
 * @param {(address: string, ...words: any[]) => Promise<T>} work uses nothing outside itself
 * @param {unknown[]} words its arguments, as JSON
 * @returns {Promise<T>}
 */
export function inWorker(page, work, ...words) {
  const script = `(${work})(...${JSON.stringify(words)}).then(
    (value) => postMessage({ value }),
    (error) => postMessage({ error: String(error) }),
  );`;
  return page.evaluate(
    (script) =>
      new Promise((resolve, reject) => {
        const worker = new Worker(
          URL.createObjectURL(new Blob([script], { type: "text/javascript" })),
          { type: "module" },
        );
        worker.onmessage = ({ data }) =>
          "error" in data ? reject(new Error(data.error)) : resolve(data.value);
        worker.onerror = (event) => reject(new Error(event.message));
      }),
    script,
  );
}
