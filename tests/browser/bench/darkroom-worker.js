// @ts-check
/**
 * The engine in a worker of its own, through the API that the page's worker uses: opened once, then
 * one U-Net call or one picture at a time.
 */
import { serve } from "./worker.js";

/** @typedef {import("../../../www/pkg/darkroom.js").Engine} Engine */
/** @typedef {import("../../../www/pkg/darkroom.js").Generation} Run */

const now = () => performance.now() / 1000;

/** @type {Engine} */ let engine;
/** @type {WebAssembly.Memory} */ let memory;
/** The run of {@link step}. @type {Run | null} */
let run = null;

/** WebGPU calls since the counts were reset. */
const asked = { submissions: 0, dispatches: 0 };
for (const [kind, method, what] of /** @type {const} */ ([
  ["GPUQueue", "submit", "submissions"],
  ["GPUComputePassEncoder", "dispatchWorkgroups", "dispatches"],
])) {
  const prototype = /** @type {any} */ (globalThis)[kind]?.prototype;
  const original = prototype?.[method];
  if (!original) continue;
  prototype[method] = function (/** @type {unknown[]} */ ...words) {
    asked[what] += 1;
    return original.apply(this, words);
  };
}

serve({
  /**
   * @param {{pkg: string, model: string, kind: "gpu" | "cpu" | "stock"}} what `pkg` and `model`:
   *   addresses of the engine's module and of the model folder
   */
  async open({ pkg, model, kind }) {
    const begin = now();
    /** @type {typeof import("../../../www/pkg/darkroom.js")} */
    const wasm = await import(pkg);
    ({ memory } = await wasm.default());
    const started = now();
    engine = await wasm.Engine.create(kind);
    const created = now();
    await engine.load(await folder(model), () => {});
    return {
      device: engine.device(),
      seconds: { start: started - begin, device: created - started, load: now() - created },
      heap_bytes: memory.buffer.byteLength,
    };
  },

  /**
   * One guided U-Net call with the sampler's step; the prediction is read back.
   * @param {Record<string, unknown>} request
   * @returns {Promise<number>} seconds
   */
  async step(request) {
    run ??= await engine.start(request);
    const begin = now();
    const progress = await run.step();
    const seconds = now() - begin;
    if (progress.done) {
      run.free();
      run = null;
    }
    return seconds;
  },

  /** A picture, and the WebGPU calls of its last step. @param {Record<string, unknown>} request */
  async picture(request) {
    const begin = now();
    const picture = await engine.start(request);
    const encoded = now();
    let step = { ...asked };
    for (let done = false; !done; ) {
      Object.assign(asked, { submissions: 0, dispatches: 0 });
      ({ done } = await picture.step());
      step = { ...asked };
    }
    const sampled = now();
    const pixels = await picture.finish();
    const seconds = {
      encode: encoded - begin,
      sample: sampled - encoded,
      decode: now() - sampled,
      all: now() - begin,
    };
    const { width, height, rgba } = pixels;
    pixels.free();
    picture.free();
    return { width, height, bytes: [...rgba], seconds, step, heap_bytes: memory.buffer.byteLength };
  },
});

/**
 * A model folder. Each file is fetched whole and held in memory: the browser's storage is not
 * measured here.
 * @param {string} address ends with a slash
 */
async function folder(address) {
  /** @type {Map<string, Promise<Uint8Array | null>>} */
  const files = new Map();
  /** @param {string} path */
  const file = (path) => {
    const known = files.get(path);
    if (known) return known;
    const fetched = fetch(new URL(path, address)).then(async (response) => {
      if (response.status === 404) return null;
      if (!response.ok) throw new Error(`the server answered ${response.status}`);
      return new Uint8Array(await response.arrayBuffer());
    });
    files.set(path, fetched);
    return fetched;
  };
  return {
    /** @param {string} path */
    size: async (path) => (await file(path))?.length ?? null,
    /** @param {string} path @param {number} start @param {number} end */
    async read(path, start, end) {
      const bytes = await file(path);
      if (!bytes) throw new Error("there is no such file");
      return bytes.subarray(start, end);
    },
  };
}
