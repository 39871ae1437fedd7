// @ts-check
/** Noise settings, variations and "Forever". */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { pageModule } from "./modules.mjs";
import { startServer } from "./server.mjs";
import { psnr, Studio } from "./studio.mjs";

const QUICK = { steps: "2", sampler: "euler-a", seed: "7" };

describe("seeds of a series", async () => {
  const { drawn, following, seriesOf } = await pageModule("studio/variations.js");
  const plain = { seed: "8", variation_seed: "", variation_strength: "0" };
  const varied = { seed: "8", variation_seed: "3", variation_strength: "0.2" };
  /** @param {any[]} all */
  const pairs = (all) => all.map(({ seed, variation_seed }) => [seed, variation_seed]);

  test("seeds count up; with a variation its seed does", () => {
    assert.deepEqual(pairs(seriesOf(plain, 2, false)), [
      ["8", ""],
      ["9", ""],
    ]);
    assert.deepEqual(pairs(seriesOf(varied, 2, false)), [
      ["8", "3"],
      ["8", "4"],
    ]);
    const [, second] = seriesOf(varied, 2, true);
    assert.equal(second.seed, "8");
    assert.match(second.variation_seed, /^\d+$/);
  });

  test("a variation without a seed gets one", () => {
    assert.equal(drawn(plain), plain);
    assert.match(drawn({ ...varied, variation_seed: "" }).variation_seed, /^\d+$/);
  });

  test("the next picture counts on from the last one, or from a seed that was typed", () => {
    const last = { ...plain, seed: "20" };
    assert.equal(following(plain, plain, last, false).seed, "21");
    assert.equal(following({ ...plain, seed: "5" }, plain, last, false).seed, "5");
    assert.notEqual(following(plain, plain, last, true).seed, "20");
    const next = following(varied, varied, { ...varied, variation_seed: "40" }, false);
    assert.deepEqual(pairs([next]), [["8", "41"]]);
  });
});

describe("a series from a form", async () => {
  const { Series } = await pageModule("studio/variations.js");
  /** A form; its seed is not locked. @param {Record<string, string>} settings */
  function formOf(settings) {
    /** @type {Record<string, string>} */
    const neutral = { variation_seed: "", variation_strength: "0", model: "m" };
    const form = {
      settings: { ...neutral, ...settings },
      valid: true,
      isValid: () => form.valid,
      useSeed() {},
      followSeed(/** @type {string} */ seed) {
        form.settings = { ...form.settings, seed };
      },
    };
    return form;
  }
  const options = { again: true, random: false, taken: new Set() };

  test("follows the form, whatever the visitor types meanwhile", () => {
    const form = formOf({ seed: "1", steps: "20" });
    const series = new Series();
    assert.equal(series.next(form, { ...options, again: false }).seed, "1");
    assert.equal(series.next(form, options).seed, "2");
    assert.equal(form.settings.seed, "2", "the form shows it");
    form.settings = { ...form.settings, steps: "", model: "mod" };
    form.valid = false;
    const { seed, steps, model } = series.next(form, options);
    assert.deepEqual([seed, steps, model], ["3", "20", "m"], "what was valid before");
    form.settings = { ...form.settings, steps: "30", seed: "100" };
    form.valid = true;
    const typed = series.next(form, options);
    assert.deepEqual([typed.seed, typed.steps], ["100", "30"]);
    assert.equal(series.next(form, options).seed, "101");
  });

  test("keeps an open variation seed open, and the seed that is varied", () => {
    const form = formOf({ seed: "1", variation_strength: "0.1" });
    const series = new Series();
    const first = series.next(form, { ...options, again: false });
    const second = series.next(form, options);
    assert.deepEqual([first.seed, second.seed, form.settings.variation_seed], ["1", "1", ""]);
    const after = (BigInt(first.variation_seed) + 1n) % 2n ** 64n;
    assert.equal(second.variation_seed, String(after));
  });
});

