// @ts-check
/** Errors that know what kind of problem they are: shared by the weights, the engine and the studio. */

/**
 * @typedef {"cancelled" | "device" | "network" | "missing" | "changed" | "damaged" | "disk" | "model" | "start" | "request" | "engine" | "crash"} ProblemKind
 *   device: it is absent or failed its test, another one may do; network: could not be fetched; missing: no such file there;
 *   changed: a file was replaced while it was read; damaged: a file is truncated or malformed; disk: a file
 *   of the visitor's own is not at hand; model: it cannot be used; start: there is no engine; request: a setting is wrong;
 *   engine: this picture failed; crash: the worker has to be replaced.
 */

/** @typedef {{kind: ProblemKind, message: string}} Problem */

/** An error that knows what kind of problem it is, on both sides of the wire. */
export class DarkroomError extends Error {
  /**
   * @param {ProblemKind} kind
   * @param {string} message
   */
  constructor(kind, message) {
    super(message);
    this.name = "DarkroomError";
    this.kind = kind;
  }
}

/**
 * @param {unknown} error
 * @param {ProblemKind} otherwise the kind of an error that does not say
 * @returns {Problem}
 */
export function problemOf(error, otherwise) {
  const message = error instanceof Error ? error.message : String(error);
  return { kind: error instanceof DarkroomError ? error.kind : otherwise, message };
}
