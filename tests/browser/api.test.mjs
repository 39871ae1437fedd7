// @ts-check
/** Pictures without the element: in a page, and in a worker of the page's own. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { HostSite, page } from "./host-site.mjs";

/** @typedef {import("playwright-core").Page} Page */

const PATIENCE_MS = 120_000;
const OPTIONS = { model: "darkroom/models/portraits" };
const PICTURE = {
  prompt: "Portrait photo of a man",
  negativePrompt: "mustache",
  seed: 14,
  steps: 2,
  guidanceScale: 3,
};

describe("the api", () => {
  /** @type {HostSite} */ let site;
  /** @type {import("playwright-core").Browser} */ let browser;
  /** @type {Page} */ let opened;
  /** @type {string[]} */ let errors;
  before(async () => {
    site = await HostSite.start();
    browser = await launchChromium({ webgpu: false });
    site.put("index.html", page("<main></main>"));
    opened = await browser.newPage();
    opened.setDefaultTimeout(PATIENCE_MS);
    errors = [];
    opened.on("pageerror", (error) => errors.push(String(error)));
    await opened.goto(site.address);
    await opened.evaluate(async (address) => {
      const api = await import(address);
      /** The pixels of a bitmap, as one text. @param {ImageBitmap} bitmap */
      const pixels = (bitmap) => {
        const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
        const context = canvas.getContext("2d");
        context?.drawImage(bitmap, 0, 0);
        return context?.getImageData(0, 0, bitmap.width, bitmap.height).data.join();
      };
      Object.assign(globalThis, { ...api, pixels });
    }, "./darkroom/api.js");
  });
  after(async () => {
    await browser?.close();
    await site?.close();
  });

  /**
   * Runs in the page, which has the api and `pixels` as globals.
   * @param {(of: any) => any} act
   */
  const inPage = (act) => opened.evaluate(act, { OPTIONS, PICTURE });

  /** Waits for the end of the closed ones' workers, which takes the browser a moment. */
  async function workersEnd() {
    for (let tries = 0; opened.workers().length > 0 && tries < 100; tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 100));
    assert.deepEqual(
      opened.workers().map((worker) => worker.url()),
      [],
      "workers that were left over",
    );
  }

  test("makes the element's picture, and says how", async () => {
    const made = await inPage(async ({ OPTIONS, PICTURE }) => {
      const { createDarkroom, pixels } = /** @type {any} */ (globalThis);
      /** @type {string[]} */
      const stages = [];
      const darkroom = await createDarkroom({
        ...OPTIONS,
        onProgress: (/** @type {any} */ { stage }) => stages.push(stage),
      });
      /** @type {number[]} */
      const calls = [];
      const onStep = (/** @type {any} */ { call }) => calls.push(call);
      const own = await darkroom.generate({ ...PICTURE, onStep });
      const counted = await darkroom.countTokens("a cat");
      const plan = await darkroom.memoryPlan(256, 256);
      const { default_width, samplers } = darkroom.model;
      const device = darkroom.device.kind;
      darkroom.close();

      await import(new URL("darkroom/darkroom-studio.js", location.href).href);
      const studio = /** @type {any} */ (document.createElement("darkroom-studio"));
      Object.assign(studio, { model: OPTIONS.model, ...PICTURE });
      document.querySelector("main")?.append(studio);
      const theirs = await studio.generate();
      studio.remove();
      const { blob, bitmap, seed, settings, timings, warnings } = own;
      const text = new TextDecoder("latin1").decode(await blob.arrayBuffer());
      return {
        stages: [...new Set(stages)],
        calls,
        same: pixels(own.bitmap) === pixels(theirs.bitmap),
        infotext: /parameters\0(.*?)Version/s.exec(text)?.[1],
        theirs: JSON.stringify(theirs.settings) === JSON.stringify(settings),
        facts: [bitmap.width, blob.type, blob.name, seed, warnings, device, default_width],
        timings,
        counted: counted.count,
        plan: [plan.width, plan.height, plan.total > 0],
        samplers: samplers.length,
      };
    });
    for (const stage of ["device", "engine", "weights", "plan"])
      assert.ok(made.stages.includes(stage), `${stage} of ${made.stages}`);
    assert.deepEqual(made.calls, [0, 1, 2]);
    assert.equal(made.same, true, "another picture than the element's");
    assert.equal(made.theirs, true, "other settings than the element's");
    assert.match(made.infotext ?? "", /man\nNegative prompt: mustache\nSteps: 2, .*Seed: 14, /);
    const name = "darkroom-14-portrait-photo-of-a-man.png";
    assert.deepEqual(made.facts, [128, "image/png", name, "14", [], "cpu", 128]);
    assert.ok(made.timings.steps > 0 && made.timings.total >= made.timings.steps);
    assert.equal(made.counted, 2);
    assert.deepEqual(made.plan, [256, 256, true]);
    assert.ok(made.samplers >= 7);
    assert.deepEqual(errors, []);
  });

  test("calls run one after another, and those that are cancelled leave the queue", async () => {
    const seen = await inPage(async ({ OPTIONS, PICTURE }) => {
      const { createDarkroom } = /** @type {any} */ (globalThis);
      const darkroom = await createDarkroom(OPTIONS);
      /** @type {string[]} */
      const order = [];
      const waiting = new AbortController();
      const running = new AbortController();
      const make = (/** @type {string} */ name, /** @type {any} */ more) =>
        darkroom
          .generate({
            ...PICTURE,
            ...more,
            onStep: (/** @type {any} */ { call }) => {
              if (call === 0) order.push(`${name} begins`);
              more.onStep?.();
            },
          })
          .then(
            () => order.push(`${name} made`),
            (/** @type {any} */ error) => order.push(`${name} ${error.name} ${error.message}`),
          );
      const all = [
        make("one", {}),
        make("two", { signal: waiting.signal }),
        make("three", { steps: 0 }),
        make("four", {
          steps: 500,
          signal: running.signal,
          onStep: () => running.abort(new RangeError("mine")),
        }),
        make("five", { seed: undefined }),
      ];
      waiting.abort();
      await Promise.all(all);
      darkroom.close();
      return order;
    });
    assert.equal(seen[0].startsWith("two AbortError"), true, `${seen}`);
    assert.match(seen[3], /^three DarkroomError Steps are a whole number/);
    assert.deepEqual(
      [...seen.slice(1, 3), ...seen.slice(4)],
      ["one begins", "one made", "four begins", "four RangeError mine", "five begins", "five made"],
    );
    assert.deepEqual(errors, [], "unhandled rejections");
  });

  test("opening is cancelled by its signal, and fails with the cause", async () => {
    const ends = await inPage(async ({ OPTIONS }) => {
      const { createDarkroom, DarkroomError } = /** @type {any} */ (globalThis);
      const end = (/** @type {any} */ options) =>
        createDarkroom(options).catch((/** @type {any} */ error) => [
          error.name,
          error.kind ?? null,
          error instanceof DarkroomError,
          error.message,
        ]);
      const by = new AbortController();
      const aborted = end({ ...OPTIONS, signal: by.signal, onProgress: () => by.abort() });
      return [
        await aborted,
        await end({ model: "./darkroom/none" }),
        await end({ ...OPTIONS, signal: AbortSignal.abort(new RangeError("mine")) }),
      ];
    });
    assert.equal(ends[0][0], "AbortError");
    assert.deepEqual(ends[1].slice(0, 3), ["DarkroomError", "missing", true], ends[1][3]);
    assert.match(ends[1][3], /darkroom\/none/);
    assert.deepEqual(ends[2], ["RangeError", null, false, "mine"]);
    await workersEnd();
  });

  test("a closed one rejects its pictures and frees the worker", async () => {
    const ends = await inPage(async ({ OPTIONS, PICTURE }) => {
      const { createDarkroom } = /** @type {any} */ (globalThis);
      const darkroom = await createDarkroom(OPTIONS);
      const name = (/** @type {Promise<unknown>} */ made) =>
        made.then(
          () => "made",
          (error) => `${error.kind}: ${error.message}`,
        );
      const pictures = [1, 2].map(() => name(darkroom.generate({ ...PICTURE, steps: 300 })));
      const dispose = /** @type {any} */ (Symbol).asyncDispose;
      await darkroom[dispose]();
      return [...(await Promise.all(pictures)), await name(darkroom.generate(PICTURE))];
    });
    assert.deepEqual(ends, Array(3).fill("cancelled: This Darkroom was closed."));
    await workersEnd();
    assert.deepEqual(errors, []);
  });

  test("it runs in a worker, from files that the page hands over", async () => {
    site.put(
      "own-worker.js",
      `import { createDarkroom } from "./darkroom/api.js";
      onmessage = async ({ data: { model, picture } }) => {
        const darkroom = await createDarkroom({ model });
        const { bitmap, blob, seed } = await darkroom.generate(picture);
        darkroom.close();
        postMessage({ bitmap, blob, seed }, [bitmap]);
      };`,
    );
    const made = await inPage(async ({ OPTIONS, PICTURE }) => {
      const { createDarkroom, pixels } = /** @type {any} */ (globalThis);
      const inWorker = (/** @type {unknown} */ model) =>
        new Promise((resolve, reject) => {
          const worker = new Worker("own-worker.js", { type: "module" });
          worker.onmessage = ({ data }) => {
            worker.terminate();
            resolve(data);
          };
          worker.onerror = reject;
          worker.postMessage({ model, picture: PICTURE });
        });
      const byAddress = /** @type {any} */ (await inWorker(OPTIONS.model));
      /** @type {Record<string, File>} */
      const files = {};
      for (const path of [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/special_tokens_map.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
      ]) {
        const blob = await (await fetch(`${OPTIONS.model}/${path}`)).blob();
        files[path] = new File([blob], path);
      }
      const byFiles = /** @type {any} */ (await inWorker(files));
      const darkroom = await createDarkroom(OPTIONS);
      const own = await darkroom.generate(PICTURE);
      darkroom.close();
      return {
        same: [byAddress, byFiles].map(({ bitmap }) => pixels(bitmap) === pixels(own.bitmap)),
        type: byAddress.blob.type,
        seed: byAddress.seed,
      };
    });
    assert.deepEqual(made, { same: [true, true], type: "image/png", seed: "14" });
    assert.deepEqual(errors, []);
  });
});
