// @ts-check
/** Parts of the place to work in that need no browser: archives, undo, the queue, arrow keys. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { pageModule } from "./modules.mjs";

const run = promisify(execFile);

describe("ZIP archives", async () => {
  const { zipOf, FILES_AT_MOST } = await pageModule("studio/zip.js");
  const made = new Date(2026, 10, 27, 21, 48, 52).getTime();
  const names = ["a.png", "a.png", "Bärte – ohne.png", "a-2.png", "folder/a.png"];
  const contents = names.map((name, at) => Buffer.from(`${name} `.repeat(at * 700)));

  /** @param {(path: string) => Promise<void>} use */
  async function written(use) {
    const entries = names.map((name, at) => ({ name, made, file: new Blob([contents[at]]) }));
    const folder = await mkdtemp(join(tmpdir(), "darkroom-zip-"));
    try {
      const path = join(folder, "pictures.zip");
      await writeFile(path, Buffer.from(await (await zipOf(entries)).arrayBuffer()));
      await use(path);
    } finally {
      await rm(folder, { recursive: true });
    }
  }

  test("Python reads every file, name and time of an archive", () =>
    written(async (path) => {
      const script = [
        "import base64, json, sys, zipfile",
        "archive = zipfile.ZipFile(sys.argv[1])",
        "assert archive.testzip() is None",
        "print(json.dumps([[i.filename, i.date_time, i.compress_type,",
        "  base64.b64encode(archive.read(i)).decode()] for i in archive.infolist()]))",
      ].join("\n");
      const { stdout } = await run("python3", ["-c", script, path]);
      const unique = ["a.png", "a-2.png", "Bärte – ohne.png", "a-2-2.png", "folder/a.png"];
      assert.deepEqual(
        JSON.parse(stdout),
        unique.map((name, at) => [
          name,
          [2026, 11, 27, 21, 48, 52],
          0,
          contents[at].toString("base64"),
        ]),
      );
    }));

  test("unzip finds no error in an archive", () =>
    written(async (path) => {
      const { stdout } = await run("unzip", ["-t", path]);
      assert.match(stdout, /No errors detected/);
    }));

  test("an archive of nothing is an archive", async () => {
    const bytes = Buffer.from(await (await zipOf([])).arrayBuffer());
    assert.equal(bytes.length, 22);
    assert.equal(bytes.readUInt32LE(0), 0x06054b50);
  });

  test("more files than the format can count are refused", async () => {
    const file = new Blob([]);
    function* many() {
      for (let at = 0; at <= FILES_AT_MOST; at += 1) yield { name: `${at}`, made, file };
    }
    await assert.rejects(zipOf(many()), /at most 65535 files/);
  });
});

describe("undo", async () => {
  const { UndoHistory } = await pageModule("studio/undo.js");
  /** @param {string} prompt @param {string} [steps] */
  const state = (prompt, steps = "20") => ({ prompt, steps });

  test("typing without a pause is one step, a pause ends it", () => {
    const history = new UndoHistory();
    history.note(state(""), "", 0);
    history.note(state("a"), "prompt", 100);
    history.note(state("a m"), "prompt", 300);
    history.note(state("a man"), "prompt", 900);
    history.note(state("a man, old"), "prompt", 2500);
    assert.deepEqual(history.undo(), state("a man"));
    assert.deepEqual(history.undo(), state(""));
    assert.equal(history.undo(), null);
    assert.deepEqual(history.redo(), state("a man"));
    assert.deepEqual(history.redo(), state("a man, old"));
    assert.equal(history.redo(), null);
  });

  test("another field and a filled form are steps of their own", () => {
    const history = new UndoHistory();
    history.note(state(""), "", 0);
    history.note(state("cat"), "prompt", 10);
    history.note(state("cat", "5"), "steps", 20);
    assert.equal(history.filled, false);
    history.note(state("from a link", "30"), "", 30);
    assert.equal(history.filled, true);
    assert.deepEqual(history.undo(), state("cat", "5"));
    assert.deepEqual(history.undo(), state("cat"));
    assert.deepEqual(history.undo(), state(""));
  });

  test("a change after an undo ends the redo, and equal settings are no step", () => {
    const history = new UndoHistory();
    history.note(state("a"), "", 0);
    history.note(state("b"), "", 1);
    history.undo();
    history.note(state("a"), "", 2);
    assert.equal(history.canRedo, true, "nothing was changed");
    history.note(state("c"), "", 3);
    assert.equal(history.canRedo, false);
    assert.deepEqual(history.undo(), state("a"));
  });
});

describe("arrow keys in numbers", async () => {
  const { stepped } = await pageModule("studio/shortcuts.js");
  const up = { key: "ArrowUp", shiftKey: false };
  const down = { key: "ArrowDown", shiftKey: false };
  const leap = { key: "ArrowUp", shiftKey: true };

  test("each field has its step, and its lower end", () => {
    assert.equal(stepped("steps", "20", up, 8), "21");
    assert.equal(stepped("steps", "1", down, 8), "1");
    assert.equal(stepped("steps", "20", leap, 8), "30");
    assert.equal(stepped("guidance_scale", "7.3", up, 8), "7.5");
    assert.equal(stepped("guidance_scale", "7.5", down, 8), "7");
    assert.equal(stepped("width", "128", up, 16), "144");
    assert.equal(stepped("height", "100", down, 8), "96");
    assert.equal(stepped("width", "8", down, 8), "8");
    assert.equal(stepped("seed", "18446744073709551614", up, 8), "18446744073709551615");
    assert.equal(stepped("seed", "0", down, 8), "0");
  });

  test("other keys, other fields and texts that are no numbers are left alone", () => {
    assert.equal(stepped("steps", "20", { key: "a", shiftKey: false }, 8), null);
    assert.equal(stepped("prompt", "20", up, 8), null);
    assert.equal(stepped("steps", "many", up, 8), null);
    assert.equal(stepped("width", "", up, 8), null);
  });
});

