// @ts-check
/** HTML of the prompts, and of the settings of their language. */
import { strings } from "../strings/index.js";

/** Buttons that change the weight of a selection made by a finger. */
function weigh() {
  const t = strings().library.language;
  const button = (
    /** @type {string} */ act,
    /** @type {string} */ sign,
    /** @type {string} */ title,
  ) => `
      <button type="button" part="button" data-act="${act}" aria-label="${title}"
        title="${title}">${sign}</button>`;
  return `
    <div class="weigh" data-part="weigh" hidden>
      ${button("weaker", "−", t.weaker)}${button("stronger", "+", t.stronger)}
    </div>`;
}

/**
 * @param {string} name
 * @param {string} title
 * @param {string} hint
 * @param {string} placeholder
 */
const prompt = (name, title, hint, placeholder) => `
  <div class="prompt ${name}">
    <div class="prompt-head">
      <label for="${name}">${title} <span class="hint">${hint}</span></label>
      <span class="tokens" id="${name}-tokens" data-for="${name}"></span>
    </div>
    <div class="paper">
      <textarea id="${name}" name="${name}" rows="2" spellcheck="false" autocapitalize="off"
        part="field" placeholder="${placeholder}" aria-describedby="${name}-tokens ${name}-note"
        ></textarea>
      <div class="marks" data-marks="${name}" aria-hidden="true" hidden></div>
      ${weigh()}
    </div>
    <p class="note" id="${name}-note" data-note="${name}"></p>
  </div>`;

/** Both prompts, and the offer to read brackets. */
export function prompts() {
  const t = strings().studio.prompts;
  const { language: l } = strings().library;
  return `
  <div class="prompts" part="prompts">
    ${prompt("prompt", t.prompt, t.promptHint, t.promptExample)}
    ${prompt("negative-prompt", t.negative, t.negativeHint, t.negativeExample)}
    <slot name="words"></slot>
    <div class="offer" role="status" data-part="brackets-offer" hidden>
      <p></p>
      <button type="button" part="button" data-act="brackets-yes">${l.yes}</button>
      <button type="button" part="button" data-act="brackets-no">${l.no}</button>
    </div>
  </div>`;
}

/** The settings of the prompt language. */
export function language() {
  const t = strings().library.language;
  return `
  <div class="field brackets">
    <label class="switch"><input type="checkbox" data-switch="prompt-syntax" value="a1111"
      aria-describedby="brackets-about"><span>${t.title}</span></label>
    <input type="hidden" name="prompt-syntax" value="plain">
    <p class="report" id="brackets-about">${t.about}</p>
    <div class="emphasis">
      <label for="emphasis">${t.emphasis}</label>
      <select id="emphasis" name="emphasis" part="field" title="${t.emphasisTitle}">
        <option value="original">${t.original}</option>
        <option value="no-norm">${t.noNorm}</option>
        <option value="ignore">${t.ignore}</option>
      </select>
    </div>
  </div>`;
}
