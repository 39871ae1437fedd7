// @ts-check
/** Takes pictures out of the gallery: downloads, ZIP archives, the clipboard, dragging. */
import { fileName } from "./picture-file.js";
import { download } from "./png.js";
import { zipOf } from "./zip.js";

/** @typedef {import("./pictures.js").Entry} Entry */
/** @typedef {import("./pictures.js").Pictures} Pictures */

/** @param {Entry} entry */
const nameOf = ({ record }) =>
  fileName(/** @type {import("./settings.js").Settings} */ (record.settings));

/** @param {Pictures} pictures @param {Entry} entry @returns {Promise<boolean>} there was a file */
export async function downloadOne(pictures, entry) {
  const file = await pictures.file(entry);
  if (file) download(file, nameOf(entry));
  return file !== null;
}

/**
 * Downloads pictures in one ZIP archive.
 * @param {Pictures} pictures
 * @param {Entry[]} entries
 * @returns {Promise<number>} how many are in the archive: those that still have their file
 */
export async function downloadAll(pictures, entries) {
  let count = 0;
  async function* files() {
    for (const entry of entries) {
      const file = await pictures.file(entry);
      if (!file) continue;
      count += 1;
      yield { name: nameOf(entry), made: entry.record.made, file };
    }
  }
  const archive = await zipOf(files());
  const day = new Date().toISOString().slice(0, 10);
  if (count > 0) download(archive, `darkroom-${day}.zip`);
  return count;
}

/** Browsers allow it on https pages only. */
export const canCopy = () =>
  typeof ClipboardItem === "function" && Boolean(navigator.clipboard?.write);

/**
 * Copies the image to the clipboard.
 * @param {Pictures} pictures
 * @param {Entry} entry
 * @throws where the browser refuses it, or the file is gone
 */
export async function copyImage(pictures, entry) {
  const file = pictures.file(entry).then((file) => {
    if (!file) throw new Error("the file is gone");
    return file;
  });
  // A promise in the item keeps the permission of the press in Safari.
  await navigator.clipboard.write([new ClipboardItem({ "image/png": file })]);
}

/** Lets pictures be dragged out of the page, as files. */
export class DragOut {
  #pictures;
  /** The picture that may be dragged next. @type {{id: string, url: string, file: File} | null} */
  #ready = null;

  /** @param {Pictures} pictures */
  constructor(pictures) {
    this.#pictures = pictures;
  }

  /** Gets the file before a drag begins: then it has to be there at once. @param {Entry} entry */
  async prepare(entry) {
    const { id } = entry.record;
    if (this.#ready?.id === id) return;
    const file = await this.#pictures.file(entry);
    if (!file) return;
    if (this.#ready) URL.revokeObjectURL(this.#ready.url);
    const named = new File([file], nameOf(entry), { type: "image/png" });
    this.#ready = { id, url: URL.createObjectURL(file), file: named };
  }

  /** @param {DragEvent} event @param {Entry} entry */
  start(event, entry) {
    const data = event.dataTransfer;
    if (!data || this.#ready?.id !== entry.record.id) return;
    const { url, file } = this.#ready;
    data.effectAllowed = "copy";
    // For the desktop (Chromium), and for other pages and windows.
    data.setData("DownloadURL", `image/png:${file.name}:${url}`);
    data.setData("text/uri-list", url);
  }
}
