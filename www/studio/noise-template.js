// @ts-check
/** HTML of the seed, and of the folded settings of the noise. */
import { strings } from "../strings/index.js";

const dieIcon = `
  <svg viewBox="0 0 20 20" aria-hidden="true">
    <rect x="2.5" y="2.5" width="15" height="15" rx="3.5"/>
    <g class="pips">
      <circle cx="6.6" cy="6.6" r="1.3"/><circle cx="13.4" cy="6.6" r="1.3"/>
      <circle cx="10" cy="10" r="1.3"/>
      <circle cx="6.6" cy="13.4" r="1.3"/><circle cx="13.4" cy="13.4" r="1.3"/>
    </g>
  </svg>`;

/** @param {string} act @param {string} label */
const die = (act, label) => `
  <button type="button" class="icon" part="button" data-act="${act}" aria-label="${label}"
    title="${label}">${dieIcon}</button>`;

export function seed() {
  const t = strings().studio.settings;
  return `
  <div class="field seed">
    <label for="seed">${t.seed}</label>
    <div class="row">
      <input id="seed" name="seed" inputmode="numeric" autocomplete="off" spellcheck="false"
        part="field" aria-describedby="seed-note">
      ${die("new-seed", t.newSeed)}
      <label class="switch" title="${t.lockTitle}"
        ><input type="checkbox" data-part="lock" aria-label="${t.lockSeed}"
        ><span>${t.lock}</span></label>
    </div>
    <p class="note" id="seed-note" data-note="seed"></p>
    <p class="report" data-part="seed-state" aria-live="polite"></p>
  </div>`;
}

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

/** The settings of the noise, folded. */
export function noiseFold() {
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
  <details class="fold group" data-fold="noise">
    <summary part="summary">${t.title}</summary>
    <div class="settings">
      ${field("variation-seed", t.variationSeed, t.variationSeedAbout, variationSeed)}
      ${field("variation-strength", t.strength, t.strengthAbout, strength, "amount")}
      ${field("rng", t.rng, t.rngAbout, rng)}
      ${field("ensd", t.ensd, t.ensdAbout, input("ensd", "text"), "amount")}
      ${field("eta", t.eta, t.etaAbout, input("eta", "decimal", t.etaDefault), "amount")}
    </div>
  </details>`;
}
