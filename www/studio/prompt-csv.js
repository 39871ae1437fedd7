// @ts-check
/**
 * Sets of prompts as A1111's `styles.csv`: columns name, prompt and negative_prompt, in UTF-8 with
 * a byte order mark, written and read as Python's `csv` module does.
 */

/** @typedef {{name: string, prompt: string, negative_prompt: string}} PromptSet */

/**
 * A row that is not used as it is.
 * - unclosed: a quotation mark is never closed, so the rest of the file is one value
 * - nameless: there is no name
 * - columns: there are more values than columns; the others are left out
 * - repeated: an earlier row has the same name; the later one holds
 * @typedef {{line: number, kind: "unclosed" | "nameless" | "columns" | "repeated", name: string}}
 *   CsvProblem
 */

/**
 * Why a file holds no sets: it is empty, or its first line names no columns.
 * @typedef {"empty" | "header"} CsvRefusal
 */

/** Sets of one file. More are cut off, so that a wrong file does not stop the page. */
const ROWS_AT_MOST = 10_000;

/** A value that has to be in quotation marks. */
const SPECIAL = /[",\r\n]/;

/** @param {readonly PromptSet[]} sets */
export function writeCsv(sets) {
  const value = (/** @type {string} */ text) =>
    SPECIAL.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const rows = sets.map(({ name, prompt, negative_prompt }) => [name, prompt, negative_prompt]);
  const lines = [["name", "prompt", "negative_prompt"], ...rows];
  return `\ufeff${lines.map((row) => `${row.map(value).join(",")}\r\n`).join("")}`;
}

/**
 * Reads a file. Time and memory are proportional to its length.
 * @param {string} text
 * @returns {{sets: PromptSet[], problems: CsvProblem[], refused: CsvRefusal | null}}
 */
export function readCsv(text) {
  const { rows, unclosed } = rowsOf(text.replace(/^\ufeff/, ""));
  const [header, ...rest] = rows;
  if (!header) return { sets: [], problems: [], refused: "empty" };
  const names = header.values.map((name) => name.trim().toLowerCase());
  const at = (/** @type {string[]} */ ...wanted) => names.findIndex((one) => wanted.includes(one));
  // The first versions of the web UI had one prompt, in a column "text".
  const columns = {
    name: at("name"),
    prompt: at("prompt", "text"),
    negative: at("negative_prompt"),
  };
  if (columns.name < 0 || (columns.prompt < 0 && columns.negative < 0))
    return { sets: [], problems: [], refused: "header" };
  /** @type {CsvProblem[]} */
  const problems = [];
  /** @type {Map<string, PromptSet>} */
  const sets = new Map();
  for (const { line, values } of rest.slice(0, ROWS_AT_MOST)) {
    const name = values[columns.name]?.trim() ?? "";
    const note = (/** @type {CsvProblem["kind"]} */ kind) => problems.push({ line, kind, name });
    if (line === unclosed) {
      note("unclosed");
      continue;
    }
    if (name === "") {
      note("nameless");
      continue;
    }
    if (values.length > names.length) note("columns");
    if (sets.has(name)) note("repeated");
    sets.set(name, {
      name,
      prompt: values[columns.prompt] ?? "",
      negative_prompt: values[columns.negative] ?? "",
    });
  }
  return { sets: [...sets.values()], problems, refused: null };
}

/**
 * Rows that are not empty, with the line that each begins in.
 * @param {string} text
 * @returns {{rows: {line: number, values: string[]}[], unclosed: number}} `unclosed`: the line of
 *   the row with a quotation mark that is never closed; 0: none
 */
function rowsOf(text) {
  /** @type {{line: number, values: string[]}[]} */
  const rows = [];
  let [line, unclosed] = [1, 0];
  for (let at = 0; at < text.length; ) {
    const row = { line, values: /** @type {string[]} */ ([]) };
    for (let more = true; more; ) {
      const value = valueAt(text, at);
      row.values.push(value.text);
      line += value.lines;
      at = value.end;
      if (value.open) unclosed = row.line;
      more = text[at] === ",";
      if (more) at += 1;
    }
    // A line break of Windows, of Unix, or of an old Mac.
    at += text.startsWith("\r\n", at) ? 2 : 1;
    line += 1;
    if (row.values.length > 1 || row.values[0] !== "") rows.push(row);
  }
  return { rows, unclosed };
}

/**
 * The value at a position. A quotation mark within a value that does not begin with one is text.
 * @param {string} text
 * @param {number} at
 * @returns {{text: string, end: number, lines: number, open: boolean}} `lines`: line breaks in it
 */
function valueAt(text, at) {
  if (text[at] !== '"') {
    const end = endOf(text, at);
    return { text: text.slice(at, end), end, lines: 0, open: false };
  }
  const parts = [];
  let from = at + 1;
  for (;;) {
    const quote = text.indexOf('"', from);
    if (quote < 0) {
      parts.push(text.slice(from));
      return { ...counted(parts.join("")), end: text.length, open: true };
    }
    parts.push(text.slice(from, quote));
    from = quote + 1;
    if (text[from] !== '"') break;
    parts.push('"');
    from += 1;
  }
  const end = endOf(text, from);
  return { ...counted(parts.join("") + text.slice(from, end)), end, open: false };
}

/** @param {string} text */
const counted = (text) => ({ text, lines: text.match(/\r\n|\r|\n/g)?.length ?? 0 });

/** The end of an unquoted value. @param {string} text @param {number} at */
function endOf(text, at) {
  let end = at;
  while (end < text.length && text[end] !== "," && text[end] !== "\n" && text[end] !== "\r")
    end += 1;
  return end;
}

/**
 * A prompt with that of a set: in its place `{prompt}`, or behind it, as A1111 applies styles.
 * @param {string} set
 * @param {string} prompt
 */
export function merged(set, prompt) {
  if (set.includes("{prompt}")) return set.replaceAll("{prompt}", prompt);
  return [prompt.trim(), set.trim()].filter(Boolean).join(", ");
}

/**
 * Both prompts after a set was used.
 * @param {PromptSet} set
 * @param {{prompt: string, negative_prompt: string}} prompts
 * @param {"append" | "replace"} how replace: a prompt that the set has takes the place of the old
 */
export function applied(set, prompts, how) {
  const one = (/** @type {string} */ own, /** @type {string} */ old) => {
    if (own.trim() === "") return old;
    return how === "append" || own.includes("{prompt}") ? merged(own, old) : own;
  };
  return {
    prompt: one(set.prompt, prompts.prompt),
    negative_prompt: one(set.negative_prompt, prompts.negative_prompt),
  };
}
