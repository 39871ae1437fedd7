// @ts-check
/** HTML of the seed, and of the die beside a seed. */
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

/** A button for a random seed. @param {string} act @param {string} label */
export const die = (act, label) => `
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
