// @ts-check
/** German texts of what is added to a model: LoRAs, embeddings, VAEs. */

/** @typedef {typeof import("../en/additions.js").additions} Additions */

/** @type {Additions["missing"]} */
const missing = {
  lora: (name) =>
    `Das LoRA „${name}“ ist nicht hier. Ziehen Sie seine Datei auf die Seite, um es zu benutzen.`,
  vae: (name) => `Der VAE „${name}“ ist nicht hier: der eigene des Modells tritt an seine Stelle.`,
  embedding: (name) =>
    `Das Embedding „${name}“ ist nicht hier: sein Name wird wie gewöhnliche Wörter gelesen.`,
};

/** @type {Additions} */
export const additions = {
  title: "Zum Modell hinzugefügt",
  kinds: { lora: "LoRA", embedding: "Embedding", vae: "VAE" },
  weight: (name) => `Gewicht von ${name}`,
  apart: "U-Net und Text-Encoder getrennt",
  unet: "U-Net",
  textEncoder: "Text-Encoder",
  unetOf: (name) => `Gewicht von ${name} im U-Net`,
  textEncoderOf: (name) => `Gewicht von ${name} im Text-Encoder`,
  usedAs: (word) => `Schreiben Sie „${word}“ in einen Prompt.`,
  tokens: (count) => `Es nimmt ${count === 1 ? "1 Token" : `${count} Tokens`} ein.`,
  kilobytes: (count) => `${count} KB`,
  intoNegative: "In den negativen Prompt",
  intoPrompt: "In den Prompt",
  intoNegativeOf: (word) => `${word} in den negativen Prompt einfügen`,
  intoPromptOf: (word) => `${word} in den Prompt einfügen`,
  mostNegative: "Die meisten Embeddings, etwa EasyNegative, gehören in den negativen Prompt.",
  useVae: "Statt des eigenen des Modells benutzen",
  useVaeOf: (name) => `${name} statt des eigenen VAE des Modells benutzen`,
  remove: "Entfernen",
  removeOf: (name) => `${name} entfernen`,
  kept: "in diesem Browser aufbewahrt",
  fromDisk: "bis die Seite geschlossen wird",
  notHere: "nicht hier",
  drop: "Ziehen Sie die Datei auf die Seite, oder wählen Sie sie mit „Datei …“.",
  misfit: (reason) => `Passt nicht zu diesem Modell: ${reason}`,
  tags: (tag) =>
    `Im Prompt steht ${tag}. Solche Marken setzen ein Gewicht nur in der Prompt-Sprache von ` +
    "A1111; in einfachen Prompts sind sie gewöhnlicher Text.",
  useTags: "Prompt-Sprache von A1111 benutzen",
  adding: (name) => `${name} wird hinzugefügt`,
  added: {
    lora: (name) => `Das LoRA ${name} wurde hinzugefügt.`,
    embedding: (word) => `Das Embedding wurde hinzugefügt: schreiben Sie „${word}“.`,
    vae: (name) => `Der VAE ${name} tritt an die Stelle des eigenen des Modells.`,
  },
  removed: (name) => `${name} wurde entfernt.`,
  later: (name) => `${name} wird hinzugefügt, sobald ein Modell geladen ist.`,
  fetching: (name, percent) => `${name} wird heruntergeladen · ${percent} %`,
  fetchFailed: (where, why) => `${where} konnte nicht heruntergeladen werden: ${why}.`,
  unreachable: "der Server ist nicht erreichbar, oder andere Seiten dürfen ihn nicht lesen",
  answered: (status) => `der Server antwortete ${status}`,
  merging: (percent) => `LoRAs werden hinzugefügt · ${percent} %`,
  notKept: (name, why) => `${name} bleibt, bis die Seite geschlossen wird: ${why}.`,
  noRoom: (needed, left) =>
    `es braucht ${needed} vom Speicher dieses Browsers, der noch ${left} hat`,
  storageFailed: "der Speicher dieses Browsers ist gesperrt oder voll",
  refused: (name, reason) => `${name} wurde nicht hinzugefügt. ${reason}`,
  none: (name) => `${name} ist kein LoRA, kein Embedding und kein VAE.`,
  missing,
};
