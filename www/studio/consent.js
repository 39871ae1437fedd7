// @ts-check
/**
 * Consent to models that a link names. A link starts no download from another host, and none of
 * more than 50 MB, before the visitor has agreed to it. Until then no request goes to that host.
 */
import { cachedModels } from "../weights/cache.js";

/**
 * A question about a link's model.
 * @typedef {object} Question
 * @property {string | null} host another one than the page's; null: the page's own
 * @property {number | null} bytes known of the page's own models only
 */

const FREE_BYTES = 50e6;
const KEY = "darkroom-allowed-models";
/** Remembered models; the oldest are forgotten. */
const REMEMBERED = 100;
/** Weights of a folder. The sizes of those that exist are added up. */
const WEIGHTS = [
  ["unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors"],
  ["text_encoder/model.safetensors", "text_encoder/model.fp16.safetensors"],
  ["vae/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.fp16.safetensors"],
];

/** @returns {string[]} */
function remembered() {
  try {
    const list = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(list) ? list.filter((entry) => typeof entry === "string") : [];
  } catch {
    // Storage is blocked, or something else wrote there: the visitor is asked again.
    return [];
  }
}

/** Remembers that the visitor chose this model. @param {string} address */
export function remember(address) {
  const list = [...remembered().filter((other) => other !== address), address];
  try {
    localStorage.setItem(KEY, JSON.stringify(list.slice(-REMEMBERED)));
  } catch {
    // Without storage the visitor is asked again on the next visit.
  }
}

/**
 * The question to ask before a link's model is loaded; null: it may be loaded at once.
 * @param {string} address of the model
 * @param {string} page address
 * @returns {Promise<Question | null>}
 */
export async function questionAbout(address, page) {
  if (remembered().includes(address)) return null;
  const cached = await cachedModels();
  if (cached.some((model) => model.address === address && model.complete)) return null;
  const { origin, host } = new URL(address);
  if (origin !== new URL(page).origin) return { host, bytes: null };
  const bytes = await sizeOfOwn(address);
  return bytes > FREE_BYTES ? { host: null, bytes } : null;
}

/** Bytes of a model on the page's own server, as far as it tells. @param {string} address */
async function sizeOfOwn(address) {
  if (!address.endsWith("/")) return (await head(address)) ?? 0;
  const sizes = await Promise.all(
    WEIGHTS.map(async ([plain, half]) => (await head(address + plain)) ?? head(address + half)),
  );
  return sizes.reduce((/** @type {number} */ sum, size) => sum + (size ?? 0), 0);
}

/** The size of a file on the page's own server; null where there is none. @param {string} url */
async function head(url) {
  const answer = await fetch(url, { method: "HEAD" }).catch(() => null);
  const length = answer?.ok ? Number(answer.headers.get("content-length")) : NaN;
  return Number.isFinite(length) && length > 0 ? length : null;
}
