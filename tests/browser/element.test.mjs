// @ts-check
/** The element in other people's pages: its attributes, properties, methods, events and slots. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { HostSite, page } from "./host-site.mjs";

/** @typedef {import("playwright-core").Page} Page */

const PATIENCE_MS = 120_000;
const MODEL = "darkroom/models/portraits";
const SCRIPT = '<script type="module" src="darkroom/darkroom-studio.js"></script>';
const STUDIO = `<darkroom-studio model="${MODEL}" prompt="Portrait photo of a man"
  negative-prompt="mustache" seed="14" steps="2" guidance-scale="3"></darkroom-studio>`;

describe("the element", () => {
  /** @type {HostSite} */ let site;
  /** @type {import("playwright-core").Browser} */ let browser;
  before(async () => {
    site = await HostSite.start();
    browser = await launchChromium({ webgpu: false });
  });
  after(async () => {
    await browser?.close();
    await site?.close();
  });

  /**
   * Opens a page of the site.
   * @param {string} body
   * @param {string} [head]
   */
  async function visit(body, head = SCRIPT) {
    site.put("index.html", page(body, head));
    const opened = await browser.newPage();
    opened.setDefaultTimeout(PATIENCE_MS);
    /** @type {string[]} */
    const errors = [];
    opened.on("pageerror", (error) => errors.push(String(error)));
    await opened.goto(site.address);
    await opened.evaluate(() => customElements.whenDefined("darkroom-studio"));
    return { page: opened, errors };
  }

  /** Runs in the page. @param {Page} page @param {(studio: any) => any} act */
  const withStudio = (page, act) => page.locator("darkroom-studio").first().evaluate(act);

  /** @param {Page} page @param {string} [state] */
  const engine = (page, state = "ready") =>
    page.waitForSelector(`darkroom-studio[data-engine=${state}]`);

  test("each setting is an attribute and a property, before and after connection", async () => {
    const { page } = await visit("<main></main>");
    const found = await page.evaluate(() => {
      const studio = /** @type {any} */ (document.createElement("darkroom-studio"));
      // An address without a server: nothing is downloaded.
      studio.setAttribute("model", "http://localhost:1/none/");
      const values = {
        prompt: ["a", "b", "c"],
        negativePrompt: ["x", "y", "z"],
        seed: ["1", "2", "3"],
        steps: ["5", "6", "7"],
        guidanceScale: ["2", "3", "4"],
        sampler: ["euler", "ddim", "unipc"],
        width: ["64", "72", "80"],
        height: ["96", "104", "112"],
        device: ["cpu", "gpu", "auto"],
        prediction: ["v", "epsilon", "auto"],
        model: ["http://localhost:1/a/", "http://localhost:1/b/", "http://localhost:1/c/"],
      };
      const attribute = (/** @type {string} */ name) =>
        name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      const field = (/** @type {string} */ name) =>
        studio.shadowRoot?.querySelector("form").elements.namedItem(attribute(name)).value;
      /** @type {Record<string, unknown>} */
      const report = { steps: studio.steps, locked: /^\d+$/.test(studio.seed) };
      for (const [name, [early]] of Object.entries(values)) {
        studio.setAttribute(attribute(name), early);
        report[`${name} early`] = studio[name] === early;
      }
      for (const [name, [, property]] of Object.entries(values)) {
        studio[name] = property;
        report[`${name} early property`] = studio[name] === property;
      }
      document.querySelector("main")?.append(studio);
      for (const [name, [, property, later]] of Object.entries(values)) {
        report[`${name} in the form`] = field(name) === property;
        studio.setAttribute(attribute(name), later);
        report[`${name} later`] = studio[name] === later && field(name) === later;
      }
      studio.steps = 9;
      report["a number"] = studio.steps === "9" && studio.getAttribute("steps") === "7";
      studio.removeAttribute("steps");
      report.removed = studio.steps === "20";
      return report;
    });
    const { steps, locked, ...rest } = found;
    assert.equal(steps, "20", "the default");
    assert.equal(locked, true, "a random seed");
    assert.deepEqual(
      Object.entries(rest).filter(([, right]) => !right),
      [],
    );
    await page.close();
  });

  test("a picture can be asked for before the element is connected", async () => {
    const { page, errors } = await visit("<main></main>");
    const made = await page.evaluate(async (model) => {
      const studio = /** @type {any} */ (document.createElement("darkroom-studio"));
      studio.settings = {
        model,
        prompt: "a man",
        seed: "5",
        steps: "2",
        width: "64",
        height: "64",
      };
      const making = studio.generate();
      document.querySelector("main")?.append(studio);
      const { blob, bitmap, seed, settings, timings, warnings, device } = await making;
      const { width, height } = bitmap;
      return { type: blob.type, width, height, seed, settings, timings, warnings, device };
    }, MODEL);
    assert.equal(made.type, "image/png");
    assert.deepEqual([made.width, made.height, made.seed], [64, 64, "5"]);
    const { sampler, schedule } = made.settings;
    assert.deepEqual([sampler, schedule], ["dpm++2m", "karras"], "complete settings");
    assert.deepEqual([made.warnings, made.device], [[], "CPU"]);
    const { waiting, prompts, steps, decoding, total } = made.timings;
    for (const seconds of [waiting, prompts, steps, decoding]) assert.ok(seconds > 0, `${seconds}`);
    assert.ok(Math.abs(total - waiting - prompts - steps - decoding) < 1e-6);
    assert.deepEqual(errors, []);
    await page.close();
  });

  test("generate() rejects with the problem, and with an AbortError when cancelled", async () => {
    const { page, errors } = await visit(STUDIO);
    await engine(page);
    const ends = await withStudio(page, async (studio) => {
      const end = (/** @type {Promise<unknown>} */ promise) =>
        promise.then(
          () => "made",
          (error) => [error.name, error.kind, error.message],
        );
      const stepped = () =>
        new Promise((resolve) => studio.addEventListener("step", resolve, { once: true }));
      studio.steps = "0";
      const invalid = await end(studio.generate());
      studio.steps = "400";
      const by = new AbortController();
      const aborted = end(studio.generate({ signal: by.signal }));
      await stepped();
      by.abort();
      const signal = await aborted;
      const cancelling = end(studio.generate());
      await stepped();
      studio.cancel();
      const cancelled = await cancelling;
      const first = end(studio.generate());
      const second = end(studio.generate({ signal: AbortSignal.abort(new RangeError("mine")) }));
      await stepped();
      studio.steps = "2";
      const third = end(studio.generate());
      return {
        invalid,
        signal,
        cancelled,
        first: await first,
        second: await second,
        third: await third,
      };
    });
    assert.deepEqual(ends.invalid.slice(0, 2), ["DarkroomError", "request"]);
    assert.match(ends.invalid[2], /Steps are a whole number/);
    assert.equal(ends.signal[0], "AbortError");
    assert.equal(ends.cancelled[0], "AbortError");
    assert.equal(ends.first[0], "AbortError", "replaced by a later one");
    assert.deepEqual(
      ends.second,
      ["RangeError", null, "mine"].map((value) => value ?? undefined),
    );
    assert.equal(ends.third, "made");
    assert.deepEqual(errors, [], "unhandled rejections");
    await page.close();
  });

  test("events tell what happens, with details", async () => {
    const { page } = await visit(
      `<main>${STUDIO}</main>`,
      `<script src="events.js"></script>${SCRIPT}`,
    );
    await page.close();
    site.put(
      "events.js",
      `globalThis.events = [];
      for (const type of ["ready", "settings", "progress", "step", "picture", "error"])
        for (const target of ["window", "capture"])
          addEventListener(type, ({ detail }) => detail && events.push([target, type, detail]),
            target === "capture");`,
    );
    const again = await visit(
      `<main>${STUDIO}</main>`,
      `<script src="events.js"></script>${SCRIPT}`,
    );
    await engine(again.page);
    const seen = await again.page.evaluate(async () => {
      const studio = /** @type {any} */ (document.querySelector("darkroom-studio"));
      await studio.generate();
      studio.model = "http://localhost:1/none/";
      await new Promise((resolve) => studio.addEventListener("error", resolve, { once: true }));
      const events = /** @type {[string, string, any][]} */ (
        /** @type {any} */ (globalThis).events
      );
      const of = (/** @type {string} */ type, target = "window") =>
        events.filter((event) => event[0] === target && event[1] === type).map(([, , it]) => it);
      const [ready] = of("ready");
      const [picture] = of("picture");
      return {
        ready: [ready.device.kind, ready.stored, ready.model.default_width],
        settings: of("settings").at(-1).prompt,
        stages: [...new Set(of("progress").map(({ stage }) => stage))],
        fraction: Math.max(...of("progress").map(({ fraction }) => fraction ?? 0)),
        steps: of("step").map(({ step, steps, fraction, preview }) => [
          step,
          steps,
          fraction,
          preview?.width,
        ]),
        picture: [picture.blob.type, picture.seed, picture.canvas.width, picture.bitmap.width],
        bubbled: of("error").length,
        error: of("error", "capture")[0],
      };
    });
    assert.deepEqual(seen.ready, ["cpu", "browser", 128]);
    assert.equal(seen.settings, "Portrait photo of a man");
    for (const stage of ["device", "engine", "test", "weights", "plan"])
      assert.ok(seen.stages.includes(stage), `${stage} of ${seen.stages}`);
    assert.equal(seen.fraction, 1);
    assert.deepEqual(seen.steps, [
      [0, 2, 0, undefined],
      [1, 2, 0.5, 16],
      [2, 2, 1, 16],
    ]);
    assert.deepEqual(seen.picture, ["image/png", "14", 128, 128]);
    assert.equal(seen.bubbled, 0, "an error event reached the window");
    assert.equal(seen.error.kind, "network");
    await again.page.close();
  });

  test("an element that is moved keeps its engine; one that is removed ends it", async () => {
    const { page } = await visit(`<main>${STUDIO}</main><aside></aside>`);
    await engine(page);
    const workers = page.workers();
    assert.equal(workers.length, 1);
    await withStudio(page, async (studio) => {
      const making = studio.generate();
      await new Promise((resolve) => studio.addEventListener("step", resolve, { once: true }));
      document.querySelector("aside")?.append(studio);
      await making;
    });
    await page.evaluate(() => {
      const studio = document.querySelector("darkroom-studio");
      studio?.remove();
      Object.assign(globalThis, { studio });
    });
    await new Promise((resolve) => setTimeout(resolve, 2000));
    await page.evaluate(() => document.body.append(/** @type {any} */ (globalThis).studio));
    assert.deepEqual(page.workers(), workers, "another worker");
    assert.equal(await page.getAttribute("darkroom-studio", "data-engine"), "ready");

    const ended = workers[0].waitForEvent("close");
    await page.evaluate(() => /** @type {any} */ (globalThis).studio.remove());
    await ended;
    assert.equal(
      await page.evaluate(() => /** @type {any} */ (globalThis).studio.engine),
      "closed",
    );
    await page.evaluate(() => document.body.append(/** @type {any} */ (globalThis).studio));
    await engine(page);
    const width = await withStudio(page, async (studio) => (await studio.generate()).bitmap.width);
    assert.equal(width, 128);
    await page.close();
  });

  test("the form around it sends the picture, and can reset and disable it", async () => {
    const { page } = await visit(
      `<form><fieldset>${STUDIO.replace("<darkroom-studio", '$& name="portrait"')}
        </fieldset></form>`,
    );
    await engine(page);
    const sent = await withStudio(page, async (studio) => {
      const { form } = studio;
      const file = () => new FormData(form).get("portrait");
      const before = file();
      studio.prompt = "changed";
      await studio.generate();
      const picture = /** @type {File} */ (file());
      const head = [...new Uint8Array(await picture.slice(0, 4).arrayBuffer())];
      const same = studio.value === picture || studio.value.size === picture.size;
      form.querySelector("fieldset").disabled = true;
      const { inert } = studio.shadowRoot.querySelector("form");
      form.querySelector("fieldset").disabled = false;
      form.reset();
      const { name, type } = picture;
      return { before, name, type, head, same, inert, after: file(), prompt: studio.prompt };
    });
    assert.deepEqual(sent, {
      before: null,
      name: "darkroom-14-changed.png",
      type: "image/png",
      head: [0x89, 0x50, 0x4e, 0x47],
      same: true,
      inert: true,
      after: null,
      prompt: "Portrait photo of a man",
    });
    await page.close();
  });

  test("slots hold the page's title and footer, and its fallback where nothing runs", async () => {
    const slotted = `<darkroom-studio model="http://localhost:1/none/">
      <h2 slot="title">Ours</h2><p slot="fallback">Use the app</p><p slot="footer">Terms</p>
    </darkroom-studio>`;
    const { page } = await visit(slotted);
    const shown = (/** @type {string} */ text) => page.getByText(text).isVisible();
    assert.deepEqual([await shown("Ours"), await shown("Terms")], [true, true]);
    await engine(page, "failed");
    assert.equal(await shown("Use the app"), true, "while the model fails");
    await withStudio(page, (studio) => {
      studio.model = "darkroom/models/portraits";
    });
    await engine(page);
    assert.equal(await shown("Use the app"), false, "while all is well");
    await page.close();

    site.put("no-wasm.js", "delete globalThis.WebAssembly;");
    const without = await visit(slotted + STUDIO, `<script src="no-wasm.js"></script>${SCRIPT}`);
    assert.equal(await without.page.getByText("Use the app").isVisible(), true);
    const needs = without.page.getByText(/needs WebAssembly/).filter({ visible: true });
    assert.equal(await needs.count(), 1, "of the element without a fallback of its own");
    assert.equal(await without.page.getByRole("button", { name: "Generate" }).count(), 0);
    assert.deepEqual(without.errors, []);
    await without.page.close();
  });

  test("the language is that of the nearest lang, and can change", async () => {
    const { page } = await visit(`<main lang="de-AT">${STUDIO}</main>`);
    await engine(page);
    assert.equal(await page.getByRole("button", { name: "Bild machen" }).count(), 1);
    await withStudio(page, async (studio) => {
      studio.prompt = "typed";
      await studio.generate();
      studio.lang = "en";
    });
    assert.equal(await page.getByRole("button", { name: "Generate" }).count(), 1);
    assert.equal(await page.locator("[name=prompt]").inputValue(), "typed");
    assert.equal(await page.locator(".picture[data-state=finished]").count(), 1);
    const about = await page.locator("[data-part=model]").textContent();
    assert.match(about ?? "", /saved for offline use/);
    await withStudio(page, (studio) => studio.generate());
    await page.close();
  });

  test("a shadow root in the page's HTML is kept, with what was typed into it", async () => {
    const { page: first } = await visit(STUDIO);
    const html = await withStudio(first, (studio) => studio.shadowRoot.innerHTML);
    await first.close();
    const declared = STUDIO.replace(
      "</darkroom-studio>",
      `<template shadowrootmode="open"><link rel="stylesheet" href="darkroom/studio/studio.css">
        ${html.replace(/<p class="tokens.*?<\/p>/gs, "")}</template></darkroom-studio>`,
    );
    site.put("later.js", `setTimeout(() => import("./darkroom/darkroom-studio.js"), 1000);`);
    site.put("index.html", page(declared, '<script type="module" src="later.js"></script>'));
    const opened = await browser.newPage();
    await opened.goto(site.address);
    await opened.locator("[name=prompt]").fill("typed early");
    const mine = await opened.evaluateHandle(() =>
      document.querySelector("darkroom-studio")?.shadowRoot?.querySelector("form"),
    );
    await engine(opened);
    assert.equal(await opened.locator("[name=prompt]").inputValue(), "typed early");
    assert.equal(await opened.locator("[name=steps]").inputValue(), "2");
    assert.equal(await mine.evaluate((form) => form?.isConnected), true, "another form");
    assert.equal(await withStudio(opened, async (studio) => (await studio.generate()).seed), "14");
    await opened.close();
  });

  test("the page styles the element by custom properties and parts", async () => {
    site.put(
      "own.css",
      `darkroom-studio { --darkroom-ink: rgb(1, 2, 3); --darkroom-radius: 0px }
      darkroom-studio::part(generate) { background: rgb(4, 5, 6) }
      .tokens, form, button { display: none !important; color: red !important }`,
    );
    const { page } = await visit(STUDIO, `<link rel="stylesheet" href="own.css">${SCRIPT}`);
    await engine(page);
    const button = page.getByRole("button", { name: "Generate" });
    assert.equal(await button.isVisible(), true, "a rule for the page's buttons");
    const style = await button.evaluate((element) => {
      const { backgroundColor, borderRadius } = getComputedStyle(element);
      const form = /** @type {Element} */ (element.closest("form"));
      return [backgroundColor, borderRadius, getComputedStyle(form).color];
    });
    assert.deepEqual(style, ["rgb(4, 5, 6)", "0px", "rgb(1, 2, 3)"]);
    await page.close();
  });
});
