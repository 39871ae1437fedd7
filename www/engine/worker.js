// @ts-check
/**
 * The engine's end of the protocol. The WebAssembly module runs in this worker, so that the page
 * stays responsive during a step.
 *
 * Requests are answered one at a time, in order. Between two steps of a picture the worker handles
 * new messages: a cancelled generation ends there, and quick requests are answered there.
 */
import { DarkroomError, problemOf } from "../base/problem.js";
import { setLanguage } from "../strings/index.js";
import { LocalSource } from "../weights/local.js";
import { ModelSource } from "../weights/source.js";
import { EngineAdditions } from "./additions.js";
import { probe } from "./device.js";
import { compileEngine } from "./download.js";
import { ENGINE_FILES } from "./engine-files.js";
import { deviceLost, loadFailure, startFailure, stepFailure } from "./failures.js";
import { cachedTiling, cacheTiling } from "./tuning-cache.js";

/** @typedef {import("./protocol.js").PageMessage} PageMessage */
/** @typedef {import("../base/problem.js").ProblemKind} ProblemKind */
/** @typedef {Exclude<PageMessage, {tag: "cancel" | "ping"}>} Request */
/** @typedef {Extract<PageMessage, {tag: "open"}>} Open */
/** @typedef {Extract<PageMessage, {tag: "generate"}>} Generate */
/** @typedef {import("./protocol.js").WorkerMessage} WorkerMessage */

/** @type {(message: WorkerMessage, transfer?: Transferable[]) => void} */
const send = (message, transfer = []) => self.postMessage(message, { transfer });

/** @type {import("../pkg/darkroom.js").Engine | null} */
let engine = null;
const additions = new EngineAdditions();
/** @type {Request[]} */
const queue = [];
/** Id of the request in progress. @type {number | null} */
let current = null;
let cancelled = false;
/** Requests that are answered between two steps of a picture. */
const QUICK = new Set(["count", "layout", "plan"]);

self.addEventListener("message", (event) => {
  /** @type {PageMessage} */
  const message = /** @type {MessageEvent} */ (event).data;
  if (message.tag === "ping") send({ tag: "done", id: message.id, value: null });
  else if (message.tag === "cancel") cancel(message.id);
  else queue.push(message);
  if (current === null) void work();
});

// A panic inside a future rejects no promise. Its text goes to console.error first, and then an
// error event arrives.
let lastError = "";
const report = console.error;
console.error = (...words) => {
  lastError = String(words[0]);
  report(...words);
};
self.addEventListener("error", (event) => crash(event.message));
self.addEventListener("unhandledrejection", (event) => crash(String(event.reason)));

/** @param {string} what */
function crash(what) {
  send({ tag: "crashed", problem: { kind: "crash", message: panicTextOr(what) } });
}

/**
 * The text to show: a panic's own, in place of "unreachable executed", which helps nobody.
 * @param {string} what the message without a panic
 */
function panicTextOr(what) {
  return /panicked at/.test(lastError) ? lastError.split("\n\nStack:")[0].trim() : what;
}

async function work() {
  for (let message = queue.shift(); message; message = queue.shift()) {
    current = message.id;
    cancelled = false;
    await answer(message);
  }
  current = null;
}

/** @param {Request} message */
async function answer(message) {
  const { id } = message;
  try {
    if (message.tag === "open") send({ tag: "done", id, value: await open(message) });
    else if (message.tag === "count") send({ tag: "done", id, value: count(message.text) });
    else if (message.tag === "layout") send({ tag: "done", id, value: layout(message) });
    else if (message.tag === "plan") send({ tag: "done", id, value: plan(message) });
    else if (message.tag === "add") {
      const added = withKind("file", () => additions.add(loadedEngine(), message.addition));
      send({ tag: "done", id, value: await added });
    } else if (message.tag === "remove") {
      await additions.remove(loadedEngine(), message.kind, message.name);
      send({ tag: "done", id, value: null });
    } else {
      const value = await generate(message);
      send({ tag: "done", id, value }, [value.picture.rgba.buffer]);
    }
  } catch (error) {
    const crashed = error instanceof WebAssembly.RuntimeError;
    const problem = crashed
      ? { kind: /** @type {const} */ ("crash"), message: panicTextOr(error.message) }
      : problemOf(error, "engine");
    send({ tag: "failed", id, problem });
  }
}

