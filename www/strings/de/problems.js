// @ts-check
/** German texts of problems and what to do about them. */

/** @type {typeof import("../en/problems.js").problems} */
export const problems = {};
