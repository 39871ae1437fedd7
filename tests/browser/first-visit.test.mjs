// @ts-check
/** The first ten seconds of a visit, and what the page says about a comparison. */
import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { pageModule } from "./modules.mjs";
import { startServer } from "./server.mjs";
import { psnr, Studio } from "./studio.mjs";

/** @typedef {import("playwright-core").Page} Page */

const WWW = new URL("../../www/", import.meta.url);
const EFFECT_S = 1;
const CLOSE_DB = 35;
const MOST_BYTES = 50e6;
/** A seed of the demo model with a mustache, and one without. */
const WITH = "14";
const WITHOUT = "17";

const { compare } = await pageModule("studio/difference.js");
const { knownWord } = await pageModule("studio/showcase.js");
const { wallOf } = await pageModule("studio/wall.js");

/** Texts of all elements with `data-text`, and of attributes with `data-text-…`. */
const written = () =>
  [...document.querySelectorAll("*")].flatMap((element) =>
    [...element.attributes]
      .filter(({ name }) => name.startsWith("data-text"))
      .map(({ name, value }) => {
        const text =
          name === "data-text" ? element.textContent : element.getAttribute(name.slice(10));
        return `${value}: ${text?.replaceAll(/\s+/g, " ").trim()}`;
      }),
  );

