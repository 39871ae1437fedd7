// @ts-check
/**
 * File input: two dialogs, and files dropped onto the page. Chosen models stay available until the
 * page is closed.
 */
import { DarkroomError } from "../base/problem.js";
import { strings } from "../strings/index.js";
import { ON_DISK } from "./address.js";
import { plausible } from "./candidate.js";
import { chosen, dropped, modelOfFile } from "./dropped-files.js";

/** @typedef {import("../engine/protocol.js").Addition} Addition */
/** @typedef {import("../engine/protocol.js").LocalModel} LocalModel */
/** @typedef {import("./dropped-files.js").ChosenFiles} ChosenFiles */

export class FileInput {
  #host;
  #root;
  #options;
  /** By the text in the model field. @type {Map<string, LocalModel>} */ #models = new Map();

  /**
   * @param {HTMLElement} host receives drops
   * @param {ParentNode} root contains the inputs of the dialogs
   * @param {object} options
   * @param {(name: string) => void} options.onModel gets the text for the model field
   * @param {(picture: File) => Promise<void>} options.onPicture
   * @param {(kind: Addition["kind"], file: File, config?: File) => Promise<unknown>}
   *   options.onAddition
   * @param {() => boolean} options.withVae an added VAE is in use
   * @param {(error: unknown) => void} options.onProblem
   */
  constructor(host, root, options) {
    this.#host = host;
    this.#root = root;
    this.#options = options;
    root.addEventListener("change", ({ target }) => {
      if (!(target instanceof HTMLInputElement) || target.type !== "file") return;
      if (target.files?.length) void this.#use(chosen(target.files));
      // Otherwise choosing the same file again would be no change.
      target.value = "";
    });
    for (const type of ["dragenter", "dragover", "dragleave", "drop"])
      host.addEventListener(type, (event) => this.drag(/** @type {DragEvent} */ (event)));
  }

  /** Opens a dialog. @param {"file" | "folder"} kind */
  choose(kind) {
    /** @type {HTMLInputElement} */ (
      this.#root.querySelector(`input[type=file][data-part=${kind}]`)
    ).click();
  }

  /** @param {DragEvent} event */
  drag(event) {
    const { type, dataTransfer, relatedTarget } = event;
    if (!dataTransfer?.types.includes("Files")) return;
    // Otherwise the browser would open the file.
    event.preventDefault();
    event.stopPropagation();
    const over = type !== "drop" && (type !== "dragleave" || relatedTarget !== null);
    this.#host.toggleAttribute("data-dropping", over);
    if (type === "drop") void this.#use(dropped(dataTransfer));
  }

  /**
   * A chosen model.
   * @param {string} name the text in the model field
   * @returns {LocalModel} without files where it is no longer available
   */
  model(name) {
    return (
      this.#models.get(name) ?? {
        name: name.slice(ON_DISK.length).replace(/\/$/, ""),
        checkpoint: null,
        files: {},
      }
    );
  }

  /** @param {ChosenFiles | Promise<ChosenFiles>} taken */
  async #use(taken) {
    try {
      const { picture, model, loose, only } = await taken;
      const { files } = strings().problems;
      if (only !== null) throw new DarkroomError("file", files.pictures(only));
      if (!model && !picture && loose.length === 0) throw new DarkroomError("file", files.nothing);
      if (model) await this.#one(model);
      for (const file of loose) await this.#one(modelOfFile(file)).catch(this.#options.onProblem);
      if (picture) await this.#options.onPicture(picture);
    } catch (error) {
      this.#options.onProblem(error);
    }
  }

  /** @param {LocalModel} model a folder, or a file of any kind */
  async #one(model) {
    const wanted = await plausible(model, this.#options.withVae());
    const [file, config] = Object.values(model.files);
    if (wanted === "picture") await this.#options.onPicture(file);
    else if (typeof wanted === "string") await this.#options.onAddition(wanted, file, config);
    else {
      const name = `${ON_DISK}${wanted.name}${wanted.checkpoint === null ? "/" : ""}`;
      this.#models.set(name, wanted);
      this.#options.onModel(name);
    }
  }
}
