// @ts-check
/** English texts of problems and what to do about them. */

/** Title and advice of each kind of problem; the message between them says what happened where. */
const kinds = {
  network: {
    title: "The model could not be downloaded",
    advice:
      "Check the connection, and that the server allows other sites to read its files. What has " +
      "been downloaded is saved: trying again continues from there.",
  },
  refused: {
    title: "The server does not give this model to everyone",
    advice:
      "It may ask for a licence to be accepted, or the model may be gone. Open the model’s page: " +
      "sign in, accept the licence, download the .safetensors file, and choose it here.",
  },
  missing: {
    title: "The model folder is not complete",
    advice:
      "A model folder in diffusers’ layout has model_index.json, scheduler/, text_encoder/, " +
      "tokenizer/, unet/ and vae/. Check its address under “Model”.",
  },
  changed: {
    title: "The model is being replaced on its server",
    advice: "Try again later. Files that have not changed are not downloaded again.",
  },
  damaged: {
    title: "A model file is damaged",
    advice:
      "The file is truncated or corrupt. Download it again; if that fails, the server’s copy is " +
      "damaged.",
  },
  disk: {
    title: "That file is no longer available",
    advice:
      "A page can’t reopen your files after a reload, or after they were changed. Choose the " +
      "file again, or drop it onto the page.",
  },
  address: {
    title: "This is not a model’s address",
    advice:
      "A model is named owner/name on Hugging Face, or by the address of a folder in diffusers’ " +
      "layout or of a .safetensors file.",
  },
  file: {
    title: "This is not a model",
    advice:
      "Darkroom opens Stable Diffusion v1 and v2: a checkpoint in one .safetensors file, or a " +
      "folder in diffusers’ layout. LoRAs, embeddings and VAEs are added to a loaded model.",
  },
  picture: {
    title: "No settings in this file",
    advice:
      "Pictures of Darkroom, A1111, Forge, ComfyUI and InvokeAI hold their settings, as PNG, " +
      "JPEG or WebP, unless a website or a program has removed them. Your settings are as before.",
  },
  addition: {
    title: "This cannot be added to the model",
    advice:
      "A LoRA, an embedding or a VAE fits models of its own family only: Stable Diffusion 1.x or " +
      "2.x. Nothing was changed.",
  },
  model: {
    title: "This model cannot be used",
    advice:
      "If its file was changed or truncated, download it again. Otherwise choose another model " +
      "under “Model”.",
  },
  page: {
    title: "A file of this page is missing",
    advice:
      "Reload the page. If that does not help, the page was not uploaded completely: only its " +
      "owner can repair that.",
  },
  slow: {
    title: "This takes much longer than expected",
    advice:
      "The device may be stuck, or busy with something else. Waiting loses nothing. A restart " +
      "ends this picture only: your prompts and the finished pictures stay.",
  },
  device: {
    title: "The device failed",
    advice: "Try again, or switch to the CPU: slower, but it works everywhere.",
  },
  start: {
    title: "The engine could not be started",
    advice: "Try again. If it fails again, try the CPU or a smaller model.",
  },
  request: {
    title: "These settings don’t work",
    advice: "Change the value and generate again.",
  },
  engine: {
    title: "The picture could not be made",
    advice:
      "Your prompts and the seed are still here. Try again; if it happens again, try the CPU or " +
      "a smaller size.",
  },
  crash: {
    title: "The engine has stopped",
    advice:
      "Restarting… Your prompts, the seed and the finished pictures are still here. Generate " +
      "again, with a smaller size if memory was short.",
  },
};

/** Labels of the buttons in a problem. */
const remedies = {
  again: "Try again",
  fresh: "Download again",
  cpu: "Use the CPU",
  file: "Choose the file…",
  edit: "Edit the address",
  wait: "Keep waiting",
  restart: "Restart the engine",
  reload: "Reload the page",
  page: "Open the model’s page",
  shelf: "Choose another model…",
  /** @param {string} model */
  back: (model) => `Back to ${model}`,
};

const address = {
  empty: "The field is empty.",
  /** @param {string} text @param {number} length @param {number} most */
  long: (text, length, most) => `“${text}” has ${length} characters, expected at most ${most}.`,
  /** @param {string} text @param {string} scheme */
  scheme: (text, scheme) => `“${text}” begins with “${scheme}:”, expected http: or https:.`,
  /** @param {string} text @param {string} found */
  escape: (text, found) =>
    `“${text}” has “${found}”, but after “%” an address needs two hexadecimal digits.`,
  /** @param {string} text */
  malformed: (text) => `“${text}” is not a valid address.`,
};

