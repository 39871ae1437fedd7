// @ts-check
/**
 * Trusted Types: pages that require them allow the policy `darkroom` in their header
 * (`trusted-types darkroom`). It is asked for two kinds of values: the studio's own templates, and
 * the address of its own worker. Neither contains text of a visitor or of a model.
 */

/** @typedef {{createHTML(html: string): any, createScriptURL(address: string): any}} Policy */

/** @type {Policy | null} */
let policy = null;

function rules() {
  /** @type {{createPolicy(name: string, rules: Policy): Policy} | undefined} */
  const types = /** @type {any} */ (globalThis).trustedTypes;
  const itself = (/** @type {string} */ text) => text;
  const own = { createHTML: itself, createScriptURL: itself };
  policy ??= types ? types.createPolicy("darkroom", own) : own;
  return policy;
}

/**
 * Replaces the contents of an element or a shadow root.
 * @param {Element | ShadowRoot} root
 * @param {string} html of the studio's own templates
 */
export function setHtml(root, html) {
  // The parser ignores a form in a form, also across a shadow root. A template is in none.
  const template = document.createElement("template");
  template.innerHTML = rules().createHTML(html);
  root.replaceChildren(template.content);
}

/**
 * An address that a worker may be started from.
 * @param {string} address of the studio's own worker
 * @returns {string} a TrustedScriptURL where the browser has them
 */
export const workerAddress = (address) => rules().createScriptURL(address);
