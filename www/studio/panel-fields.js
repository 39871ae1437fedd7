// @ts-check
/** Fields of the panels of guidance: their HTML, and windows of steps as pairs of sliders. */
import { strings } from "../strings/index.js";
import { limits } from "./advanced-settings.js";
import { windowOf } from "./guidance-plan.js";
import { fieldName } from "./settings.js";

/** @typedef {import("./advanced-settings.js").AdvancedField} AdvancedField */
/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {"negative" | "guidance"} WindowName */

/** Shares that a key press moves a slider by. */
const SHARE = 0.05;

/**
 * A number with a slider.
 * @param {AdvancedField} field
 * @param {string} title
 * @param {string} about
 * @param {{step: number, most?: number}} slider its step; the largest value where not the field's
 */
export function amount(field, title, about, { step, most }) {
  const name = fieldName(field);
  const { min, max } = limits(field);
  return `
  <div class="field amount">
    <label for="${name}">${title}</label>
    <input id="${name}" name="${name}" inputmode="decimal" autocomplete="off" part="field"
      aria-describedby="${name}-note ${name}-about">
    <input type="range" data-slider="${name}" min="${min}" max="${most ?? max}" step="${step}"
      tabindex="-1" aria-hidden="true">
    <p class="note" id="${name}-note" data-note="${name}"></p>
    <p class="report" id="${name}-about">${about}</p>
  </div>`;
}

/**
 * A choice between values.
 * @param {AdvancedField} field
 * @param {string} title
 * @param {Record<string, string>} names of the values
 */
export function choice(field, title, names) {
  const name = fieldName(field);
  const options = Object.entries(names).map(
    ([value, text]) => `<option value="${value}">${text}</option>`,
  );
  return `
  <div class="field">
    <label for="${name}">${title}</label>
    <select id="${name}" name="${name}" part="field"
      aria-describedby="${name}-note ${name}-about">${options.join("")}</select>
    <p class="note" id="${name}-note" data-note="${name}"></p>
    <p class="report" id="${name}-about" data-part="${name}-about"></p>
  </div>`;
}

/**
 * The first and the last step, as two sliders that do not pass each other.
 * @param {WindowName} name
 * @param {string} title
 * @param {string} about HTML
 */
export function windowField(name, title, about) {
  const t = strings().guidance.window;
  const slider = (/** @type {string} */ end, /** @type {string} */ text) => `
    <label for="${name}-${end}-slider">${text}</label>
    <input id="${name}-${end}-slider" type="range" data-slider="${name}-${end}" min="0" max="1"
      step="${SHARE}" aria-describedby="${name}-window-note">
    <input type="hidden" name="${name}-${end}">`;
  return `
  <fieldset class="field window" data-window="${name}">
    <legend>${title}</legend>
    <div class="sliders">${slider("start", t.from)}${slider("end", t.to)}</div>
    <p class="report" data-part="${name}-steps"></p>
    <div id="${name}-window-note">
      <p class="note" data-note="${name}-start"></p>
      <p class="note" data-note="${name}-end"></p>
    </div>
    <p class="report">${about}</p>
  </fieldset>`;
}

/** Keeps the two sliders of each window in order. @param {HTMLElement} body */
export function listenToWindows(body) {
  body.addEventListener("input", ({ target }) => {
    const slider = /** @type {HTMLInputElement} */ (target);
    const window = slider.closest("[data-window]");
    const [start, end] = /** @type {NodeListOf<HTMLInputElement>} */ (
      window?.querySelectorAll("[type=range]") ?? []
    );
    if (!start || Number(start.value) <= Number(end.value)) return;
    slider.value = slider === start ? end.value : start.value;
  });
}

/**
 * Says the steps of a window.
 * @param {HTMLElement} body
 * @param {WindowName} name
 * @param {Settings} settings
 */
export function showWindow(body, name, settings) {
  const t = strings().guidance.window;
  const steps = Number(settings.steps);
  const { first, last } = windowOf(settings, name);
  const [start, end] = [Number(settings[`${name}_start`]), Number(settings[`${name}_end`])];
  const text = Number.isNaN(first + last) ? "" : t.steps(first, last, steps, start, end);
  const output = body.querySelector(`[data-part=${name}-steps]`);
  if (output) output.textContent = text;
  for (const side of /** @type {const} */ (["start", "end"])) {
    const slider = body.querySelector(`[data-slider=${name}-${side}]`);
    const [share, step] = side === "start" ? [start, first] : [end, last];
    slider?.setAttribute("aria-valuetext", t.at(share, step));
  }
}

/** Says what a choice means. @param {HTMLElement} body @param {string} name @param {string} text */
export function showAbout(body, name, text) {
  const about = body.querySelector(`[data-part=${name}-about]`);
  if (about) about.textContent = text;
}
