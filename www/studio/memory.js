// @ts-check
/** What a model takes in memory, in words. */
import { size } from "./models.js";

/** @param {import("../protocol.js").MemoryPlan} plan */
export function planWords({ weights, total, tiled, width, height }) {
  const work = `${size(weights)} of weights and ${size(Math.max(0, total - weights))} to work in for a picture of ${width}\u00a0×\u00a0${height}`;
  return `Memory: ${work}${tiled ? "; it is decoded in tiles" : ""}.`;
}
