// @ts-check
/**
 * The address of a model, from the text in the model field. The text may come from a link: every
 * function here takes time proportional to its length, and none of them throws for any text, except
 * `checkAddress`.
 */
import { DarkroomError } from "../base/problem.js";
import { strings } from "../strings/index.js";

/** The hub of models named `owner/name`. */
export const HUB = "https://huggingface.co/";
const OWN = /^models\//;
/** Ending of a file's address, before any query. Pickles are named for what they are. */
const FILE = /\.(safetensors|ckpt|pt|bin)$/i;
/** End of the field's text for a file at an address without such an ending. */
export const FILE_MARK = "#file";
/**
 * Prefix of the field's text for a model on the visitor's disk. The model's name follows; a
 * folder's name ends in a slash.
 */
export const ON_DISK = "file:";
/** A name on the hub, such as `stable-diffusion-v1-5/stable-diffusion-v1-5@fp16`. */
const NAME = /^([\w-][\w.-]*\/[\w-][\w.-]*)(?:@([\w./-]+))?$/;
/** A file on the hub, such as `owner/name/file.safetensors`. */
const HUB_FILE = /^([\w-][\w.-]*\/[\w-][\w.-]*?)(?:@([\w.-]+))?\/([^?#]+)$/;
/**
 * Path of a page on the hub: of a model, or of a folder or a file in it. People copy these
 * addresses.
 */
const PAGE = /^\/([\w.-]+\/[\w.-]+)(?:\/(?:tree|resolve|blob)\/([^/]+)(\/.*)?)?\/?$/;

/** Tells whether the field's text names a checkpoint in one file. @param {string} text */
export function isCheckpoint(text) {
  const model = text.trim();
  if (model.startsWith(ON_DISK)) return !model.endsWith("/");
  return model.endsWith(FILE_MARK) || FILE.test(withoutQuery(model));
}

/** The text before its first "?" or "#". @param {string} text */
export function withoutQuery(text) {
  const end = text.search(/[?#]/);
  return end < 0 ? text : text.slice(0, end);
}

/** The text without slashes at its end. @param {string} text */
export function withoutSlashes(text) {
  let end = text.length;
  while (text[end - 1] === "/") end -= 1;
  return text.slice(0, end);
}

/** The text with one slash at its end. @param {string} text */
const asFolder = (text) => `${withoutSlashes(text)}/`;

/** The text with its escapes decoded; as it is where they are malformed. @param {string} text */
export function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A scheme, such as the one of `ftp://…` or `javascript:…`. */
const SCHEME = /^([a-z][a-z0-9+.-]*):/i;
/** An escape without its two hexadecimal digits. */
const BROKEN_ESCAPE = /%(?![0-9a-f]{2}).{0,2}/i;
/** Halves of characters, which no address can hold. */
const LONE_SURROGATES = /\p{Surrogate}/gu;
/** Longer texts are no addresses: servers refuse them. */
const LONGEST = 4000;

/**
 * Throws where the field's text can be no model's address, with a sentence that says why.
 * @param {string} text
 */
export function checkAddress(text) {
  const { address } = strings().problems;
  const model = text.trim();
  if (model === "") throw new DarkroomError("address", address.empty);
  if (model.startsWith(ON_DISK)) return;
  const shown = model.length > 80 ? `${model.slice(0, 80)}…` : model;
  if (model.length > LONGEST)
    throw new DarkroomError("address", address.long(shown, model.length, LONGEST));
  const [, scheme] = SCHEME.exec(model) ?? [];
  if (scheme && !/^https?$/i.test(scheme))
    throw new DarkroomError("address", address.scheme(shown, scheme));
  const [broken] = BROKEN_ESCAPE.exec(withoutQuery(model)) ?? [];
  if (broken) throw new DarkroomError("address", address.escape(shown, broken));
  try {
    // A revision or a path of a hub's page may hide bytes that are no UTF-8.
    decodeURIComponent(withoutQuery(model));
  } catch {
    throw new DarkroomError("address", address.malformed(shown));
  }
  if (scheme && !URL.canParse(model)) throw new DarkroomError("address", address.malformed(shown));
}

/**
 * The address that the field's text names:
 * - `owner/name` and `owner/name@revision`: a model on the hub; `owner/name/file.safetensors`: a
 *   file there. `models/…`, `./…`, `../…` and `/…` are the page's own.
 * - `https://…`: a folder, or a file that ends in `.safetensors` or is marked as one by `#file`, on
 *   any server that allows other sites to read it. On the hub also the address of a page about
 *   either.
 * - anything else: a folder or a file beside the page.
 * @param {string} text
 * @param {string} base address of the page
 * @param {string} [hub] address; tests and mirrors have others
 * @returns {string} absolute address; only a folder's ends in a slash
 */
export function addressOf(text, base, hub = HUB) {
  const model = withoutSlashes(text.trim());
  const single = isCheckpoint(model);
  const [, name, revision] = (!OWN.test(model) && !single && NAME.exec(model)) || [];
  if (name) return resolved(hub, name, revision, "/");
  const [, owner, at, path] = (!OWN.test(model) && single && HUB_FILE.exec(model)) || [];
  if (owner) return resolved(hub, owner, at, `/${path}`);
  // An invalid address ("http:///") is looked up beside the page, and not found there.
  const end = single ? "" : "/";
  const url = URL.canParse(model + end, base)
    ? new URL(model + end, base)
    : new URL(encodeURIComponent(model.replace(LONE_SURROGATES, "")) + end, base);
  url.hash = "";
  const [, page, branch, rest] =
    (url.origin === new URL(hub, base).origin && PAGE.exec(url.pathname)) || [];
  if (page && !OWN.test(page))
    return resolved(hub, page, branch && decoded(branch), rest ? withoutSlashes(rest) + end : "/");
  // The query of a file stays: hosts put access keys there.
  if (single) return url.href;
  url.search = "";
  return asFolder(url.href);
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
  return `${asFolder(hub)}${name}/resolve/${branch}${rest}`;
}

/**
 * The page about a model on the hub; empty for models elsewhere.
 * @param {string} address
 * @param {string} base address of the page
 * @param {string} [hub]
 */
export function pageOf(address, base, hub = HUB) {
  const hubs = asFolder(new URL(hub, base).href);
  const rest = address.startsWith(hubs) ? address.slice(hubs.length) : "";
  const [, name] = /^([\w.-]+\/[\w.-]+)\/resolve\//.exec(rest) ?? [];
  return name ? `${hubs}${name}` : "";
}

/**
 * The short name of a model's address, for people.
 * @param {string} address
 * @param {string} base address of the page
 * @param {string} [hub]
 */
export function nameOf(address, base, hub = HUB) {
  const hubs = asFolder(new URL(hub, base).href);
  const [, name, revision, rest] =
    (address.startsWith(hubs) &&
      /^([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.*)$/.exec(address.slice(hubs.length))) ||
    [];
  if (name && rest && revision === "main") {
    const short = `${name}/${decoded(rest)}`;
    if (addressOf(short, base, hub) === address) return short;
  }
  if (name && !rest) return revision === "main" ? name : `${name}@${decoded(revision)}`;
  const beside = new URL("./", base).href;
  const text = (address.startsWith(beside) ? address.slice(beside.length) : address).replace(
    /\/$/,
    "",
  );
  const short = address.endsWith("/") || isCheckpoint(text) ? text : text + FILE_MARK;
  return addressOf(short, base, hub) === address ? short : `./${short}`;
}
