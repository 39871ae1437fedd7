// @ts-check
/** The settings line of infotext: `Key: value, Key: "quoted, value", …`. */

/** Quotes a value that contains a separator, as other programs do. @param {string} value */
export const quoted = (value) => (/[,:"\n]/.test(value) ? JSON.stringify(value) : value);

/** @param {string | undefined} text */
export const excerpt = (text = "") => (text.length > 60 ? `${text.slice(0, 60)}…` : text);

/**
 * Splits a line at the commas outside quotes.
 * @param {string} line
 */
export function valuesOf(line) {
  /** @type {Map<string, string>} */
  const values = new Map();
  for (let at = 0; at < line.length; ) {
    const colon = line.indexOf(":", at);
    if (colon < 0) break;
    const key = line.slice(at, colon).trim();
    let start = colon + 1;
    while (line[start] === " ") start += 1;
    let end = line[start] === '"' ? endOfQuoted(line, start) : start;
    const comma = line.indexOf(",", end);
    end = comma < 0 ? line.length : comma;
    // The first value of a key counts: later ones may come from anywhere.
    if (!values.has(key)) values.set(key, unquoted(line.slice(start, end).trim()));
    at = end + 1;
  }
  return values;
}

/**
 * The index after a quoted value.
 * @param {string} line
 * @param {number} start of its first quote
 */
function endOfQuoted(line, start) {
  for (let at = start + 1; at < line.length; at += 1) {
    if (line[at] === "\\") at += 1;
    else if (line[at] === '"') return at + 1;
  }
  // Without a closing quote it is not a quoted value.
  return start;
}

/** @param {string} value */
function unquoted(value) {
  if (!value.startsWith('"')) return value;
  try {
    return String(JSON.parse(value));
  } catch {
    return value;
  }
}

/** Names in a value such as `a: 1f, b: 2e`. @param {string | undefined} value */
export const namesIn = (value = "") => [...valuesOf(value).keys()].filter(Boolean);
