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

/** @typedef {import("../engine/protocol.js").Addition} Addition */
/** @typedef {import("../engine/protocol.js").LocalModel} LocalModel */
/** @typedef {import("../weights/examine.js").Verdict} Verdict */

/** A larger pickle is no learned word: the engine reads none. */
const LARGEST_WORD = 64 * 2 ** 20;

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
  if (kind === "png" || kind === "jpeg") return files.picture(name, kind.toUpperCase());
  return files[kind === "checkpoint" ? "unknown" : kind](name, first, second);
}

/**
 * The kind of addition that a file is; null: it is none. A small pickle may be a learned word: the
 * engine examines it, and runs nothing of it.
 * @param {Verdict} verdict
 * @param {number} size bytes
 * @param {string} name of the file
 * @returns {Addition["kind"] | null}
 */
function additionOf({ kind }, size, name) {
  if (kind === "lora" || kind === "embedding" || kind === "vae") return kind;
  const small = size <= LARGEST_WORD && !/\.ckpt$/i.test(name);
  return kind === "pickle" && small ? "embedding" : null;
}

/** Tells whether a picture may have settings. @param {Verdict} verdict */
const holdsSettings = ({ kind, details }) =>
  kind === "png" || kind === "jpeg" || (kind === "picture" && details[0] === "WebP");

/**
 * A model on the visitor's disk, if its first bytes or its names allow that it is one.
 * @param {LocalModel} model
 * @param {boolean} [vae] an added VAE is in use: the model needs none of its own
 * @returns {Promise<LocalModel | "picture" | Addition["kind"]>} picture: it is a picture that may
 *   have settings, whatever its name is; or the kind of an addition to a model
 */
export async function plausible(model, vae = false) {
  const { name, checkpoint, files } = model;
  if (checkpoint !== null) {
    const verdict = await examined(files[checkpoint]);
    if (holdsSettings(verdict)) return "picture";
    const addition = additionOf(verdict, files[checkpoint].size, name);
    if (addition) return addition;
    if (verdict.kind !== "checkpoint" && !(verdict.kind === "noVae" && vae))
      throw new DarkroomError("file", sentence(name, verdict));
    return model;
  }
  if (Object.hasOwn(files, MARKER)) return model;
  const paths = Object.keys(files);
  const more = paths.length > LISTED ? ", …" : "";
  const found = paths.slice(0, LISTED).join(", ") + more;
  throw new DarkroomError("file", strings().problems.files.folder(name, found));
}

/**
 * The problem with a file that is said to be a picture with settings; null where it may have some.
 * @param {File} picture
 */
export async function pictureProblem(picture) {
  const verdict = await examined(picture);
  if (holdsSettings(verdict)) return null;
  return new DarkroomError("picture", sentence(picture.name, verdict));
}

/**
 * Examines a model at an address. Throws where there is none. A cached model needs no server.
 * @param {string} address
 * @param {string} name of it, for people
 * @param {AbortSignal} signal
 * @param {boolean} [vae] an added VAE is in use: the model needs none of its own
 * @returns {Promise<{kind: Addition["kind"], url: string} | null>} an addition to a model; null: it
 *   is a model
 */
export async function examineRemote(address, name, signal, vae = false) {
  const { files } = strings().problems;
  const cached = await cachedModels();
  if (cached.some((model) => model.address === address && model.complete)) return null;
  const answer = await examineAddress(address, signal).catch((error) => {
    if (signal.aborted) throw new DarkroomError("cancelled", "Cancelled.");
    const kind = error instanceof DarkroomError ? error.kind : "network";
    throw new DarkroomError(kind, `${address}: ${error.message}.`);
  });
  if (answer.found === "nothing") throw new DarkroomError("missing", files.noModel(answer.where));
  if (answer.found === "no-index") throw new DarkroomError("file", files.noIndex(answer.where));
  if (answer.found !== "file" || (answer.verdict.kind === "noVae" && vae)) return null;
  const kind = additionOf(answer.verdict, answer.size, new URL(answer.url).pathname);
  if (!kind) throw new DarkroomError("file", sentence(name, answer.verdict));
  return { kind, url: answer.url };
}

/**
 * Tells whether an address without a known ending is the address of a file, by its first bytes.
 * @param {string} address
 * @param {AbortSignal} signal
 */
export async function isFile(address, signal) {
  const answer = await examineAddress(address, signal).catch(() => null);
  if (answer?.found === "model") return true;
  const kind = answer?.found === "file" ? answer.verdict.kind : "unknown";
  return !["html", "text", "empty", "unknown"].includes(kind);
}
