// @ts-check
/** German texts of the gallery, the queue and the prompt history. */

/** @type {typeof import("../en/gallery.js").gallery} */
export const gallery = {
  title: "Galerie",
  hint: "Diese Sitzung: ein Klick auf ein Bild stellt seine Einstellungen wieder her",
  negative: (/** @type {string} */ negative) => `Negativer Prompt: ${negative}`,
  label: (
    /** @type {number} */ number,
    /** @type {string} */ prompt,
    /** @type {string} */ negative,
  ) => `Bild ${number}: ${prompt}${negative ? `; negativer Prompt: ${negative}` : ""}`,
};
