// @ts-check
/** Problems in words for people: what happened, and what can be done about it. Where it happened is in the message itself. */

/** @typedef {import("../base/problem.js").ProblemKind} ProblemKind */
/** @typedef {"again" | "fresh" | "cpu" | "file"} Remedy load again; deleteModel what is kept of the model and load again; go over to the CPU; choose file or folder again */

/** @type {Record<Exclude<ProblemKind, "cancelled">, {title: string, advice: string, remedies: Remedy[]}>} */
const WORDS = {
  network: {
    title: "The model could not be fetched",
    advice:
      "Check the connection, or whether the server allows other sites to read from it. What has come so far is kept: trying again goes on from there.",
    remedies: ["again"],
  },
  missing: {
    title: "The model folder is not complete",
    advice:
      "The model folder has the layout of diffusers: model_index.json, scheduler/, text_encoder/, tokenizer/, unet/ and vae/. Check its address under “Model”.",
    remedies: ["again"],
  },
  changed: {
    title: "The model is being replaced on its server",
    advice: "Try again in a while: what has stayed the same is not fetched again.",
    remedies: ["again"],
  },
  damaged: {
    title: "A file of the model is damaged",
    advice:
      "It was cut short on its way, or it is broken where it is served from. Load it afresh; if that does not help, the server’s copy needs mending.",
    remedies: ["fresh"],
  },
  disk: {
    title: "The file is not at hand",
    advice:
      "A page may read files of yours only while it is open and they stay as they are. Choose it again, or drop it onto the page.",
    remedies: ["file"],
  },
  model: {
    title: "This model cannot be used",
    advice:
      "If the file has just been changed or was cut short, load it afresh. Otherwise choose another one under “Model”.",
    remedies: ["fresh"],
  },
  device: {
    title: "The device failed",
    advice: "Try again, or go over to the CPU: slower, but it works everywhere.",
    remedies: ["again", "cpu"],
  },
  start: {
    title: "The engine could not be started",
    advice: "Try again; if it fails again, the CPU may do, or a smaller model.",
    remedies: ["again", "cpu"],
  },
  request: {
    title: "These settings do not go",
    advice: "Change the value and generate again.",
    remedies: [],
  },
  engine: {
    title: "The picture could not be made",
    advice:
      "Your prompts and the seed are still here. Try again; if it happens again, a smaller size or the CPU may do.",
    remedies: ["cpu"],
  },
  crash: {
    title: "The engine has stopped",
    advice:
      "It is being started anew. Your prompts, the seed and the finished pictures are still here: generate again, with a smaller size if memory was short.",
    remedies: ["cpu"],
  },
};

/** @type {Record<Remedy, string>} */
const REMEDIES = {
  again: "Try again",
  fresh: "Load it afresh",
  cpu: "Use the CPU",
  file: "Choose it…",
};

/**
 * @param {HTMLElement} root
 * @param {{kind: ProblemKind, message: string} | null} problem null takes the words away
 * @param {boolean} onCpu there is no going over to it
 */
export function showProblem(root, problem, onCpu) {
  root.hidden = !problem || problem.kind === "cancelled";
  if (!problem || problem.kind === "cancelled") return;
  const { title, advice, remedies } = WORDS[problem.kind];
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
