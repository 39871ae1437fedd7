// @ts-check
/** German texts of the page around the studio. */

/** @type {typeof import("../en/page.js").page} */
export const page = {};
