// @ts-check
/** Errors with a problem kind, for the weights, the engine and the studio. */

/**
 * Kinds of problems:
 * - cancelled: by the visitor
 * - device: missing, or failed its test; another device may work
 * - network: a file could not be fetched
 * - refused: a server asks for a sign-in
 * - missing: a file does not exist
 * - changed: a file was replaced while it was being read
 * - damaged: a file is truncated or corrupt
 * - disk: a file of the visitor's is no longer available
 * - address: a text names no model
 * - file: a file or a folder is no model, or cannot be read
 * - picture: a file has no settings of a picture
 * - addition: a LoRA, an embedding or a VAE cannot be added to the model
 * - model: the model cannot be used
 * - page: a file of the page itself is missing on its server
 * - slow: a step takes much longer than the steps before it
 * - start: the engine does not start
 * - request: a setting is invalid
 * - engine: the picture failed
 * - crash: the worker has to be replaced
 * @typedef {FileProblem | ModelProblem | RunProblem} ProblemKind
 */
// In parts: the compiler garbles the declaration of a union of several lines.
/** @typedef {"network" | "refused" | "missing" | "changed" | "damaged" | "disk"} FileProblem */
/** @typedef {"address" | "file" | "picture" | "addition" | "model" | "page"} ModelProblem */
/** @typedef {"device" | "start" | "request" | "slow" | "cancelled"} StartProblem */
/** @typedef {StartProblem | "engine" | "crash"} RunProblem */

/** @typedef {{kind: ProblemKind, message: string}} Problem */

/** An error with a problem kind. Page and worker send the kind to each other. */
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
 * The kind and message of any error.
 * @param {unknown} error
 * @param {ProblemKind} otherwise the kind of an error without one
 * @returns {Problem}
 */
export function problemOf(error, otherwise) {
  const message = error instanceof Error ? error.message : String(error);
  return { kind: error instanceof DarkroomError ? error.kind : otherwise, message };
}
