// @ts-check
/** Names of the files that the engine reads from a model folder in diffusers' layout. */

/** Small files, in the engine's order. */
export const METADATA = [
  "unet/config.json",
  "vae/config.json",
  "text_encoder/config.json",
  "scheduler/scheduler_config.json",
  "tokenizer/vocab.json",
  "tokenizer/merges.txt",
  "tokenizer/tokenizer_config.json",
  "tokenizer/special_tokens_map.json",
];

const WEIGHTS = [
  "text_encoder/model",
  "unet/diffusion_pytorch_model",
  "vae/diffusion_pytorch_model",
];

/** The possible names of each file of weights, the one to prefer first. */
export const WEIGHT_FILES = WEIGHTS.map((stem) => [
  `${stem}.fp16.safetensors`,
  `${stem}.safetensors`,
]);
