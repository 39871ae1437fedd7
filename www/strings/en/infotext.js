// @ts-check
/** English notes about settings that come from a picture's file. */

export const infotext = {
  sampler: (/** @type {string} */ name) =>
    `There is no sampler “${name}” here: the chosen one stays.`,
  schedule: (/** @type {string} */ name) =>
    `There is no schedule type “${name}” here: the model’s own is used.`,
  noise:
    "Its noise came from a GPU. NVIDIA’s noise is computed here; that of other GPUs gives " +
    "another picture for the same seed.",
  unsaid: (/** @type {string} */ names) => `Not applied here: ${names}.`,
  model: (/** @type {string} */ name) => `It was made with the model “${name}”.`,
  loras: (/** @type {string} */ names) =>
    `It was made with the LoRA ${names}; its text does not say with which weight.`,
  noSettings: "The file has prompts, but no settings: those in the form stay.",
  comfy: {
    samplers: (/** @type {number} */ count) =>
      `The graph has ${count} samplers. The settings are those of the one that begins with noise.`,
    noPrompt: "The graph’s prompt comes from nodes that are not read here.",
    weights: "ComfyUI applies weights such as (x:1.3) in another way: the picture may differ.",
    denoise: (/** @type {string} */ value) => `Not applied here: denoise ${value}.`,
    nodes: (/** @type {string} */ names) => `Nodes that are not applied here: ${names}.`,
    complex: (/** @type {string} */ name) =>
      `${name} is a picture of ComfyUI, but its graph has no plain sampler node with prompts.`,
  },
  invoke: {
    mode: (/** @type {string} */ mode) => `It was made by “${mode}”; here it is text to image.`,
    weights: "InvokeAI’s weights, such as (x)1.3 and x++, are read as plain text here.",
  },
};
