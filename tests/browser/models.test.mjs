// @ts-check
/** The shelf of models, defaults of a model, samplers and schedule types, in the page. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { Checkpoint } from "./checkpoints.mjs";
import { launchChromium } from "./chromium.mjs";
import { Hub, Site } from "./hub.mjs";
import { pageModule } from "./modules.mjs";
import { Studio } from "./studio.mjs";

const { readCatalogue } = await pageModule("studio/shelf-catalogue.js");
const { hasSchedules, SAMPLER_ROWS, SCHEDULE_ROWS } = await pageModule("studio/sampler-names.js");
const axe = await readFile(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
/** A text that would run as HTML. */
const EVIL = "<img src=x onerror=alert(1)>";
const LARGE_BYTES = 3e6;

/** @param {object[]} models */
const list = (models) => JSON.stringify({ version: 1, models });

/** @param {string} address @param {object} [more] */
const entry = (address, more) => ({ address, name: `The ${address}`, ...more });

test("a list of models is read, and one that is wrong is named by its place", () => {
  const read = (/** @type {object[]} */ models) => readCatalogue(list(models), "https://a.test/b/");
  const [full] = read([
    entry("o/n", {
      weights: { bytes: 5 },
      memory: 7,
      licence: { name: "MIT", link: "licence.html" },
      good_at: { en: "Trees.", de: "Bäume." },
      defaults: { steps: 4, guidance_scale: 1.5, width: 512, height: 768, sampler: "lcm" },
      unknown: "is left alone",
    }),
  ]);
  assert.deepEqual(full, {
    address: "o/n",
    name: "The o/n",
    goodAt: "Trees.",
    bytes: 5,
    memory: 7,
    licence: "MIT",
    licenceLink: "https://a.test/b/licence.html",
    defaults: { steps: "4", guidance_scale: "1.5", width: "512", height: "768", sampler: "lcm" },
  });
  for (const [model, words] of /** @type {[object, RegExp][]} */ ([
    [{ name: "x" }, /models\[1\]\.address is missing, expected a text/],
    [entry("b", { weights: { bytes: "2 GB" } }), /\.weights\.bytes is "2 GB", expected a whole/],
    [entry("b", { licence: { link: "javascript:alert(1)" } }), /\.licence\.link is "javascript:/],
    [entry("b", { defaults: { steps: 0 } }), /\.defaults\.steps is 0, expected .*1 to 1000/],
    [entry("b", { defaults: { width: 500 } }), /\.defaults\.width is 500, .*multiple of 8/],
    [entry("b", { good_at: [] }), /models\[1\]\.good_at is \[\]/],
    [entry("a"), /models\[1\] has the address of models\[0\]/],
  ]))
    assert.throws(() => read([entry("a"), model]), { message: words });
  for (const text of ["", "[]", "null", "{}", '{"version":2,"models":[]}', '{"version":1}'])
    assert.throws(() => readCatalogue(text, "https://a.test/"), { name: "DarkroomError" }, text);
});

test("the project's list can be used, and its models have what the shelf shows", async () => {
  const file = new URL("../../www/catalogue.json", import.meta.url);
  const entries = readCatalogue(await readFile(file, "utf8"), "https://a.test/");
  assert.equal(entries.length, 7);
  for (const { name, goodAt, bytes, memory, licence, licenceLink, defaults } of entries) {
    assert.ok(goodAt && licence && licenceLink && defaults.steps && defaults.guidance_scale, name);
    assert.ok(bytes && memory > bytes, name);
  }
});

describe("models on the page", () => {
  /** @type {Hub} */ let hub;
  /** @type {Site} */ let site;
  /** @type {import("playwright-core").Browser} */ let browser;
  before(async () => {
    [hub, site] = await Promise.all([Hub.start(), Site.start()]);
    browser = await launchChromium({ webgpu: false });
    const sd1 = await Checkpoint.read("sd1");
    for (const name of ["o/tiny", "o/half"])
      for (const [path, bytes] of await sd1.folder("epsilon"))
        hub.repository(name).put(path, bytes);
    hub.repository("o/gated").put("model_index.json", Buffer.from("{}"));
  });
  after(async () => {
    await browser?.close();
    await Promise.all([hub?.close(), site?.close()]);
  });

  /**
   * The page with the tests' hub, and a list of models of its own.
   * @param {string | null} catalogue null: the project's list
   * @param {import("playwright-core").BrowserContextOptions} [options]
   */
  async function visit(catalogue, options) {
    const html = await readFile(new URL("../../www/index.html", import.meta.url), "utf8");
    const more = catalogue === null ? "" : ' catalogue="own.json"';
    site.replaced.set(
      "index.html",
      html.replace("<darkroom-studio", `<darkroom-studio hub="${hub.address()}"${more}`),
    );
    if (catalogue !== null) site.replaced.set("own.json", catalogue);
    return Studio.visit(browser, site.address(), options);
  }

  /** @param {Studio} studio @param {string} name */
  const row = (studio, name) =>
    studio.page.locator("[data-part=shelf-list] li", { hasText: `The ${name}` });

  /** @param {Studio} studio */
  async function open(studio) {
    await studio.page.locator(".model-line [data-act=models]").click();
    await studio.page.locator("[data-part=shelf-list] li").first().waitFor();
  }

  /** @param {Studio} studio @param {string} state */
  async function accessible(studio, state) {
    await studio.page.evaluate(axe);
    const found = await studio.page.evaluate(async (tags) => {
      const run = await /** @type {any} */ (globalThis).axe.run(document, {
        runOnly: { type: "tag", values: tags },
      });
      return run.violations.map((/** @type {any} */ { id, nodes }) => `${id}: ${nodes[0].html}`);
    }, TAGS);
    assert.deepEqual(found, [], state);
  }

  test("the shelf names sizes, licences and states, in light and dark", async () => {
    const studio = await visit(null);
    await studio.engine();
    assert.ok(!site.log.includes("catalogue.json"), "the list was fetched before it was wanted");
    await open(studio);
    const text = await studio.page.locator("[data-part=shelf-list]").innerText();
    assert.match(text, /^Portraits, the demo model\s+in use/, "the model in use is the first");
    assert.match(text, /Stable Diffusion 1\.5.*not downloaded.*2\.1 GB to download/s);
    assert.match(text, /about 2\.7 GB of memory at 512.×.512 · 20.steps, guidance.7\.5/);
    assert.match(text, /Licence: CreativeML OpenRAIL-M · Its page/);
    assert.equal(await studio.page.locator("[data-part=shelf-list] li").count(), 7);
    for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
      await studio.page.emulateMedia({ colorScheme });
      await accessible(studio, colorScheme);
      console.log(`screenshot: ${await studio.screenshot(`shelf-${colorScheme}`)}`);
    }
    await studio.page.setViewportSize({ width: 360, height: 740 });
    const wide = await studio.page.evaluate(() => {
      const dialog = document
        .querySelector("darkroom-studio")
        ?.shadowRoot?.querySelector("dialog[open]");
      return dialog && dialog.scrollWidth - dialog.clientWidth;
    });
    assert.equal(wide, 0, "the shelf scrolls sideways on a phone");
    console.log(`screenshot: ${await studio.screenshot("shelf-phone")}`);
    // All of it by keyboard: Escape closes, and the focus is where it was.
    await studio.page.keyboard.press("Escape");
    const focused = await studio.page.evaluate(() =>
      document.activeElement?.shadowRoot?.activeElement?.getAttribute("data-act"),
    );
    assert.equal(focused, "models");
    await studio.page.keyboard.press("Enter");
    await studio.page.locator("dialog[data-part=models][open]").waitFor();
    // The rules are checked by a script that writes inline styles, which the page forbids.
    assert.deepEqual(
      studio.errors.filter((text) => !text.startsWith("Applying inline style")),
      [],
    );
    await studio.close();
  });

  test("a missing, a gated and a half fetched model say what they are and what to do", async () => {
    const studio = await visit(
      list([
        entry("o/gone", { good_at: EVIL, licence: { name: EVIL, link: "https://l.test/" } }),
        entry("o/gated", { weights: { bytes: LARGE_BYTES } }),
        entry("o/half", { weights: { bytes: LARGE_BYTES } }),
      ]),
    );
    await studio.page.route("**/o/gated/**", (route) =>
      route.fulfill({ status: 401, headers: { "access-control-allow-origin": "*" }, body: "" }),
    );
    // Beginnings of a model, as an earlier visit has left them.
    await studio.page.evaluate(async (address) => {
      const sizes = { "unet/a": { size: 3e6, etag: "", modified: "" } };
      const store = await caches.open("darkroom-models-2");
      const put = async (
        /** @type {string} */ key,
        /** @type {Uint8Array<ArrayBuffer>} */ bytes,
      ) => {
        const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
        const hex = [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
        const headers = { "x-darkroom-version": "%7B%7D", "x-darkroom-sha256": hex };
        await store.put(key, new Response(bytes, { headers }));
      };
      const manifest = { index: "{}", files: sizes, complete: false, when: 1 };
      const text = new TextEncoder().encode(JSON.stringify(manifest));
      await put(`${address}?darkroom=manifest`, text);
      await put(`${address}unet/a?darkroom=0-1000000`, new Uint8Array(1e6));
    }, `${hub.address()}o/half/resolve/main/`);
    await studio.engine();
    await open(studio);
    assert.match(await row(studio, "o/half").innerText(), /partly downloaded: 1 MB of 3 MB/);
    assert.match(await row(studio, "o/half").innerText(), /Continue the download\s+Delete/);
    assert.match(await row(studio, "o/gone").innerText(), /not downloaded/);
    assert.match(await row(studio, "o/gone").innerText(), /<img src=x onerror/, "text stays text");

    await row(studio, "o/gated").locator("[data-act=use]").click();
    const problem = await studio.problem();
    assert.match(problem, /does not give this model to everyone.*accept the licence/s);
    const link = studio.page.locator("[data-part=problem] a");
    assert.equal(await link.getAttribute("href"), `${hub.address()}o/gated`);
    assert.match(problem, /portraits is still loaded/);
    console.log(`screenshot: ${await studio.screenshot("gated")}`);
    await studio.page.locator("[data-remedy=shelf]").click();
    await row(studio, "o/gated").locator(".what-to-do").waitFor();
    assert.match(await row(studio, "o/gated").innerText(), /licence to be accepted.*sign in/s);
    await row(studio, "o/gone").locator("[data-act=use]").click();
    await studio.page.locator("[data-part=problem]", { hasText: "does not exist" }).waitFor();
    await studio.page.locator("[data-remedy=shelf]").click();
    assert.match(await row(studio, "o/gone").innerText(), /not found on its server.*renamed/s);
    console.log(`screenshot: ${await studio.screenshot("shelf-states")}`);
    await row(studio, "o/half").locator("[data-act=delete]").click();
    await row(studio, "o/half").locator(".state", { hasText: "not downloaded" }).waitFor();
    await studio.close();
  });

  test("a model of the shelf brings its defaults, and gives way to the next one's", async () => {
    const defaults = { steps: 2, guidance_scale: 4.5, width: 64, height: 64, sampler: "heun" };
    const studio = await visit(
      list([
        entry("models/portraits", { weights: { bytes: LARGE_BYTES } }),
        entry("o/tiny", { weights: { bytes: LARGE_BYTES }, defaults }),
      ]),
    );
    await studio.engine();
    await open(studio);
    await row(studio, "o/tiny").locator("[data-act=use]").focus();
    await studio.page.keyboard.press("Enter");
    await studio.field("model", "o/tiny");
    await studio.field("guidance-scale", "4.5");
    await studio.engine();
    for (const [name, value] of [
      ["steps", "2"],
      ["sampler", "heun"],
      ["width", "64"],
    ])
      await studio.field(name, value);
    await studio.fill({ seed: "5" });
    await studio.generate();
    const first = await studio.picture();
    assert.equal(first.width, 64);

    // Sampler and schedule type reach the picture, its text and the address.
    const schedule = studio.page.locator("[name=schedule]");
    await studio.unfold(schedule);
    await schedule.selectOption("exponential");
    await studio.fill({ seed: "5", steps: "3" });
    await studio.generate();
    assert.notDeepEqual((await studio.picture()).bytes, first.bytes);
    await studio.page.waitForFunction(() => location.hash.includes("schedule=exponential"));
    const saving = studio.page.waitForEvent("download");
    await studio.button("save").click();
    const saved = await readFile(await (await saving).path(), "latin1");
    assert.match(saved, /Sampler: Heun, Schedule type: Exponential, CFG scale: 4\.5/);
    await studio.page.locator("[name=sampler]").selectOption("ddim");
    assert.equal(await schedule.isDisabled(), true);
    assert.match(
      await studio.page.locator("[data-note=schedule]").innerText(),
      /DDIM has timesteps of its own/,
    );

    // The steps were changed, so they stay; the guidance scale is the next model's own.
    await open(studio);
    assert.match(await row(studio, "o/tiny").innerText(), /in use/);
    await row(studio, "models/portraits").locator("[data-act=use]").click();
    await studio.field("guidance-scale", "3");
    await studio.engine();
    await studio.field("sampler", "dpm++2m");
    await studio.field("schedule", "karras");
    await studio.field("steps", "3");
    await open(studio);
    assert.match(await row(studio, "o/tiny").innerText(), /saved for offline use/);
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("a list that cannot be used is named, and any other model still loads", async () => {
    const studio = await visit('{"version": 1, "models": [{"name": "x"}]}');
    await studio.engine();
    await open(studio);
    assert.match(
      await studio.text("unreadable"),
      /own\.json cannot be used: models\[0\]\.address is missing, expected a text/,
    );
    await studio.page.locator("[data-part=other-model]").fill("o/tiny");
    await studio.page.keyboard.press("Enter");
    await studio.field("model", "o/tiny");
    await studio.engine();
    await studio.field("guidance-scale", "7.5");
    await studio.close();
  });

  test("the page's names of samplers are the engine's, and old names are read", async () => {
    site.replaced.clear();
    const studio = await Studio.visit(
      browser,
      `${site.address()}#prompt=a+man&sampler=dpm%2B%2B2m-karras&steps=2&seed=7`,
    );
    await studio.page.evaluate(() =>
      document.addEventListener("ready", (event) => {
        const { model } = /** @type {CustomEvent} */ (event).detail;
        /** @type {any} */ (globalThis).model = model;
      }),
    );
    await studio.engine();
    await studio.field("sampler", "dpm++2m");
    await studio.field("schedule", "karras");
    // The model is opened again, in case it was ready before anyone listened.
    await studio.fill({ device: "cpu" });
    await studio.page.waitForFunction(() => "model" in globalThis);
    const model = await studio.page.evaluate(() => /** @type {any} */ (globalThis).model);
    assert.deepEqual(
      SAMPLER_ROWS.map((/** @type {any} */ { id, label, calls }) => [
        id,
        label,
        calls,
        hasSchedules(id),
      ]),
      model.sampler_list.map((/** @type {any} */ sampler) => [
        sampler.id,
        sampler.label,
        sampler.calls_per_step,
        sampler.schedules,
      ]),
    );
    assert.deepEqual(SCHEDULE_ROWS, model.schedules.slice(1));
    await studio.engine();
    await studio.fill({ sampler: "heun", steps: "3" });
    await studio.page.evaluate(() => {
      const shared = /** @type {any} */ (globalThis);
      shared.steps = [];
      document.addEventListener("step", (event) => {
        const { step } = /** @type {CustomEvent} */ (event).detail;
        shared.steps.push(step);
      });
    });
    await studio.generate();
    const steps = await studio.page.evaluate(() => /** @type {any} */ (globalThis).steps);
    assert.deepEqual(steps.slice(0, 5), [0, 0, 1, 1, 2], "two calls a step");
    assert.equal(steps.at(-1), 3);
    await studio.fill({ guidance_scale: "0" });
    assert.match(
      await studio.page.locator("[data-note=negative-prompt]").innerText(),
      /moves toward the negative prompt/,
    );
    assert.equal(await studio.page.locator("[data-note=guidance-scale]").innerText(), "");
    await studio.page.locator("[data-part=expert-fold] summary").click();
    await studio.page.locator("#clip-skip").waitFor();
    assert.equal(await studio.page.locator("#clip-skip").getAttribute("placeholder"), "1");
    await studio.fill({ clip_skip: "40" });
    assert.match(await studio.page.locator("[data-note=clip-skip]").innerText(), /40|1 to/);
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });
});
