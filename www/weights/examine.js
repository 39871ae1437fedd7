// @ts-check
/**
 * Examines what a visitor wants to open, by its first bytes: a model that works is not given up for
 * a text file. The engine checks a plausible model again, and completely.
 */
import { HttpError, isMissing, sizeOf, TransientError } from "./fetch.js";

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */
/**
 * A file, wherever it is.
 * @typedef {object} Readable
 * @property {number} size bytes
 * @property {(start: number, end: number) => Promise<Bytes>} read
 */

/**
 * Kinds of files. checkpoint: a model of Stable Diffusion v1 or v2, as far as the tensors' names
 * tell; noVae: such a model without a VAE; family: another family's; tensors: safetensors of no
 * known model.
 * @typedef {"checkpoint" | "noVae" | "lora" | "embedding" | "vae" | "unet" | "textEncoder" |
 *   "controlnet" | "family" | "tensors" | "truncated" | "pickle" | "zip" | "gguf" | "png" |
 *   "jpeg" | "picture" | "html" | "pointer" | "text" | "empty" | "unknown"} FileKind
 */

/** @typedef {{kind: FileKind, details: string[]}} Verdict */

/** Bytes that tell the kind of a file. */
const FIRST = 512;
/** A larger header is left to the engine. The largest known ones have less than 1 MB. */
const LARGEST_HEADER = 32 * 2 ** 20;

/**
 * Beginnings of files, as text of one character for each byte.
 * @type {[string, FileKind, string?][]}
 */
const MAGIC = [
  ["\x89PNG\r\n\x1a\n", "png"],
  ["\xff\xd8\xff", "jpeg"],
  ["GIF8", "picture", "GIF"],
  ["BM", "picture", "BMP"],
  ["GGUF", "gguf"],
  ["\x80\x02", "pickle"],
  ["\x80\x03", "pickle"],
  ["\x80\x04", "pickle"],
  ["version https://git-lfs.github.com/spec/v1\n", "pointer"],
];

/** @param {FileKind} kind @param {string[]} details @returns {Verdict} */
const verdict = (kind, ...details) => ({ kind, details });

/**
 * Tells what a file is.
 * @param {Readable} file
 * @returns {Promise<Verdict>}
 */
export async function examine(file) {
  if (file.size === 0) return verdict("empty");
  const first = await file.read(0, Math.min(FIRST, file.size));
  return byMagic(first) ?? (await bySafetensors(file, first)) ?? byText(first);
}

