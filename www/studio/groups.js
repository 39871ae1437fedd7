// @ts-check
/** All groups of advanced settings, in the order of the page. A row is all that a group needs. */
import { strings } from "../strings/index.js";
import { groupTemplate, isSet, SettingGroup } from "./group.js";
import { partOf } from "./status-view.js";

/**
 * @typedef {object} Group
 * @property {string} name of its parts
 * @property {() => string} title
 * @property {readonly import("./advanced-settings.js").AdvancedField[]} fields
 * @property {() => Promise<import("./group.js").Panel>} load imports its panel
 */

/** @type {readonly Group[]} */
const GROUPS = [
  {
    name: "negative",
    title: () => strings().guidance.negative.title,
    fields: ["negative_strength", "negative_start", "negative_end", "negative_outside"],
    load: async () => (await import("./negative-panel.js")).negativePanel,
  },
  {
    name: "guidance",
    title: () => strings().guidance.guide.title,
    fields: [
      "guidance_start",
      "guidance_end",
      "guidance_schedule",
      "guidance_min_sigma",
      "guidance_stop",
      "guidance_kind",
      "guidance_options",
    ],
    load: async () => (await import("./guidance-panel.js")).guidancePanel,
  },
  {
    name: "nag",
    title: () => strings().guidance.nag.title,
    fields: ["nag_scale", "nag_tau", "nag_alpha"],
    load: async () => (await import("./nag-panel.js")).nagPanel,
  },
  {
    name: "expert",
    title: () => strings().models.sampling.expert,
    fields: ["clip_skip", "timestep_spacing", "zero_snr", "final_sigma"],
    load: async () => (await import("./expert-panel.js")).panel,
  },
  {
    name: "noise",
    title: () => strings().noise.title,
    fields: ["variation_seed", "variation_strength", "rng", "ensd", "eta"],
    load: async () => (await import("./noise-panel.js")).panel,
  },
];

export const groupTemplates = () =>
  GROUPS.map(({ name, title }) => groupTemplate(name, title())).join("");

/** Begins to show the groups of a form. @param {HTMLFormElement} form */
export function attachGroups(form) {
  for (const { name, fields, load } of GROUPS) new SettingGroup(form, name, fields, load);
  form.addEventListener("review", (event) => {
    const { settings } = /** @type {CustomEvent<import("./form.js").Review>} */ (event).detail;
    const set = GROUPS.filter(({ fields }) => isSet(fields, settings));
    // Folded settings say which of their groups are in use.
    partOf(form, "settings-set").textContent = set.map(({ title }) => title()).join(", ");
  });
}
