// @ts-check
/** HTML of the fields for the sampler. */
import { strings } from "../strings/index.js";
import { SAMPLER_ROWS, SCHEDULE_ROWS } from "./sampler-names.js";
import { samplerOf } from "./settings.js";

/** @typedef {[value: string, text: string]} Choice */

/**
 * A field with a list.
 * @param {string} name
 * @param {string} label
 * @param {Choice[]} choices
 */
export const select = (name, label, choices) => `
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

/**
 * Fills the lists with a model's samplers and schedule types. Its own are marked as default.
 * @param {HTMLSelectElement} samplers
 * @param {HTMLSelectElement} schedules
 * @param {import("../engine/protocol.js").ModelInfo} model
 */
export function listSamplers(samplers, schedules, model) {
  const { isDefault } = strings().studio.settings;
  const own = samplerOf({ sampler: "" }, model);
  const option = (
    /** @type {string} */ id,
    /** @type {string} */ text,
    /** @type {string | undefined} */ byDefault,
  ) => new Option(id === byDefault ? isDefault(text) : text, id);
  samplers.replaceChildren(
    ...model.sampler_list.map(({ id, label, calls_per_step: calls }) =>
      option(id, samplerText({ label, calls }), own.sampler),
    ),
  );
  schedules.replaceChildren(
    new Option(strings().models.sampling.modelDefault, ""),
    ...model.schedules
      .filter(({ id }) => id !== "model")
      .map(({ id, label }) => option(id, label, own.schedule)),
  );
}
