// @ts-check
/** Acts of the buttons in a problem. */
import { isCheckpoint } from "./address.js";

/**
 * @typedef {object} Tools
 * @property {import("./session.js").Session} session
 * @property {import("./model-switch.js").ModelSwitch} models
 * @property {import("./file-input.js").FileInput | null} files
 * @property {() => string} model the text in the model field
 * @property {() => void} useCpu sets the device to the CPU
 * @property {() => void} focusModel puts the focus into the model field
 * @property {() => void} openShelf opens the list of models
 * @property {() => void} hide the problem
 */

/** @param {string} remedy see problems.js @param {Tools} tools */
export function useRemedy(remedy, tools) {
  const { session, models, files } = tools;
  const acts = {
    again: () => models.again() || session.open(),
    fresh: () => session.open({ fresh: true }),
    cpu: () => {
      tools.useCpu();
      // A picture that is stuck does not end by itself.
      session.restart();
    },
    file: () => files?.choose(isCheckpoint(tools.model()) ? "file" : "folder"),
    edit: () => {
      models.edit();
      tools.focusModel();
    },
    wait: () => session.wait(),
    restart: () => session.restart(),
    reload: () => location.reload(),
    back: () => models.back(),
    shelf: () => tools.openShelf(),
    load: () => {
      tools.hide();
      models.answer(true);
    },
    stay: () => {
      models.answer(false);
      tools.hide();
    },
  };
  if (Object.hasOwn(acts, remedy)) acts[/** @type {keyof typeof acts} */ (remedy)]();
}
