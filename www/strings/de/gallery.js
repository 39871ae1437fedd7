// @ts-check
/** German texts of the gallery, the queue and the prompt history. */

/** @type {typeof import("../en/gallery.js").gallery} */
export const gallery = {};
