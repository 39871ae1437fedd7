// @ts-check
/**
 * Gallery of finished pictures, the newest first. One stop of the Tab key leads into the list;
 * arrow keys move in it. Thumbnails are decoded only near the visible part of the list.
 */
import { strings } from "../strings/index.js";
import { canCopy, copyImage, DragOut, downloadAll, downloadOne } from "./gallery-actions.js";
import { canvasFrom } from "./pictures.js";
import { describe } from "./settings.js";

/** @typedef {import("./picture-view.js").Frame} Frame */
/** @typedef {import("./pictures.js").Entry} Entry */
/** @typedef {import("./pictures.js").Pictures} Pictures */
/** @typedef {{item: HTMLLIElement, button: HTMLButtonElement, image: HTMLImageElement}} Tile */

/** Thumbnails are decoded this far outside the visible part of the list. */
const NEAR = "300px";
const TOAST_MS = 20_000;

export class Gallery {
  #root;
  #list;
  #pictures;
  #options;
  #drag;
  /** By id. @type {Map<string, Tile>} */ #tiles = new Map();
  /** Entries in the order of the list. @type {Entry[]} */ #shown = [];
  /** The picture that the buttons act on. */ #current = "";
  #starredOnly = false;
  /** @type {Entry[]} */ #removed = [];
  #toastTimer = 0;
  #near;

