// @ts-check
/** Where a model is: what people write into the field, as the address of a folder. */

/** Where `owner/name` is looked for. */
export const HUB = "https://huggingface.co/";
const OWN = /^models\//;
/** As in `stable-diffusion-v1-5/stable-diffusion-v1-5@fp16`. */
const NAME = /^([\w-][\w.-]*\/[\w-][\w.-]*)(?:@([\w./-]+))?$/;
/** The hub's pages that people copy addresses from: a model's, and a folder in it. */
const PAGE = /^\/([\w.-]+\/[\w.-]+)(?:\/(?:tree|resolve|blob)\/([^/]+)(\/.*)?)?\/?$/;

/**
 * - `owner/name` and `owner/name@revision`: a model on the hub; `models/…` is the page's own, as is whatever starts with `./`, `../` or `/`;
 * - `https://…`: a folder on any server that lets other sites read from it; of the hub also the address of the model's page;
 * - anything else: a folder beside the page.
 * @param {string} text
 * @param {string} base address of the page
 * @param {string} [hub] address, for tests and mirrors
 * @returns {string} absolute address, ending in a slash
 */
export function folderOf(text, base, hub = HUB) {
  const model = text.trim().replace(/\/+$/, "");
  const [, name, revision] = (!OWN.test(model) && NAME.exec(model)) || [];
  if (name) return resolved(hub, name, revision, "");
  // An address that is none ("http:///") is looked for beside the page, and not found there.
  const url = new URL(URL.canParse(model, base) ? `${model}/` : `${encodeURIComponent(model)}/`, base);
  const [, page, branch, folder] = (url.origin === new URL(hub, base).origin && PAGE.exec(url.pathname)) || [];
  if (page && !OWN.test(page)) return resolved(hub, page, branch && decodeURIComponent(branch), folder ?? "");
  url.search = url.hash = "";
  return url.href.replace(/\/*$/, "/");
}

/** @param {string} hub @param {string} name @param {string | undefined} revision @param {string} folder */
function resolved(hub, name, revision, folder) {
  // A branch may have a slash in its name, which the hub wants escaped.
  return `${hub.replace(/\/*$/, "/")}${name}/resolve/${encodeURIComponent(revision || "main")}${folder.replace(/\/*$/, "/")}`;
}

/**
 * The short name of a model's address, for people.
 * @param {string} folder
 * @param {string} base address of the page
 * @param {string} [hub]
 */
export function nameOf(folder, base, hub = HUB) {
  const hubs = new URL(hub, base).href.replace(/\/*$/, "/");
  const [, name, revision, rest] = (folder.startsWith(hubs) && /^([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.*)$/.exec(folder.slice(hubs.length))) || [];
  if (name && !rest) return revision === "main" ? name : `${name}@${decodeURIComponent(revision)}`;
  const beside = new URL("./", base).href;
  const short = (folder.startsWith(beside) ? folder.slice(beside.length) : folder).replace(/\/$/, "");
  return folderOf(short, base, hub) === folder ? short : `./${short}`;
}
