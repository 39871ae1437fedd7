// @ts-check
/** The group of settings for the noise: variations, the generator, and the noise of the steps. */
import { strings } from "../strings/index.js";
import { effectiveVariation } from "./advanced-settings.js";
import { die } from "./noise-template.js";

/** @typedef {import("./group.js").Panel} Panel */

/**
 * A field with an explanation below it.
 * @param {string} name
 * @param {string} title
 * @param {string} about
 * @param {string} control HTML
 * @param {string} [kind] class
 */
const field = (name, title, about, control, kind = "") => `
  <div class="field ${kind}">
    <label for="${name}">${title}</label>
    ${control}
    <p class="report" id="${name}-about">${about}</p>
    <p class="note" id="${name}-note" data-note="${name}"></p>
  </div>`;

/** @param {string} name @param {string} mode input mode @param {string} [placeholder] */
const input = (name, mode, placeholder = "") => `
  <input id="${name}" name="${name}" inputmode="${mode}" autocomplete="off" spellcheck="false"
    part="field" placeholder="${placeholder}" aria-describedby="${name}-about ${name}-note">`;

function template() {
  const t = strings().noise;
  const variationSeed = `<div class="row">
      ${input("variation-seed", "numeric", t.variationSeedRandom)}
      ${die("new-variation-seed", t.newVariation)}
    </div>`;
  const strength = `${input("variation-strength", "decimal")}
    <input type="range" data-slider="variation-strength" min="0" max="1" step="0.01"
      tabindex="-1" aria-hidden="true">`;
  const rng = `<select id="rng" name="rng" part="field" aria-describedby="rng-about rng-note">
      <option value="torch">${t.torch}</option>
      <option value="philox">${t.philox}</option>
    </select>`;
  return `
  ${field("variation-seed", t.variationSeed, t.variationSeedAbout, variationSeed)}
  ${field("variation-strength", t.strength, t.strengthAbout, strength, "amount")}
  ${field("rng", t.rng, t.rngAbout, rng)}
  ${field("ensd", t.ensd, t.ensdAbout, input("ensd", "text"), "amount")}
  ${field("eta", t.eta, t.etaAbout, input("eta", "decimal", t.etaDefault), "amount")}`;
}

/** @type {Panel} */
export const panel = {
  template,
  summary({ settings }) {
    const t = strings().noise;
    const { rng, ensd, eta, variation_strength } = settings;
    const set = [
      effectiveVariation(settings) && `${t.strength} ${variation_strength}`,
      rng === "philox" && "NV",
      ensd !== "0" && `${t.ensd} ${ensd}`,
      eta && `${t.eta} ${eta}`,
    ];
    return set.filter(Boolean).join(" · ");
  },
};
