// @ts-check
/** Group "Guidance": its steps, its schedule, its early end, and its kind with the options. */
import { strings } from "../strings/index.js";
import { optionsOf } from "./advanced-settings.js";
import { chartTemplate, drawChart } from "./guidance-chart.js";
import { kindOf, kindsOf, textOf } from "./guidance-kinds.js";
import {
  amount,
  choice,
  listenToWindows,
  showAbout,
  showWindow,
  windowField,
} from "./panel-fields.js";

/** @typedef {import("./form.js").Review} Review */
/** @typedef {import("./guidance-kinds.js").Kind} Kind */

/** @type {import("./group.js").Panel} */
export const guidancePanel = {
  template() {
    const t = strings().guidance.guide;
    return `
    ${chartTemplate()}
    ${windowField("guidance", t.window, t.aboutWindow)}
    ${choice("guidance_schedule", t.schedule, t.schedules)}
    ${kindField()}
    ${amount("guidance_min_sigma", t.minSigma, t.aboutMinSigma, { step: 0.1, most: 10 })}
    ${stopField()}`;
  },

  attach(body) {
    listenToWindows(body);
    body.addEventListener("input", (event) => take(body, event));
  },

  render(body, review) {
    const { settings } = review;
    const { aboutSchedule } = strings().guidance.guide;
    showWindow(body, "guidance", settings);
    const schedule = /** @type {keyof typeof aboutSchedule} */ (settings.guidance_schedule);
    showAbout(body, "guidance-schedule", aboutSchedule[schedule] ?? "");
    showKind(body, review);
    drawChart(body, settings);
  },

  summary({ settings, model }) {
    const t = strings().guidance;
    const texts = [];
    if (settings.guidance_kind !== "plain") texts.push(kindOf(settings, model).label);
    if (settings.guidance_options) texts.push(settings.guidance_options.replaceAll("_", "\u00a0"));
    const schedule = /** @type {keyof typeof t.guide.schedules} */ (settings.guidance_schedule);
    if (schedule !== "constant")
      texts.push(t.guide.scheduled(t.guide.schedules[schedule] ?? schedule));
    if (settings.guidance_start !== "0" || settings.guidance_end !== "1")
      texts.push(t.steps(Number(settings.guidance_start), Number(settings.guidance_end)));
    if (settings.guidance_min_sigma !== "0") texts.push(t.guide.sigma(settings.guidance_min_sigma));
    if (settings.guidance_stop !== "") texts.push(t.guide.stopsAt(settings.guidance_stop));
    return texts.join(", ");
  },
};

/** The kind and its options. The box shows the hidden field's value, also an unknown one. */
function kindField() {
  const t = strings().guidance.guide;
  return `
  <div class="field" data-part="guidance-kinds">
    <label for="guidance-kind-box">${t.kind}</label>
    <select id="guidance-kind-box" data-part="guidance-kind" part="field"
      aria-describedby="guidance-kind-about"></select>
    <input type="hidden" name="guidance-kind">
    <p class="note" data-note="guidance-kind"></p>
    <p class="report" id="guidance-kind-about" data-part="guidance-kind-about"></p>
    <div class="options" data-part="guidance-options"></div>
    <input type="hidden" name="guidance-options">
    <p class="note" id="guidance-options-note" data-note="guidance-options"></p>
  </div>`;
}

function stopField() {
  const t = strings().guidance.guide;
  return `
  <div class="field amount">
    <label for="guidance-stop">${t.stop}</label>
    <input id="guidance-stop" name="guidance-stop" inputmode="decimal" autocomplete="off"
      part="field" placeholder="${t.never}"
      aria-describedby="guidance-stop-note guidance-stop-about">
    <p class="note" id="guidance-stop-note" data-note="guidance-stop"></p>
    <p class="report" id="guidance-stop-about">${t.aboutStop}</p>
  </div>`;
}

/** A number with a decimal comma as the engine reads it. @param {string} text */
const plain = (text) => text.trim().replace(",", ".");

/** Takes over a choice of the kind, or an option. @param {HTMLElement} body @param {Event} event */
function take(body, event) {
  const { dataset, value } = /** @type {HTMLInputElement} */ (event.target);
  const isKind = dataset.part === "guidance-kind";
  if (!isKind && dataset.option === undefined) return;
  event.stopPropagation();
  const field = (/** @type {string} */ name) =>
    /** @type {HTMLInputElement} */ (body.querySelector(`[name=guidance-${name}]`));
  if (isKind) {
    field("kind").value = value;
    // Another kind has other options.
    field("options").value = "";
  } else {
    /** @type {NodeListOf<HTMLInputElement>} */
    const inputs = body.querySelectorAll("[data-option]");
    const pairs = [...inputs].map((input) => [input.dataset.option ?? "", plain(input.value)]);
    field("options").value = textOf(pairs);
  }
  field(isKind ? "kind" : "options").dispatchEvent(new Event("input", { bubbles: true }));
}

/** @param {HTMLElement} body @param {Review} review */
function showKind(body, { settings, model, problems }) {
  const kind = kindOf(settings, model);
  const box = /** @type {HTMLSelectElement} */ (body.querySelector("[data-part=guidance-kind]"));
  const kinds = kindsOf(model);
  if (!kinds.includes(kind)) kinds.push(kind);
  const wanted = kinds.map(({ id, label }) => new Option(label, id));
  const before = [...box.options].map(({ value }) => value).join();
  if (before !== kinds.map(({ id }) => id).join()) box.replaceChildren(...wanted);
  box.value = kind.id;
  const t = strings().guidance.guide;
  const about = [Object.hasOwn(t.kinds, kind.id) ? t.kinds[kind.id] : ""];
  if (kind.branches > 2) about.push(t.branches(kind.branches));
  showAbout(body, "guidance-kind", about.join(" "));
  showOptions(body, kind, settings, problems.has("guidance_options"));
}

/**
 * @param {HTMLElement} body
 * @param {Kind} kind
 * @param {import("./settings.js").Settings} settings
 * @param {boolean} invalid
 */
function showOptions(body, kind, settings, invalid) {
  const place = /** @type {HTMLElement} */ (body.querySelector("[data-part=guidance-options]"));
  if (place.dataset.kind !== kind.id || place.children.length !== kind.options.length) {
    place.dataset.kind = kind.id;
    place.replaceChildren(...kind.options.map(optionField));
  }
  const values = optionsOf(settings.guidance_options);
  for (const input of place.querySelectorAll("input")) {
    const { option = "" } = input.dataset;
    const value = Object.hasOwn(values, option) ? values[option] : null;
    const shown = input.value.trim() === "" ? null : Number(plain(input.value));
    // A number that is being typed stays as it is: "0." is 0.
    if (shown !== value && !(Number.isNaN(shown) && Number.isNaN(value)))
      input.value = value === null ? "" : String(value);
    input.ariaInvalid = invalid ? "true" : null;
  }
}

/** @param {Kind["options"][number]} option */
function optionField({ id, default: neutral, lowest, highest }) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  const range = document.createElement("span");
  range.className = "hint";
  range.textContent = strings().guidance.guide.option(lowest, highest);
  Object.assign(input, { inputMode: "decimal", autocomplete: "off", placeholder: String(neutral) });
  input.dataset.option = id;
  input.setAttribute("part", "field");
  input.setAttribute("aria-describedby", "guidance-options-note");
  label.append(id.replaceAll("_", " "), " ", range, input);
  return label;
}
