// @ts-check
/** Offer at the negative prompt where guidance cannot apply it: normalized attention guidance. */
import { strings } from "../strings/index.js";

/** @typedef {import("../engine/protocol.js").ModelInfo} ModelInfo */
/** @typedef {import("./form.js").Review} Review */
/** @typedef {import("./settings.js").Settings} Settings */

/** The scale that the offer sets. */
const SCALE = "5";

/** Up to a scale of 1 normalized attention guidance is off. @param {Settings} settings */
const isOn = ({ nag_scale }) => Number(nag_scale) > 1;

/** @param {Settings} settings @param {ModelInfo | null} model */
const isUnguided = ({ guidance_scale }, model) =>
  Number(guidance_scale || NaN) === 1 || (model?.guidance_embedded ?? false);

/**
 * Tells if the negative prompt has an effect where guidance gives it none.
 * @param {Settings} settings
 * @param {ModelInfo | null} model null: it is not open yet
 */
export const appliesNegative = (settings, model) => isUnguided(settings, model) && isOn(settings);

/** Adds the offer below the negative prompt. @param {HTMLFormElement} form */
export function attachNagOffer(form) {
  const t = strings().guidance.nag;
  const offer = document.createElement("p");
  offer.className = "offer";
  offer.dataset.part = "nag-offer";
  offer.hidden = true;
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "plain", textContent: t.offer });
  button.dataset.fill = JSON.stringify({ nag_scale: SCALE });
  const text = document.createElement("span");
  text.tabIndex = -1;
  // The button is hidden then, and must not have the focus.
  button.addEventListener("click", () => text.focus());
  offer.append(button, " ", text);
  form.querySelector("[data-note=negative-prompt]")?.after(offer);
  form.addEventListener("review", (event) => {
    const { settings, model } = /** @type {CustomEvent<Review>} */ (event).detail;
    offer.hidden = !isUnguided(settings, model);
    button.hidden = isOn(settings);
    text.textContent = isOn(settings) ? t.applied(settings.nag_scale) : t.why;
  });
}
