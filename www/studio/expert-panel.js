// @ts-check
/** The group of settings that only experts change: clip skip, timesteps and the final sigma. */
import { strings } from "../strings/index.js";
import { select } from "./sampler-template.js";

/** @typedef {import("./group.js").Panel} Panel */
/** @typedef {import("./sampler-template.js").Choice} Choice */

function template() {
  const t = strings().models.sampling;
  /** @type {Choice} */
  const own = ["", t.modelDefault];
  return `
  <div class="field amount">
    <label for="clip-skip">${t.clipSkip}</label>
    <input id="clip-skip" name="clip-skip" inputmode="numeric" autocomplete="off" part="field"
      title="${t.clipSkipTitle}" aria-describedby="clip-skip-note">
    <p class="note" id="clip-skip-note" data-note="clip-skip"></p>
  </div>
  ${select("timestep-spacing", t.spacing, [
    own,
    ["leading", "leading"],
    ["linspace", "linspace"],
    ["trailing", "trailing"],
  ])}
  ${select("zero-snr", t.zeroSnr, [own, ["true", t.yes], ["false", t.no]])}
  ${select("final-sigma", t.finalSigma, [own, ["zero", t.zero], ["sigma_min", t.lowest]])}`;
}

/** @type {Panel} */
export const panel = {
  template,
  summary({ settings }) {
    const t = strings().models.sampling;
    const { clip_skip, timestep_spacing, zero_snr, final_sigma } = settings;
    const set = [
      clip_skip && `${t.clipSkip} ${clip_skip}`,
      timestep_spacing,
      zero_snr && `${t.zeroSnr}: ${zero_snr === "true" ? t.yes : t.no}`,
      final_sigma && `${t.finalSigma}: ${final_sigma === "zero" ? t.zero : t.lowest}`,
    ];
    return set.filter(Boolean).join(" · ");
  },
  render(body, { model }) {
    const field = /** @type {HTMLInputElement} */ (body.querySelector("[name=clip-skip]"));
    field.placeholder = model ? String(model.default_clip_skip) : "";
  },
};