/** @param {number} id */
function cancel(id) {
  if (id === current) cancelled = true;
  const at = queue.findIndex((message) => message.id === id);
  if (at < 0) return;
  queue.splice(at, 1);
  send({ tag: "failed", id, problem: { kind: "cancelled", message: "Cancelled." } });
}

/**
 * @param {Open} message
 * @returns {Promise<import("./protocol.js").Opened>}
 */
async function open(message) {
  const { id, device: choice, reason, language = "en" } = message;
  setLanguage(language);
  /** @param {import("./protocol.js").OpenProgress} value */
  const tell = (value) => send({ tag: "progress", id, value });

  tell({ stage: "device" });
  // The engine and a model's first files are fetched at the same time, after the engine's first
  // bytes: on a slow line these show that something moves.
  let begin = () => {};
  /** @type {Promise<void>} */
  const begun = new Promise((resolve) => (begin = resolve));
  const tellEngine = (/** @type {import("./protocol.js").OpenProgress} */ progress) => {
    begin();
    tell(progress);
  };
  const wasm = withKind("start", () => startEngine(tellEngine)).catch(pageFailure);
  const after = Promise.race([begun, wasm.then(begin, begin)]);
  let opening = new OpeningModel(message, wasm, after, tell);
  try {
    const { gpu } = /** @type {{gpu?: import("./device.js").Gpu}} */ (navigator);
    const [{ Engine, version }, device] = await Promise.all([wasm, probe(choice, gpu)]);
    if (reason) device.reason = reason;
    tell({ stage: "chosen", device: device.kind });
    const made = await withKind("device", () => Engine.create(device.kind));
    tell({ stage: "test" });
    await withKind("device", () => made.selfTest());
    await withKind("device", () => tune(made, device.name, version()));

    const files = message.additions ?? [];
    const vae = files.find(({ kind, name }) => kind === "vae" && name === message.vae);
    await additions.begin(made, vae);
    let source = await opening.load(made);
    let misfit = "";
    if (vae && source.problem?.message.includes(vae.file.name)) {
      // The VAE belongs to another model. This one may have its own.
      misfit = source.problem.message;
      await additions.begin(made, undefined);
      opening = new OpeningModel({ ...message, fresh: false }, wasm, after, tell);
      source = await opening.load(made);
    }
    if (source.problem && source.retryable) {
      const text =
        source.problem.kind === "changed"
          ? "The model was replaced on the server while it was being read."
          : "A model file was corrupted in transit.";
      tell({ stage: "notice", text: `${text} Downloading it again.` });
      opening = new OpeningModel({ ...message, fresh: false }, wasm, after, tell);
      source = await opening.load(made);
    }
    if (source.problem) throw source.problem;
    const added = await additions.addAll(made, files);
    for (const one of added)
      if (misfit && one.kind === "vae" && one.name === vae?.name) one.problem = misfit;
    engine = made;
    return { device, model: made.modelInfo(), stored: source.storage, why: source.why, added };
  } catch (error) {
    await opening.close();
    throw error;
  }
}

/**
 * Fetches, compiles and starts the engine.
 * @param {(progress: import("./protocol.js").OpenProgress) => void} tell
 */
async function startEngine(tell) {
  const compiled = compileEngine(ENGINE_FILES, {
    progress: (done, total) => tell({ stage: "engine", done, total }),
    notice: (text) => tell({ stage: "notice", text }),
  });
  const [wasm, module_or_path] = await Promise.all([import("../pkg/darkroom.js"), compiled]);
  await wasm.default({ module_or_path });
  return wasm;
}

/**
 * Lets the engine choose the kernel tiling, and caches what it measures.
 * @param {import("../pkg/darkroom.js").Engine} engine
 * @param {string} adapter
 * @param {string} version of the engine
 */