describe("Forever", async () => {
  const { Forever } = await pageModule("studio/forever.js");
  const { RunQueue } = await pageModule("studio/queue.js");
  const { QueueStore } = await pageModule("store/queue.js");
  const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

  /** "Forever" over a queue with runs that end when the test says so. */
  function endless() {
    /** @type {((outcome: any) => Promise<void>)[]} */
    const ends = [];
    const queue = new RunQueue(new QueueStore(null), {
      isIdle: () => true,
      make: () =>
        new Promise((resolve) => {
          ends.push(async (outcome) => {
            forever.ended(queue.running?.id ?? "", outcome);
            resolve(outcome);
            await settled();
          });
        }),
      cancel: () => ends.at(-1)?.("cancelled"),
      onChange: () => forever.next(),
      announce() {},
    });
    let added = 0;
    const forever = new Forever({
      queue: () => queue,
      add: () => queue.add([{ seed: String(added++) }], "picture")[0],
      onChange() {},
    });
    return { queue, forever, ends, added: () => added };
  }

  test("one run follows the other until it is stopped, and the last one is finished", async () => {
    const { queue, forever, ends, added } = endless();
    forever.start();
    await settled();
    await ends[0]("made");
    await ends[1]("made");
    assert.equal(added(), 3);
    assert.match(forever.text, /2 so far/);
    forever.stop();
    assert.match(forever.text, /last one/);
    await ends[2]("made");
    assert.deepEqual([added(), queue.busy, forever.on], [3, false, false]);
    assert.match(forever.text, /after 3 pictures/);
  });

  test("a failure does not end it, three in a row do", async () => {
    const { forever, ends, added } = endless();
    forever.start();
    await settled();
    await ends[0]({ message: "no memory" });
    await ends[1]({ message: "no memory" });
    await ends[2]("made");
    for (const at of [3, 4, 5]) await ends[at]({ message: "no memory" });
    assert.deepEqual([forever.on, added()], [false, 6]);
    assert.match(forever.text, /3 runs in a row failed/);
  });

  test("a model that cannot be loaded, and a cancelled run, end it", async () => {
    for (const outcome of ["unloaded", "cancelled"]) {
      const { forever, ends, added } = endless();
      forever.start();
      await settled();
      await ends[0](outcome);
      assert.deepEqual([forever.on, added()], [false, 1], outcome);
    }
  });

  test("it goes on in a pause that was there before", async () => {
    const { queue, forever, ends, added } = endless();
    queue.add([{ seed: "a" }, { seed: "b" }], "picture");
    await settled();
    queue.stop();
    await settled();
    assert.equal(queue.pause, "stopped");
    forever.start();
    await settled();
    await ends[1]("made");
    assert.deepEqual([added(), queue.waiting.length], [2, 1]);
    queue.resume();
    queue.add([{ seed: "c" }], "picture");
    queue.hold();
    await ends[2]("made");
    assert.deepEqual([forever.on, added()], [false, 2]);
    assert.match(forever.text, /queue is paused/);
  });
});

