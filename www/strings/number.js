// @ts-check
/** Numbers in a language's notation. */

/**
 * @param {string} language
 * @param {number} value
 * @param {Intl.NumberFormatOptions} [options]
 */
export const number = (language, value, options) =>
  new Intl.NumberFormat(language, { useGrouping: false, ...options }).format(value);
