// @ts-check
/**
 * Settings that other programs store as JSON: ComfyUI's graph, InvokeAI's metadata. Only what is
 * certain is read; notes name the rest. Time is proportional to the text's length.
 */
import { strings } from "../strings/index.js";
import { isOther, numbers, takeSampler } from "./infotext.js";
import { excerpt } from "./infotext-values.js";
import { lorasText, nameOfFile } from "./loras.js";

/** @typedef {import("./infotext.js").Found} Found */
/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {Record<string, unknown>} Values */
/** A node of a graph. @typedef {{id: string, kind: string, inputs: Values}} Node */

/** Nodes on the way from one to another. */
const DEPTH = 24;
/** Names in a note. */
const NAMED = 8;
/** Strings, large whole numbers and NaN, which JSON has not. */
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])|\bNaN\b/g;

/**
 * Reads JSON. Large whole numbers become texts: numbers of JavaScript are exact to 2⁵³ only.
 * @param {string} text
 * @returns {Values | null} null: it is no object
 */
export function readJson(text) {
  const exact = text.replace(TOKENS, (token) =>
    token[0] === '"' ? token : token === "NaN" ? "null" : `"${token}"`,
  );
  try {
    return objectOf(JSON.parse(exact));
  } catch {
    return null;
  }
}

/** @param {unknown} value @returns {Values | null} */
const objectOf = (value) =>
  value !== null && typeof value === "object" && !Array.isArray(value)
    ? /** @type {Values} */ (value)
    : null;

/** @param {unknown} value */
const textOf = (value) =>
  typeof value === "string" ? value : typeof value === "number" ? String(value) : undefined;

/** A map of what is known of these values. @param {Record<string, unknown>} values */
function known(values) {
  const texts = Object.entries(values).map(([key, value]) => [key, textOf(value)]);
  return /** @type {Map<string, string>} */ (
    new Map(/** @type {any} */ (texts.filter(([, value]) => value !== undefined && value !== "")))
  );
}

// ComfyUI

/** ComfyUI's names of samplers that A1111 writes in another way. @type {Record<string, string>} */
const COMFY_SAMPLERS = {
  euler_ancestral: "Euler a",
  dpm_2: "DPM2",
  dpm_2_ancestral: "DPM2 a",
  dpmpp_2s_ancestral: "DPM++ 2S a",
  dpmpp_sde: "DPM++ SDE",
  dpmpp_2m: "DPM++ 2M",
  dpmpp_2m_sde: "DPM++ 2M SDE",
  dpmpp_3m_sde: "DPM++ 3M SDE",
  uni_pc: "UniPC",
  uni_pc_bh2: "UniPC",
};
/** Nodes that are read, or that change no picture. */
const READ = new RegExp(
  "^(KSampler|KSamplerAdvanced|CheckpointLoader.*|EmptyLatentImage|CLIPTextEncode|LoraLoader|" +
    "LoraLoaderModelOnly|CLIPSetLastLayer|VAELoader|VAEDecode|VAEDecodeTiled|SaveImage|" +
    "PreviewImage|Primitive.*|Note|Reroute|String.*|Seed.*)$",
);
/** Inputs that lead on to the text of a prompt. */
const TEXT_INPUTS = ["text", "string", "value", "text_g", "prompt", "String"];
const ON_INPUTS = ["conditioning", "conditioning_1", "conditioning_to", "positive", "negative"];

/** @param {Values} graph */
class Graph {
  /** @type {Map<string, Node>} */ nodes = new Map();

  /** @param {Values} graph */
  constructor(graph) {
    for (const [id, value] of Object.entries(graph)) {
      const node = objectOf(value);
      const kind = node && textOf(node.class_type);
      const inputs = node && objectOf(node.inputs);
      if (kind && inputs) this.nodes.set(id, { id, kind, inputs });
    }
  }

  /** The node that an input comes from. @param {unknown} input @returns {Node | undefined} */
  at(input) {
    return Array.isArray(input) ? this.nodes.get(String(input[0])) : undefined;
  }

  /** All nodes of a kind. @param {RegExp} kind */
  of(kind) {
    return [...this.nodes.values()].filter((node) => kind.test(node.kind));
  }

  /**
   * Follows an input to the first node of a kind.
   * @param {unknown} input
   * @param {RegExp} kind
   * @param {string[]} names of the inputs that lead on
   * @param {(node: Node) => void} [pass] gets the nodes on the way
   * @returns {Node | undefined}
   */
  follow(input, kind, names, pass) {
    let node = this.at(input);
    for (let depth = 0; node && depth < DEPTH; depth += 1) {
      if (kind.test(node.kind)) return node;
      pass?.(node);
      const { inputs } = node;
      node = this.at(names.map((name) => inputs[name]).find(Array.isArray));
    }
    return undefined;
  }

