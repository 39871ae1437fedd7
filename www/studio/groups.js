// @ts-check
/** All groups of advanced settings, in the order of the page. A row is all that a group needs. */
import { strings } from "../strings/index.js";
import { groupTemplate, SettingGroup } from "./group.js";

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
    name: "expert",
    title: () => strings().models.sampling.expert,
    fields: ["clip_skip", "timestep_spacing", "zero_snr", "final_sigma"],
    load: async () => (await import("./expert-panel.js")).panel,
  },
];

export const groupTemplates = () =>
  GROUPS.map(({ name, title }) => groupTemplate(name, title())).join("");

/** Begins to show the groups of a form. @param {HTMLFormElement} form */
export function attachGroups(form) {
  for (const { name, fields, load } of GROUPS) new SettingGroup(form, name, fields, load);
}
