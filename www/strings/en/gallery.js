// @ts-check
/** English texts of the gallery, the queue and the prompt history. */

export const gallery = {
  title: "Gallery",
  hint: "This session: click a picture to restore its settings",
  negative: (/** @type {string} */ negative) => `Negative prompt: ${negative}`,
  label: (
    /** @type {number} */ number,
    /** @type {string} */ prompt,
    /** @type {string} */ negative,
  ) => `Picture ${number}: ${prompt}${negative ? `; negative prompt: ${negative}` : ""}`,
};
