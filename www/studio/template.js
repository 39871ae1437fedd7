// @ts-check
/** HTML of the studio. Its ids allow one studio a page. Notes and labels find fields by `name`. */
import { SAMPLER_NAMES } from "./settings.js";

const dieIcon = `
  <svg viewBox="0 0 20 20" aria-hidden="true">
    <rect x="2.5" y="2.5" width="15" height="15" rx="3.5"/>
    <g class="pips">
      <circle cx="6.6" cy="6.6" r="1.3"/><circle cx="13.4" cy="6.6" r="1.3"/>
      <circle cx="10" cy="10" r="1.3"/>
      <circle cx="6.6" cy="13.4" r="1.3"/><circle cx="13.4" cy="13.4" r="1.3"/>
    </g>
  </svg>`;

const samplers = Object.entries(SAMPLER_NAMES)
  .map(([value, name]) => `<option value="${value}">${name}</option>`)
  .join("");

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
    <textarea id="${name}" name="${name}" rows="3" spellcheck="false" autocapitalize="off"
      placeholder="${placeholder}" aria-describedby="${name}-tokens ${name}-note"></textarea>
    <p class="note" id="${name}-note" data-note="${name}"></p>
  </div>`;

/**
 * @param {string} name
 * @param {string} title
 * @param {string} range attributes of the slider
 * @param {string} mode input mode of the field
 */
const amount = (name, title, range, mode) => `
  <div class="field amount">
    <label for="${name}">${title}</label>
    <input id="${name}" name="${name}" inputmode="${mode}" autocomplete="off"
      aria-describedby="${name}-note">
    <input type="range" data-slider="${name}" ${range} tabindex="-1" aria-hidden="true">
    <p class="note" id="${name}-note" data-note="${name}"></p>
  </div>`;

/** @param {string} name @param {string} title */
const side = (name, title) => `
  <input name="${name}" inputmode="numeric" autocomplete="off" aria-label="${title} in pixels"
    placeholder="${name}" aria-describedby="${name}-note">`;

/** @param {string} value @param {string} title */
const device = (value, title) =>
  `<label><input type="radio" name="device" value="${value}"><span>${title}</span></label>`;

const prompts = `
  <div class="prompts">
    ${prompt("prompt", "Prompt", "what you want", "Portrait photo of a man")}
    ${prompt("negative-prompt", "Negative prompt", "what you don’t want", "mustache")}
  </div>`;

const actions = `
  <div class="actions">
    <button type="submit" class="primary" data-act="generate"
      title="Ctrl + Enter in a prompt">Generate</button>
    <button type="button" data-act="compare" title="Two pictures from the same seed"
      >Compare: with and without the negative prompt</button>
    <button type="button" data-act="cancel" aria-disabled="true" title="Escape">Cancel</button>
    <p class="status" data-part="status"></p>
    <progress data-part="progress" aria-label="Progress" max="1" value="0"></progress>
    <p class="unseen" aria-live="polite" data-part="spoken"></p>
  </div>`;

const problem = `
  <section class="problem" role="alert" data-part="problem" hidden>
    <h2></h2>
    <p class="what"></p>
    <p class="advice"></p>
    <p class="remedies"></p>
  </section>`;

const seed = `
  <div class="field seed">
    <label for="seed">Seed</label>
    <div class="row">
      <input id="seed" name="seed" inputmode="numeric" autocomplete="off" spellcheck="false"
        aria-describedby="seed-note">
      <button type="button" class="icon" data-act="new-seed" aria-label="New random seed"
        title="New random seed">${dieIcon}</button>
      <label class="switch" title="Otherwise every picture gets a new seed"
        ><input type="checkbox" data-part="lock"><span>Lock seed</span></label>
    </div>
    <p class="note" id="seed-note" data-note="seed"></p>
  </div>`;

const size = `
  <div class="field size">
    <span class="label" id="size-label">Size</span>
    <div class="row" role="group" aria-labelledby="size-label">
      ${side("width", "Width")}
      <span aria-hidden="true">×</span>
      ${side("height", "Height")}
      <span class="unit">pixels</span>
    </div>
    <p class="note" id="width-note" data-note="width"></p>
    <p class="note" id="height-note" data-note="height"></p>
  </div>`;

const devices = `
  <fieldset class="field device">
    <legend>Device</legend>
    <div class="choice">
      ${device("auto", "Auto")}${device("gpu", "GPU")}${device("cpu", "CPU")}
    </div>
    <p class="report" data-part="device"></p>
  </fieldset>`;

const MODEL_TITLE =
  "owner/name or owner/name@revision on Hugging Face, or the address of a folder in diffusers’ " +
  "layout or of a .safetensors file";

const model = `
  <div class="field">
    <div class="head">
      <label for="model">Model</label>
      <span class="links">
        <button type="button" class="plain" data-act="file"
          title="A checkpoint in one .safetensors file; it stays on your disk">File…</button>
        <button type="button" class="plain" data-act="folder"
          title="A folder in diffusers’ layout; it stays on your disk">Folder…</button>
        <button type="button" class="plain" data-act="models"
          title="Models saved in this browser">Downloaded…</button>
      </span>
    </div>
    <input type="file" data-part="file" accept=".safetensors,.png,image/png" hidden>
    <input type="file" data-part="folder" webkitdirectory hidden>
    <input id="model" name="model" autocomplete="off" spellcheck="false" autocapitalize="off"
      inputmode="url" aria-describedby="model-report" placeholder="owner/name or https://…"
      title="${MODEL_TITLE}">
    <p class="report" id="model-report" data-part="model"></p>
    <p class="report" data-part="memory"></p>
  </div>`;

const prediction = `
  <div class="field" data-part="prediction" hidden>
    <label for="prediction">Prediction type</label>
    <select id="prediction" name="prediction" title="With the wrong one, pictures are noise.">
      <option value="auto">Auto</option>
      <option value="epsilon">epsilon (most)</option>
      <option value="v">v (SD 2 at 768)</option>
    </select>
  </div>`;

const settings = `
  <section class="settings" aria-label="Settings">
    ${seed}
    ${amount("steps", "Steps", 'min="1" max="60" step="1"', "numeric")}
    ${amount("guidance-scale", "Guidance scale", 'min="1" max="20" step="0.5"', "decimal")}
    <div class="field">
      <label for="sampler">Sampler</label>
      <select id="sampler" name="sampler">
        <option value="">Model default</option>${samplers}
      </select>
    </div>
    ${size}
    ${devices}
    ${model}
    ${prediction}
  </section>`;

const models = `
  <dialog class="models" data-part="models" aria-labelledby="models-title">
    <div class="title">
      <h2 id="models-title">Downloaded models</h2>
      <button type="button" data-act="close" autofocus>Close</button>
    </div>
    <p class="soft">Models saved in this browser. They load without a network.</p>
    <ul></ul>
    <div class="sum">
      <p class="soft" data-part="storage"></p>
      <button type="button" data-act="delete-all">Delete all</button>
    </div>
    <p class="unseen" aria-live="polite" data-part="models-spoken"></p>
  </dialog>`;

export const TEMPLATE = `
<form class="studio" novalidate>
  ${prompts}
  ${actions}
  ${problem}
  <div class="workspace">
    <section class="stage" aria-label="Picture">
      <div class="pictures" data-part="pictures"></div>
      <ul class="warnings" data-part="warnings"></ul>
    </section>
    ${settings}
  </div>
  <p class="drop" data-part="drop" aria-hidden="true"
    ><span>Drop a model, or a PNG from Darkroom or A1111</span></p>
  <section class="gallery" data-part="gallery" hidden>
    <h2>Gallery <span class="hint">This session: click a picture to restore its settings</span></h2>
    <ol></ol>
  </section>
</form>
${models}`;
