// @ts-check
/** German notes about settings that come from a picture's file. */

/** @type {typeof import("../en/infotext.js").infotext} */
export const infotext = {
  sampler: (name) => `Den Sampler „${name}“ gibt es hier nicht: der gewählte bleibt.`,
  schedule: (name) =>
    `Den Schedule-Typ „${name}“ gibt es hier nicht: der eigene des Modells wird benutzt.`,
  noise:
    "Sein Rauschen kam von einer GPU. Hier wird das von NVIDIA berechnet; das anderer GPUs " +
    "ergibt beim selben Seed ein anderes Bild.",
  unsaid: (names) => `Hier nicht angewandt: ${names}.`,
  model: (name) => `Es wurde mit dem Modell „${name}“ gemacht.`,
  loras: (names) =>
    `Es wurde mit dem LoRA ${names} gemacht; mit welchem Gewicht, sagt sein Text nicht.`,
  noSettings: "Die Datei hat Prompts, aber keine Einstellungen: die im Formular bleiben.",
  comfy: {
    samplers: (count) =>
      `Der Graph hat ${count} Sampler. Die Einstellungen sind die des ersten, der mit Rauschen ` +
      "beginnt.",
    noPrompt: "Der Prompt des Graphen kommt aus Knoten, die hier nicht gelesen werden.",
    weights: "ComfyUI wendet Gewichte wie (x:1.3) anders an: das Bild kann abweichen.",
    denoise: (value) => `Hier nicht angewandt: denoise ${value}.`,
    nodes: (names) => `Knoten, die hier nicht angewandt werden: ${names}.`,
    complex: (name) =>
      `${name} ist ein Bild von ComfyUI, aber sein Graph hat keinen einfachen Sampler-Knoten mit ` +
      "Prompts.",
  },
  invoke: {
    mode: (mode) => `Es wurde durch „${mode}“ gemacht; hier wird es Text-zu-Bild.`,
    weights: "Gewichte von InvokeAI wie (x)1.3 und x++ werden hier als einfacher Text gelesen.",
  },
};
