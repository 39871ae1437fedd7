// @ts-check
/** Kinds of guidance: a model's list of them, and the options as a text. */
import { strings } from "../strings/index.js";
import { optionsOf } from "./advanced-settings.js";

/** @typedef {import("../engine/protocol.js").ModelInfo} ModelInfo */
/** @typedef {ModelInfo["guidance_kinds"][number]} Kind */
/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {Pick<Settings, "guidance_kind" | "guidance_options">} Choice */

/** The kinds that the engine has; none before a model is open. @param {ModelInfo | null} model */
export const kindsOf = (model) => [...(model?.guidance_kinds ?? [])];

/**
 * The chosen kind; without options where the engine has no such kind.
 * @param {Choice} choice
 * @param {ModelInfo | null} model
 * @returns {Kind}
 */
export function kindOf({ guidance_kind: id }, model) {
  const known = kindsOf(model).find((kind) => kind.id === id);
  return known ?? { id, label: id, branches: 2, options: [] };
}

/**
 * Writes options as `name=number, name=number`.
 * @param {string[][]} pairs names and values; an empty value leaves the option out
 */
export const textOf = (pairs) =>
  pairs
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${name}=${value}`)
    .join(", ");

/**
 * The message about an option that is not valid; empty: there is none.
 * @param {Choice} choice
 * @param {ModelInfo | null} model null: its kinds are not known yet
 */
export function optionProblem(choice, model) {
  const t = strings().guidance.guide;
  const kind = kindOf(choice, model);
  for (const [name, value] of Object.entries(optionsOf(choice.guidance_options))) {
    const option = kind.options.find(({ id }) => id === name);
    if (!option) {
      if (model) return t.noOption(name, kind.label);
      continue;
    }
    const { lowest, highest, whole } = option;
    const isValid = value >= lowest && value <= highest && (!whole || Number.isInteger(value));
    const shown = name.replaceAll("_", " ");
    if (!isValid) return (whole ? t.optionWhole : t.optionRange)(shown, lowest, highest);
  }
  return "";
}
