// @ts-check
/** German texts of the form, the settings and the picture view. */

/** @type {typeof import("../en/studio.js").studio} */
export const studio = {};