describe("noise on the page", () => {
  /** @type {import("./server.mjs").Server} */ let server;
  /** @type {import("playwright-core").Browser} */ let browser;
  before(async () => {
    server = await startServer();
    browser = await launchChromium({ webgpu: false });
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  /** The text of the PNG that a press of Save gives. @param {Studio} studio */
  async function pngText(studio) {
    const download = studio.page.waitForEvent("download");
    await studio.page.locator(".picture[data-state=finished] [data-act=save]").first().click();
    const bytes = await readFile(await (await download).path());
    const { textOf } = await pageModule("studio/png-text.js");
    return String(await textOf(new Uint8Array(bytes), "parameters"));
  }

  /** Opens the group of the noise. @param {Studio} studio */
  async function openNoise(studio) {
    await studio.page.locator("[data-part=noise-fold] > summary").click();
    await studio.page.locator("#ensd").waitFor();
  }

  test("noise settings change the picture, and are in its text and the address", async () => {
    const studio = await Studio.visit(browser, server.address);
    await studio.engine();
    assert.equal(await studio.page.locator("[name=ensd]").isVisible(), false, "folded");
    await studio.generate(QUICK);
    const plain = await studio.picture();
    await openNoise(studio);
    const noise = { variation_seed: "9", variation_strength: "0.3", ensd: "31337", eta: "0.5" };
    await studio.generate({ ...QUICK, ...noise, rng: "philox" });
    assert.ok(psnr(plain, await studio.picture()) < 30, "another picture");
    const summary = await studio.page.locator("[data-part=noise-set]").innerText();
    assert.equal(summary, "Variation strength 0.3 · NV · ENSD 31337 · Eta 0.5");
    assert.match(await studio.page.locator(".picture figcaption").innerText(), /variation 9 at 30/);
    const text = await pngText(studio);
    assert.match(text, /Variation seed: 9, Variation seed strength: 0\.3/);
    assert.match(text, /RNG: NV.*ENSD: 31337, Eta: 0\.5/s);
    await studio.page.waitForFunction(() => location.hash.includes("variation-strength=0.3"));
    const link = studio.page.url();
    console.log(`screenshot: ${await studio.screenshot("noise")}`);

    const other = await Studio.visit(browser, link);
    await other.engine();
    for (const [name, value] of Object.entries({ ...noise, rng: "philox" }))
      await other.field(name.replace("_", "-"), value);
    await other.generate({ seed: "7" });
    assert.equal(psnr(await other.picture(), await studio.picture()), Infinity);
    assert.deepEqual([...studio.errors, ...other.errors], []);
    await other.close();
    await studio.close();
  });

  test("Forever makes pictures until it is pressed again, or Cancel", async () => {
    const studio = await Studio.visit(browser, server.address);
    await studio.engine();
    await studio.fill({ ...QUICK, seed: "50" });
    const button = studio.button("forever");
    const pictures = studio.page.locator(".gallery li button");
    const note = studio.page.locator("[data-part=forever]");
    await button.click();
    await pictures.nth(1).waitFor();
    assert.equal(await button.getAttribute("aria-pressed"), "true");
    assert.match(await note.innerText(), /until you press Forever again/);
    await button.click();
    await studio.idle();
    await studio.page.locator("[data-part=forever]", { hasText: /ended after \d+ pic/ }).waitFor();
    const labels = await pictures.evaluateAll((all) => all.map((one) => one.ariaLabel ?? ""));
    const seeds = labels.map((label) => Number(/seed (\d+)$/.exec(label)?.[1])).reverse();
    assert.deepEqual(
      seeds,
      seeds.map((_, at) => 50 + at),
    );
    await studio.fill({ steps: "400" });
    await button.click();
    await studio.page.waitForSelector(".picture[data-state=preview]");
    await studio.button("cancel").click();
    await studio.idle();
    await studio.page.waitForSelector("[data-act=forever][aria-pressed=false]");
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("Vary keeps a picture's seed and mixes in a little of another noise", async () => {
    const studio = await Studio.visit(browser, server.address);
    await studio.engine();
    await studio.generate({ ...QUICK, seed: "61" });
    const plain = await studio.picture();
    await studio.fill({ seed: "5", prompt: "something else" });
    await studio.button("gallery-vary").click();
    await studio.field("seed", "61");
    await studio.field("variation-strength", "0.1");
    const field = studio.page.locator("#variation-seed");
    await field.waitFor();
    assert.match(await field.inputValue(), /^\d+$/);
    await studio.generate();
    const close = await studio.picture();
    await studio.generate({ variation_strength: "1" });
    const far = psnr(plain, await studio.picture());
    const near = psnr(plain, close);
    assert.ok(far < near && near < Infinity, `${near} dB at 0.1, ${far} dB at 1`);
    const before = await field.inputValue();
    await studio.button("new-variation-seed").click();
    assert.notEqual(await field.inputValue(), before);
    await studio.page.locator("[data-part=noise-reset]").click();
    await studio.field("variation-strength", "0");
    await studio.field("variation-seed", "");
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });
});