describe("the first visit", () => {
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

  /**
   * @param {string} [address]
   * @param {import("playwright-core").BrowserContextOptions} [options]
   */
  const visit = (address = "", options) => Studio.visit(browser, server.address + address, options);

  /** @param {Studio} studio */
  const verdict = (studio) => studio.text("verdict");

  /** Widths of the two pictures of the finished pair, once they are decoded. @param {Page} page */
  const widths = (page) =>
    page.locator(".pair img").evaluateAll(async (images) => {
      const all = /** @type {HTMLImageElement[]} */ (images);
      await Promise.all(all.map((image) => image.decode()));
      return all.map((image) => image.naturalWidth);
    });

  test("the finished pair is on the page before any script has run", async () => {
    const context = await browser.newContext();
    // Scripts that never arrive.
    await context.route("**/*.js", () => {});
    const page = await context.newPage();
    await page.goto(server.address, { waitUntil: "commit" });
    await page.locator(".pair .with").waitFor();
    assert.deepEqual(await widths(page), [128, 128]);
    const seconds = (await page.evaluate(() => performance.now())) / 1000;
    console.log(`pair seen after ${seconds.toFixed(2)} s`);
    assert.ok(seconds < EFFECT_S, `${seconds} s`);
    await context.close();
  });

  test("without scripts both pictures stand side by side, and nothing offers to move", async () => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(server.address);
    const [without, withIt] = await Promise.all(
      [".without", ".with"].map((name) => page.locator(`.pair ${name}`).boundingBox()),
    );
    assert.ok(without && withIt && withIt.x >= without.x + without.width, "they overlap");
    assert.equal(await page.locator(".wipe input").isVisible(), false);
    assert.equal(await page.locator("[data-live]").isVisible(), false);
    await context.close();
  });

  test("the wipe slider moves the edge by keys and by a press on the picture", async () => {
    const studio = await visit();
    await studio.engine();
    const slider = studio.page.locator(".wipe input");
    const edge = () =>
      studio.page
        .locator(".wipe")
        .evaluate((wipe) => /** @type {HTMLElement} */ (wipe).style.getPropertyValue("--edge"));
    assert.equal(await edge(), "50%");
    await slider.focus();
    await studio.page.keyboard.press("ArrowLeft");
    await studio.page.keyboard.press("ArrowLeft");
    assert.equal(await edge(), "48%");
    assert.match((await slider.getAttribute("aria-valuetext")) ?? "", /^48 %/);
    await studio.page.keyboard.press("End");
    assert.equal(await edge(), "100%");
    const box = await slider.boundingBox();
    assert.ok(box);
    await studio.page.mouse.click(box.x + box.width / 4, box.y + box.height / 2);
    const at = Number.parseFloat(await edge());
    assert.ok(Math.abs(at - 25) < 4, `${at} %`);
    await studio.close();
  });

  test("one press makes the finished pair on the visitor's machine", async () => {
    const studio = await visit();
    await studio.engine();
    const shown = await Promise.all(
      ["without", "with"].map(async (name) =>
        studio.decode(await readFile(new URL(`images/pair-${name}.webp`, WWW)), "image/webp"),
      ),
    );
    const began = performance.now();
    await studio.page.locator("[data-live]").click();
    await studio.page.locator(".picture[data-state=finished]").nth(1).waitFor();
    await studio.idle();
    console.log(`pair made after ${((performance.now() - began) / 1000).toFixed(2)} s`);
    for (const at of [0, 1]) {
      const alike = psnr(await studio.picture(at), shown[at]);
      assert.ok(alike > CLOSE_DB, `picture ${at}: ${alike} dB`);
    }
    assert.match(await verdict(studio), /^[\d.]+% of the picture changed; the rest stayed/);
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("a pressed word makes one picture, and keeps the one without it", async () => {
    const studio = await visit(`#seed=${WITH}&steps=8`);
    await studio.engine();
    await studio.page.evaluate(() => {
      const made = /** @type {string[]} */ ([]);
      Object.assign(globalThis, { made });
      document.querySelector("darkroom-studio")?.addEventListener("picture", (event) => {
        made.push(/** @type {CustomEvent} */ (event).detail.settings.negative_prompt);
      });
    });
    const made = () => studio.page.evaluate(() => /** @type {any} */ (globalThis).made);
    /** @param {string} word */
    const press = async (word) => {
      await studio.page.getByRole("button", { name: word, exact: true }).click();
      await studio.page.waitForSelector("darkroom-studio[data-work=running]");
      await studio.idle();
    };
    await press("mustache");
    const without = await studio.picture(0);
    assert.deepEqual(await made(), ["", "mustache"]);
    await press("hat");
    assert.deepEqual(await made(), ["", "mustache", "hat"]);
    assert.deepEqual(await studio.picture(0), without);
    assert.equal(await studio.page.locator("[name=negative-prompt]").inputValue(), "hat");
    const pressed = studio.page.locator("[data-word][aria-pressed=true]");
    assert.deepEqual(await pressed.allInnerTexts(), ["hat"]);
    await studio.fill({ steps: "6" });
    await press("glasses");
    assert.deepEqual(await made(), ["", "mustache", "hat", "", "glasses"], "with other steps");
    await studio.close();
  });

  test("a comparison that changes nothing says so, and offers a seed that does", async () => {
    const studio = await visit(`#seed=${WITHOUT}`);
    await studio.engine();
    await studio.button("compare").click();
    await studio.page.locator("[data-part=try-seed]").waitFor();
    assert.equal(await verdict(studio), "Nothing here to remove: this man has no mustache.");
    await studio.idle();
    const offer = studio.page.locator("[data-part=try-seed]");
    assert.equal(await offer.innerText(), "Try seed 14, where there was");
    await offer.click();
    await studio.page.getByText(/of the picture changed/).waitFor({ timeout: 120_000 });
    assert.equal(await studio.page.locator("[name=seed]").inputValue(), "14");
    assert.equal(await offer.isVisible(), false);
    await studio.close();
  });

  test("a word that nothing is known about is judged by the pictures alone", async () => {
    // At a guidance scale of 1 a negative prompt has no effect.
    const studio = await visit(`#seed=${WITHOUT}&steps=4&guidance-scale=1&negative-prompt=snow`);
    await studio.engine();
    await studio.button("compare").click();
    const offer = studio.page.locator("[data-part=try-seed]");
    await offer.waitFor({ timeout: 120_000 });
    assert.equal(
      await verdict(studio),
      "Nothing to remove: without “snow” as the negative prompt, the picture is the same.",
    );
    assert.equal(await offer.innerText(), "Try another seed");
    await studio.idle();
    await offer.click();
    await studio.page.waitForSelector("darkroom-studio[data-work=running]");
    assert.notEqual(await studio.page.locator("[name=seed]").inputValue(), WITHOUT);
    await studio.close();
  });

  test("the wall makes nine seeds, counts what changed, and opens a pair", async () => {
    const studio = await visit(`#seed=${WITH}&steps=4`);
    await studio.engine();
    await studio.button("wall").click();
    await studio.page.waitForSelector("darkroom-studio[data-work=running]");
    await studio.idle();
    const cells = studio.page.locator("[data-part=wall] button");
    const names = await cells.evaluateAll((all) => all.map((cell) => cell.textContent ?? ""));
    assert.equal(names.length, 9);
    const changed = names.filter((name) => /^Seed \d+[\d.]+%changed$/.test(name)).length;
    assert.equal(names.filter((name) => /^Seed \d+same$/.test(name)).length, 9 - changed);
    assert.ok(changed > 0, `nothing changed: ${names}`);
    const rest = changed < 9 ? `, ${9 - changed} had nothing to remove` : "";
    assert.equal(await verdict(studio), `${changed} of 9 changed${rest}.`);
    assert.equal(await studio.page.locator(".gallery li").count(), 0, "in the gallery, unasked");
    await cells.nth(4).click();
    assert.equal(await studio.page.locator("[name=seed]").inputValue(), "18");
    assert.equal((await studio.picture(1)).width, 128);
    assert.equal(await studio.page.locator(".gallery li").count(), 2);
    await studio.page.locator("[data-part=wall-back]").click();
    assert.equal(await cells.nth(4).isVisible(), true);
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("a cancelled wall keeps and counts what it has made", async () => {
    const studio = await visit(`#seed=${WITH}&steps=4`);
    await studio.engine();
    await studio.button("wall").click();
    await studio.page.getByRole("button", { name: "Seed 14" }).waitFor();
    await studio.page
      .locator("[data-part=wall] button:not([aria-disabled])")
      .nth(1)
      .waitFor({ timeout: 90_000 });
    await studio.button("cancel").click();
    await studio.idle();
    const made = await studio.page.locator("[data-part=wall] button:not([aria-disabled])").count();
    assert.ok(made >= 2 && made < 9, `${made} cells`);
    assert.match(
      await verdict(studio),
      new RegExp(`^Stopped after ${made} of 9 seeds\\. \\d of ${made} changed`),
    );
    await studio.close();
  });

  test("“Why?” leads to the explanation, and leaves the address alone", async () => {
    const studio = await visit(`#seed=${WITH}&steps=7`);
    await studio.engine();
    await studio.page.locator(".pair").getByRole("link", { name: "Why?" }).click();
    await studio.page.waitForFunction(() => {
      const { top = -1 } = document.querySelector("#why")?.getBoundingClientRect() ?? {};
      return top >= -1 && top < innerHeight;
    });
    const focused = await studio.page.evaluate(() => document.activeElement?.id);
    assert.equal(focused, "why-title");
    assert.match(await studio.page.evaluate(() => location.hash), /seed=14&steps=7/);
    await studio.close();
  });

  test("the page says what the demo model draws, and shows the way to another", async () => {
    const studio = await visit("", { viewport: { width: 1366, height: 768 } });
    await studio.engine();
    await studio.page.getByText("The demo model draws cartoon portraits").waitFor();
    await studio.page.getByRole("button", { name: "Use another model…" }).click();
    await studio.page
      .locator("[data-part=shelf-list]", { hasText: "Stable Diffusion 1.5" })
      .waitFor();
    assert.equal(await studio.page.locator("[data-part=other-model]").isVisible(), true);
    await studio.page.keyboard.press("Escape");
    assert.ok(await studio.page.getByRole("link", { name: "Your own models" }).count());
    await studio.close();
    const other = await visit("#model=models/none");
    await other.engine("failed");
    assert.doesNotMatch(await other.text("draws"), /demo model/);
    assert.equal(await other.page.locator(".words").isVisible(), false);
    await other.close();
  });

  test("without its server the page still knows what the demo model draws", async () => {
    const studio = await visit();
    await studio.page.getByText("The demo model draws cartoon portraits").waitFor();
    await studio.page.route("**/showcase.json", (route) => route.abort());
    await studio.page.reload();
    await studio.page.getByText("The demo model draws cartoon portraits").waitFor();
    await studio.close();
  });

  test("the first primary button of the page is the one that compares", async () => {
    const studio = await visit();
    await studio.engine();
    const first = await studio.page.evaluate(() => {
      const red = "rgb(179, 36, 27)";
      const all = [...document.querySelectorAll("a, button")];
      return all.find((each) => getComputedStyle(each).backgroundColor === red)?.textContent;
    });
    assert.equal(first, "Compare on your machine");
    await studio.close();
  });

  test("the texts of index.html are those of the English table", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(server.address);
    const inHtml = await page.evaluate(written);
    assert.ok(inHtml.length > 20, `${inHtml.length} texts`);
    await page.evaluate(async () => {
      const { translate } = await import(`${location.origin}/page/language.js`);
      translate(document);
    });
    assert.deepEqual(await page.evaluate(written), inHtml);
    await context.close();
  });

  test("a chosen language holds for the page, the studio and later visits", async () => {
    const studio = await visit("#seed=5");
    const english = await studio.page.evaluate(written);
    await studio.page.getByRole("link", { name: "Deutsch" }).click();
    await studio.page.waitForURL(/lang=de/);
    await studio.page.waitForSelector("html[lang=de]");
    await studio.engine();
    assert.match(studio.page.url(), /seed=5/, "the settings are lost");
    const german = await studio.page.evaluate(written);
    const same = english.filter((text) => german.includes(text));
    assert.deepEqual(same, [], "not translated");
    assert.equal(await studio.button("generate").innerText(), "Bild machen");
    await studio.page.getByText("Das Demo-Modell zeichnet").waitFor();
    await studio.page.goto(server.address);
    await studio.page.waitForSelector("html[lang=de]");
    await studio.close();

    const polish = await visit("", { locale: "pl-PL" });
    await polish.page.waitForSelector("html[lang=en]");
    await polish.close();
  });

  test("shared links show the pair, and the page links source, help and licence", async () => {
    const html = await readFile(new URL("index.html", WWW), "utf8");
    const [, image] = /property="og:image" content="([^"]+)"/.exec(html) ?? [];
    const picture = new URL(image, WWW);
    assert.ok((await stat(picture)).size < 300_000);
    const studio = await visit();
    const { width, height } = await studio.decode(await readFile(picture));
    assert.deepEqual([width, height], [1200, 630]);
    for (const name of ["Source", "Help", "Licence", "Model card of the demo"])
      assert.ok(await studio.page.getByRole("link", { name }).count(), name);
    await studio.close();
  });

  test("the model card has every sentence of the model's README", async () => {
    const words = (/** @type {string} */ text) => text.match(/[\p{L}\d.,]*[\p{L}\d]/gu) ?? [];
    const readme = await readFile(new URL("models/portraits/README.md", WWW), "utf8");
    const studio = await visit();
    await studio.page.goto(`${server.address}model-card.html`);
    const card = words(await studio.page.locator("main").innerText());
    const expected = words(readme.replace(/\]\([^)]*\)/g, "").replace(/[`*|#-]+/g, " "));
    assert.deepEqual(card.filter(Boolean), expected);
    await studio.close();
  });

  test("a first visit downloads less than 50 MB by itself, all from its own site", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    /** @type {Promise<number>[]} */
    const sizes = [];
    /** @type {string[]} */
    const foreign = [];
    page.on("response", (response) => {
      if (!response.url().startsWith(server.address)) foreign.push(response.url());
      const size = Number(response.headers()["content-length"] ?? 0);
      sizes.push(Promise.resolve(response.request().method() === "GET" ? size : 0));
    });
    await page.goto(server.address);
    await page.waitForSelector("darkroom-studio[data-engine=ready]", { timeout: 60_000 });
    const bytes = (await Promise.all(sizes)).reduce((sum, each) => sum + each, 0);
    console.log(`${(bytes / 1e6).toFixed(1)} MB in ${sizes.length} requests`);
    assert.ok(bytes > 1e6 && bytes < MOST_BYTES, `${bytes} bytes`);
    assert.deepEqual(foreign, []);
    await context.close();
  });

  test("each word of the showcase is in the picture of its first seed, and goes", async () => {
    const file = new URL("models/portraits/showcase.json", WWW);
    const { subjects } = JSON.parse(await readFile(file, "utf8"));
    const studio = await visit();
    await studio.engine();
    for (const { prompt, words } of subjects) {
      for (const { word, seeds } of words) {
        await studio.fill({ prompt, negative_prompt: word, seed: seeds[0] });
        await studio.button("compare").click();
        await studio.page.waitForSelector("darkroom-studio[data-work=running]");
        await studio.idle();
        const { share, amount } = compare(
          (await studio.picture(0)).bytes,
          (await studio.picture(1)).bytes,
        );
        assert.equal(amount, "some", `${prompt}, ${word}, seed ${seeds[0]}: ${share}`);
      }
    }
    await studio.close();
  });
});

describe("what a comparison says", () => {
  const white = new Uint8ClampedArray(4 * 1000).fill(255);

  test("equal pictures have no difference, and faint noise is none", () => {
    assert.deepEqual(compare(white, white), { share: 0, mean: 0, amount: "nothing" });
    const faint = white.map((value, at) => (at % 4 === 0 ? value - 20 : value));
    const { share, mean, amount } = compare(white, faint);
    assert.deepEqual([share, amount], [0, "nothing"]);
    assert.ok(Math.abs(mean - 20 / 3) < 1e-9);
  });

  test("the share of visibly different pixels decides between some and much", () => {
    /** @param {number} pixels */
    const changed = (pixels) => white.map((value, at) => (at < 4 * pixels ? 0 : value));
    assert.deepEqual(
      [2, 3, 99, 100].map((pixels) => compare(white, changed(pixels)).amount),
      ["nothing", "some", "some", "much"],
    );
    assert.equal(compare(white, changed(50)).share, 0.05);
  });

  test("a wall has nine seeds in a row, and goes on at 0 behind the largest", () => {
    const last = (2n ** 64n - 2n).toString();
    const all = wallOf({ seed: last, negative_prompt: "hat" });
    assert.equal(all.length, 18);
    assert.deepEqual(
      all.slice(0, 6).map((/** @type {any} */ each) => `${each.seed} ${each.negative_prompt}`),
      [`${last} `, `${last} hat`, `${2n ** 64n - 1n} `, `${2n ** 64n - 1n} hat`, "0 ", "0 hat"],
    );
  });

  test("a known word offers another seed than the one that disappointed", () => {
    const showcase = {
      model: "m",
      subjects: [
        {
          noun: "man",
          prompt: "a man",
          words: [{ word: "hat", none: { en: "no hat" }, seeds: ["1", "2"] }],
        },
      ],
    };
    const settings = { model: "m", prompt: "An old Man, smiling", negative_prompt: " Hat " };
    const offered = (/** @type {object} */ change) =>
      knownWord(showcase, { ...settings, seed: "9", ...change })?.seed;
    assert.equal(offered({}), "1");
    assert.equal(offered({ seed: "1" }), "2");
    assert.equal(offered({ seed: "2" }), "1");
    assert.equal(offered({ model: "other" }), undefined);
    assert.equal(offered({ prompt: "a woman" }), undefined);
    assert.equal(offered({ negative_prompt: "hat, glasses" }), undefined);
  });
});
