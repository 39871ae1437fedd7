// @ts-check
/** German texts of problems and what to do about them. */

/** @type {typeof import("../en/problems.js").problems.kinds} */
const kinds = {
  network: {
    title: "Das Modell konnte nicht geladen werden",
    advice:
      "Prüfen Sie die Verbindung und ob der Server anderen Seiten das Lesen erlaubt. Was schon " +
      "geladen ist, bleibt gespeichert: Ein neuer Versuch macht dort weiter.",
  },
  refused: {
    title: "Der Server gibt dieses Modell nicht an alle heraus",
    advice:
      "Vielleicht muss eine Lizenz angenommen werden, oder das Modell gibt es nicht mehr. Öffnen " +
      "Sie die Seite des Modells: Melden Sie sich an, nehmen Sie die Lizenz an, laden Sie die " +
      ".safetensors-Datei herunter, und wählen Sie sie hier.",
  },
  missing: {
    title: "Der Modellordner ist unvollständig",
    advice:
      "Ein Modellordner im Aufbau von diffusers hat model_index.json, scheduler/, " +
      "text_encoder/, tokenizer/, unet/ und vae/. Prüfen Sie die Adresse unter „Modell“.",
  },
  changed: {
    title: "Das Modell wird gerade auf seinem Server ersetzt",
    advice: "Versuchen Sie es später. Unveränderte Dateien werden nicht noch einmal geladen.",
  },
  damaged: {
    title: "Eine Modelldatei ist beschädigt",
    advice:
      "Die Datei ist abgeschnitten oder verändert. Laden Sie sie noch einmal; hilft das nicht, " +
      "ist sie auf dem Server beschädigt.",
  },
  disk: {
    title: "Diese Datei ist nicht mehr verfügbar",
    advice:
      "Eine Seite kann Ihre Dateien nach dem Neuladen oder nach einer Änderung nicht wieder " +
      "öffnen. Wählen Sie die Datei noch einmal, oder ziehen Sie sie auf die Seite.",
  },
  address: {
    title: "Das ist keine Adresse eines Modells",
    advice:
      "Ein Modell heißt owner/name auf Hugging Face, oder es hat die Adresse eines Ordners im " +
      "Aufbau von diffusers oder einer .safetensors-Datei.",
  },
  file: {
    title: "Das ist kein Modell",
    advice:
      "Darkroom öffnet Stable Diffusion v1 und v2: einen Checkpoint in einer .safetensors-Datei " +
      "oder einen Ordner im Aufbau von diffusers. LoRAs, Embeddings und VAEs kommen zu einem " +
      "geladenen Modell hinzu.",
  },
  picture: {
    title: "In dieser Datei sind keine Einstellungen",
    advice:
      "Bilder von Darkroom, A1111, Forge, ComfyUI und InvokeAI enthalten ihre Einstellungen, als " +
      "PNG, JPEG oder WebP, wenn keine Website und kein Programm sie entfernt hat. Ihre " +
      "Einstellungen sind wie zuvor.",
  },
  addition: {
    title: "Das lässt sich dem Modell nicht hinzufügen",
    advice:
      "Ein LoRA, ein Embedding oder ein VAE passt nur zu Modellen der eigenen Familie: Stable " +
      "Diffusion 1.x oder 2.x. Nichts wurde verändert.",
  },
  model: {
    title: "Dieses Modell ist nicht verwendbar",
    advice:
      "Wurde seine Datei verändert oder abgeschnitten, laden Sie sie noch einmal. Sonst wählen " +
      "Sie unter „Modell“ ein anderes.",
  },
  page: {
    title: "Eine Datei dieser Seite fehlt",
    advice:
      "Laden Sie die Seite neu. Hilft das nicht, wurde sie unvollständig hochgeladen: Das kann " +
      "nur ihr Betreiber ändern.",
  },
  slow: {
    title: "Das dauert viel länger als erwartet",
    advice:
      "Vielleicht hängt das Gerät, oder es ist anderweitig beschäftigt. Warten verliert nichts. " +
      "Ein Neustart beendet nur dieses Bild: Prompts und fertige Bilder bleiben.",
  },
  device: {
    title: "Das Gerät ist ausgefallen",
    advice: "Versuchen Sie es noch einmal, oder nehmen Sie die CPU: langsamer, aber überall da.",
  },
  start: {
    title: "Die Engine startet nicht",
    advice:
      "Versuchen Sie es noch einmal. Hilft das nicht, nehmen Sie die CPU oder ein kleineres " +
      "Modell.",
  },
  request: {
    title: "Diese Einstellungen gehen nicht",
    advice: "Ändern Sie den Wert, und erzeugen Sie das Bild noch einmal.",
  },
  engine: {
    title: "Das Bild konnte nicht erzeugt werden",
    advice:
      "Prompts und Seed sind noch da. Versuchen Sie es noch einmal; hilft das nicht, nehmen Sie " +
      "die CPU oder eine kleinere Größe.",
  },
  crash: {
    title: "Die Engine ist stehen geblieben",
    advice:
      "Sie startet neu … Prompts, Seed und fertige Bilder sind noch da. Erzeugen Sie das Bild " +
      "noch einmal, kleiner, falls der Speicher nicht reichte.",
  },
};

