// @ts-check
/** Text about problems: what happened, and what the visitor can do. The message says where. */

/** @typedef {import("../base/problem.js").ProblemKind} ProblemKind */
/**
 * Ways out of a problem. again: load again; fresh: delete the cached files and load again; cpu:
 * switch to the CPU; file: choose the file or folder again.
 * @typedef {"again" | "fresh" | "cpu" | "file"} Remedy
 */

/** @typedef {{title: string, advice: string, remedies: Remedy[]}} Text */

/** @type {Record<Exclude<ProblemKind, "cancelled">, Text>} */
const TEXTS = {
  network: {
    title: "The model could not be downloaded",
    advice:
      "Check the connection, and that the server allows other sites to read its files. What has " +
      "been downloaded is saved: trying again continues from there.",
    remedies: ["again"],
  },
  missing: {
    title: "The model folder is not complete",
    advice:
      "A model folder in diffusers’ layout has model_index.json, scheduler/, text_encoder/, " +
      "tokenizer/, unet/ and vae/. Check its address under “Model”.",
    remedies: ["again"],
  },
  changed: {
    title: "The model is being replaced on its server",
    advice: "Try again later. Files that have not changed are not downloaded again.",
    remedies: ["again"],
  },
  damaged: {
    title: "A model file is damaged",
    advice:
      "The file is truncated or corrupt. Download it again; if that fails, the server’s copy is " +
      "damaged.",
    remedies: ["fresh"],
  },
  disk: {
    title: "That file is no longer available",
    advice:
      "A page can’t reopen your files after a reload, or after they were changed. Choose the " +
      "file again, or drop it onto the page.",
    remedies: ["file"],
  },
  model: {
    title: "This model cannot be used",
    advice:
      "If its file was changed or truncated, download it again. Otherwise choose another model " +
      "under “Model”.",
    remedies: ["fresh"],
  },
  device: {
    title: "The device failed",
    advice: "Try again, or switch to the CPU: slower, but it works everywhere.",
    remedies: ["again", "cpu"],
  },
  start: {
    title: "The engine could not be started",
    advice: "Try again. If it fails again, try the CPU or a smaller model.",
    remedies: ["again", "cpu"],
  },
  request: {
    title: "These settings don’t work",
    advice: "Change the value and generate again.",
    remedies: [],
  },
  engine: {
    title: "The picture could not be made",
    advice:
      "Your prompts and the seed are still here. Try again; if it happens again, try the CPU or " +
      "a smaller size.",
    remedies: ["cpu"],
  },
  crash: {
    title: "The engine has stopped",
    advice:
      "Restarting… Your prompts, the seed and the finished pictures are still here. Generate " +
      "again, with a smaller size if memory was short.",
    remedies: ["cpu"],
  },
};

/** @type {Record<Remedy, string>} */
const REMEDIES = {
  again: "Try again",
  fresh: "Download again",
  cpu: "Use the CPU",
  file: "Choose the file…",
};

/**
 * @param {HTMLElement} root
 * @param {{kind: ProblemKind, message: string} | null} problem null: hides the last one
 * @param {boolean} onCpu the CPU is in use: it is no way out
 */
export function showProblem(root, problem, onCpu) {
  root.hidden = !problem || problem.kind === "cancelled";
  if (!problem || problem.kind === "cancelled") return;
  const { title, advice, remedies } = TEXTS[problem.kind];
  const [heading, what, help, buttons] = root.children;
  heading.textContent = title;
  what.textContent = problem.message;
  help.textContent = advice;
  buttons.replaceChildren(
    ...remedies
      .filter((remedy) => remedy !== "cpu" || !onCpu)
      .map((remedy) => {
        const button = document.createElement("button");
        button.type = "button";
        button.dataset.remedy = remedy;
        button.textContent = REMEDIES[remedy];
        return button;
      }),
  );
}
