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
import { probe } from "./device.js";
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
/** @type {Request[]} */
const queue = [];
/** Id of the request in progress. @type {number | null} */
let current = null;
let cancelled = false;
/** Files of the page that the engine is made of. */
const ENGINE_FILES = [
  new URL("../pkg/darkroom.js", import.meta.url).href,
  new URL("../pkg/darkroom_bg.wasm", import.meta.url).href,
];

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
    else if (message.tag === "plan") send({ tag: "done", id, value: plan(message) });
    else {
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
  const { gpu } = /** @type {{gpu?: import("./device.js").Gpu}} */ (navigator);
  const device = await probe(choice, gpu);
  if (reason) device.reason = reason;
  tell({ stage: "chosen", device: device.kind });

  tell({ stage: "engine" });
  const wasm = await withKind("start", () => import("../pkg/darkroom.js")).catch(pageFailure);
  await withKind("start", () => wasm.default()).catch(pageFailure);
  const made = await withKind("device", () => wasm.Engine.create(device.kind));
  tell({ stage: "test" });
  await withKind("device", () => made.selfTest());
  await withKind("device", () => tune(made, device.name, wasm.version()));

  const createSha256 = () => new wasm.Sha256();
  let source = await load(made, message, createSha256, tell);
  if (source.problem && source.retryable) {
    const text =
      source.problem.kind === "changed"
        ? "The model was replaced on the server while it was being read."
        : "A model file was corrupted in transit.";
    tell({ stage: "notice", text: `${text} Downloading it again.` });
    source = await load(made, { ...message, fresh: false }, createSha256, tell);
  }
  if (source.problem) throw source.problem;
  engine = made;
  return { device, model: made.modelInfo(), stored: source.storage, why: source.why };
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

/**
 * Loads a model. An error is in the source's `problem` then.
 * @param {import("../pkg/darkroom.js").Engine} engine
 * @param {Open} message
 * @param {() => import("../pkg/darkroom.js").Sha256} createSha256
 * @param {(progress: import("./protocol.js").OpenProgress) => void} tell
 */
async function load(engine, { model, prediction, fresh }, createSha256, tell) {
  let fetched = 0;
  const progress = { done: 0, total: 0, what: "" };
  const listener = {
    notice: (/** @type {string} */ text) => tell({ stage: "notice", text }),
    fetched: (/** @type {number} */ bytes) => {
      fetched += bytes;
      tell({ stage: "weights", fetched, ...progress });
    },
    storing: (/** @type {number} */ bytes) => tell({ stage: "storage", bytes }),
    createSha256,
  };
  const source =
    typeof model === "string"
      ? await ModelSource.open(model, fresh, listener)
      : new LocalSource(model);
  /** @param {number} done bytes @param {number} total bytes @param {string} what */
  const onProgress = (done, total, what) => {
    if (total) source.expect(total);
    Object.assign(progress, { done, total, what });
    tell({ stage: "weights", fetched, ...progress });
  };
  try {
    await engine.load(source, onProgress, prediction, (plan) => tell({ stage: "plan", plan }));
    source.problem = null;
    await source.complete();
  } catch (error) {
    await source.close();
    if (error instanceof WebAssembly.RuntimeError) throw error;
    // What has been fetched is stored by now: the next engine goes on from there.
    if (deviceLost(error) && !source.problem)
      throw new DarkroomError("crash", problemOf(error, "crash").message);
    const name = typeof model === "string" ? model : model.name;
    source.problem = loadFailure(error, source, name);
  }
  return source;
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
  for (const url of ENGINE_FILES) {
    const answer = await fetch(url, { method: "HEAD", cache: "no-store" }).catch(() => null);
    if (answer === null || answer.ok) continue;
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

/** @param {string} text @returns {import("./protocol.js").TokenCount} */
function count(text) {
  return loadedEngine().countTokens(text);
}

/**
 * @param {Generate} message
 * @returns {Promise<import("./protocol.js").Finished>}
 */
async function generate({ id, request }) {
  const { steps } = request;
  const run = await withKind(startFailure, () => loadedEngine().start(request));
  const warnings = run.warnings();
  const { calls } = run;
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
      const preview = pixels(run.preview());
      // A run that started over in a safer precision has a new warning.
      const more = progress.restarted ? { warnings: run.warnings() } : {};
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
    return { picture, warnings: run.warnings() };
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
    if (message.tag !== "count" && message.tag !== "plan") continue;
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