  /**
   * @param {HTMLElement} root
   * @param {Pictures} pictures
   * @param {object} options
   * @param {(frame: Frame) => void} options.onShow shows a picture on the stand
   * @param {(frame: Frame) => void} options.onChoose shows it, and restores its settings
   * @param {(frame: Frame) => void} options.onVary prepares a variation of it
   */
  constructor(root, pictures, options) {
    this.#root = root;
    this.#list = /** @type {HTMLElement} */ (root.querySelector("ol"));
    this.#pictures = pictures;
    this.#options = options;
    this.#drag = new DragOut(pictures);
    this.#near = new IntersectionObserver((changes) => this.#decode(changes), {
      root: this.#list,
      rootMargin: NEAR,
    });
    this.#button("gallery-copy").hidden = !canCopy();
    this.#listen();
  }

  /** Number of pictures, with or without a star. */
  get count() {
    return this.#pictures.all.length;
  }

  #listen() {
    this.#root.addEventListener("click", (event) => {
      const button = /** @type {Element} */ (event.target).closest("button");
      const id = button?.dataset.id;
      if (id) void this.#choose(id);
      else if (button?.dataset.act) void this.#act(button.dataset.act);
    });
    this.#list.addEventListener("keydown", (event) => this.#key(event));
    this.#list.addEventListener("pointerdown", ({ target }) => {
      const entry = this.#entryOf(target);
      if (entry) void this.#drag.prepare(entry);
    });
    this.#list.addEventListener("dragstart", (event) => {
      const entry = this.#entryOf(event.target);
      if (entry) this.#drag.start(event, entry);
    });
  }

  /** @param {EventTarget | null} target */
  #entryOf(target) {
    const id = target instanceof Element && target.closest("button")?.dataset.id;
    return id ? this.#pictures.get(id) : undefined;
  }

  /** Shows the pictures there are now. */
  render() {
    const all = this.#pictures.all;
    this.#shown = this.#starredOnly ? all.filter(({ record }) => record.starred) : all;
    const wanted = new Set(this.#shown.map(({ record }) => record.id));
    for (const [id, tile] of this.#tiles) if (!wanted.has(id)) this.#drop(id, tile);
    let next = this.#list.firstElementChild;
    for (const entry of this.#shown) {
      const tile = this.#tiles.get(entry.record.id) ?? this.#tile(entry);
      tile.button.toggleAttribute("data-starred", entry.record.starred);
      tile.button.toggleAttribute("data-unkept", this.#pictures.keeps && !entry.kept);
      if (tile.item === next) next = next.nextElementSibling;
      else this.#list.insertBefore(tile.item, next);
    }
    if (!this.#tiles.has(this.#current)) this.#current = "";
    this.#root.hidden = all.length === 0 && this.#removed.length === 0;
    this.#mark();
    this.#showTools(all);
  }

  /** Shows the newest picture on the stand. */
  async showNewest() {
    const id = this.#shown[0]?.record.id;
    if (id) await this.#show(id);
  }

  /** Marks a picture as the one in view. @param {string} id empty: none */
  select(id) {
    this.#current = id;
    this.#mark();
    this.#showTools(this.#pictures.all);
  }

  #mark() {
    const stop = this.#tiles.has(this.#current) ? this.#current : this.#shown[0]?.record.id;
    for (const [id, { button }] of this.#tiles) {
      button.ariaCurrent = id === this.#current ? "true" : null;
      button.tabIndex = id === stop ? 0 : -1;
    }
  }

  /** @param {Entry} entry @returns {Tile} */
  #tile({ record }) {
    const t = strings().gallery;
    const settings = /** @type {import("./settings.js").Settings} */ (record.settings);
    const { prompt, negative_prompt: negative } = settings;
    const button = document.createElement("button");
    button.type = "button";
    button.draggable = true;
    button.dataset.id = record.id;
    const lines = [prompt, negative && t.negative(negative), describe(settings)];
    button.title = lines.filter(Boolean).join("\n");
    button.ariaLabel = t.label(prompt, negative, settings.seed);
    const image = document.createElement("img");
    image.alt = "";
    image.draggable = false;
    image.decoding = "async";
    const words = document.createElement("span");
    words.className = "words";
    words.textContent = negative ? `− ${negative}` : "";
    button.append(image, words);
    const item = document.createElement("li");
    item.append(button);
    this.#near.observe(item);
    const tile = { item, button, image };
    this.#tiles.set(record.id, tile);
    return tile;
  }

  /** @param {string} id @param {Tile} tile */
  #drop(id, { item, image }) {
    this.#near.unobserve(item);
    if (image.src) URL.revokeObjectURL(image.src);
    item.remove();
    this.#tiles.delete(id);
  }

  /** @param {IntersectionObserverEntry[]} changes */
  #decode(changes) {
    for (const { target, isIntersecting } of changes) {
      const button = target.querySelector("button");
      const image = target.querySelector("img");
      const entry = button?.dataset.id && this.#pictures.get(button.dataset.id);
      if (!image || !entry) continue;
      if (isIntersecting && !image.src) image.src = URL.createObjectURL(entry.record.thumbnail);
      else if (!isIntersecting && image.src) {
        URL.revokeObjectURL(image.src);
        image.removeAttribute("src");
      }
    }
  }

  /** @param {Entry[]} all */
  #showTools(all) {
    const t = strings().gallery;
    const current = this.#pictures.get(this.#current);
    for (const act of ["star", "download", "copy", "vary", "delete"])
      this.#button(`gallery-${act}`).ariaDisabled = current ? null : "true";
    const starred = all.filter(({ record }) => record.starred).length;
    this.#button("gallery-star").ariaPressed = String(current?.record.starred ?? false);
    this.#button("gallery-filter").ariaPressed = String(this.#starredOnly);
    this.#button("gallery-filter").hidden = starred === 0 && !this.#starredOnly;
    this.#button("gallery-zip-starred").hidden = starred === 0;
    this.#button("gallery-zip").textContent = t.downloadAll(all.length);
    this.#button("gallery-zip-starred").textContent = t.downloadStarred(starred);
    this.#button("gallery-clear").hidden = all.length - starred < 2;
    const { keeps, problem, unkept } = this.#pictures;
    this.#part("gallery-hint").textContent = keeps
      ? t.keptHint(all.length - unkept)
      : t.hint(all.length);
    this.#part("gallery-note").textContent = problem && keeps ? t.problems[problem](unkept) : "";
  }

  /** @param {string} act */
  async #act(act) {
    const t = strings().gallery;
    const current = this.#pictures.get(this.#current);
    const { all } = this.#pictures;
    try {
      if (act === "gallery-star" && current)
        await this.#pictures.star(current, !current.record.starred);
      else if (act === "gallery-download" && current) {
        if (!(await downloadOne(this.#pictures, current))) this.#say(t.onlyThumbnail);
      } else if (act === "gallery-copy" && current) {
        await copyImage(this.#pictures, current);
        this.#say(t.copied);
      } else if (act === "gallery-vary" && current) {
        const frame = await this.#frame(current.record.id);
        if (!frame) return;
        this.#options.onVary(frame);
        this.#say(strings().noise.varied(frame.settings.seed));
      } else if (act === "gallery-delete" && current) await this.#remove([current]);
      else if (act === "gallery-undo") await this.#undo();
      else if (act === "gallery-filter") {
        this.#starredOnly = !this.#starredOnly;
        this.render();
      } else if (act === "gallery-zip") await this.#zip(all);
      else if (act === "gallery-zip-starred")
        await this.#zip(all.filter(({ record }) => record.starred));
      else if (act === "gallery-clear")
        await this.#remove(all.filter(({ record }) => !record.starred));
    } catch (error) {
      this.#say(t.failed(error instanceof Error ? error.message : String(error)));
    }
  }

  /** @param {Entry[]} entries */
  async #zip(entries) {
    const t = strings().gallery;
    this.#say(t.packing(entries.length));
    const packed = await downloadAll(this.#pictures, entries);
    this.#say(t.packed(packed, entries.length - packed));
  }

  /** Deletes pictures, and offers to take that back. @param {Entry[]} entries */
  async #remove(entries) {
    const at = this.#shown.findIndex(({ record }) => record.id === entries[0].record.id);
    const hadFocus = this.#root.querySelector("ol :focus") !== null;
    this.#removed = await this.#pictures.remove(entries);
    const next = this.#shown[Math.min(at, this.#shown.length - 1)];
    if (hadFocus && next) this.#tiles.get(next.record.id)?.button.focus();
    else if (hadFocus) this.#button("gallery-undo").focus();
    this.#say(strings().gallery.deleted(entries.length), true);
  }

  async #undo() {
    const removed = this.#removed;
    this.#removed = [];
    await this.#pictures.restore(removed);
    this.#say(strings().gallery.restored(removed.length));
    const id = removed[0]?.record.id ?? "";
    this.select(id);
    this.#tiles.get(id)?.button.focus();
  }

  /** A sentence that passes. @param {string} text @param {boolean} [undoable] */
  #say(text, undoable = false) {
    if (!undoable) this.#removed = [];
    this.#part("gallery-toast").textContent = text;
    this.#button("gallery-undo").hidden = !undoable;
    clearTimeout(this.#toastTimer);
    this.#toastTimer = window.setTimeout(() => {
      // A visitor who is about to press the button gets the time for it.
      if (this.#root.querySelector("[data-act=gallery-undo]:is(:focus, :hover)"))
        return this.#say(text, undoable);
      this.#say("");
      this.render();
    }, TOAST_MS);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const at = this.#shown.findIndex(
      ({ record }) => record.id === /** @type {HTMLElement} */ (event.target).dataset.id,
    );
    if (at < 0 || event.altKey) return;
    const to = this.#destination(event.key, at);
    const act = /** @type {Record<string, string>} */ ({
      s: "gallery-star",
      d: "gallery-download",
      c: "gallery-copy",
      Delete: "gallery-delete",
    })[event.key];
    const copies = event.key === "c" && (event.ctrlKey || event.metaKey);
    if (to !== null) {
      const { id } = this.#shown[to].record;
      this.#tiles.get(id)?.button.focus();
      void this.#show(id);
    } else if (act && (copies || !(event.ctrlKey || event.metaKey))) {
      this.select(this.#shown[at].record.id);
      void this.#act(act);
    } else return;
    event.preventDefault();
  }

  /** The picture that a key leads to; null: none. @param {string} key @param {number} at */
  #destination(key, at) {
    const last = this.#shown.length - 1;
    const to = {
      ArrowLeft: at - 1,
      ArrowRight: at + 1,
      ArrowUp: at - this.#columns,
      ArrowDown: at + this.#columns,
      Home: 0,
      End: last,
    }[key];
    return to === undefined ? null : Math.min(last, Math.max(0, to));
  }

  get #columns() {
    const tops = Array.from(this.#list.children, (item) => /** @type {HTMLElement} */ (item));
    const first = tops[0]?.offsetTop;
    const count = tops.findIndex(({ offsetTop }) => offsetTop !== first);
    return count < 0 ? tops.length : count;
  }

  /** @param {string} id */
  async #show(id) {
    this.select(id);
    const frame = await this.#frame(id);
    // Another one was chosen while this one was read.
    if (frame && this.#current === id) this.#options.onShow(frame);
  }

  /** @param {string} id */
  async #choose(id) {
    this.select(id);
    const frame = await this.#frame(id);
    if (frame && this.#current === id) this.#options.onChoose(frame);
  }

  /** @param {string} id @returns {Promise<Frame | null>} */
  async #frame(id) {
    const entry = this.#pictures.get(id);
    if (!entry) return null;
    const { settings, seconds, device, thumbnail } = entry.record;
    const file = await this.#pictures.file(entry);
    const warnings = file
      ? entry.record.warnings
      : [...entry.record.warnings, strings().gallery.onlyThumbnail];
    return {
      settings: /** @type {import("./settings.js").Settings} */ ({ ...settings }),
      canvas: await canvasFrom(file ?? thumbnail),
      seconds,
      device,
      warnings,
    };
  }

  /** @param {string} act */
  #button(act) {
    return /** @type {HTMLButtonElement} */ (this.#root.querySelector(`[data-act=${act}]`));
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(`[data-part=${name}]`));
  }
}
