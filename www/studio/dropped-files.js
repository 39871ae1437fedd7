// @ts-check
/**
 * Files that visitors drop onto the page or choose from their disk: models, and pictures with their
 * generation parameters.
 */
import { DarkroomError } from "../base/problem.js";

/** @typedef {import("../engine/protocol.js").LocalModel} LocalModel */
/**
 * A file, and its path with "/" from the name of the dropped or chosen item.
 * @typedef {{path: string, file: File}} FoundFile
 */

/**
 * Chosen or dropped files, sorted by their names alone. `only`: the name of a folder with pictures
 * and nothing else. `loose`: several files outside of folders, each to be examined by itself.
 * @typedef {object} ChosenFiles
 * @property {File | null} picture
 * @property {LocalModel | null} model
 * @property {File[]} loose
 * @property {string | null} only
 */

/** No model folder has so many files, but a home directory may. */
const FILES_AT_MOST = 2000;
const DEPTH_AT_MOST = 4;
/** A file that every model folder has, at any depth of the dropped folder. */
export const MARKER = "unet/config.json";

/**
 * The dropped files. To be called in the event itself: after it, the data is gone.
 * @param {DataTransfer} data
 * @returns {Promise<ChosenFiles>}
 */
export function dropped(data) {
  /** @type {Promise<FoundFile[]>[]} */
  const found = [];
  for (const item of data.items) {
    if (item.kind !== "file") continue;
    const entry = item.webkitGetAsEntry?.();
    const file = item.getAsFile();
    if (entry?.isDirectory)
      found.push(filesIn(/** @type {FileSystemDirectoryEntry} */ (entry), entry.name, 0));
    else if (file) found.push(Promise.resolve([{ path: file.name, file }]));
  }
  return Promise.all(found).then((all) => sort(all.flat()));
}

/**
 * The files or the folder chosen in a dialog.
 * @param {FileList} files
 * @returns {ChosenFiles}
 */
export const chosen = (files) =>
  sort(Array.from(files, (file) => ({ path: file.webkitRelativePath || file.name, file })));

/**
 * @param {FileSystemDirectoryEntry} folder
 * @param {string} path
 * @param {number} depth
 * @returns {Promise<FoundFile[]>}
 */
async function filesIn(folder, path, depth) {
  const reader = folder.createReader();
  /** @type {FoundFile[]} */
  const found = [];
  // Entries come in batches; the last one is empty.
  for (;;) {
    /** @type {FileSystemEntry[]} */
    const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (batch.length === 0) return found;
    for (const entry of batch) {
      const inside = `${path}/${entry.name}`;
      if (entry.isFile) {
        found.push({
          path: inside,
          file: await new Promise((resolve, reject) =>
            /** @type {FileSystemFileEntry} */ (entry).file(resolve, reject),
          ),
        });
      } else if (depth < DEPTH_AT_MOST && !entry.name.startsWith(".")) {
        found.push(
          ...(await filesIn(/** @type {FileSystemDirectoryEntry} */ (entry), inside, depth + 1)),
        );
      }
      if (found.length > FILES_AT_MOST)
        throw new DarkroomError(
          "disk",
          `${path}: more than ${FILES_AT_MOST} files, which no model folder has`,
        );
    }
  }
}

/** @param {FoundFile[]} found @returns {ChosenFiles} */
function sort(found) {
  const isPicture = (/** @type {FoundFile} */ { file }) => file.type.startsWith("image/");
  const pictures = found.filter((found) => isPicture(found) && !found.path.includes("/"));
  const others = found.filter((found) => !isPicture(found));
  const folder = found.find(({ path }) => path.includes("/"))?.path.split("/")[0] ?? null;
  const loose = others.length > 1 && others.every(({ path }) => !path.includes("/"));
  return {
    picture: pictures.at(-1)?.file ?? null,
    model: loose ? null : modelOf(others),
    loose: loose ? others.map(({ file }) => file) : [],
    only: others.length === 0 && pictures.length === 0 ? folder : null,
  };
}

/** A single file as a model. @param {File} file @returns {LocalModel} */
export const modelOfFile = (file) => ({
  name: file.name,
  checkpoint: file.name,
  files: { [file.name]: file },
});

/**
 * The file of a folder with a configuration, such as a VAE's, under the folder's name; null where
 * the file is alone.
 * @param {FoundFile} single
 * @param {FoundFile[]} found
 * @returns {LocalModel | null}
 */
function beside({ path, file }, found) {
  const [name, folder] = path.split("/").reverse();
  const config = found.find((other) => other.path === path.replace(name, "config.json"));
  if (!config || folder === undefined) return null;
  const named = new File([file], `${folder}.safetensors`);
  const files = { [named.name]: named, "config.json": config.file };
  return { name: folder, checkpoint: named.name, files };
}

/**
 * The model among the files. A single file counts as a checkpoint, whatever its name is: its first
 * bytes are examined next.
 * @param {FoundFile[]} found
 * @returns {LocalModel | null}
 */
function modelOf(found) {
  if (found.length === 0) return null;
  const mark = found.find(({ path }) => path === MARKER || path.endsWith(`/${MARKER}`));
  const checkpoints = found.filter(({ path }) => /\.safetensors$/i.test(path));
  const single =
    found.length === 1 ? found[0] : !mark && checkpoints.length === 1 ? checkpoints[0] : null;
  if (single) return beside(single, found) ?? modelOfFile(single.file);
  const root = mark ? mark.path.slice(0, -MARKER.length) : `${found[0].path.split("/")[0]}/`;
  const within = found.filter(({ path }) => path.startsWith(root));
  const name = root.replace(/\/$/, "").split("/").pop() || "folder";
  return {
    name,
    checkpoint: null,
    files: Object.fromEntries(within.map(({ path, file }) => [path.slice(root.length), file])),
  };
}
