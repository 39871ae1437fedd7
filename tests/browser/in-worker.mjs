// @ts-check
/** Runs a function where the engine runs: in a module worker. */

/**
 * @template T
 * @param {import("playwright-core").Page} page at any document of the origin that the worker is to have
 * @param {(address: string, ...words: any[]) => Promise<T>} work refers to nothing outside itself
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
