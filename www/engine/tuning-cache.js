// @ts-check
/**
 * Which way of dividing their work was measured to be best for a GPU's kernels, kept from visit to visit. What is lost is measured again.
 */

const CACHE = "darkroom-tiles";

/** Another engine may divide its work otherwise. @param {string} adapter @param {string} engine */
const key = (adapter, engine) =>
  `/tiles/${encodeURIComponent(engine)}/${encodeURIComponent(adapter)}`;

/**
 * @param {string} adapter its name
 * @param {string} engine its version
 * @returns {Promise<string | undefined>} the preset's name
 */
export async function cachedTiling(adapter, engine) {
  try {
    const found = await (await caches.open(CACHE)).match(key(adapter, engine));
    return await found?.text();
  } catch {
    return undefined;
  }
}

/** @param {string} adapter @param {string} engine @param {string} preset */
export async function cacheTiling(adapter, engine, preset) {
  try {
    await (await caches.open(CACHE)).put(key(adapter, engine), new Response(preset));
  } catch {
    // No storage: it is measured again next time.
  }
}
