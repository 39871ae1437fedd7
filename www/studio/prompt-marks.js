// @ts-check
/**
 * Marks over a text field: a sheet with the same text in the same place, of which only underlines
 * and tints are seen. The field itself stays as it is, so that caret, selection, spelling and undo
 * are the browser's.
 */
import { marksOf, movedMarks, segments } from "./prompt-segments.js";

/** @typedef {import("./prompt-segments.js").Mark} Mark */

/** Properties that decide where a letter stands. A page may set them on the field. */
const METRICS = [
  "direction",
  "fontFamily",
  "fontFeatureSettings",
  "fontKerning",
  "fontSize",
  "fontStretch",
  "fontStyle",
  "fontVariant",
  "fontVariationSettings",
  "fontWeight",
  "hyphens",
  "letterSpacing",
  "lineHeight",
  "overflowWrap",
  "paddingBottom",
  "paddingLeft",
  "paddingRight",
  "paddingTop",
  "tabSize",
  "textAlign",
  "textIndent",
  "textRendering",
  "textTransform",
  "unicodeBidi",
  "whiteSpace",
  "wordBreak",
  "wordSpacing",
  "writingMode",
];

export class PromptMarks {
  #field;
  #layer;
  #sheet;
  /** @type {Mark[]} */ #marks = [];
  /** The text that the marks are for. */ #text = "";

  /**
   * @param {HTMLTextAreaElement} field
   * @param {HTMLElement} layer an empty element over the field
   */
  constructor(field, layer) {
    this.#field = field;
    this.#layer = layer;
    this.#sheet = document.createElement("div");
    layer.replaceChildren(this.#sheet);
    field.addEventListener("scroll", () => this.#scroll());
    field.addEventListener("input", () => this.follow());
    new ResizeObserver(() => this.#place()).observe(field);
  }

  /**
   * Shows what the engine reads in a text.
   * @param {string} text
   * @param {import("../engine/protocol.js").PromptLayout} layout
   */
  show(text, layout) {
    this.#text = text;
    this.#marks = marksOf(text, layout);
    this.follow(true);
  }

  /** Moves the marks with the field's text. @param {boolean} [always] draws them in any case */
  follow(always = false) {
    const { value } = this.#field;
    if (value === this.#text && !always) return;
    this.#marks = movedMarks(this.#marks, this.#text, value);
    this.#text = value;
    this.#draw();
  }

  #draw() {
    this.#layer.hidden = this.#marks.length === 0;
    if (this.#layer.hidden) return this.#sheet.replaceChildren();
    const parts = segments(this.#text, this.#marks).map(({ from, to, marks }) => {
      const text = this.#text.slice(from, to);
      if (marks.length === 0) return text;
      const part = document.createElement("span");
      part.className = marks.join(" ");
      part.textContent = text;
      return part;
    });
    // A line break at the end of a field begins a line; at the end of a block it does not.
    this.#sheet.replaceChildren(...parts, "\u200b");
    this.#place();
  }

  /** Puts the sheet over the field's text. */
  #place() {
    if (this.#layer.hidden) return;
    const field = this.#field;
    const style = /** @type {any} */ (getComputedStyle(field));
    for (const name of METRICS) /** @type {any} */ (this.#sheet.style)[name] = style[name];
    // Without the borders and the scroll bar, which is at the left where text runs to the left.
    const { style: at } = this.#layer;
    at.left = `${field.offsetLeft + field.clientLeft}px`;
    at.top = `${field.offsetTop + field.clientTop}px`;
    at.width = `${field.clientWidth}px`;
    at.height = `${field.clientHeight}px`;
    this.#scroll();
  }

  #scroll() {
    this.#layer.scrollLeft = this.#field.scrollLeft;
    this.#layer.scrollTop = this.#field.scrollTop;
  }
}