/** @param {Bytes} first @returns {Verdict | null} */
function byMagic(first) {
  const text = latin1(first);
  const found = MAGIC.find(([magic]) => text.startsWith(magic));
  if (found) return verdict(found[1], ...found.slice(2).map(String));
  if (text.startsWith("RIFF") && text.slice(8, 12) === "WEBP") return verdict("picture", "WebP");
  if (/^....ftyp(avif|heic|mif1)/s.test(text))
    return verdict("picture", text.slice(8, 12) === "avif" ? "AVIF" : "HEIC");
  // PyTorch stores a pickle in a ZIP archive. Its name comes first in the archive.
  if (text.startsWith("PK\x03\x04"))
    return verdict(/data\.pkl|\.data\/|archive\//.test(text) ? "pickle" : "zip");
  return null;
}

/**
 * @param {Readable} file
 * @param {Bytes} first
 * @returns {Promise<Verdict | null>} null: this is no safetensors file
 */
async function bySafetensors(file, first) {
  if (first.length < 9 || first[8] !== "{".charCodeAt(0)) return null;
  const length = Number(new DataView(first.buffer, first.byteOffset).getBigUint64(0, true));
  if (length < 2 || length > 2 ** 40) return null;
  if (8 + length > file.size)
    return verdict("truncated", String(file.size), `at least ${8 + length}`);
  if (length > LARGEST_HEADER) return verdict("checkpoint");
  const header = parsed(new TextDecoder().decode(await file.read(8, 8 + length)));
  if (!header) return verdict("unknown");
  const expected = 8 + length + lengthOfData(header);
  if (expected > file.size) return verdict("truncated", String(file.size), String(expected));
  delete header.__metadata__;
  return byTensors(Object.keys(header), Object.values(header));
}

/** @param {string} text @returns {Record<string, unknown> | null} */
export function parsed(text) {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/** The end of the last tensor's bytes. @param {Record<string, unknown>} header */
function lengthOfData(header) {
  let length = 0;
  for (const [name, tensor] of Object.entries(header)) {
    const { data_offsets: offsets } = /** @type {{data_offsets?: unknown}} */ (tensor ?? {});
    const end = name !== "__metadata__" && Array.isArray(offsets) ? Number(offsets[1]) : 0;
    if (Number.isSafeInteger(end)) length = Math.max(length, end);
  }
  return length;
}

/** Families of models, and a part of a tensor's name that only they have. */
const FAMILIES = [
  ["Stable Diffusion XL", "conditioner.embedders."],
  ["Stable Diffusion 3", ".joint_blocks."],
  ["Flux", "double_blocks."],
  ["Stable Cascade", "clip_txt_pooled_mapper."],
];

/** @param {unknown} tensor of a header */
function isVector(tensor) {
  const { shape } = /** @type {{shape?: unknown}} */ (tensor ?? {});
  return Array.isArray(shape) && (shape.length === 1 || shape.length === 2) && shape[0] > 0;
}

/** @param {string[]} names of all tensors @param {unknown[]} tensors @returns {Verdict} */
function byTensors(names, tensors) {
  const some = (/** @type {RegExp} */ pattern) => names.some((name) => pattern.test(name));
  const starts = (/** @type {string} */ start) => names.some((name) => name.startsWith(start));
  if (some(/lora_(up|down|A|B)\b|[._]lora\.(up|down)\.|\.(hada_w1|lokr_w1|oft_blocks)/))
    return verdict("lora");
  const family = FAMILIES.find(([, part]) => names.some((name) => name.includes(part)));
  if (family) return verdict("family", family[0]);
  if (starts("control_model.") || some(/controlnet_(cond_embedding|down_blocks)/))
    return verdict("controlnet");
  if (starts("model.diffusion_model.")) {
    if (starts("first_stage_model.")) return verdict("checkpoint");
    return verdict(starts("cond_stage_model.") ? "noVae" : "unet");
  }
  if (names.length <= 3 && some(/^(emb_params|string_to_param|clip_[lg]$|<.*>$)/))
    return verdict("embedding");
  // diffusers stores a learned word under the word itself.
  if (names.length === 1 && isVector(tensors[0]) && !names[0].includes("."))
    return verdict("embedding");
  if (some(/^(vae\.|first_stage_model\.)?(en|de)coder\.conv_in\.weight$/)) return verdict("vae");
  if (starts("down_blocks.") && starts("conv_in.")) return verdict("unet");
  if (some(/^(cond_stage_model\.transformer\.)?text_model\./)) return verdict("textEncoder");
  return verdict("tensors");
}

/** @param {Bytes} first @returns {Verdict} */
function byText(first) {
  const text = latin1(first);
  if (/^\s*<(!doctype html|html|head|\?xml)/i.test(text)) return verdict("html");
  // Text has no bytes below the tabulator.
  return verdict(first.every((byte) => byte >= 9) ? "text" : "unknown");
}

/** @param {Bytes} bytes */
const latin1 = (bytes) => String.fromCharCode(...bytes);

/** Time for the first bytes of a model on a server. */
const TIMEOUT_MS = 15_000;

/**
 * The result of an examination. `url`: the address of a file, and `size` its bytes.
 * @typedef {{found: "model"} | {found: "file", verdict: Verdict, size: number, url: string}
 *   | {found: "nothing" | "no-index", where: string}} Answer
 */

/** Files in folders that hold an addition to a model, and no model. */
const ADDITIONS = [
  "pytorch_lora_weights.safetensors",
  "learned_embeds.safetensors",
  "learned_embeds.bin",
  "diffusion_pytorch_model.safetensors",
];

/**
 * Examines a model on a server: a checkpoint by its header, a folder by its index. A folder without
 * an index may hold a LoRA, a learned word or a VAE.
 * @param {string} address absolute; a folder's ends in a slash
 * @param {AbortSignal} signal
 * @returns {Promise<Answer>}
 * @throws {TransientError} where the server does not answer: whoever asks may try again
 */
export async function examineAddress(address, signal) {
  const where = address.endsWith("/") ? `${address}model_index.json` : address;
  const first = await get(where, address === where ? `bytes=0-${FIRST - 1}` : null, signal);
  if (first === null && address !== where) {
    for (const name of ADDITIONS) {
      const answer = await examineAddress(address + name, signal);
      if (answer.found === "file") return answer;
    }
  }
  if (first === null) return { found: "nothing", where };
  if (address !== where)
    return parsed(new TextDecoder().decode(first.bytes))
      ? { found: "model" }
      : { found: "no-index", where };
  const read = async (/** @type {number} */ start, /** @type {number} */ end) => {
    if (end <= first.bytes.length) return first.bytes.subarray(start, end);
    const more = await get(where, `bytes=0-${end - 1}`, signal, end);
    if (!more || more.bytes.length < end) throw new TransientError("the connection broke");
    return more.bytes.subarray(start, end);
  };
  const verdict = await examine({ size: first.size, read });
  if (verdict.kind === "checkpoint") return { found: "model" };
  return { found: "file", verdict, size: first.size, url: where };
}

/**
 * The first bytes of a file, and its size; null where it does not exist.
 * @param {string} url
 * @param {string | null} range null: the whole file, which is small
 * @param {AbortSignal} signal
 * @param {number} [most] bytes to read of an answer without ranges
 */
async function get(url, range, signal, most = FIRST) {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
    const headers = range ? { range } : undefined;
    const response = await fetch(url, { headers, signal: limit, cache: "no-store" });
    if (isMissing(response)) return null;
    if (response.status === 416) return { bytes: new Uint8Array(0), size: 0 };
    if (response.status === 401 || response.status === 403) throw new HttpError(response);
    if (!response.ok)
      throw new TransientError(
        `the server answered ${response.status} ${response.statusText}`.trimEnd(),
      );
    const bytes = range
      ? await start(response, most)
      : new Uint8Array(await response.arrayBuffer());
    return { bytes, size: sizeOf(response) ?? (range ? Infinity : bytes.length) };
  } catch (error) {
    if (error instanceof TransientError || error instanceof HttpError) throw error;
    throw new TransientError(
      navigator.onLine ? "the server could not be reached" : "there is no network",
    );
  }
}

/** The first bytes of a body. @param {Response} response @param {number} most */
async function start(response, most) {
  const reader = /** @type {ReadableStream<Bytes>} */ (response.body).getReader();
  const bytes = new Uint8Array(most);
  let filled = 0;
  while (filled < most) {
    const { value } = await reader.read();
    if (!value) break;
    const part = value.subarray(0, most - filled);
    bytes.set(part, filled);
    filled += part.length;
  }
  void reader.cancel().catch(() => {});
  return bytes.subarray(0, filled);
}
