// @ts-check
/**
 * The pictures of the gallery: in memory, in the browser's storage where they are kept, and the
 * same in all tabs. Nothing here throws for want of storage: a picture that cannot be stored stays
 * in memory, and `problem` says why.
 */
import { StoreError } from "../store/database.js";
import { newId } from "../store/pictures.js";
import { pictureFile } from "./picture-file.js";

/** @typedef {import("../store/database.js").StoreReason} StoreReason */
/** @typedef {import("../store/pictures.js").PictureRecord} PictureRecord */
/** @typedef {import("../store/pictures.js").PictureStore} PictureStore */
/** @typedef {import("./settings.js").Settings} Settings */

/**
 * A picture of the gallery.
 * @typedef {object} Entry
 * @property {PictureRecord} record
 * @property {Blob | null} file its PNG file, where it is in memory
 * @property {boolean} kept it is in the storage
 */

/**
 * A finished picture and how it was made.
 * @typedef {object} Made
 * @property {Settings} settings
 * @property {HTMLCanvasElement} canvas
 * @property {number} seconds
 * @property {string} device
 * @property {string[]} warnings
 */

/**
 * Pictures in memory that keep their PNG file. Of older ones, the thumbnail and the settings
 * remain, so that a page without storage does not grow without bound. Starred ones keep their file.
 */
export const FILES_IN_MEMORY = 200;
/** Time until pictures that found no room are stored again. */
const AGAIN_MS = 5000;
/** Pixels of a thumbnail's longer side: twice its size on the page, for dense screens. */
const THUMBNAIL = 192;

export class Pictures {
  #store;
  #send;
  #onChange;
  #atMost;
  /** By id. @type {Map<string, Entry>} */ #entries = new Map();
  /** Operations of the storage, one after the other. */ #work = Promise.resolve();
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** Why pictures are not stored; null: they are. @type {StoreReason | null} */ problem = null;

  /**
   * @param {object} options
   * @param {PictureStore | null} options.store null: pictures are kept in memory only
   * @param {(message: import("../store/channel.js").TabMessage) => void} options.send to other tabs
   * @param {() => void} options.onChange
   * @param {number} [options.atMost] files in memory
   */
  constructor({ store, send, onChange, atMost = FILES_IN_MEMORY }) {
    this.#store = store;
    this.#send = send;
    this.#onChange = onChange;
    this.#atMost = atMost;
  }

  /** Pictures are meant to outlive the page. */
  get keeps() {
    return this.#store !== null;
  }

  /** The newest first. @returns {Entry[]} */
  get all() {
    return [...this.#entries.values()].sort((a, b) => (a.record.id < b.record.id ? 1 : -1));
  }

  /** Number of pictures that will be gone with the page. */
  get unkept() {
    let count = 0;
    for (const { kept } of this.#entries.values()) if (!kept) count += 1;
    return count;
  }

  /** @param {string} id */
  get(id) {
    return this.#entries.get(id);
  }

  /** Reads the pictures of earlier visits and of other tabs. */
  async load() {
    const store = this.#store;
    if (!store) return;
    await this.#try(async () => {
      const records = await store.all();
      const ids = new Set(records.map(({ id }) => id));
      for (const [id, { kept }] of this.#entries)
        if (kept && !ids.has(id)) this.#entries.delete(id);
      for (const record of records) this.#read(record);
    });
    this.#onChange();
  }

  /** Adds a finished picture. @param {Made} made @returns {Promise<Entry>} once it is stored */
  async add({ settings, canvas, seconds, device, warnings }) {
    const made = Date.now();
    const { width, height } = canvas;
    const [file, thumbnail] = await Promise.all([
      pictureFile(canvas, settings),
      thumbnailOf(canvas),
    ]);
    const about = { settings: { ...settings }, seconds, device, warnings, width, height };
    const record = { id: newId(made), made, ...about, starred: false, thumbnail };
    /** @type {Entry} */
    const entry = { record, file, kept: false };
    this.#entries.set(record.id, entry);
    this.#onChange();
    const wasFull = this.problem !== null;
    await this.#keep([entry]);
    if (wasFull && entry.kept) await this.#keepAll();
    return entry;
  }

  /** The picture's PNG file; null where only its thumbnail is left. @param {Entry} entry */
  async file({ record, file }) {
    if (file || !this.#store) return file;
    const found = await this.#try(() => this.#store?.file(record.id));
    return found ?? null;
  }

  /** @param {Entry} entry @param {boolean} starred */
  async star(entry, starred) {
    entry.record = { ...entry.record, starred };
    this.#onChange();
    if (!entry.kept) return;
    await this.#try(() => this.#store?.update(entry.record));
    this.#send({ about: "pictures", ids: [entry.record.id] });
  }

  /**
   * Deletes pictures.
   * @param {Entry[]} entries
   * @returns {Promise<Entry[]>} them with their files, for `restore`
   */
  async remove(entries) {
    const removed = [];
    for (const entry of entries) removed.push({ ...entry, file: await this.file(entry) });
    const ids = entries.map(({ record }) => record.id);
    for (const id of ids) this.#entries.delete(id);
    this.#onChange();
    await this.#try(() => this.#store?.remove(ids));
    this.#send({ about: "gone", ids });
    // There may be room now for those that could not be stored.
    if (this.problem) await this.#keepAll();
    return removed;
  }

  /** Takes a deletion back. @param {Entry[]} removed */
  async restore(removed) {
    const entries = removed.map((entry) => ({ ...entry, kept: false }));
    for (const entry of entries) this.#entries.set(entry.record.id, entry);
    this.#onChange();
    await this.#keep(entries);
  }

  /** Takes over what another tab has changed. @param {"pictures" | "gone"} about */
  async changed(about, /** @type {string[]} */ ids) {
    const store = this.#store;
    if (!store) return;
    if (about === "gone") for (const id of ids) this.#entries.delete(id);
    else
      for (const id of ids) {
        const record = await this.#try(() => store.get(id));
        if (record) this.#read(record);
      }
    this.#onChange();
  }

  /** @param {PictureRecord} record */
  #read(record) {
    const known = this.#entries.get(record.id);
    if (known) Object.assign(known, { record, kept: true });
    else this.#entries.set(record.id, { record, file: null, kept: true });
  }

  /** Stores the pictures that could not be stored before. */
  async #keepAll() {
    await this.#keep(this.all.filter(({ kept, file }) => !kept && file));
  }

