// @ts-check
/**
 * The additions that settings name: LoRAs with their weights, a VAE, learned words. Settings hold
 * texts, so that a picture's file, a link, the undo history and the queue carry them.
 */
import { strings } from "../strings/index.js";

/** @typedef {import("../engine/protocol.js").LoraWeights} LoraWeights */
/** @typedef {import("../engine/protocol.js").Using} Using */
/** @typedef {import("./settings.js").Settings} Settings */

/**
 * Names of the additions that there are. `words`: the names in prompts of each learned word.
 * @typedef {{loras: string[], vaes: string[], words: string[][]}} Available
 */

/** @type {Available} */
export const NOTHING = { loras: [], vaes: [], words: [] };

const LORA = /<(?:lora|lyco):([^:<>]+)(?::([^<>]*))?>/g;
/** Signs that divide settings or end a tag. */
const SEPARATORS = /[,:<>"\\\r\n]/g;

/** The name of a LoRA or a VAE by its file. @param {string} file */
export const nameOfFile = (file) =>
  file
    .replace(/\.(safetensors|pt|bin|ckpt|pth)$/i, "")
    .replace(SEPARATORS, "_")
    .trim() || "unnamed";

/**
 * Reads `name:0.8, name:0.5:0.8`; of two weights the first is the text encoder's, as in the web
 * UI's tags. A name without a weight has the weight 1.
 * @param {string} text
 * @returns {LoraWeights[]}
 */
export function lorasOf(text) {
  /** @type {Map<string, LoraWeights>} */
  const all = new Map();
  for (const part of text.split(",")) {
    const [name, ...words] = part.trim().split(":");
    if (!name) continue;
    const weights = words.map((word) => (word.trim() === "" ? NaN : Number(word)));
    const [first = 1, second = first] = weights;
    if (Number.isFinite(first) && Number.isFinite(second))
      all.set(name, { name, text_encoder: first, unet: second });
  }
  return [...all.values()];
}

/** @param {LoraWeights} lora */
const weightsText = ({ text_encoder, unet }) =>
  text_encoder === unet ? String(unet) : `${text_encoder}:${unet}`;

/** The text of the setting. @param {LoraWeights[]} loras */
export const lorasText = (loras) =>
  loras.map((lora) => `${lora.name}:${weightsText(lora)}`).join(", ");

/** The web UI's tag. @param {LoraWeights} lora */
export const tagOf = (lora) => `<lora:${lora.name}:${weightsText(lora)}>`;

/** Names of the LoRAs that a prompt has tags of. @param {string} prompt */
export const taggedLoras = (prompt) => [...prompt.matchAll(LORA)].map(([, name]) => name);

/** Tells whether tags in a prompt have an effect. @param {Partial<Settings>} settings */
export const readsTags = ({ prompt_syntax }) => prompt_syntax === "a1111";

/** Names in the setting of learned words. @param {string} text */
const wordsOf = (text) =>
  text
    .split(",")
    .map((word) => word.trim())
    .filter(Boolean);

/**
 * Tells whether a prompt uses a word: not within a longer one, in capitals or small letters.
 * @param {string} prompt
 * @param {string} word
 */
export function usesWord(prompt, word) {
  const text = prompt.toLowerCase();
  const name = word.toLowerCase();
  const isWord = (/** @type {string | undefined} */ sign) =>
    sign !== undefined && /[\p{L}\p{N}_]/u.test(sign);
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
    const joined =
      (isWord(name[0]) && isWord(text[at - 1])) ||
      (isWord(name.at(-1)) && isWord(text[at + name.length]));
    if (!joined) return true;
  }
  return false;
}

/**
 * The names of what settings want and there is not.
 * @param {Partial<Settings>} settings
 * @param {Available} available
 */
export function missing(settings, available) {
  const { loras = "", vae = "", embeddings = "", prompt = "" } = settings;
  const tagged = readsTags(settings) ? taggedLoras(prompt) : [];
  const wanted = new Set([
    ...lorasOf(loras)
      .filter(({ text_encoder, unet }) => text_encoder || unet)
      .map(({ name }) => name),
    ...tagged,
  ]);
  const known = new Set(available.words.flat().map((word) => word.toLowerCase()));
  return {
    loras: [...wanted].filter((name) => !available.loras.includes(name)),
    vae: vae && !available.vaes.includes(vae) ? vae : "",
    words: wordsOf(embeddings).filter((word) => !known.has(word.toLowerCase())),
  };
}

/**
 * A sentence for each addition that settings want and there is not.
 * @param {Partial<Settings>} settings
 * @param {Available} available
 */
export function missingNotes(settings, available) {
  const { loras, vae, words } = missing(settings, available);
  const t = strings().additions.missing;
  return [...loras.map(t.lora), ...(vae ? [t.vae(vae)] : []), ...words.map(t.embedding)];
}

/**
 * The settings of a picture with the additions that it is really made with, and what the engine has
 * to set for them.
 * @param {Settings} settings
 * @param {Available} available
 * @returns {{settings: Settings, using: Using, warnings: string[]}}
 */
export function equip(settings, available) {
  const { prompt, negative_prompt, loras = "", vae = "" } = settings;
  const there = lorasOf(loras).filter(({ name }) => available.loras.includes(name));
  const used = there.filter(({ text_encoder, unet }) => text_encoder !== 0 || unet !== 0);
  const prompts = [prompt, negative_prompt];
  const words = available.words
    .map((names) => names.find((name) => prompts.some((text) => usesWord(text, name))))
    .filter((name) => name !== undefined);
  const ownVae = available.vaes.includes(vae) ? vae : "";
  // A tag that names nothing is among the engine's own warnings.
  const plain = { ...settings, prompt_syntax: "plain" };
  return {
    settings: { ...settings, loras: lorasText(used), vae: ownVae, embeddings: words.join(", ") },
    using: { loras: used, vae: ownVae },
    warnings: missingNotes(plain, available),
  };
}
