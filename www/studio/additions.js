// @ts-check
/**
 * Additions to the model: LoRAs, learned words and VAEs. A first visit has none, so that the list
 * and its view are loaded when there is something to show.
 */
import { DarkroomError } from "../base/problem.js";
import { strings } from "../strings/index.js";
import { examineRemote, plausible } from "./candidate.js";
import { modelOfFile } from "./dropped-files.js";
import { equip, lorasOf, missingNotes, NOTHING } from "./loras.js";

/** @typedef {import("../engine/protocol.js").Added} Added */
/** @typedef {import("../engine/protocol.js").Addition} Addition */
/** @typedef {import("./additions-list.js").AdditionList} AdditionList */
/** @typedef {import("./additions-view.js").AdditionsView} AdditionsView */
/** @typedef {import("./settings.js").Settings} Settings */

/**
 * @typedef {object} Host
 * @property {() => boolean} keep the files outlive the page
 * @property {() => import("./session.js").Session} session
 * @property {() => Settings} settings
 * @property {(settings: Partial<Settings>) => void} fill fills the form
 * @property {(loras: string) => void} weigh sets the weights of LoRAs, as typing does
 * @property {(text: string) => void} say a status
 * @property {(error: unknown) => void} problem
 */

/** Names of files that say nothing. */
const GENERAL = /^(pytorch_lora_weights|adapter_model|learned_embeds|diffusion_pytorch_model)\b/;
/** Tells a visit that the browser keeps files. */
const MARK = "darkroom-additions";

/** @param {boolean} kept */
function mark(kept) {
  try {
    if (kept) localStorage.setItem(MARK, "yes");
    else localStorage.removeItem(MARK);
  } catch {
    // Without storage there are no files either.
  }
}

function marked() {
  try {
    return localStorage.getItem(MARK) !== null;
  } catch {
    return false;
  }
}

export class Additions {
  #host;
  /** @type {Promise<AdditionList> | null} */ #loading = null;
  /** @type {AdditionList | null} */ #list = null;
  /** @type {AdditionsView | null} */ #view = null;
  /** @type {HTMLElement | null} */ #place = null;

  /** @param {Host} host */
  constructor(host) {
    this.#host = host;
  }

  /** Shows the list in a new form. @param {HTMLElement} place */
  attach(place) {
    this.#place = place;
    this.#view = null;
    this.changed();
  }

  /** Names of the additions that there are. */
  get available() {
    return this.#list?.available ?? NOTHING;
  }

  /** The files for a model that is opened. @returns {Addition[] | Promise<Addition[]>} */
  files() {
    if (this.#list) return this.#list.files;
    return this.#host.keep() && marked() ? this.#kept() : [];
  }

  /** The files of earlier visits; none where the list cannot be loaded. */
  async #kept() {
    try {
      return (await this.#load()).files;
    } catch (error) {
      console.warn(`Nothing is added to the model: ${error}`);
      this.#loading = null;
      return [];
    }
  }

  /** A model is open. @param {Added[]} added */
  examined(added) {
    this.#list?.examined(added);
    this.changed();
  }

  /** The form was changed. */
  changed() {
    if (this.#view) this.#view.render(this.#host.settings());
    else if (this.#list || this.#wanted) void this.#kept().then(() => this.#show());
  }

  /** The settings name an addition. */
  get #wanted() {
    const { loras = "", vae = "" } = this.#host.settings();
    return lorasOf(loras).length > 0 || vae !== "";
  }

  /** The settings of a picture, with what it is really made with. @param {Settings} settings */
  equip(settings) {
    return equip(settings, this.available);
  }

  /** Sentences about what settings want and there is not. @param {Partial<Settings>} settings */
  async missing(settings) {
    await this.files();
    return missingNotes(settings, this.available);
  }

  /**
   * Adds a file to the model, and to the settings. Nothing is lost where it does not fit.
   * @param {Addition["kind"]} kind
   * @param {File} file
   * @param {File} [config] of a VAE
   * @returns {Promise<Added>}
   * @throws {DarkroomError} it does not fit
   */
  async add(kind, file, config) {
    const list = await this.#load();
    const { fill, say, settings } = this.#host;
    const t = strings().additions;
    say(t.adding(file.name));
    try {
      const { added, note } = await list.add(kind, file, config);
      mark(list.keeps);
      fill(list.settingsWith(settings(), added));
      const word = added.words[0] ?? added.name;
      const done = added.checked ? t.added[kind](word) : t.later(added.name);
      say([done, note].filter(Boolean).join(" "));
      // It may be what the model lacked.
      const session = this.#host.session();
      if (!added.checked && session.engine === "failed") session.open();
      return added;
    } catch (error) {
      say("");
      const message = error instanceof Error ? error.message : String(error);
      throw new DarkroomError("addition", t.refused(file.name, message));
    } finally {
      this.changed();
    }
  }

  /**
   * Adds a file or the file at an address, of whatever kind it is.
   * @param {File | string} from
   * @param {(text: string) => string} addressOf the address that a text names
   * @returns {Promise<Added>}
   */
  async take(from, addressOf) {
    const none = (/** @type {string} */ name) =>
      new DarkroomError("addition", strings().additions.none(name));
    if (typeof from === "string") {
      const never = new AbortController().signal;
      const found = await examineRemote(addressOf(from), from, never);
      if (!found) throw none(from);
      return this.addAddress(found.kind, found.url);
    }
    const kind = await plausible(modelOfFile(from));
    if (typeof kind !== "string" || kind === "picture") throw none(from.name);
    return this.add(kind, from);
  }

  /**
   * Downloads a file, and adds it.
   * @param {Addition["kind"]} kind
   * @param {string} url
   */
  async addAddress(kind, url) {
    const { fetchFile } = await import("../weights/whole-file.js");
    const { say } = this.#host;
    const file = await fetchFile(url, (name, percent) =>
      say(strings().additions.fetching(name, percent)),
    );
    // Hubs give such files of all repositories the same name.
    const [, repository] = /\/([^/]+)\/resolve\//.exec(url) ?? [];
    const named = GENERAL.test(file.name) && repository;
    return this.add(kind, named ? new File([file], `${repository}.safetensors`) : file);
  }

  /**
   * Removes an addition, and its file from the browser.
   * @param {Addition["kind"]} kind
   * @param {string} name
   */
  async remove(kind, name) {
    const list = await this.#load();
    const { fill, say, settings } = this.#host;
    fill(list.settingsWithout(settings(), kind, name));
    await list.remove(kind, name);
    mark(list.keeps);
    say(strings().additions.removed(name));
    // The counts of tokens follow.
    fill({});
    this.changed();
  }

  #load() {
    this.#loading ??= this.#open();
    return this.#loading;
  }

  async #open() {
    const { AdditionList } = await import("./additions-list.js");
    const { keep, session } = this.#host;
    const list = new AdditionList(session(), keep());
    if (marked()) await list.load();
    this.#list = list;
    void this.#show();
    return list;
  }

  async #show() {
    const { AdditionsView } = await import("./additions-view.js");
    if (!this.#place || !this.#list) return;
    if (!this.#view)
      this.#view = new AdditionsView(this.#place, this.#list, {
        fill: this.#host.fill,
        weigh: this.#host.weigh,
        remove: (kind, name) => void this.remove(kind, name).catch(this.#host.problem),
      });
    this.#view.render(this.#host.settings());
  }
}
