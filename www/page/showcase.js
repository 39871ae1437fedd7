// @ts-check
/** Knowledge about the demo model, and the words to press under the negative prompt. */

/** @typedef {import("../studio/element.js").DarkroomStudio} DarkroomStudio */

const MODEL = "models/portraits";

/** Name of the last copy in the browser's storage: 2 kB, for visits without a network. */
const STORED = "darkroom-showcase";

/** @param {string} text */
function store(text) {
  try {
    localStorage.setItem(STORED, text);
  } catch {
    // Without storage a visit without a network says less.
  }
}

/** The file, from the server or from the last visit. */
async function showcaseText() {
  const answer = await fetch(`${MODEL}/showcase.json`).catch(() => null);
  if (!answer?.ok) return localStorage.getItem(STORED) ?? "{}";
  const text = await answer.text();
  store(text);
  return text;
}

/**
 * Gives the studio what is known about the demo model. Without it the studio works, and says less.
 * @param {DarkroomStudio} studio
 */
export async function loadShowcase(studio) {
  try {
    studio.showcase = { model: MODEL, ...JSON.parse(await showcaseText()) };
  } catch (error) {
    console.warn(`No showcase of the demo model: ${error}`);
  }
}

/**
 * A pressed word becomes the negative prompt, and the pair is made again with the seed that is in
 * the form. The words are for the demo model.
 * @param {DarkroomStudio} studio
 */
export function listenToWords(studio) {
  const words = /** @type {HTMLElement | null} */ (studio.querySelector("[slot=words]"));
  if (!words) return;
  const buttons = /** @type {NodeListOf<HTMLButtonElement>} */ (
    words.querySelectorAll("[data-word]")
  );
  const review = () => {
    const { model, negative_prompt } = studio.settings;
    words.hidden = model !== MODEL;
    for (const button of buttons)
      button.ariaPressed = String(button.textContent === negative_prompt.trim());
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      studio.settings = { negative_prompt: button.textContent ?? "" };
      studio.generate({ compare: true }).catch(() => {});
    });
  }
  studio.addEventListener("settings", review);
  review();
}
