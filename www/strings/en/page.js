// @ts-check
/**
 * English texts of the page around the studio. index.html has the same texts; a test compares them.
 * `{name}` stands for the element with this `data-name`, `{name|text}` for it with another text.
 */

export const page = {
  title: "Darkroom: Stable Diffusion in your browser, with negative prompts",
  description: "Stable Diffusion with negative prompts. Nothing leaves your machine.",
  tagline: "Stable Diffusion in your browser. Say what you want, and what you don’t.",
  about: "About",
  whyLink: "Why it works",
  story: "How it works",
  storyMore: "The whole story, with pictures: three minutes",
  help: "Help",
  source: "Source",
  withoutAlt: "Drawn portrait of a man with a mustache, made without a negative prompt",
  withAlt: "The same man without the mustache, made with the negative prompt “mustache”",
  withoutTag: "without",
  withTag: "negative: mustache",
  wipe: "Wipe: how much shows the picture without the negative prompt",
  wiped: (/** @type {number} */ percent) => `${percent} % without the negative prompt`,
  pairTitle: "Same noise, one word.",
  pairText: "Made by this page; make it yourself.",
  why: "Why?",
  pairButton: "Compare on your machine",
  words: "Words to try",
  whyTitle: "Why “without” does not work, and a negative prompt does",
  why1:
    "A text encoder hears the word. “Without mustache” contains {word}, and people rarely write " +
    "under a picture what is not in it. So the model has hardly learned what {without} means, " +
    "and often gives you exactly what you wanted to avoid.",
  why2:
    "A picture is made in steps. In each step the model predicts the noise twice: once for the " +
    "prompt, {p}, and once for no prompt at all. The difference says where the prompt pulls, and " +
    "the guidance scale {s} exaggerates it.",
  why3:
    "A negative prompt replaces the empty one. Its prediction {n} becomes the point to move away " +
    "from: {formula} At {s} = 1 the {n} cancels out: a negative prompt has no effect there.",
  experiment: "See why, in 3 clicks",
  result1: "→ mustache",
  result2: "→ still there",
  negative3: "… negative prompt: mustache",
  result3: "→ gone",
  privacy: "Everything is computed on your machine. Prompts and pictures never leave it.",
  modelCard: "Model card of the demo",
  models: "Your own models",
  licence: "Licence",
};