describe("the queue", async () => {
  const { RunQueue, seedsFor } = await pageModule("studio/queue.js");
  const { QueueStore } = await pageModule("store/queue.js");

  /** A queue with runs that end when the test says so. */
  function queue() {
    /** @type {{seed: string, end: (outcome: any) => void}[]} */
    const begun = [];
    const host = {
      isIdle: () => true,
      make: (/** @type {{seed: string}} */ { seed }) =>
        new Promise((end) => begun.push({ seed, end })),
      cancel: () => begun.at(-1)?.end("cancelled"),
      onChange() {},
      announce() {},
    };
    const queue = new RunQueue(new QueueStore(null), host);
    const waiting = () => queue.waiting.map((/** @type {any} */ { settings }) => settings.seed);
    const add = (/** @type {string[]} */ ...seeds) =>
      queue.add(
        seeds.map((seed) => ({ seed })),
        "picture",
      );
    return { queue, begun, waiting, add };
  }
  const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

  test("runs are made in the order they were added, one at a time", async () => {
    const { queue: q, begun, waiting, add } = queue();
    add("1", "2");
    await settled();
    add("3");
    assert.deepEqual([begun.map(({ seed }) => seed), waiting()], [["1"], ["2", "3"]]);
    for (const _ of [1, 2, 3]) {
      begun.at(-1)?.end("made");
      await settled();
    }
    assert.deepEqual(
      begun.map(({ seed }) => seed),
      ["1", "2", "3"],
    );
    assert.equal(q.busy, false);
  });

  test("a run that waits can be moved and taken out", async () => {
    const { queue: q, begun, waiting, add } = queue();
    add("1", "2", "3", "4");
    await settled();
    q.move(q.waiting[2].id, -1);
    assert.deepEqual(waiting(), ["2", "4", "3"]);
    q.move(q.waiting[0].id, -1);
    assert.deepEqual(waiting(), ["2", "4", "3"], "the first one stays");
    q.remove(q.waiting[0].id);
    assert.deepEqual(waiting(), ["4", "3"]);
    q.remove(q.running.id);
    await settled();
    assert.equal(q.running.settings.seed, "4", "the next one goes on");
    assert.equal(begun.length, 2);
  });

  test("Cancel ends the run in progress and holds what waits, until it is resumed", async () => {
    const { queue: q, begun, waiting, add } = queue();
    add("1", "2");
    await settled();
    q.stop();
    await settled();
    assert.deepEqual([q.pause, q.running, waiting()], ["stopped", null, ["2"]]);
    add("3");
    await settled();
    assert.equal(begun.at(-1)?.seed, "3", "a new run is made in a pause");
    begun.at(-1)?.end("made");
    await settled();
    assert.deepEqual([q.running, waiting()], [null, ["2"]]);
    q.resume();
    await settled();
    assert.equal(begun.at(-1)?.seed, "2");
    begun.at(-1)?.end("made");
    await settled();
    assert.equal(q.pause, null);
  });

  test("a run is begun again after a crash, but not a fourth time", async () => {
    const { queue: q, begun, waiting, add } = queue();
    add("1", "2");
    for (const _ of [1, 2, 3]) {
      await settled();
      begun.at(-1)?.end("lost");
    }
    await settled();
    assert.deepEqual(
      begun.map(({ seed }) => seed),
      ["1", "1", "1", "2"],
    );
    assert.deepEqual([q.waiting[0].problem, waiting()], ["crashed", ["1"]]);
    begun.at(-1)?.end("made");
    await settled();
    q.again(q.waiting[0].id);
    await settled();
    assert.equal(begun.at(-1)?.seed, "1");
  });

  test("another device costs no try, another model and a missing one hold the queue", async () => {
    const { queue: q, begun, add } = queue();
    add("1");
    for (let times = 0; times < 9; times += 1) {
      await settled();
      begun.at(-1)?.end("interrupted");
    }
    await settled();
    assert.equal(q.running.tries, 1);
    begun.at(-1)?.end("replaced");
    await settled();
    assert.deepEqual([q.pause, q.waiting.length], ["stopped", 1]);
    q.resume();
    await settled();
    begun.at(-1)?.end("unloaded");
    await settled();
    assert.deepEqual([q.pause, q.waiting.length], ["failed", 1]);
  });

  test("a run with a problem of its own is kept with it, and the next one is made", async () => {
    const { queue: q, begun, add } = queue();
    add("1", "2");
    await settled();
    begun[0].end({ message: "too large" });
    await settled();
    assert.equal(q.waiting[0].problem, "too large");
    assert.equal(q.running.settings.seed, "2");
  });

  test("seeds of several pictures are consecutive, or random after the first", () => {
    const last = "18446744073709551615";
    assert.deepEqual(seedsFor(last, 3), [last, "0", "1"]);
    const seeds = ["r1", "r2", "r3"];
    const random = () => seeds.shift();
    assert.deepEqual(seedsFor("7", 3, random), ["7", "r1", "r2"]);
  });
});
