// @ts-check
/** English texts of problems and what to do about them. */

export const problems = {};
