// @ts-check
/** The note beside the negative prompt about what it can do with this model and these settings. */
import { strings } from "../strings/index.js";

/** @typedef {import("../engine/protocol.js").ModelInfo} ModelInfo */

/**
 * A sentence about the negative prompt; empty: it does what it usually does.
 * @param {Pick<ModelInfo, "kind" | "guidance_embedded"> | null} model null: not known yet
 * @param {{guidance_scale: string}} settings
 */
export function negativeHint(model, { guidance_scale }) {
  const t = strings().models.negative;
  const scale = guidance_scale.trim() === "" ? NaN : Number(guidance_scale);
  if (model?.guidance_embedded) return t.embedded;
  if (scale === 1) return model?.kind === "turbo" ? t.turbo : strings().studio.prompts.noEffect;
  return scale >= 0 && scale < 1 ? t.below : "";
}
