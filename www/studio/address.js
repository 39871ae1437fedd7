// @ts-check
/** Where a model is: what people write into the field, as the address of a folder or of a checkpoint in one file. */

/** Where `owner/name` is looked for. */
export const HUB = "https://huggingface.co/";
const OWN = /^models\//;
/** A checkpoint, wherever it is; a query may apply. */
const CHECKPOINT = /\.safetensors$/i;
/** What is written into the field for a model on the visitor's disk: its name behind this, and a slash behind a folder's. */
export const ON_DISK = "file:";
/** As in `stable-diffusion-v1-5/stable-diffusion-v1-5@fp16`. */
const NAME = /^([\w-][\w.-]*\/[\w-][\w.-]*)(?:@([\w./-]+))?$/;
/** The hub's pages that people copy addresses from: a model's, and a folder in it. */
const PAGE = /^\/([\w.-]+\/[\w.-]+)(?:\/(?:tree|resolve|blob)\/([^/]+)(\/.*)?)?\/?$/;

/** Whether a model is a checkpoint in one file, as it stands in the field. @param {string} text */
export function isCheckpoint(text) {
  const model = text.trim();
  return model.startsWith(ON_DISK)
    ? !model.endsWith("/")
    : CHECKPOINT.test(model.replace(/[?#].*$/, ""));
}

/**
 * - `owner/name` and `owner/name@revision`: a model on the hub; `models/…` is the page's own, as is whatever starts with `./`, `../` or `/`;
 * - `https://…`: a folder, or a file that ends in `.safetensors`, on any server that lets other sites read from it; of the hub also the address of
 *   the page about either;
 * - anything else: a folder or a file beside the page.
 * @param {string} text
 * @param {string} base address of the page
 * @param {string} [hub] address, for tests and mirrors
 * @returns {string} absolute address, ending in a slash if and only if it is a folder's
 */
export function addressOf(text, base, hub = HUB) {
  const model = text.trim().replace(/\/+$/, "");
  const single = isCheckpoint(model);
  const [, name, revision] = (!OWN.test(model) && !single && NAME.exec(model)) || [];
  if (name) return resolved(hub, name, revision, "/");
  // An address that is none ("http:///") is looked for beside the page, and not found there.
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
  // A file's query stays: hosts put keys there.
  if (single) return url.href;
  url.search = "";
  return url.href.replace(/\/*$/, "/");
}

/** @param {string} hub @param {string} name @param {string | undefined} revision @param {string} rest with a slash at its beginning */
function resolved(hub, name, revision, rest) {
  // A branch may have a slash in its name, which the hub wants escaped.
  return `${hub.replace(/\/*$/, "/")}${name}/resolve/${encodeURIComponent(revision || "main")}${rest}`;
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
