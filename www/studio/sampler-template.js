// @ts-check
/** HTML of the fields for the sampler, and of the settings that only experts change. */
import { strings } from "../strings/index.js";
import { SAMPLER_ROWS, SCHEDULE_ROWS } from "./sampler-names.js";

/** @typedef {[value: string, text: string]} Choice */

/**
 * @param {string} name
 * @param {string} label
 * @param {Choice[]} choices
 */
const select = (name, label, choices) => `
  <div class="field">
    <label for="${name}">${label}</label>
    <select id="${name}" name="${name}" part="field" aria-describedby="${name}-note">
      ${choices.map(([value, text]) => `<option value="${value}">${text}</option>`).join("")}
    </select>
    <p class="note" id="${name}-note" data-note="${name}"></p>
  </div>`;

/**
 * A sampler's name for the list; those with two calls a step say so.
 * @param {{label: string, calls: number}} row
 */
export const samplerText = ({ label, calls }) =>
  calls > 1 ? strings().models.sampling.calls(label, calls) : label;

/** The sampler, and the schedule type beside it. */
export function samplerFields() {
  const { sampler, samplerDefault } = strings().studio.settings;
  const { schedule, modelDefault } = strings().models.sampling;
  /** @type {Choice[]} */
  const samplers = SAMPLER_ROWS.map((row) => [row.id, samplerText(row)]);
  /** @type {Choice[]} */
  const schedules = SCHEDULE_ROWS.map(({ id, label }) => [id, label]);
  return `
  <div class="sampling">
    ${select("sampler", sampler, [["", samplerDefault], ...samplers])}
    ${select("schedule", schedule, [["", modelDefault], ...schedules])}
  </div>`;
}

/** Settings that only experts change. */
export function expertFields() {
  const t = strings().models.sampling;
  /** @type {Choice} */
  const own = ["", t.modelDefault];
  return `
  <details class="fold group" data-part="expert-fold">
    <summary part="summary">${t.expert}</summary>
    <div class="settings">
      <div class="field amount">
        <label for="clip-skip">${t.clipSkip}</label>
        <input id="clip-skip" name="clip-skip" inputmode="numeric" autocomplete="off" part="field"
          title="${t.clipSkipTitle}" aria-describedby="clip-skip-note">
        <p class="note" id="clip-skip-note" data-note="clip-skip"></p>
      </div>
      ${select("timestep-spacing", t.spacing, [
        own,
        ["leading", "leading"],
        ["linspace", "linspace"],
        ["trailing", "trailing"],
      ])}
      ${select("zero-snr", t.zeroSnr, [own, ["true", t.yes], ["false", t.no]])}
      ${select("final-sigma", t.finalSigma, [own, ["zero", t.zero], ["sigma_min", t.lowest]])}
    </div>
  </details>`;
}
