// @ts-check
/** English texts of the gallery, the queue and the prompt history. */

export const gallery = {};