  /** The text of an input, also where another node has it. @param {unknown} input */
  text(input) {
    let value = input;
    for (let depth = 0; Array.isArray(value) && depth < DEPTH; depth += 1) {
      const inputs = this.at(value)?.inputs ?? {};
      value = TEXT_INPUTS.map((name) => inputs[name]).find((one) => one !== undefined);
    }
    return textOf(value);
  }
}

/**
 * Reads ComfyUI's graph, of the chunk "prompt".
 * @param {string} text
 * @param {string} [inUse] the text in the model field
 * @returns {Found | null} null: it has no plain sampler node
 */
export function fromComfy(text, inUse = "") {
  const values = readJson(text);
  if (!values) return null;
  const graph = new Graph(values);
  const samplers = graph.of(/^KSampler(Advanced)?$/);
  const empty = /^Empty.*Latent/;
  const first = (/** @type {Node} */ node) =>
    empty.test(graph.at(node.inputs.latent_image)?.kind ?? "");
  const sampler = samplers.find(first) ?? samplers[0];
  if (!sampler) return null;
  const { inputs } = sampler;
  const latent = graph.follow(inputs.latent_image, empty, ["samples", "latent_image"]);
  const name = graph.text(inputs.sampler_name) ?? "";
  const sizes = latent ? [latent.inputs.width, latent.inputs.height].map((s) => graph.text(s)) : [];
  const pairs = known({
    Steps: graph.text(inputs.steps),
    Seed: graph.text(inputs.seed ?? inputs.noise_seed),
    "CFG scale": graph.text(inputs.cfg),
    Size: sizes.length ? sizes.join("x") : undefined,
    Sampler: COMFY_SAMPLERS[name.replace(/_gpu$/, "")] ?? name,
    "Schedule type": graph.text(inputs.scheduler),
  });
  /** @type {Partial<Settings>} */
  const settings = { prompt: "", negative_prompt: "", ...numbers(pairs) };
  const notes = takeSampler(pairs, settings);
  notes.push(...takePrompts(graph, inputs, settings));
  notes.push(...takeModels(graph, inputs, settings, inUse));
  const t = strings().infotext.comfy;
  if (samplers.length > 1) notes.unshift(t.samplers(samplers.length));
  const denoise = graph.text(inputs.denoise) ?? "1";
  if (Number(denoise) !== 1) notes.push(t.denoise(excerpt(denoise)));
  const others = [...new Set(graph.of(/./).map(({ kind }) => kind))].filter((k) => !READ.test(k));
  if (others.length) notes.push(t.nodes(listed(others)));
  return { settings, notes };
}

/** @param {string[]} names */
const listed = (names) =>
  names
    .slice(0, NAMED)
    .map((name) => name.slice(0, 30))
    .join(", ") + (names.length > NAMED ? ", …" : "");

