// @ts-check
/** The studio's shadow root: attached or adopted, filled and styled. */
import { setHtml } from "../base/trusted.js";
import { language } from "../strings/index.js";
import { studioStyles } from "./styles.js";
import { template } from "./template.js";

/**
 * The shadow root with the studio's form in it. A root that the page declares in its HTML is kept
 * if its form is in the language of the texts: visitors may have typed into it already.
 * @param {HTMLElement} host
 * @returns {{root: ShadowRoot, declared: boolean}} `declared`: the form was there before
 */
export function shadowRootOf(host) {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const form = root.querySelector("form.studio");
  const declared = form !== null && (form.getAttribute("lang") ?? language()) === language();
  if (!declared) {
    setHtml(root, template());
    root.querySelector("form")?.setAttribute("lang", language());
  }
  void style(host, root);
  return { root, declared };
}

/**
 * Adopts the style sheet. Without it the studio can be used, but does not look right, so that it is
 * hidden until the sheet is here or has failed to load.
 * @param {HTMLElement} host
 * @param {ShadowRoot} root
 */
async function style(host, root) {
  if (root.querySelector("link[rel=stylesheet], style")) return;
  const hidden = new CSSStyleSheet();
  hidden.replaceSync(":host { display: block } form { visibility: hidden }");
  root.adoptedStyleSheets = [hidden];
  try {
    root.adoptedStyleSheets = [await studioStyles()];
  } catch (error) {
    root.adoptedStyleSheets = [];
    console.warn(`${host.localName} has no styles: ${error}`);
  }
}

/**
 * Gives a root that came into another document the styles of that document.
 * @param {ShadowRoot} root
 */
export function restyle(root) {
  const { defaultView } = root.ownerDocument;
  if (!defaultView || root.querySelector("link[rel=stylesheet]")) return;
  void studioStyles().then((sheet) => {
    const copy = new defaultView.CSSStyleSheet();
    copy.replaceSync(Array.from(sheet.cssRules, ({ cssText }) => cssText).join("\n"));
    root.adoptedStyleSheets = [copy];
  });
}

/**
 * The language for a host: of its nearest ancestor with `lang`, also outside of shadow roots.
 * @param {Element} host
 * @returns {string} a language tag; empty where there is none
 */
export function languageOf(host) {
  /** @type {Element | null} */
  let at = host;
  while (at) {
    const found = at.closest("[lang]");
    if (found) return found.getAttribute("lang") ?? "";
    const root = at.getRootNode();
    at = root instanceof ShadowRoot ? root.host : null;
  }
  return "";
}
