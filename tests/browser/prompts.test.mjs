// @ts-check
/** Prompt language and sets of prompts without a browser: weights by keys, marks, styles.csv. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { pageModule } from "./modules.mjs";

const { editAttention } = await pageModule("studio/edit-attention.js");
const { marksOf, movedMarks, segments } = await pageModule("studio/prompt-segments.js");
const { seemsWeighted } = await pageModule("studio/prompt-language.js");
const { applied, readCsv, writeCsv } = await pageModule("studio/prompt-csv.js");

/**
 * A text after a key press. `{` and `}` are the ends of the selection, before and after.
 * @param {string} marked
 * @param {"up" | "down"} key
 */
function pressed(marked, key) {
  const start = marked.indexOf("{");
  const end = marked.indexOf("}") - 1;
  const text = marked.replace("{", "").replace("}", "");
  const edit = editAttention(text, start, end, key === "up");
  if (!edit) return null;
  assert.notEqual(edit.insert, "");
  const next = text.slice(0, edit.from) + edit.insert + text.slice(edit.to);
  return `${next.slice(0, edit.start)}{${next.slice(edit.start, edit.end)}}${next.slice(edit.end)}`;
}

test("weights by keys are those of A1111's editor", () => {
  /** @type {[string, "up" | "down", string | null][]} */
  const table = [
    // The word at the caret, and a selection.
    ["a c{}at, dog", "up", "a ({cat}:1.1), dog"],
    ["a {}cat, dog", "down", "a ({cat}:0.9), dog"],
    ["a cat{}, dog", "up", "a ({cat}:1.1), dog"],
    ["a {black cat} dog", "up", "a ({black cat}:1.1) dog"],
    ["a {black cat } dog", "up", "a ({black cat}:1.1)  dog"],
    // A bracket that names a weight, from within it or by its content.
    ["a (black c{}at:1.1), dog", "up", "a ({black cat}:1.2), dog"],
    ["({cat}:1.1)", "up", "({cat}:1.2)"],
    ["(c{}at:1.1)", "down", "{cat}"],
    ["(c{}at:0.9)", "up", "{cat}"],
    ["(cat:1.{}9)", "up", "({cat}:2.0)"],
    ["(c{}at:2.0)", "down", "({cat}:1.9)"],
    ["(c{}at:0.1)", "down", "({cat}:0.0)"],
    ["(c{}at:-0.1)", "down", "({cat}:-0.2)"],
    ["(c{}at:1.25)", "up", "({cat}:1.35)"],
    // Brackets that name none become ones that do.
    ["(c{}at)", "up", "({cat}:1.2)"],
    ["((c{}at))", "up", "({cat}:1.3)"],
    ["((c{}at))", "down", "({cat}:1.1)"],
    ["[c{}at]", "down", "({cat}:0.8)"],
    ["[c{}at]", "up", "{cat}"],
    // LoRAs change by half a step.
    ["<lora:pencil{}:0.8>", "up", "<{lora:pencil}:0.85>"],
    ["<lora:pencil:0.{}8> cat", "down", "<{lora:pencil}:0.75> cat"],
    ["<lora:pencil:1.0{}>", "down", "<{lora:pencil}:0.95>"],
    // Nothing is there.
    ["{}", "up", null],
    ["a , {} dog", "up", null],
    ["a{   }b", "down", null],
  ];
  for (const [text, key, expected] of table)
    assert.equal(pressed(text, key), expected, `${text} ${key}`);
});

test("weights by keys leave schedules, escaped brackets and other words alone", () => {
  assert.equal(pressed("[c{}at:dog:0.5]", "up"), "[({cat}:1.1):dog:0.5]");
  assert.equal(pressed("[cat|d{}og]", "up"), "[cat|({dog}:1.1)]");
  assert.equal(pressed("(a {big} cat:1.2)", "up"), "(a ({big}:1.1) cat:1.2)");
  assert.equal(pressed("\\(c{}at\\)", "up"), "\\(({cat}:1.1)\\)");
  assert.equal(pressed("<lora:pencil{}>", "up"), "<{lora:pencil}:1.05>");
  assert.equal(pressed("a {(cat:1.1)}", "up"), "a ({cat}:1.2)");
  assert.equal(pressed("{(cat:1.1) (dog:1.1)}", "up"), "({(cat:1.1) (dog:1.1)}:1.1)");
  assert.equal(pressed("x < y{} > z", "up"), "x < ({y}:1.1) > z");
});

test("up and down undo each other for every weight from 0.2 to 1.8", () => {
  for (let tenth = 2; tenth <= 18; tenth += 1) {
    if (tenth === 10) continue;
    const text = `(c{}at:${(tenth / 10).toFixed(1)})`;
    const up = pressed(text, "up");
    const back = pressed(up ?? "", "down");
    assert.equal(back, text.replace("c{}at", "{cat}"), text);
  }
});

test("prompts that seem to have weights are told from plain ones", () => {
  for (const text of ["(cat:1.2)", "((cat))", "[a:b:0.5]", "[a:10]", "[[x]]", "<lora:x:1>"])
    assert.ok(seemsWeighted(text), text);
  for (const text of ["a (small) cat", "\\((x)\\)", "[cat]", "at 12:30", "x:1.2)", "<3", ""])
    assert.ok(!seemsWeighted(text), text);
});

