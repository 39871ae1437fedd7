// @ts-check
/** Starts the engine's worker, also from another origin and under Trusted Types. */
import { workerAddress } from "../base/trusted.js";

/**
 * Starts the worker.
 * @returns {Worker}
 * @throws where the browser refuses it at once
 */
export function startWorker() {
  try {
    // Bundlers look for exactly this form.
    return new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  } catch (error) {
    const url = new URL("worker.js", import.meta.url);
    // A script of another origin is refused, and under Trusted Types every plain address.
    const foreign = url.origin !== globalThis.location.origin;
    if (!foreign && !(error instanceof TypeError)) throw error;
    const address = foreign ? foreignModule(url.href) : url.href;
    return new Worker(workerAddress(address), { type: "module" });
  }
}

/** @type {Map<string, string>} */
const blobs = new Map();

/**
 * The address of a module of this origin that imports a module of another one. The blob stays: the
 * next worker is started from it, too.
 * @param {string} href
 */
function foreignModule(href) {
  const known = blobs.get(href);
  if (known) return known;
  const script = new Blob([`import ${JSON.stringify(href)};`], { type: "text/javascript" });
  const address = URL.createObjectURL(script);
  blobs.set(href, address);
  return address;
}

/** The last refusal by the page's policy. @type {SecurityPolicyViolationEvent | null} */
let refused = null;
let watching = false;

/** Listens for refusals. The event arrives before the worker's error, or soon after it. */
export function watchPolicy() {
  if (watching) return;
  watching = true;
  globalThis.addEventListener?.("securitypolicyviolation", (event) => {
    const violation = /** @type {SecurityPolicyViolationEvent} */ (event);
    if (/^(worker|script|child|default)-src/.test(violation.effectiveDirective))
      refused = violation;
  });
}

/**
 * The reason why the worker could not be started, as far as the page can find it out: the browser
 * says nothing.
 * @returns {Promise<string>}
 */
export async function whyNotStarted() {
  const url = new URL("worker.js", import.meta.url);
  // The report of a refusal is a task of its own.
  await new Promise((resolve) => setTimeout(resolve, 50));
  if (refused) {
    const { effectiveDirective, blockedURI } = refused;
    return (
      `The page’s Content Security Policy (${effectiveDirective}) does not allow the engine’s ` +
      `worker: ${blockedURI || url.href}`
    );
  }
  const answer = await fetch(url).catch(() => null);
  if (!answer)
    return (
      `The engine’s worker could not be read: ${url.href}. Its server does not answer, or does ` +
      "not allow other origins to read it (Access-Control-Allow-Origin)."
    );
  if (!answer.ok) {
    const status = `${answer.status} ${answer.statusText}`.trim();
    return `The engine’s worker could not be read: ${url.href}: ${status}`;
  }
  return reasonOf(answer, url.href);
}

/** @param {Response} answer @param {string} href */
function reasonOf({ headers }, href) {
  const type = headers.get("content-type") ?? "none";
  if (!/^\s*(text|application)\/(x-)?(java|ecma)script/i.test(type))
    return `The engine’s worker has the content type “${type}”, not text/javascript: ${href}`;
  // A page that is isolated from other origins accepts isolated workers only.
  if (globalThis.crossOriginIsolated && !headers.get("cross-origin-embedder-policy"))
    return (
      "This page has the header Cross-Origin-Embedder-Policy; the engine’s worker needs it too: " +
      href
    );
  return `The engine’s worker or a module that it imports could not be loaded: ${href}`;
}
