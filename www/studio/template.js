// @ts-check
/**
 * HTML of the studio, in the language of the texts. Its ids are local to the shadow root. Notes and
 * labels find fields by `name`; the script finds elements by `data-part` and `data-act`; a page's
 * style sheet finds them by `part`.
 */
import { strings } from "../strings/index.js";
import { groupTemplates } from "./groups.js";
import { seed } from "./noise-template.js";
import { language, prompts } from "./prompt-template.js";
import { samplerFields } from "./sampler-template.js";
import { formTools, galleryTemplate, queueTemplate, workDialogs } from "./work-template.js";

/**
 * @param {string} name
 * @param {string} title
 * @param {string} range attributes of the slider
 * @param {string} mode input mode of the field
 */
const amount = (name, title, range, mode) => `
  <div class="field amount">
    <label for="${name}">${title}</label>
    <input id="${name}" name="${name}" inputmode="${mode}" autocomplete="off" part="field"
      aria-describedby="${name}-note">
    <input type="range" data-slider="${name}" ${range} tabindex="-1" aria-hidden="true">
    <p class="note" id="${name}-note" data-note="${name}"></p>
  </div>`;

/** @param {string} name @param {string} label @param {string} placeholder */
const side = (name, label, placeholder) => `
  <input name="${name}" inputmode="numeric" autocomplete="off" aria-label="${label}" part="field"
    placeholder="${placeholder}" aria-describedby="${name}-note">`;

/** @param {string} value @param {string} title */
const device = (value, title) =>
  `<label><input type="radio" name="device" value="${value}"><span>${title}</span></label>`;

/** The model in a line: what it draws, and the way to another one. */
function modelLine() {
  const t = strings().stage;
  return `
  <p class="model-line" part="model-line">
    <span data-part="draws"></span>
    <button type="button" class="plain" data-act="models">${t.changeModel}</button>
  </p>`;
}

function actions() {
  const t = strings().studio.actions;
  return `
  <div class="actions" part="actions">
    <button type="submit" class="primary" data-act="generate" part="button generate"
      title="${t.generateTitle}">${t.generate}</button>
    <button type="button" data-act="cancel" part="button cancel" aria-disabled="true"
      title="${t.cancelTitle}">${t.cancel}</button>
    <button type="button" data-act="compare" part="button compare" title="${t.compareTitle}"
      >${t.compare}</button>
    <button type="button" data-act="wall" part="button wall" title="${strings().stage.wallTitle}"
      >${strings().stage.wall}</button>
    <progress data-part="progress" part="progress" aria-label="${t.progress}" max="1" value="0"
      ></progress>
    <p class="status" part="status" data-part="status"></p>
    <p class="unseen" aria-live="polite" data-part="spoken"></p>
  </div>`;
}

const problem = () => `
  <section class="problem" part="problem" role="alert" data-part="problem" hidden>
    <h2></h2>
    <p class="what"></p>
    <p class="advice"></p>
    <p class="remedies"></p>
  </section>`;

function size() {
  const t = strings().studio.settings;
  return `
  <div class="field size">
    <span class="label" id="size-label">${t.size}</span>
    <div class="row" role="group" aria-labelledby="size-label">
      ${side("width", t.widthLabel, t.width)}
      <span aria-hidden="true">×</span>
      ${side("height", t.heightLabel, t.height)}
      <span class="unit">${t.pixels}</span>
    </div>
    <p class="note" id="width-note" data-note="width"></p>
    <p class="note" id="height-note" data-note="height"></p>
  </div>`;
}

function devices() {
  const t = strings().studio.settings;
  return `
  <fieldset class="field device">
    <legend>${t.device}</legend>
    <div class="choice">
      ${device("auto", t.auto)}${device("gpu", t.gpu)}${device("cpu", t.cpu)}
    </div>
    <p class="report" data-part="device"></p>
  </fieldset>`;
}