/** Sentences about files and folders that are no models. */
const files = {
  /** @param {string} name */
  empty: (name) => `${name} is empty: it has 0 bytes.`,
  /** @param {string} name */
  text: (name) => `${name} is a text file.`,
  /** @param {string} name */
  html: (name) => `${name} is a web page, not a model: the download may have needed a sign-in.`,
  /** @param {string} name */
  pointer: (name) =>
    `${name} is a Git LFS pointer, not the file itself. Download the file from its page, or run ` +
    "“git lfs pull”.",
  /** @param {string} name */
  pickle: (name) =>
    `${name} is a PyTorch pickle, which can run code. Darkroom reads models as safetensors only: ` +
    "look for a .safetensors file of the same model, or convert it, with A1111’s Checkpoint " +
    "Merger or diffusers’ from_single_file(…).save_pretrained(…).",
  /** @param {string} name */
  zip: (name) => `${name} is a ZIP archive. Unpack it, and choose the folder or the file inside.`,
  /** @param {string} name */
  gguf: (name) => `${name} is a GGUF file. Darkroom reads safetensors only.`,
  /** @param {string} name @param {string} format */
  picture: (name, format) =>
    `${name} is a ${format} picture. Only PNG, JPEG and WebP files hold the settings of a picture.`,
  /** @param {string} name */
  lora: (name) => `${name} is a LoRA: it changes another model, and makes no pictures by itself.`,
  /** @param {string} name */
  embedding: (name) => `${name} is an embedding (textual inversion): it adds a word to a model.`,
  /** @param {string} name */
  vae: (name) => `${name} is a VAE: one part of a model.`,
  /** @param {string} name */
  noVae: (name) => `${name} has no VAE. Drop the file of a VAE first, and then this one again.`,
  /** @param {string} name */
  unet: (name) => `${name} has a U-Net only: the text encoder and the VAE are missing.`,
  /** @param {string} name */
  textEncoder: (name) => `${name} is a text encoder: one part of a model.`,
  /** @param {string} name */
  controlnet: (name) => `${name} is a ControlNet: it steers another model.`,
  /** @param {string} name @param {string} family */
  family: (name, family) => `${name} is a model of another family: ${family}.`,
  /** @param {string} name */
  tensors: (name) => `${name} is a safetensors file, but its tensors belong to no known model.`,
  /** @param {string} name @param {string} actual @param {string} expected */
  truncated: (name, actual, expected) =>
    `${name} is truncated: it has ${actual} bytes, its header expects ${expected}.`,
  /** @param {string} name */
  unknown: (name) => `${name} is of a kind that Darkroom does not know.`,
  /** @param {string} name @param {string} found */
  folder: (name, found) =>
    `${name}/ has no unet/config.json, so it is not a model in diffusers’ layout. It has: ` +
    `${found}.`,
  /** @param {string} name */
  pictures: (name) => `${name}/ has only pictures. Drop a single PNG to get its settings back.`,
  nothing: "There is no file in what was dropped.",
  /** @param {string} where */
  noModel: (where) => `${where} does not exist.`,
  /** @param {string} where */
  noIndex: (where) => `${where} is not the index of a model: it is no JSON object.`,
};

/** Questions before a link's model is downloaded. */
const consent = {
  title: "This link wants to load a model",
  /** @param {string} model @param {string} host */
  foreign: (model, host) => `The model ${model} would come from ${host}.`,
  /** @param {string} host */
  unasked: (host) =>
    `Nothing has been requested from ${host} yet, so its size is not known. Models have up to ` +
    "5 GB. The server learns your internet address, and nothing else.",
  /** @param {string} model @param {string} size */
  large: (model, size) => `The model ${model} has ${size}.`,
  settings: "The other settings of the link are in the form already.",
  load: "Load it",
  /** @param {string} model */
  stay: (model) => `Stay with ${model}`,
  cancelled: "The model of the link was not loaded.",
};

/** Sentences of the engine's session. */
const session = {
  later: "The device changes after this picture.",
  modelLater: "The model changes after this picture.",
  gpuFailed: "The GPU has failed more than once on this visit.",
  gpuFailedLoading: "The GPU failed while the model was loaded onto it.",
  /** @param {string} model */
  checking: (model) => `Checking ${model}`,
  /** @param {string} model */
  stays: (model) => `${model} is still loaded.`,
  workerDied: "The engine’s worker does not answer: the browser may have ended it.",
  deviceSilent: "The engine still answers, its device does not.",
  workerSilent: "The engine is computing, or it has ended without a message.",
  /** @param {number} step @param {string} taken @param {string} usual */
  slowStep: (step, taken, usual) =>
    `Step ${step} has taken ${taken} so far; the steps before it took about ${usual} each.`,
  /** @param {string} taken */
  slowFirst: (taken) => `The first step has taken ${taken} so far.`,
  /** @param {string} taken */
  slowOpening: (taken) => `Nothing has moved for ${taken} while the engine was being started.`,
  /** @param {string} needed @param {string} most @param {string} size */
  tooLarge: (needed, most, size) =>
    `A picture of ${size} needs ${needed} of memory; on the CPU a page can have at most ${most}.`,
  /** @param {string} taken */
  longer: (taken) => `longer than usual (${taken})`,
};

/** Sentences about a side of the picture that is not possible. */
const size = {
  /** @param {number} multiple @param {number} most @param {number} near */
  width: (multiple, most, near) =>
    `The width is a multiple of ${multiple} pixels up to ${most}` +
    (Number.isFinite(near) ? `, such as ${near}.` : "."),
  /** @param {number} multiple @param {number} most @param {number} near */
  height: (multiple, most, near) =>
    `The height is a multiple of ${multiple} pixels up to ${most}` +
    (Number.isFinite(near) ? `, such as ${near}.` : "."),
  /** @param {string} trained */
  small: (trained) =>
    `The model was trained at ${trained}. Much smaller pictures come out as a blur.`,
};

/** Sentences about the browser's storage. */
const storage = {
  insecure: "this page is not served over https, so the browser gives it no storage",
  /** @param {string} why part of a sentence */
  refused: (why) => `the browser refuses storage to this page (${why})`,
  /** @param {string} why part of a sentence */
  none: (why) => `No models are saved: ${why}.`,
  /** @param {string} why part of a sentence */
  uncached: (why) => `The model cannot be cached and will be downloaded again next time: ${why}.`,
  full: "this browser’s storage is full",
  /** @param {string} why part of a sentence */
  failed: (why) => `this browser’s storage failed (${why})`,
  /** @param {number} needed @param {number} left */
  short: (needed, left) =>
    `it needs ${needed} MB more of this browser’s storage, which has ${left} MB left`,
  waiting: "Another tab is downloading this model. This one waits and shares the download.",
};

export const problems = {
  kinds,
  remedies,
  address,
  files,
  consent,
  session,
  size,
  storage,
};
