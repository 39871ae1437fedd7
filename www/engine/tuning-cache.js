// @ts-check
/** Cache of the kernel tiling measured for a GPU. A lost entry is measured again. */

const CACHE = "darkroom-tiles";

/**
 * The engine's version is part of the key: another version may have other tilings.
 * @param {string} adapter
 * @param {string} engine
 */
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
    // Without storage the tiling is measured again next time.
  }
}
