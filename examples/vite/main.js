// @ts-check
/** The element, and a picture made without it. Put a model into public/models/portraits/. */
import "darkroom-studio";
import { createDarkroom } from "darkroom-studio/api";

const button = /** @type {HTMLButtonElement} */ (document.querySelector("body > button"));
const canvas = /** @type {HTMLCanvasElement} */ (document.querySelector("canvas"));

button.addEventListener("click", async () => {
  button.disabled = true;
  const darkroom = await createDarkroom({ model: "models/portraits" });
  const { bitmap, seed } = await darkroom.generate({
    prompt: "Portrait photo of a man",
    negativePrompt: "mustache",
    steps: 8,
    guidanceScale: 3,
  });
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
  canvas.dataset.seed = seed;
  darkroom.close();
  button.disabled = false;
});
