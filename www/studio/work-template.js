// @ts-check
/** HTML of the gallery, the queue, the form's tools, and their dialogs. */
import { strings } from "../strings/index.js";

/** @param {string} act @param {string} sign @param {string} label @param {string} title */
const iconButton = (act, sign, label, title) => `
  <button type="button" class="icon" part="button" data-act="${act}" aria-label="${label}"
    title="${title}">${sign}</button>`;

/** @param {string} act @param {string} text @param {string} [more] attributes */
const button = (act, text, more = "") => `
  <button type="button" part="button" data-act="${act}" ${more}>${text}</button>`;

/** Undo, prompt history, number of pictures. The element shows `notify` on its own page only. */
export function formTools() {
  const t = strings().gallery.tools;
  const { sets } = strings().library;
  return `
  <div class="form-tools" part="tools" data-part="form-tools" role="group" aria-label="${t.title}">
    ${iconButton("undo", "↶", t.undo, t.undoTitle)}
    ${iconButton("redo", "↷", t.redo, t.redoTitle)}
    ${button("history", t.history, `title="${t.historyTitle}"`)}
    ${button("library", sets.open, `title="${sets.openTitle}"`)}
    <label title="${t.countTitle}"><span>${t.count}</span>
      <input type="number" data-part="count" min="1" max="100" step="1" value="1"></label>
    <select data-part="seeds" aria-label="${t.seeds}" disabled>
      <option value="next">${t.seedsNext}</option>
      <option value="random">${t.seedsRandom}</option>
    </select>
    ${button(
      "forever",
      strings().noise.forever,
      `aria-pressed="false"
      title="${strings().noise.foreverTitle}"`,
    )}
    <span class="gap"></span>
    ${button("notify", t.notify, `aria-pressed="false" title="${t.notifyTitle}" hidden`)}
    ${iconButton("shortcuts", "?", t.shortcuts, t.shortcutsTitle)}
    <p class="note" data-part="tools-note" role="status"></p>
    <p class="note" data-part="forever" role="status"></p>
  </div>`;
}

export function queueTemplate() {
  const t = strings().gallery.queue;
  return `
  <section class="queue" part="queue" data-part="queue" aria-labelledby="queue-title" hidden>
    <div class="head">
      <h2 id="queue-title">${t.title}</h2>
      <p class="soft" data-part="queue-about" role="status"></p>
      ${button("queue-continue", t.continue, "hidden")}
      ${button("queue-pause", t.pause, "hidden")}
      ${button("queue-clear", t.clear)}
    </div>
    <ol></ol>
  </section>`;
}

export function galleryTemplate() {
  const t = strings().gallery;
  return `
  <section class="gallery" part="gallery" data-part="gallery" aria-labelledby="gallery-title"
    hidden>
    <h2 id="gallery-title">${t.title} <span class="hint" data-part="gallery-hint"></span></h2>
    <p class="note" data-part="gallery-note" role="status"></p>
    <p class="toast"><span data-part="gallery-toast" role="status"></span>
      ${button("gallery-undo", t.undo, "hidden")}</p>
    <ol aria-label="${t.title}"></ol>
    <div class="acts">
      <div class="row" role="group" aria-label="${t.selected}">
        ${button("gallery-star", `★ ${t.star}`, 'aria-pressed="false"')}
        ${button("gallery-download", t.download)}
        ${button("gallery-copy", t.copy)}
        ${button("gallery-vary", strings().noise.vary, `title="${strings().noise.varyTitle}"`)}
        ${button("gallery-delete", t.delete)}
      </div>
      <div class="row" role="group" aria-label="${t.every}">
        ${button("gallery-filter", t.filter, 'aria-pressed="false"')}
        ${button("gallery-zip", "")}
        ${button("gallery-zip-starred", "")}
        ${button("gallery-clear", t.clear)}
      </div>
    </div>
  </section>`;
}

export function workDialogs() {
  const { history: h, shortcuts: s } = strings().gallery;
  return `
  <dialog class="models history" part="dialog" data-part="history" aria-labelledby="history-title">
    <div class="title">
      <h2 id="history-title">${h.title}</h2>
      ${button("close", h.close)}
    </div>
    <input type="search" aria-label="${h.filter}" placeholder="${h.filter}" part="field">
    <p class="soft" data-part="history-note" role="status"></p>
    <ul></ul>
    <div class="sum">${button("history-clear", h.clear)}</div>
  </dialog>
  <dialog class="models library" part="dialog" data-part="library"
    aria-labelledby="library-title"></dialog>
  <dialog class="models shortcuts" part="dialog" data-part="shortcuts"
    aria-labelledby="shortcuts-title">
    <div class="title">
      <h2 id="shortcuts-title">${s.title}</h2>
      ${button("close", s.close, "autofocus")}
    </div>
    <div data-part="shortcut-list"></div>
  </dialog>`;
}