/** @type {typeof import("../en/problems.js").problems.remedies} */
const remedies = {
  again: "Noch einmal versuchen",
  fresh: "Noch einmal laden",
  cpu: "CPU verwenden",
  file: "Datei wählen …",
  edit: "Adresse bearbeiten",
  wait: "Weiter warten",
  restart: "Engine neu starten",
  reload: "Seite neu laden",
  page: "Seite des Modells öffnen",
  shelf: "Anderes Modell wählen…",
  back: (model) => `Zurück zu ${model}`,
};

/** @type {typeof import("../en/problems.js").problems.address} */
const address = {
  empty: "Das Feld ist leer.",
  long: (text, length, most) => `„${text}“ hat ${length} Zeichen, erlaubt sind ${most}.`,
  scheme: (text, scheme) => `„${text}“ beginnt mit „${scheme}:“, erwartet wird http: oder https:.`,
  escape: (text, found) =>
    `„${text}“ enthält „${found}“; nach „%“ stehen in einer Adresse zwei Hexadezimalziffern.`,
  malformed: (text) => `„${text}“ ist keine gültige Adresse.`,
};

/** @type {typeof import("../en/problems.js").problems.files} */
const files = {
  empty: (name) => `${name} ist leer: Die Datei hat 0 Byte.`,
  text: (name) => `${name} ist eine Textdatei.`,
  html: (name) =>
    `${name} ist eine Webseite, kein Modell: Der Download verlangte vielleicht eine Anmeldung.`,
  pointer: (name) =>
    `${name} ist ein Zeiger von Git LFS, nicht die Datei selbst. Laden Sie die Datei von ihrer ` +
    "Seite, oder rufen Sie „git lfs pull“ auf.",
  pickle: (name) =>
    `${name} ist ein PyTorch-Pickle, das Code ausführen kann. Modelle liest Darkroom nur als ` +
    "safetensors: Suchen Sie eine .safetensors-Datei desselben Modells, oder wandeln Sie es um, " +
    "mit dem Checkpoint Merger von A1111 oder mit from_single_file(…).save_pretrained(…) von " +
    "diffusers.",
  zip: (name) =>
    `${name} ist ein ZIP-Archiv. Entpacken Sie es, und wählen Sie den Ordner oder die Datei darin.`,
  gguf: (name) => `${name} ist eine GGUF-Datei. Darkroom liest nur safetensors.`,
  picture: (name, format) =>
    `${name} ist ein Bild im Format ${format}. Nur PNG, JPEG und WebP enthalten die ` +
    "Einstellungen eines Bildes.",
  lora: (name) => `${name} ist ein LoRA: Es ändert ein anderes Modell und macht allein kein Bild.`,
  embedding: (name) =>
    `${name} ist ein Embedding (Textual Inversion): Es gibt einem Modell ein neues Wort.`,
  vae: (name) => `${name} ist ein VAE: ein Teil eines Modells.`,
  noVae: (name) =>
    `${name} hat keinen VAE. Ziehen Sie zuerst die Datei eines VAE auf die Seite, dann diese ` +
    "noch einmal.",
  unet: (name) => `${name} enthält nur ein U-Net: Text-Encoder und VAE fehlen.`,
  textEncoder: (name) => `${name} ist ein Text-Encoder: ein Teil eines Modells.`,
  controlnet: (name) => `${name} ist ein ControlNet: Es steuert ein anderes Modell.`,
  family: (name, family) => `${name} ist ein Modell einer anderen Familie: ${family}.`,
  tensors: (name) =>
    `${name} ist eine safetensors-Datei, aber ihre Tensoren gehören zu keinem bekannten Modell.`,
  truncated: (name, actual, expected) =>
    `${name} ist abgeschnitten: Die Datei hat ${actual} Byte, ihr Kopf verlangt ${expected}.`,
  unknown: (name) => `${name} ist von einer Art, die Darkroom nicht kennt.`,
  folder: (name, found) =>
    `${name}/ hat keine unet/config.json, ist also kein Modell im Aufbau von diffusers. Darin: ` +
    `${found}.`,
  pictures: (name) =>
    `${name}/ enthält nur Bilder. Ziehen Sie ein einzelnes PNG auf die Seite, um seine ` +
    "Einstellungen zu übernehmen.",
  nothing: "Es war keine Datei dabei.",
  noModel: (where) => `${where} gibt es nicht.`,
  noIndex: (where) => `${where} ist nicht das Verzeichnis eines Modells: Es ist kein JSON-Objekt.`,
};

