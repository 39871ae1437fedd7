// @ts-check
/**
 * The problem that an error of the engine is for the visitor. The engine says by `kind` what went
 * wrong and by `path` where. No message is searched for words: its wording is free.
 */
import { DarkroomError, problemOf } from "../base/problem.js";

/** @typedef {import("../base/problem.js").ProblemKind} ProblemKind */

/**
 * The kinds of the engine's errors; crate/web.rs sets them.
 * @typedef {"request" | "config" | "file" | "fetch" | "device" | "numeric"} EngineErrorKind
 */

/**
 * The engine's view of a model's files, as far as it explains why a model did not load.
 * @typedef {object} Source
 * @property {DarkroomError | null} problem the last error that a read ended in
 * @property {Map<string, string>} absent files that do not exist, by path; the value is the
 *   server's answer, where that was another one than "not found"
 * @property {(path: string) => string} describe the path or address in the engine's messages
 */

/** @param {unknown} error @returns {{kind?: EngineErrorKind, path?: string}} */
const details = (error) => (error instanceof Error ? /** @type {any} */ (error) : {});

/**
 * The problem kind of an error at a step or in decoding. An engine that lost its device is of no
 * more use than one that panicked: both are replaced.
 * @param {unknown} error
 * @returns {ProblemKind}
 */
export const stepFailure = (error) => (details(error).kind === "device" ? "crash" : "engine");

/**
 * The problem kind of an error at the start of a picture, where the settings are checked.
 * @param {unknown} error
 * @returns {ProblemKind}
 */
export const startFailure = (error) =>
  details(error).kind === "request" ? "request" : stepFailure(error);

/**
 * Tells whether a model did not load because the device was lost. The model is not to blame, and
 * what was downloaded stays.
 * @param {unknown} error of the engine
 */
export const deviceLost = (error) => details(error).kind === "device";

/**
 * The error to show where a model did not load.
 * @param {unknown} error of the engine
 * @param {Source} source
 * @param {string} name the model's address or name
 * @returns {DarkroomError}
 */
export function loadFailure(error, source, name) {
  const { message } = problemOf(error, "model");
  const { path } = details(error);
  const missing = [...source.absent.keys()].find(
    (absent) => absent === path || source.describe(absent) === path,
  );
  const answer = missing === undefined ? "" : source.absent.get(missing);
  const kind = source.problem?.kind ?? (missing === undefined ? "model" : "missing");
  const lines = [message];
  if (answer) lines.push(`Asked for it, ${answer}.`);
  // An address within the model names it already.
  if (!path?.startsWith(name)) lines.push(`Model: ${name}`);
  return new DarkroomError(kind, lines.join("\n"));
}
