// @ts-check
/**
 * Candidates for the next model: what a visitor dropped, chose or typed. They are examined while
 * the present model stays loaded, and refused with a sentence that says what they are.
 */
import { DarkroomError } from "../base/problem.js";
import { strings } from "../strings/index.js";
import { cachedModels } from "../weights/cache.js";
import { examine, examineAddress } from "../weights/examine.js";
import { MARKER } from "./dropped-files.js";

/** @typedef {import("../engine/protocol.js").LocalModel} LocalModel */
/** @typedef {import("../weights/examine.js").Verdict} Verdict */

/** Names of files in the sentence about a folder that is no model. */
const LISTED = 5;

/** @param {File} file @returns {import("../weights/examine.js").Readable} */
const readable = (file) => ({
  size: file.size,
  read: async (start, end) => new Uint8Array(await file.slice(start, end).arrayBuffer()),
});

/** @param {File} file */
async function examined(file) {
  try {
    return await examine(readable(file));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new DarkroomError("disk", `${file.name}: ${message}`);
  }
}

/**
 * The sentence about a file that is no model.
 * @param {string} name
 * @param {Verdict} verdict
 */
function sentence(name, { kind, details }) {
  const { files } = strings().problems;
  const [first = "", second = ""] = details;
  if (kind === "png") return files.picture(name, "PNG");
  return files[kind === "checkpoint" ? "unknown" : kind](name, first, second);
}

/**
 * A model on the visitor's disk, if its first bytes or its names allow that it is one.
 * @param {LocalModel} model
 * @returns {Promise<LocalModel | "picture">} picture: it is a PNG, whatever its name is
 */
export async function plausible(model) {
  const { name, checkpoint, files } = model;
  if (checkpoint !== null) {
    const verdict = await examined(files[checkpoint]);
    if (verdict.kind === "png") return "picture";
    if (verdict.kind !== "checkpoint") throw new DarkroomError("file", sentence(name, verdict));
    return model;
  }
  if (Object.hasOwn(files, MARKER)) return model;
  const paths = Object.keys(files);
  const more = paths.length > LISTED ? ", …" : "";
  const found = paths.slice(0, LISTED).join(", ") + more;
  throw new DarkroomError("file", strings().problems.files.folder(name, found));
}

/**
 * The problem with a file that is said to be a picture with settings; null where it is a PNG.
 * @param {File} picture
 */
export async function pictureProblem(picture) {
  const verdict = await examined(picture);
  return verdict.kind === "png" ? null : new DarkroomError("file", sentence(picture.name, verdict));
}

/**
 * Examines a model at an address. Throws where there is none. A cached model needs no server.
 * @param {string} address
 * @param {string} name of it, for people
 * @param {AbortSignal} signal
 */
export async function examineRemote(address, name, signal) {
  const { files } = strings().problems;
  if ((await cachedModels()).some((model) => model.address === address && model.complete)) return;
  const answer = await examineAddress(address, signal).catch((error) => {
    if (signal.aborted) throw new DarkroomError("cancelled", "Cancelled.");
    const kind = error instanceof DarkroomError ? error.kind : "network";
    throw new DarkroomError(kind, `${address}: ${error.message}.`);
  });
  if (answer.found === "nothing") throw new DarkroomError("missing", files.noModel(answer.where));
  if (answer.found === "no-index") throw new DarkroomError("file", files.noIndex(answer.where));
  if (answer.found === "file") throw new DarkroomError("file", sentence(name, answer.verdict));
}