function model() {
  const t = strings().studio.settings;
  const { shelf } = strings().models;
  return `
  <div class="field">
    <div class="head">
      <label for="model">${t.model}</label>
      <span class="links">
        <button type="button" class="plain" data-act="models" title="${shelf.openTitle}"
          >${shelf.open}</button>
        <button type="button" class="plain" data-act="file" title="${t.fileTitle}"
          >${t.file}</button>
        <button type="button" class="plain" data-act="folder" title="${t.folderTitle}"
          >${t.folder}</button>
      </span>
    </div>
    <input type="file" data-part="file" multiple hidden
      accept=".safetensors,.pt,.bin,.ckpt,image/png,image/jpeg,image/webp">
    <input type="file" data-part="folder" webkitdirectory hidden>
    <input id="model" name="model" autocomplete="off" spellcheck="false" autocapitalize="off"
      inputmode="url" part="field" aria-describedby="model-report" title="${t.modelTitle}"
      placeholder="${t.modelExample}">
    <p class="report" id="model-report" data-part="model"></p>
    <p class="report" data-part="memory"></p>
  </div>`;
}

function prediction() {
  const t = strings().studio.settings;
  return `
  <div class="field" data-part="prediction" hidden>
    <label for="prediction">${t.prediction}</label>
    <select id="prediction" name="prediction" part="field" title="${t.predictionTitle}">
      <option value="auto">${t.predictionAuto}</option>
      <option value="epsilon">${t.epsilon}</option>
      <option value="v">${t.v}</option>
    </select>
  </div>`;
}

function settings() {
  const t = strings().studio.settings;
  return `
  <details class="fold" data-part="fold">
    <summary part="summary">${t.title}
      <span class="group-set" data-part="settings-set"></span></summary>
    <div class="settings" part="settings">
      ${amount("steps", t.steps, 'min="1" max="60" step="1"', "numeric")}
      ${amount("guidance-scale", t.guidance, 'min="0" max="20" step="0.5"', "decimal")}
      ${samplerFields()}
      ${size()}
      ${devices()}
      ${model()}
      <section class="additions" part="additions" data-part="additions" hidden></section>
      ${prediction()}
      ${language()}
      ${groupTemplates()}
    </div>
  </details>`;
}

/** The slot "start" is shown until the first picture is made. */
const stage = () => `
  <section class="stage" part="stage" data-part="stage" data-view="start"
    aria-label="${strings().studio.picture.stage}">
    <div class="start">
      <slot name="start"><p class="nothing">${strings().studio.picture.empty}</p></slot>
    </div>
    <div class="pictures" data-part="pictures"></div>
    <section class="wall" part="wall" data-part="wall">
      <ol></ol>
    </section>
    <div class="foot">
      <p class="verdict" part="verdict" role="status" data-part="verdict"></p>
      <button type="button" part="button" data-part="try-seed" hidden></button>
      <button type="button" part="button" data-part="wall-back" hidden
        >${strings().stage.back}</button>
      <ul class="warnings" part="warnings" data-part="warnings"></ul>
    </div>
  </section>`;

/** The contents of the shadow root. The host hides the slot "fallback" while all is well. */
export const template = () => `
<slot name="title"></slot>
<slot name="fallback" hidden></slot>
<form class="studio" part="form" novalidate>
  ${stage()}
  <div class="desk" part="desk">
    ${prompts()}
    ${actions()}
    ${formTools()}
    ${queueTemplate()}
    ${problem()}
    ${modelLine()}
    ${seed()}
    ${settings()}
  </div>
  <div class="roll">
    ${galleryTemplate()}
    <p class="no-pictures">${strings().stage.noPictures}</p>
  </div>
  <p class="drop" data-part="drop" aria-hidden="true"
    ><span>${strings().studio.picture.drop}</span></p>
</form>
${workDialogs()}
<slot name="footer"></slot>`;

/** A picture and its caption. */
export function figureTemplate() {
  const t = strings().studio.picture;
  return `<canvas width="128" height="128" role="img" part="picture"></canvas>
  <figcaption part="caption">
    <span class="label"></span>
    <button type="button" class="quiet" part="button save" data-act="save" hidden
      >${t.save}</button>
  </figcaption>`;
}