/** @param {Graph} graph @param {Values} inputs @param {Partial<Settings>} settings */
function takePrompts(graph, inputs, settings) {
  const t = strings().infotext.comfy;
  /** @type {string[]} */
  const words = [];
  let weighted = false;
  let lost = false;
  for (const [field, from] of /** @type {const} */ ([
    ["prompt", "positive"],
    ["negative_prompt", "negative"],
  ])) {
    const node = graph.follow(inputs[from], /^CLIPTextEncode/, ON_INPUTS);
    const found = node && graph.text(node.inputs.text ?? node.inputs.text_g);
    lost ||= found === undefined;
    const text = (found ?? "").replace(/\bembedding:([\w.-]+)/g, (_, file) => {
      words.push(nameOfFile(file));
      return nameOfFile(file);
    });
    weighted ||= /(^|[^\\])\(/.test(text);
    settings[field] = text;
  }
  if (words.length) settings.embeddings = [...new Set(words)].join(", ");
  if (weighted) {
    settings.prompt_syntax = "a1111";
    // Square brackets are characters there.
    for (const field of /** @type {const} */ (["prompt", "negative_prompt"]))
      settings[field] = settings[field]?.replace(/(?<!\\)[[\]]/g, "\\$&");
  }
  return [...(lost ? [t.noPrompt] : []), ...(weighted ? [t.weights] : [])];
}

/**
 * @param {Graph} graph
 * @param {Values} inputs
 * @param {Partial<Settings>} settings
 * @param {string} inUse
 */
function takeModels(graph, inputs, settings, inUse) {
  /** @type {import("./loras.js").LoraWeights[]} */
  const loras = [];
  const loader = graph.follow(inputs.model, /^CheckpointLoader/, ["model"], ({ inputs, kind }) => {
    const file = graph.text(inputs.lora_name);
    if (!/^LoraLoader/.test(kind) || !file) return;
    const unet = Number(graph.text(inputs.strength_model) ?? 1);
    const both = kind === "LoraLoader";
    const text_encoder = both ? Number(graph.text(inputs.strength_clip) ?? unet) : 0;
    const name = nameOfFile(file.split(/[\\/]/).pop() ?? file);
    if (Number.isFinite(unet) && Number.isFinite(text_encoder))
      loras.unshift({ name, text_encoder, unet });
  });
  if (loras.length) settings.loras = lorasText(loras);
  const text = graph.follow(inputs.positive, /^CLIPTextEncode/, ON_INPUTS);
  const clip = text && graph.follow(text.inputs.clip, /^CLIPSetLastLayer$/, ["clip"]);
  const skip = -Number(clip ? graph.text(clip.inputs.stop_at_clip_layer) : NaN);
  if (skip >= 1 && skip <= 12) settings.clip_skip = String(skip);
  const vae = graph.of(/^VAEDecode/).map(({ inputs }) => graph.at(inputs.vae));
  const file = vae.map((node) => graph.text(node?.inputs.vae_name)).find(Boolean);
  if (file) settings.vae = nameOfFile(file);
  const model = loader && graph.text(loader.inputs.ckpt_name)?.split(/[\\/]/).pop();
  if (!model || !isOther(model, inUse)) return [];
  return [strings().infotext.model(excerpt(model.replace(/\.(safetensors|ckpt)$/i, "")))];
}

// InvokeAI

/** InvokeAI's names of samplers; `_k` at the end means Karras. @type {Record<string, string>} */
const INVOKE_SAMPLERS = {
  euler_a: "Euler a",
  kdpm_2: "DPM2",
  kdpm_2_a: "DPM2 a",
  dpmpp_2s: "DPM++ 2S",
  dpmpp_2m: "DPM++ 2M",
  dpmpp_2m_sde: "DPM++ 2M SDE",
  dpmpp_3m: "DPM++ 3M SDE",
  dpmpp_sde: "DPM++ SDE",
};

/**
 * Reads InvokeAI's metadata, of the chunk "invokeai_metadata".
 * @param {string} text
 * @param {string} [inUse] the text in the model field
 * @returns {Found | null} null: it is none
 */
export function fromInvoke(text, inUse = "") {
  const values = readJson(text);
  if (!values || typeof values.positive_prompt !== "string") return null;
  const scheduler = textOf(values.scheduler) ?? "";
  const bare = scheduler.replace(/_k$/, "");
  const pairs = known({
    Steps: values.steps,
    Seed: values.seed,
    "CFG scale": values.cfg_scale,
    Size: values.width === undefined ? undefined : `${values.width}x${values.height}`,
    Sampler: INVOKE_SAMPLERS[bare] ?? bare,
    "Schedule type": bare === scheduler ? undefined : "Karras",
  });
  const prompt = values.positive_prompt;
  const negative_prompt = textOf(values.negative_prompt) ?? "";
  /** @type {Partial<Settings>} */
  const settings = { prompt, negative_prompt, ...numbers(pairs) };
  const notes = takeSampler(pairs, settings);
  const t = strings().infotext;
  if (values.rand_device !== undefined && values.rand_device !== "cpu") {
    settings.rng = "philox";
    notes.push(t.noise);
  }
  if (/\)[+\-\d]|\w[+-]{1,}(\s|,|$)/.test(`${prompt} ${negative_prompt}`))
    notes.push(t.invoke.weights);
  const mode = textOf(values.generation_mode) ?? "txt2img";
  if (mode !== "txt2img") notes.push(t.invoke.mode(excerpt(mode)));
  const skip = Number(values.clip_skip ?? 0);
  if (Number.isInteger(skip) && skip > 0 && skip < 12) settings.clip_skip = String(skip + 1);
  const vae = nameIn(values.vae);
  if (vae) settings.vae = nameOfFile(vae);
  const loras = invokeLoras(values.loras);
  if (loras) settings.loras = loras;
  const model = nameIn(values.model);
  if (model && isOther(model, inUse)) notes.push(t.model(excerpt(model)));
  return { settings, notes };
}

/** The name of a model in InvokeAI's metadata, old or new. @param {unknown} value */
function nameIn(value) {
  const about = objectOf(value);
  return textOf(about?.name) ?? textOf(about?.model_name);
}

/** @param {unknown} list */
function invokeLoras(list) {
  if (!Array.isArray(list)) return "";
  const loras = list.flatMap((one) => {
    const about = objectOf(one);
    const file = nameIn(about?.model) ?? nameIn(about?.lora);
    const weight = Number(about?.weight ?? 1);
    const name = file && nameOfFile(file);
    return name && Number.isFinite(weight) ? [{ name, text_encoder: weight, unet: weight }] : [];
  });
  return lorasText(loras);
}
