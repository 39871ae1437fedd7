// @ts-check
/** Problem panel: what happened, where, and what the visitor can do about it. */
import { strings } from "../strings/index.js";

/** @typedef {import("../base/problem.js").Problem} Problem */
/** @typedef {import("../base/problem.js").ProblemKind} ProblemKind */
/**
 * Ways out of a problem. again: load again; fresh: delete the cached files and load again; cpu:
 * switch to the CPU; file: choose the file or folder again; edit: correct the address; wait: hide
 * the problem; restart: replace the engine; reload: reload the page; back: open the model that was
 * loaded before; page: the model's page; shelf: the list of models; load and stay: answers to the
 * question about a link's model.
 * @typedef {"again" | "fresh" | "cpu" | "file" | "edit" | "wait" | "restart" | Way} Remedy
 */
/** @typedef {"reload" | "back" | "page" | "shelf" | "load" | "stay"} Way */

/** @type {Record<Exclude<ProblemKind, "cancelled">, Exclude<Remedy, "load" | "stay">[]>} */
const REMEDIES = {
  network: ["again", "back"],
  refused: ["page", "file", "shelf", "again", "back"],
  missing: ["again", "shelf", "back"],
  changed: ["again", "back"],
  damaged: ["fresh", "back"],
  disk: ["file", "back"],
  address: ["edit", "back"],
  file: ["back"],
  picture: [],
  addition: [],
  model: ["fresh", "back"],
  page: ["reload"],
  slow: ["wait", "restart", "cpu"],
  device: ["again", "cpu", "back"],
  start: ["again", "cpu", "back"],
  request: [],
  engine: ["cpu"],
  crash: ["cpu"],
};

/**
 * Facts that decide on the buttons of the panel.
 * @typedef {object} Situation
 * @property {boolean} onCpu the CPU is in use: it is no way out
 * @property {string | null} back name of the model that can be opened again; null: none
 * @property {string | null} stays name of the model that is still loaded; null: none
 * @property {string} page address of the model's page; empty: there is none
 * @property {boolean} typed the problem is about a text that was typed into the model field
 */

/** @type {Situation} */
const NONE = { onCpu: false, back: null, stays: null, page: "", typed: false };

/**
 * @param {HTMLElement} root
 * @param {Problem | null} problem null: hides the last one
 * @param {Partial<Situation>} [situation]
 */
export function showProblem(root, problem, situation) {
  root.hidden = !problem || problem.kind === "cancelled";
  delete root.dataset.kind;
  if (!problem || problem.kind === "cancelled") return;
  root.dataset.kind = problem.kind;
  const all = { ...NONE, ...situation };
  const { kinds, session } = strings().problems;
  const { title, advice } = kinds[problem.kind];
  const [heading, what, help, buttons] = root.children;
  heading.textContent = title;
  const stays = all.stays === null ? [] : [session.stays(all.stays)];
  what.textContent = [problem.message, ...stays].join(" ");
  help.textContent = advice;
  buttons.replaceChildren(...remediesOf(problem.kind, all).map((remedy) => button(remedy, all)));
}

/**
 * @param {Exclude<ProblemKind, "cancelled">} kind
 * @param {Situation} situation
 */
function remediesOf(kind, { onCpu, back, page, typed }) {
  const impossible = { cpu: onCpu, back: back === null, page: page === "" };
  const usable = REMEDIES[kind].filter(
    (remedy) => !(Object.hasOwn(impossible, remedy) && Reflect.get(impossible, remedy)),
  );
  // A typed address can be corrected, whatever is wrong with the model there.
  return typed && !usable.includes("edit") ? [...usable, /** @type {const} */ ("edit")] : usable;
}

/** @param {Exclude<Remedy, "load" | "stay">} remedy @param {Situation} situation */
function button(remedy, { back, page }) {
  const { remedies } = strings().problems;
  if (remedy === "page") {
    const link = document.createElement("a");
    Object.assign(link, { href: page, target: "_blank", rel: "noopener" });
    link.textContent = remedies.page;
    return link;
  }
  return buttonWith(remedy, remedy === "back" ? remedies.back(back ?? "") : remedies[remedy]);
}

/** @param {Remedy} remedy @param {string} text */
function buttonWith(remedy, text) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.remedy = remedy;
  button.textContent = text;
  return button;
}

/**
 * Asks whether the model of a link may be loaded.
 * @param {HTMLElement} root
 * @param {import("./consent.js").Question} question
 * @param {string} model name of the link's model
 * @param {string} present name of the page's model
 */
export function showQuestion(root, { host, bytes }, model, present) {
  const { consent } = strings().problems;
  root.hidden = false;
  root.dataset.kind = "question";
  const [heading, what, help, buttons] = root.children;
  heading.textContent = consent.title;
  what.textContent =
    host === null
      ? consent.large(model, strings().studio.models.bytes(bytes ?? 0))
      : consent.foreign(model, host);
  help.textContent = [...(host === null ? [] : [consent.unasked(host)]), consent.settings].join(
    " ",
  );
  buttons.replaceChildren(
    buttonWith("load", consent.load),
    buttonWith("stay", consent.stay(present)),
  );
}
