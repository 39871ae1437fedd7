// @ts-check
/** English texts of the form, the settings and the picture view. */

export const studio = {};