async function tune(engine, adapter, version) {
  const chosen = await engine.tune("auto", await cachedTiling(adapter, version));
  if (chosen?.chosen_by === "measured") await cacheTiling(adapter, version, chosen.tiling);
}

/** A model. Its files are fetched from now on, and loaded once the engine has started. */
class OpeningModel {
  #message;
  #tell;
  #source;
  #fetched = 0;
  #progress = { done: 0, total: 0, what: "" };
  #loading = false;

  /**
   * @param {Open} message
   * @param {Promise<typeof import("../pkg/darkroom.js")>} wasm computes checksums
   * @param {Promise<void>} after the files are fetched after it
   * @param {(progress: import("./protocol.js").OpenProgress) => void} tell
   */
  constructor(message, wasm, after, tell) {
    this.#message = message;
    this.#tell = tell;
    /** @type {typeof import("../pkg/darkroom.js") | null} */
    let engine = null;
    wasm.then(
      (started) => (engine = started),
      () => {},
    );
    this.#source = this.#open(after, () => {
      if (!engine) throw new DarkroomError("engine", "The engine has not started.");
      return new engine.Sha256();
    });
    this.#source.catch(() => {});
  }

  /**
   * @param {Promise<void>} after
   * @param {() => import("../pkg/darkroom.js").Sha256} createSha256
   */
  async #open(after, createSha256) {
    const { model, fresh } = this.#message;
    if (typeof model !== "string") return new LocalSource(model);
    await after;
    const source = await ModelSource.open(model, fresh, {
      notice: (text) => this.#tell({ stage: "notice", text }),
      fetched: (bytes) => {
        this.#fetched += bytes;
        // Until the engine has started, its own bytes are shown.
        if (this.#loading) this.#report();
      },
      storing: (bytes) => this.#tell({ stage: "storage", bytes }),
      createSha256,
    });
    void source.prefetch();
    return source;
  }

  #report() {
    this.#tell({ stage: "weights", fetched: this.#fetched, ...this.#progress });
  }

  /**
   * Loads the model. An error is in the source's `problem` then.
   * @param {import("../pkg/darkroom.js").Engine} engine
   */
  async load(engine) {
    const { model, prediction } = this.#message;
    const source = await this.#source;
    this.#loading = true;
    this.#report();
    /** @param {number} done bytes @param {number} total bytes @param {string} what */
    const onProgress = (done, total, what) => {
      if (total) source.expect(total);
      this.#progress = { done, total, what };
      this.#report();
    };
    const onPlan = (/** @type {import("./protocol.js").MemoryPlan} */ plan) =>
      this.#tell({ stage: "plan", plan });
    try {
      await engine.load(source, onProgress, prediction, onPlan);
      source.problem = null;
      await source.complete();
    } catch (error) {
      await source.close();
      if (error instanceof WebAssembly.RuntimeError) throw error;
      // What has been fetched is stored by now: the next engine goes on from there.
      if (deviceLost(error) && !source.problem)
        throw new DarkroomError("crash", problemOf(error, "crash").message);
      source.problem = loadFailure(error, source, typeof model === "string" ? model : model.name);
    }
    return source;
  }

  /** Ends the downloads, and stores the bytes that have come. */
  async close() {
    const source = await this.#source.catch(() => null);
    await source?.close();
  }
}

/**
 * Runs `act` and gives its errors a problem kind.
 * @template T
 * @param {ProblemKind | ((error: unknown) => ProblemKind)} kind of errors that have none
 * @param {() => Promise<T>} act
 */
async function withKind(kind, act) {
  try {
    return await act();
  } catch (error) {
    if (
      error instanceof DarkroomError ||
      (error instanceof WebAssembly.RuntimeError && kind !== "device")
    )
      throw error;
    const message = panicTextOr(problemOf(error, "engine").message);
    throw new DarkroomError(typeof kind === "string" ? kind : kind(error), message);
  }
}

/**
 * Names the file of the page that is missing, where that is why the engine did not start.
 * @param {Error} error
 * @returns {Promise<never>}
 */
