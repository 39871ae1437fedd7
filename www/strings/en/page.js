// @ts-check
/** English texts of the page around the studio. */

export const page = {};
