// @ts-check
/** Answers of the form's fields and buttons. */
import { useRemedy } from "./remedies.js";
import { fieldOf, randomSeed } from "./settings.js";

/**
 * @typedef {object} Host
 * @property {() => import("./form.js").SettingsForm} form
 * @property {() => import("./file-input.js").FileInput | null} files
 * @property {import("./session.js").Session} session
 * @property {import("./model-switch.js").ModelSwitch} models
 * @property {(options: {compare?: boolean, wall?: boolean}) => void} make
 * @property {() => void} cancel
 * @property {(settings: Partial<import("./settings.js").Settings>) => void} fill
 * @property {() => void} openModels opens the shelf of models
 * @property {(field?: import("./settings.js").Field) => void} changed `field`: typed in
 * @property {() => void} hideProblem
 */

/** @param {HTMLFormElement} element @param {Host} host */
export function listenToForm(element, host) {
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    host.make({});
  });
  element.addEventListener("click", ({ target }) => {
    const button = /** @type {HTMLElement} */ (target).closest("button");
    if (button) press(button.dataset, host);
  });
  element.addEventListener("input", ({ target }) => {
    const input = /** @type {HTMLInputElement} */ (target);
    host.form().apply(input);
    const { slider = "", switch: box = "" } = input.dataset;
    host.changed(fieldOf(input.name || slider || box));
  });
  element.addEventListener("change", ({ target }) => {
    const { name } = /** @type {HTMLInputElement} */ (target);
    if (name === "model") host.models.typed();
    // The prediction type also decides on the model's default sampler and size.
    if (name === "prediction") host.form().resetModelDefaults();
    if (name === "device" || name === "prediction") host.session.change();
  });
}

/** @param {DOMStringMap} data of a button @param {Host} host */
function press({ act, fill, remedy }, host) {
  const form = host.form();
  if (fill) host.fill(JSON.parse(fill));
  if (act === "cancel") host.cancel();
  if (act === "compare" || act === "wall") host.make({ [act]: true });
  if (act === "new-seed") {
    form.newSeed();
    host.changed();
  }
  if (act === "new-variation-seed") {
    form.fill({ variation_seed: randomSeed() });
    host.changed();
  }
  if (act === "models") host.openModels();
  if (act === "file" || act === "folder") host.files()?.choose(act);
  if (!remedy) return;
  useRemedy(remedy, {
    session: host.session,
    models: host.models,
    files: host.files(),
    model: () => form.settings.model,
    useCpu: () => {
      form.fill({ device: "cpu" });
      host.changed();
    },
    openShelf: () => host.openModels(),
    focusModel: () => form.focus("model"),
    hide: () => host.hideProblem(),
  });
}
