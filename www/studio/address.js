// @ts-check
/** The address of a model, from the text in the model field. */

/** The hub of models named `owner/name`. */
export const HUB = "https://huggingface.co/";
const OWN = /^models\//;
/** Ending of a checkpoint's address, before any query. */
const CHECKPOINT = /\.safetensors$/i;
/**
 * Prefix of the field's text for a model on the visitor's disk. The model's name follows; a
 * folder's name ends in a slash.
 */
export const ON_DISK = "file:";
/** A name on the hub, such as `stable-diffusion-v1-5/stable-diffusion-v1-5@fp16`. */
const NAME = /^([\w-][\w.-]*\/[\w-][\w.-]*)(?:@([\w./-]+))?$/;
/**
 * Path of a page on the hub: of a model, or of a folder or a file in it. People copy these
 * addresses.
 */
const PAGE = /^\/([\w.-]+\/[\w.-]+)(?:\/(?:tree|resolve|blob)\/([^/]+)(\/.*)?)?\/?$/;

/** Tells whether the field's text names a checkpoint in one file. @param {string} text */
export function isCheckpoint(text) {
  const model = text.trim();
  return model.startsWith(ON_DISK)
    ? !model.endsWith("/")
    : CHECKPOINT.test(model.replace(/[?#].*$/, ""));
}

/**
 * The address that the field's text stands for:
 * - `owner/name` and `owner/name@revision`: a model on the hub. `models/…`, `./…`, `../…` and `/…`
 *   are the page's own.
 * - `https://…`: a folder, or a file that ends in `.safetensors`, on any server that allows other
 *   sites to read it. On the hub also the address of a page about either.
 * - anything else: a folder or a file beside the page.
 * @param {string} text
 * @param {string} base address of the page
 * @param {string} [hub] address; tests and mirrors have others
 * @returns {string} absolute address; only a folder's ends in a slash
 */
export function addressOf(text, base, hub = HUB) {
  const model = text.trim().replace(/\/+$/, "");
  const single = isCheckpoint(model);
  const [, name, revision] = (!OWN.test(model) && !single && NAME.exec(model)) || [];
  if (name) return resolved(hub, name, revision, "/");
  // An invalid address ("http:///") is looked up beside the page, and not found there.
  const end = single ? "" : "/";
  const url = new URL((URL.canParse(model, base) ? model : encodeURIComponent(model)) + end, base);
  url.hash = "";
  const [, page, branch, rest] =
    (url.origin === new URL(hub, base).origin && PAGE.exec(url.pathname)) || [];
  if (page && !OWN.test(page))
    return resolved(
      hub,
      page,
      branch && decodeURIComponent(branch),
      rest ? rest.replace(/\/*$/, end) : "/",
    );
  // The query of a file stays: hosts put access keys there.
  if (single) return url.href;
  url.search = "";
  return url.href.replace(/\/*$/, "/");
}

/**
 * @param {string} hub
 * @param {string} name
 * @param {string | undefined} revision
 * @param {string} rest begins with a slash
 */
function resolved(hub, name, revision, rest) {
  // The name of a branch may contain a slash, which the hub wants escaped.
  const branch = encodeURIComponent(revision || "main");
  return `${hub.replace(/\/*$/, "/")}${name}/resolve/${branch}${rest}`;
}

/**
 * The short name of a model's address, for people.
 * @param {string} address
 * @param {string} base address of the page
 * @param {string} [hub]
 */
export function nameOf(address, base, hub = HUB) {
  const hubs = new URL(hub, base).href.replace(/\/*$/, "/");
  const [, name, revision, rest] =
    (address.startsWith(hubs) &&
      /^([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.*)$/.exec(address.slice(hubs.length))) ||
    [];
  if (name && !rest) return revision === "main" ? name : `${name}@${decodeURIComponent(revision)}`;
  const beside = new URL("./", base).href;
  const short = (address.startsWith(beside) ? address.slice(beside.length) : address).replace(
    /\/$/,
    "",
  );
  return addressOf(short, base, hub) === address ? short : `./${short}`;
}