/** @type {typeof import("../en/problems.js").problems.consent} */
const consent = {
  title: "Dieser Link will ein Modell laden",
  foreign: (model, host) => `Das Modell ${model} käme von ${host}.`,
  unasked: (host) =>
    `Von ${host} wurde noch nichts abgerufen, deshalb ist die Größe unbekannt. Modelle haben bis ` +
    "zu 5 GB. Der Server erfährt Ihre Internetadresse, sonst nichts.",
  large: (model, size) => `Das Modell ${model} hat ${size}.`,
  settings: "Die anderen Einstellungen des Links stehen schon im Formular.",
  load: "Laden",
  stay: (model) => `Bei ${model} bleiben`,
  cancelled: "Das Modell des Links wurde nicht geladen.",
};

/** @type {typeof import("../en/problems.js").problems.session} */
const session = {
  later: "Das Gerät wechselt nach diesem Bild.",
  modelLater: "Das Modell wechselt nach diesem Bild.",
  gpuFailed: "Die GPU ist bei diesem Besuch mehr als einmal ausgefallen.",
  gpuFailedLoading: "Die GPU ist ausgefallen, während das Modell geladen wurde.",
  checking: (model) => `${model} wird geprüft`,
  stays: (model) => `${model} ist weiter geladen.`,
  workerDied: "Der Worker der Engine antwortet nicht: Vielleicht hat ihn der Browser beendet.",
  deviceSilent: "Die Engine antwortet noch, ihr Gerät nicht.",
  workerSilent: "Die Engine rechnet, oder sie wurde ohne Meldung beendet.",
  slowStep: (step, taken, usual) =>
    `Schritt ${step} dauert schon ${taken}; die Schritte davor dauerten je etwa ${usual}.`,
  slowFirst: (taken) => `Der erste Schritt dauert schon ${taken}.`,
  slowOpening: (taken) => `Beim Start der Engine hat sich seit ${taken} nichts bewegt.`,
  tooLarge: (needed, most, size) =>
    `Ein Bild von ${size} braucht ${needed} Speicher; auf der CPU hat eine Seite höchstens ` +
    `${most}.`,
  longer: (taken) => `länger als sonst (${taken})`,
};

/** @type {typeof import("../en/problems.js").problems.size} */
const size = {
  width: (multiple, most, near) =>
    `Die Breite ist ein Vielfaches von ${multiple} Pixeln bis ${most}` +
    (Number.isFinite(near) ? `, etwa ${near}.` : "."),
  height: (multiple, most, near) =>
    `Die Höhe ist ein Vielfaches von ${multiple} Pixeln bis ${most}` +
    (Number.isFinite(near) ? `, etwa ${near}.` : "."),
  small: (trained) =>
    `Das Modell wurde mit ${trained} trainiert. Viel kleinere Bilder verschwimmen.`,
};

/** @type {typeof import("../en/problems.js").problems.storage} */
const storage = {
  insecure: "diese Seite kommt nicht über https, deshalb gibt ihr der Browser keinen Speicher",
  refused: (why) => `der Browser verweigert dieser Seite den Speicher (${why})`,
  none: (why) => `Keine Modelle gespeichert: ${why}.`,
  uncached: (why) => `Das Modell wird nicht gespeichert und beim nächsten Mal neu geladen: ${why}.`,
  full: "der Speicher dieses Browsers ist voll",
  failed: (why) => `der Speicher dieses Browsers versagte (${why})`,
  short: (needed, left) =>
    `es braucht noch ${needed} MB vom Speicher dieses Browsers, der nur ${left} MB frei hat`,
  waiting: "Ein anderer Tab lädt dieses Modell. Dieser wartet und liest dann mit.",
};

/** @type {typeof import("../en/problems.js").problems} */
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
