// @ts-check
/**
 * The studio's style sheet. A constructed sheet needs no `<style>` and no `<link>` in a page with a
 * strict Content Security Policy, and all studios of a document share it. In development the CSS
 * files beside this module are fetched; in the packed studio they are part of the module.
 */

/** In the order of the cascade. */
export const STYLE_FILES = [
  "theme.css",
  "controls.css",
  "picture.css",
  "gallery.css",
  "settings.css",
  "guidance.css",
  "models.css",
  "prompts.css",
  "studio.css",
];

/** @type {Promise<CSSStyleSheet> | null} */
let sheet = null;

/**
 * The sheet of all studios of this document.
 * @returns {Promise<CSSStyleSheet>}
 */
export function studioStyles() {
  sheet ??= load().catch((error) => {
    sheet = null;
    throw error;
  });
  return sheet;
}

async function load() {
  const texts = await Promise.all(STYLE_FILES.map(text));
  return new CSSStyleSheet().replace(texts.join("\n"));
}

/** @param {string} file */
async function text(file) {
  const answer = await fetch(new URL(file, import.meta.url));
  if (!answer.ok) throw new Error(`${answer.url}: ${answer.status} ${answer.statusText}`);
  return answer.text();
}
