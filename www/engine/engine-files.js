// @ts-check
/**
 * Addresses of the engine's files. In development there is one. `cargo xtask dist` replaces this
 * module by one that names the compressed copy, too.
 */

/**
 * @typedef {object} EngineFiles
 * @property {URL} wasm the module
 * @property {URL | null} gzip the same compressed by gzip, for hosts that do not compress
 * @property {number} bytes of the module; 0: unknown
 * @property {URL | null} script its JavaScript; null where that is part of the worker's file
 */

/** @type {EngineFiles} */
export const ENGINE_FILES = {
  wasm: new URL("../pkg/darkroom_bg.wasm", import.meta.url),
  gzip: null,
  bytes: 0,
  script: new URL("../pkg/darkroom.js", import.meta.url),
};
