// @ts-check
/** English texts of what is added to a model: LoRAs, embeddings, VAEs. */

/** Sentences about an addition that a picture was made with and that is not here. */
const missing = {
  lora: (/** @type {string} */ name) =>
    `The LoRA “${name}” is not here. Drop its file onto the page to use it.`,
  vae: (/** @type {string} */ name) =>
    `The VAE “${name}” is not here: the model’s own takes its place.`,
  embedding: (/** @type {string} */ name) =>
    `The embedding “${name}” is not here: its name is read as ordinary words.`,
};

export const additions = {
  title: "Added to the model",
  kinds: { lora: "LoRA", embedding: "embedding", vae: "VAE" },
  weight: (/** @type {string} */ name) => `Weight of ${name}`,
  apart: "U-Net and text encoder apart",
  unet: "U-Net",
  textEncoder: "Text encoder",
  unetOf: (/** @type {string} */ name) => `Weight of ${name} in the U-Net`,
  textEncoderOf: (/** @type {string} */ name) => `Weight of ${name} in the text encoder`,
  usedAs: (/** @type {string} */ word) => `Write “${word}” in a prompt.`,
  tokens: (/** @type {number} */ count) =>
    `It takes ${count === 1 ? "1 token" : `${count} tokens`}.`,
  kilobytes: (/** @type {number} */ count) => `${count} KB`,
  intoNegative: "Into the negative prompt",
  intoPrompt: "Into the prompt",
  intoNegativeOf: (/** @type {string} */ word) => `Insert ${word} into the negative prompt`,
  intoPromptOf: (/** @type {string} */ word) => `Insert ${word} into the prompt`,
  mostNegative: "Most embeddings, such as EasyNegative, belong into the negative prompt.",
  useVae: "Use in place of the model’s own",
  useVaeOf: (/** @type {string} */ name) => `Use ${name} in place of the model’s own VAE`,
  remove: "Remove",
  removeOf: (/** @type {string} */ name) => `Remove ${name}`,
  kept: "kept in this browser",
  fromDisk: "until the page is closed",
  notHere: "not here",
  drop: "Drop its file onto the page, or choose it by “File…”.",
  misfit: (/** @type {string} */ reason) => `Does not fit this model: ${reason}`,
  tags: (/** @type {string} */ tag) =>
    `The prompt has ${tag}. Such tags set a weight in A1111’s prompt language only; in plain ` +
    "prompts they are ordinary text.",
  useTags: "Use A1111’s prompt language",
  adding: (/** @type {string} */ name) => `Adding ${name}`,
  added: {
    lora: (/** @type {string} */ name) => `The LoRA ${name} was added.`,
    embedding: (/** @type {string} */ word) => `The embedding was added: write “${word}”.`,
    vae: (/** @type {string} */ name) => `The VAE ${name} takes the place of the model’s own.`,
  },
  removed: (/** @type {string} */ name) => `${name} was removed.`,
  later: (/** @type {string} */ name) => `${name} is added when a model is loaded.`,
  fetching: (/** @type {string} */ name, /** @type {number} */ percent) =>
    `Downloading ${name} · ${percent} %`,
  fetchFailed: (/** @type {string} */ where, /** @type {string} */ why) =>
    `${where} could not be downloaded: ${why}.`,
  unreachable: "the server could not be reached, or does not let other sites read its files",
  answered: (/** @type {string} */ status) => `the server answered ${status}`,
  merging: (/** @type {number} */ percent) => `Adding the LoRAs · ${percent} %`,
  notKept: (/** @type {string} */ name, /** @type {string} */ why) =>
    `${name} stays until the page is closed: ${why}.`,
  noRoom: (/** @type {string} */ needed, /** @type {string} */ left) =>
    `it needs ${needed} of this browser’s storage, which has ${left} left`,
  storageFailed: "this browser’s storage is blocked or full",
  refused: (/** @type {string} */ name, /** @type {string} */ reason) =>
    `${name} was not added. ${reason}`,
  none: (/** @type {string} */ name) => `${name} is no LoRA, no embedding and no VAE.`,
  missing,
};
