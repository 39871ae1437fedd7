// @ts-check
/**
 * Darkroom without the element: opens a model and makes pictures, in a page or in a worker.
 *
 * ```js
 * import { createDarkroom } from "darkroom-studio/api";
 * const darkroom = await createDarkroom({ model: "owner/name" });
 * const { bitmap, blob } = await darkroom.generate({ prompt: "a cat", negativePrompt: "a dog" });
 * darkroom.close();
 * ```
 */
export { DarkroomError } from "./base/problem.js";
export { createDarkroom, Darkroom } from "./studio/darkroom.js";