async function pageFailure(error) {
  const { script, wasm } = ENGINE_FILES;
  for (const url of [script, wasm]) {
    const head = { method: "HEAD", cache: /** @type {const} */ ("no-store") };
    const answer = url && (await fetch(url, head).catch(() => null));
    if (!answer || answer.ok) continue;
    const status = `${answer.status} ${answer.statusText}`.trimEnd();
    throw new DarkroomError("page", `${url}: the server answered ${status}.`);
  }
  throw error;
}

function loadedEngine() {
  if (!engine) throw new DarkroomError("engine", "No model is loaded.");
  return engine;
}

/**
 * @param {Extract<PageMessage, {tag: "plan"}>} message
 * @returns {import("./protocol.js").MemoryPlan}
 */
function plan({ width, height }) {
  return loadedEngine().memoryPlan(width, height);
}

/**
 * @param {Extract<PageMessage, {tag: "layout"}>} message
 * @returns {import("./protocol.js").PromptLayout}
 */
function layout({ text, options: { syntax, emphasis, steps, negative } }) {
  return loadedEngine().promptLayout(text, syntax, emphasis, steps, negative);
}

/** @param {string} text @returns {import("./protocol.js").TokenCount} */
function count(text) {
  return loadedEngine().countTokens(text);
}

/**
 * @param {Generate} message
 * @returns {Promise<import("./protocol.js").Finished>}
 */
async function generate({ id, request, using }) {
  const { steps } = request;
  const merge = (/** @type {number} */ done, /** @type {number} */ total) => {
    const value = { call: 0, calls: steps, steps, done: false, preview: null };
    send({ tag: "progress", id, value: { ...value, merging: total > 0 ? done / total : 0 } });
  };
  const before = await withKind(startFailure, () =>
    additions.prepare(loadedEngine(), request, using, merge),
  );
  const run = await withKind(startFailure, () => loadedEngine().start(request));
  const warnings = [...before, ...run.warnings()];
  const { calls } = run;
  const predictions = { made: 0, saved: 0 };
  send({
    tag: "progress",
    id,
    value: { call: 0, calls, steps, done: false, preview: null, warnings },
  });
  try {
    for (let done = false; !done; ) {
      await handleMessages();
      if (cancelled) throw new DarkroomError("cancelled", "Cancelled.");
      const progress = await withKind(stepFailure, () => run.step());
      done = progress.done;
      if (progress.restarted) predictions.made = 0;
      predictions.made += progress.branches;
      predictions.saved = progress.branches_saved;
      const preview = pixels(run.preview());
      // A run that started over in a safer precision has a new warning.
      const more = progress.restarted ? { warnings: [...before, ...run.warnings()] } : {};
      send(
        {
          tag: "progress",
          id,
          value: { call: progress.call, calls, steps, done, preview, ...more },
        },
        [preview.rgba.buffer],
      );
    }
    await handleMessages();
    const picture = pixels(await withKind(stepFailure, () => run.finish()));
    // Decoding may add warnings.
    return { picture, warnings: [...before, ...run.warnings()], predictions };
  } finally {
    free(run);
  }
}

/** Frees memory of the engine, if the engine is still alive. @param {{free(): void}} held */
function free(held) {
  try {
    held.free();
  } catch {
    // After a panic the object is still borrowed. The worker ends anyway.
  }
}

/** Lets new messages arrive, and answers the quick ones. */
async function handleMessages() {
  await new Promise((resolve) => setTimeout(resolve));
  for (let at = queue.length - 1; at >= 0; at -= 1) {
    const message = queue[at];
    if (!QUICK.has(message.tag)) continue;
    queue.splice(at, 1);
    await answer(message);
  }
}

/**
 * Pixels copied out of the engine's memory, in a buffer that can be transferred.
 * @param {import("../pkg/darkroom.js").Pixels} from
 * @returns {import("./protocol.js").Pixels}
 */
function pixels(from) {
  const { width, height } = from;
  const rgba = new Uint8ClampedArray(from.rgba);
  from.free();
  return { width, height, rgba };
}
