// @ts-check
/** Choice between the forms of a word by a count, as the language's rules say. */

/**
 * @param {string} language
 * @returns {(count: number, forms: {one: string, other: string}) => string} the form for the count
 */
export const pluralIn = (language) => {
  const rules = new Intl.PluralRules(language);
  return (count, forms) => (rules.select(count) === "one" ? forms.one : forms.other);
};
