// @ts-check
/**
 * Measures what a visit takes: buffers on the GPU by what is created, destroyed and collected; WebAssembly's memory, which never shrinks; and the
 * JavaScript heap of the engine's worker and of the page as Chromium's inspector counts them, ArrayBuffers included.
 */

/** @typedef {import("playwright-core").Page} Page */
/** @typedef {{live: number, peak: number, created: number, wasm: number, plan: any}} Counts bytes; `created`: buffers */
/** @typedef {{used: number, embedder: number, buffers: number}} Heap bytes: of objects, of what the browser holds for them, of ArrayBuffers other than WebAssembly's */

/** Runs in the worker before anything else of it. */
function prelude() {
  /** @type {Counts} */
  const counts = { live: 0, peak: 0, created: 0, wasm: 0, plan: null };
  /** @type {WebAssembly.Memory | null} */
  let memory = null;
  const read = () => ({ ...counts, wasm: memory?.buffer.byteLength ?? 0 });
  Object.assign(globalThis, { darkroomCounts: read });

  const { GPUDevice, GPUBuffer } = /** @type {any} */ (globalThis);
  /** Buffers that are neither destroyed nor collected. @type {Map<number, number>} */
  const sizes = new Map();
  /** @type {WeakMap<object, number>} */
  const ids = new WeakMap();
  const gone = (/** @type {number} */ id) => {
    counts.live -= sizes.get(id) ?? 0;
    sizes.delete(id);
  };
  const collected = new FinalizationRegistry(gone);
  if (GPUDevice) {
    const { createBuffer } = GPUDevice.prototype;
    GPUDevice.prototype.createBuffer = function (/** @type {{size: number}} */ descriptor) {
      const buffer = createBuffer.call(this, descriptor);
      counts.created += 1;
      counts.live += descriptor.size;
      counts.peak = Math.max(counts.peak, counts.live);
      sizes.set(counts.created, descriptor.size);
      ids.set(buffer, counts.created);
      collected.register(buffer, counts.created);
      return buffer;
    };
    const { destroy } = GPUBuffer.prototype;
    GPUBuffer.prototype.destroy = function () {
      gone(ids.get(this) ?? 0);
      return destroy.call(this);
    };
  }
  for (const name of /** @type {const} */ (["instantiate", "instantiateStreaming"])) {
    const original = /** @type {any} */ (WebAssembly)[name];
    /** @type {any} */ (WebAssembly)[name] = async (/** @type {any[]} */ ...args) => {
      const result = await original(...args);
      memory = (result.instance ?? result).exports.memory;
      return result;
    };
  }
  const post = self.postMessage;
  self.postMessage = (/** @type {any[]} */ ...args) => {
    const { tag, value } = args[0] ?? {};
    if (value?.stage === "plan") counts.plan = value.plan;
    if (tag === "done" && value?.total && value?.weights) counts.plan = value;
    return /** @type {any} */ (post).apply(self, args);
  };
}

/** Has a site's workers begin with it. @param {import("./hub.mjs").Site} site */
export function measured(site) {
  site.replaced.set("prelude.js", `(${prelude})();`);
  site.change = (path, bytes) =>
    path === "engine/worker.js"
      ? Buffer.concat([Buffer.from('import "../prelude.js";\n'), bytes])
      : bytes;
}

export class Meter {
  #page;
  #session;
  /** The inspector's session of the worker in use. */
  #worker = "";
  #id = 0;
  /** @type {Map<number, (result: any) => void>} */ #answers = new Map();
  #timer = /** @type {NodeJS.Timeout | undefined} */ (undefined);
  /** The largest seen. */
  peak = { wasm: 0, worker: 0, page: 0, gpu: 0 };

  /** @param {Page} page @param {import("playwright-core").CDPSession} session */
  constructor(page, session) {
    this.#page = page;
    this.#session = session;
  }

  /** @param {Page} page before it is opened */
  static async on(page) {
    const session = await page.context().newCDPSession(page);
    const meter = new Meter(page, session);
    session.on("Target.attachedToTarget", ({ sessionId, targetInfo }) => {
      if (targetInfo.type === "worker") meter.#worker = sessionId;
    });
    session.on("Target.receivedMessageFromTarget", ({ message }) => {
      const { id, result } = JSON.parse(message);
      meter.#answers.get(id)?.(result);
      meter.#answers.delete(id);
    });
    await session.send("Target.setAutoAttach", {
      autoAttach: true,
      waitForDebuggerOnStart: false,
      flatten: false,
    });
    return meter;
  }

  /** Looks so often from here on, and remembers the largest. @param {number} everyMs */
  watch(everyMs) {
    const look = async () => {
      const [{ wasm, peak: gpu }, worker, page] = await Promise.all([
        this.counts(),
        this.heap(),
        this.pageHeap(),
      ]);
      const total = (/** @type {Heap} */ { used, embedder, buffers }) => used + embedder + buffers;
      const seen = { wasm, gpu, worker: total(worker), page: total(page) };
      for (const key of /** @type {const} */ (["wasm", "worker", "page", "gpu"]))
        this.peak[key] = Math.max(this.peak[key], seen[key]);
    };
    const again = () => {
      this.#timer = setTimeout(
        () =>
          void look()
            .catch(() => {})
            .then(() => this.#timer && again()),
        everyMs,
      );
    };
    again();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** @returns {Promise<Counts>} */
  async counts() {
    const [worker] = this.#page.workers().slice(-1);
    return worker.evaluate(() => /** @type {any} */ (globalThis).darkroomCounts());
  }

  /** The worker's. @returns {Promise<Heap>} */
  async heap() {
    return heapOf(await this.#ask("Runtime.getHeapUsage"));
  }

  /** @returns {Promise<Heap>} */
  async pageHeap() {
    return heapOf(await this.#session.send("Runtime.getHeapUsage"));
  }

  /** Collects what nobody refers to, in page and worker. */
  async collect() {
    for (let times = 0; times < 2; times += 1) {
      await this.#ask("HeapProfiler.collectGarbage");
      await this.#session.send("HeapProfiler.collectGarbage");
      // Registries are told in a later task.
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** @param {string} method */
  #ask(method) {
    this.#id += 1;
    const id = this.#id;
    const answer = new Promise((resolve) => this.#answers.set(id, resolve));
    void this.#session.send("Target.sendMessageToTarget", {
      sessionId: this.#worker,
      message: JSON.stringify({ id, method }),
    });
    return answer;
  }
}

/** @param {any} usage @returns {Heap} */
const heapOf = ({ usedSize, embedderHeapUsedSize = 0, backingStorageSize = 0 }) => ({
  used: usedSize,
  embedder: embedderHeapUsedSize,
  buffers: backingStorageSize,
});
