// @ts-check
/** The problem that an error of the engine becomes: its kind and path decide, not its words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pageModule } from "./modules.mjs";

const { loadFailure, startFailure, stepFailure } = await pageModule("engine/failures.js");
const { DarkroomError } = await pageModule("base/problem.js");

const WORDS = ["device: the adapter was lost", "request: no", "unet/config.json: no such file", ""];

/** @param {string} message @param {object} [details] */
const engineError = (message, details) => Object.assign(new Error(message), details);

test("an error of kind device replaces the engine, whatever its message says", () => {
  for (const message of WORDS) {
    assert.equal(stepFailure(engineError(message, { kind: "device" })), "crash", message);
    assert.equal(startFailure(engineError(message, { kind: "device" })), "crash", message);
  }
});

test("an error of another kind leaves the engine, whatever its message says", () => {
  for (const message of WORDS) {
    for (const kind of ["config", "file", "fetch", "numeric", undefined]) {
      assert.equal(stepFailure(engineError(message, { kind })), "engine", `${kind}: ${message}`);
      assert.equal(startFailure(engineError(message, { kind })), "engine", `${kind}: ${message}`);
    }
    assert.equal(startFailure(engineError(message, { kind: "request" })), "request", message);
    assert.equal(stepFailure(message), "engine", "something that is no Error");
  }
});

const address = "https://hub.test/o/n/resolve/main/";
/** @param {[string, string][]} absent @param {unknown} [problem] */
const source = (absent = [], problem = null) => ({
  problem,
  absent: new Map(absent),
  describe: (/** @type {string} */ path) => address + path,
});
const path = `${address}vae/config.json`;

test("a model is incomplete when the error's path is a file that does not exist", () => {
  for (const message of WORDS) {
    for (const found of [path, "vae/config.json"]) {
      const error = engineError(message, { kind: "file", path: found });
      const problem = loadFailure(error, source([["vae/config.json", ""]]), address);
      assert.equal(problem.kind, "missing", `${found}: ${message}`);
    }
  }
});

test("a model is unusable when only the message names a file that does not exist", () => {
  const error = engineError(`${path}: no such file`, { kind: "file", path: `${address}unet/x` });
  const problem = loadFailure(error, source([["vae/config.json", ""]]), address);
  assert.equal(problem.kind, "model");
});

test("the server's answer about a missing file is shown", () => {
  const error = engineError(`${path}: no such file`, { kind: "file", path });
  const absent = source([["vae/config.json", "the server answered 403"]]);
  const { message } = loadFailure(error, absent, address);
  assert.equal(message, `${path}: no such file\nAsked for it, the server answered 403.`);
});

test("the problem of a read wins over the engine's own error", () => {
  const read = new DarkroomError("network", "the server could not be reached");
  const error = engineError("words", { kind: "fetch", path });
  assert.equal(loadFailure(error, source([], read), address).kind, "network");
});

test("a model's name is added where the error's path does not have it", () => {
  const { message } = loadFailure(engineError("words", { kind: "device" }), source(), address);
  assert.equal(message, `words\nModel: ${address}`);
});
