// @ts-check
/** Difference between two pictures of the same seed. */

/** A channel that differs by more than this, of 255, is seen side by side. */
const VISIBLE = 24;
/**
 * Shares of visibly different pixels. Of 240 pairs of the demo model, those without anything to
 * remove were below the first, and those in which only the word's thing was gone below the second.
 */
const NOTHING = 0.003;
const MUCH = 0.1;

/**
 * @typedef {object} Difference
 * @property {number} share of the pixels that differ visibly, 0 … 1
 * @property {number} mean difference of all channels, 0 … 255
 * @property {"nothing" | "some" | "much"} amount
 */

/**
 * @param {HTMLCanvasElement} a
 * @param {HTMLCanvasElement} b
 * @returns {Difference | null} null: the pictures have different sizes
 */
export function differenceOf(a, b) {
  if (a.width !== b.width || a.height !== b.height) return null;
  return compare(pixelsOf(a), pixelsOf(b));
}

/** @param {HTMLCanvasElement} canvas */
function pixelsOf(canvas) {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("This browser gave no 2D canvas.");
  return context.getImageData(0, 0, canvas.width, canvas.height).data;
}

/**
 * @param {Uint8ClampedArray} a RGBA
 * @param {Uint8ClampedArray} b as many values
 * @returns {Difference}
 */
export function compare(a, b) {
  let visible = 0;
  let sum = 0;
  for (let at = 0; at < a.length; at += 4) {
    const red = Math.abs(a[at] - b[at]);
    const green = Math.abs(a[at + 1] - b[at + 1]);
    const blue = Math.abs(a[at + 2] - b[at + 2]);
    sum += red + green + blue;
    if (Math.max(red, green, blue) > VISIBLE) visible += 1;
  }
  const pixels = a.length / 4;
  const share = visible / pixels;
  const amount = share < NOTHING ? "nothing" : share < MUCH ? "some" : "much";
  return { share, mean: sum / (3 * pixels), amount };
}