test("the marks of a prompt divide it where they begin and end", () => {
  const text = "a (🐈 cat:1.3) [x|y]";
  const layout = {
    weights: [{ from: 3, to: 9, weight: 1.3 }],
    changes: [{ from: 15, to: 20, choices: [], last_step: null }],
    borders: [3],
    breaks: [],
    ands: [],
    loras: [],
    words: [],
    problems: [{ from: 2, to: 3, kind: "unmatched-open" }],
  };
  const parts = segments(text, marksOf(text, layout)).map(
    (/** @type {any} */ { from, to, marks }) => [text.slice(from, to), marks.join(" ")],
  );
  assert.deepEqual(parts, [
    ["a ", ""],
    ["(", "problem"],
    ["🐈", "up-2 border"],
    [" cat", "up-2"],
    [":1.3) ", ""],
    ["[x|y]", "turn"],
  ]);
});

test("marks move with an edit until the engine has read it", () => {
  const mark = (/** @type {number} */ from, /** @type {number} */ to) => ({ from, to, mark: "m" });
  const marks = [mark(0, 3), mark(4, 7), mark(8, 11)];
  const words = (/** @type {string} */ after) =>
    movedMarks(marks, "abc def ghi", after).map((/** @type {any} */ { from, to }) =>
      after.slice(from, to),
    );
  assert.deepEqual(words("abc deXf ghi"), ["abc", "deXf", "ghi"]);
  assert.deepEqual(words("abc  ghi"), ["abc", "ghi"]);
  assert.deepEqual(words("X abc def ghi"), ["abc", "def", "ghi"]);
  assert.deepEqual(words("abc dghi"), ["abc", "d", "ghi"]);
  assert.deepEqual(words(""), []);
});

const SETS = [
  { name: "plain", prompt: "", negative_prompt: "mustache" },
  { name: 'with "quotes", commas', prompt: "photo of {prompt}, 35mm", negative_prompt: "" },
  { name: "lines", prompt: "one\ntwo\r\nthree", negative_prompt: '"' },
  { name: "Größe – 猫 🐈", prompt: " spaces at both ends ", negative_prompt: "(a:1.2), [b|c]" },
];

test("styles.csv is read back as it was written, and by Python's csv module", async () => {
  const text = writeCsv(SETS);
  assert.deepEqual(readCsv(text), { sets: SETS, problems: [], refused: null });
  const read = `
import csv, io, json, sys
text = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", newline="")
json.dump([dict(row) for row in csv.DictReader(text)], sys.stdout)`;
  const child = promisify(execFile)("python3", ["-c", read]);
  child.child.stdin?.end(text);
  assert.deepEqual(JSON.parse((await child).stdout), SETS);
});

test("a file that Python has written is read, whatever is in it", async () => {
  const write = `
import csv, io, json, sys
text = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8-sig", newline="")
writer = csv.DictWriter(text, fieldnames=["name", "prompt", "negative_prompt"])
writer.writeheader()
writer.writerows(json.load(sys.stdin))
text.flush()`;
  const child = promisify(execFile)("python3", ["-c", write]);
  child.child.stdin?.end(JSON.stringify(SETS));
  assert.deepEqual(readCsv((await child).stdout).sets, SETS);
});

test("rows of styles.csv that are not as they should be are named by their line", () => {
  const text = [
    "name,prompt,negative_prompt,path",
    'first,"two\nlines",x',
    ",no name,y",
    "",
    "many,a,b,c,d",
    "first,again,",
    "short",
    'last,"never closed, z',
    "lost,row,",
  ].join("\n");
  const { sets, problems } = readCsv(text);
  assert.deepEqual(sets, [
    { name: "first", prompt: "again", negative_prompt: "" },
    { name: "many", prompt: "a", negative_prompt: "b" },
    { name: "short", prompt: "", negative_prompt: "" },
  ]);
  assert.deepEqual(
    problems.map((/** @type {any} */ { line, kind }) => [line, kind]),
    [
      [4, "nameless"],
      [6, "columns"],
      [7, "repeated"],
      [9, "unclosed"],
    ],
  );
  assert.equal(readCsv("").refused, "empty");
  assert.equal(readCsv("a,b\n1,2\n").refused, "header");
  // The first versions of the web UI had one prompt only.
  const old = readCsv("name,text\r\nold,words\r\n").sets;
  assert.deepEqual(old, [{ name: "old", prompt: "words", negative_prompt: "" }]);
});

test("a set is added or put in place as A1111 applies styles", () => {
  const now = { prompt: "a man", negative_prompt: "hat" };
  const set = { name: "", prompt: "photo of {prompt}, 35mm", negative_prompt: "blurry" };
  assert.deepEqual(applied(set, now, "append"), {
    prompt: "photo of a man, 35mm",
    negative_prompt: "hat, blurry",
  });
  assert.deepEqual(applied(set, now, "replace"), {
    prompt: "photo of a man, 35mm",
    negative_prompt: "blurry",
  });
  const only = { name: "", prompt: "", negative_prompt: "blurry" };
  const empty = { prompt: "", negative_prompt: " " };
  assert.deepEqual(applied(only, now, "replace").prompt, "a man");
  assert.deepEqual(applied(only, empty, "append").negative_prompt, "blurry");
});