  /** Stores pictures, as far as there is room. @param {Entry[]} entries */
  async #keep(entries) {
    const store = this.#store;
    for (const entry of store ? entries : []) {
      const { record, file } = entry;
      if (!file || !store) continue;
      const done = await this.#try(() => store.add(record, file).then(() => true));
      if (!done) break;
      // Deleted meanwhile, perhaps.
      if (this.#entries.get(record.id) !== entry) continue;
      entry.kept = true;
      entry.file = null;
      this.#send({ about: "pictures", ids: [record.id] });
    }
    if (store && this.unkept === 0) this.problem = null;
    // Browsers free space some time after a deletion.
    clearTimeout(this.#timer);
    if (this.problem === "full") this.#timer = setTimeout(() => void this.#keepAll(), AGAIN_MS);
    this.#bound();
    this.#onChange();
  }

  /** Forgets the files of the oldest pictures in memory, beyond the bound. */
  #bound() {
    const held = this.all.filter(({ kept, file, record }) => !kept && file && !record.starred);
    for (const entry of held.slice(this.#atMost)) entry.file = null;
  }

  /**
   * Runs an operation of the storage after the last one.
   * @template T
   * @param {() => Promise<T> | undefined} act
   * @returns {Promise<T | undefined>} undefined where it failed
   */
  #try(act) {
    const done = this.#work.then(act).catch((error) => {
      this.problem = error instanceof StoreError ? error.reason : "failed";
      return undefined;
    });
    this.#work = done.then(() => {});
    return done;
  }
}

/**
 * @param {HTMLCanvasElement} canvas
 * @returns {Promise<Blob>}
 */
export async function thumbnailOf(canvas) {
  const scale = Math.min(1, THUMBNAIL / Math.max(canvas.width, canvas.height));
  const small = document.createElement("canvas");
  small.width = Math.max(1, Math.round(canvas.width * scale));
  small.height = Math.max(1, Math.round(canvas.height * scale));
  const context = small.getContext("2d");
  if (!context) throw new Error("This browser gave no 2D canvas.");
  context.imageSmoothingQuality = "high";
  context.drawImage(canvas, 0, 0, small.width, small.height);
  /** @type {Blob | null} */
  const blob = await new Promise((resolve) => small.toBlob(resolve, "image/webp", 0.85));
  if (!blob) throw new Error("This browser could not encode the thumbnail.");
  return blob;
}

/** The picture of a PNG file, with the same pixels. @param {Blob} file */
export async function canvasFrom(file) {
  const bitmap = await createImageBitmap(file, {
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  });
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas;
}
