// @ts-check
/** The page "How a negative prompt works": with scripts, without them, and on a phone. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { startServer } from "./server.mjs";

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const axe = await readFile(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
/** Words a minute that most people read. */
const READING_SPEED = 240;
const MOST_BYTES = 600_000;

describe("the story", () => {
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

  /** @param {import("playwright-core").BrowserContextOptions} [options] */
  async function visit(options = {}) {
    const context = await browser.newContext({
      viewport: { width: 1280, height: 900 },
      ...options,
    });
    const page = await context.newPage();
    /** @type {string[]} */
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    /** @type {string[]} */
    const requests = [];
    page.on("request", (request) => requests.push(request.url()));
    await page.goto(`${server.address}story.html`);
    return { page, errors, requests, close: () => context.close() };
  }

  /** @param {import("playwright-core").Page} page */
  async function violations(page) {
    await page.evaluate(axe);
    const found = await page.evaluate(
      (tags) =>
        /** @type {any} */ (globalThis).axe.run(document, {
          runOnly: { type: "tag", values: tags },
        }),
      TAGS,
    );
    return found.violations.map(
      (/** @type {any} */ { id, nodes }) => `${id}: ${nodes[0].html.slice(0, 200)}`,
    );
  }

  test("it is text and pictures without scripts, and takes three minutes to read", async () => {
    const { page, close } = await visit({ javaScriptEnabled: false });
    const text = await page.locator("main").innerText();
    const words = text.match(/\p{L}+/gu)?.length ?? 0;
    assert.ok(words / READING_SPEED < 3.5 && words > 300, `${words} words`);
    for (const image of await page.locator("main img").all()) {
      assert.ok((await image.getAttribute("alt"))?.match(/\w+ \w+/), "a picture without a text");
      const { width, height } = (await image.boundingBox()) ?? { width: 0, height: 0 };
      assert.ok(width > 200 && height > 30, `${width}×${height}`);
    }
    assert.equal(await page.locator("[data-live]").isVisible(), false);
    console.log(`${words} words`);
    await close();
  });

  test("it loads neither engine nor model before a press", async () => {
    const { page, requests, errors, close } = await visit();
    await page.locator("footer").scrollIntoViewIfNeeded();
    await page.waitForLoadState("networkidle");
    const bytes = await page.evaluate(() => {
      const loads = /** @type {PerformanceResourceTiming[]} */ (
        performance.getEntriesByType("resource")
      );
      return loads.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0);
    });
    assert.ok(bytes < MOST_BYTES, `${bytes} bytes`);
    assert.deepEqual(
      requests.filter((url) => /wasm|models\//.test(url)),
      [],
    );
    assert.deepEqual(errors, []);
    console.log(`${requests.length} requests, ${(bytes / 1000).toFixed(0)} kB`);
    await close();
  });

  test("the sliders show a guidance scale and a seed by mouse and keyboard", async () => {
    const { page, errors, close } = await visit();
    const scale = page.getByRole("slider", { name: "Guidance scale" });
    await scale.focus();
    await page.keyboard.press("Home");
    assert.equal(await scale.getAttribute("aria-valuetext"), "0");
    const strip = page.locator(".strip img");
    const left = (await strip.boundingBox())?.x ?? 0;
    await page.keyboard.press("End");
    assert.equal(await scale.getAttribute("aria-valuetext"), "14");
    const right = (await strip.boundingBox())?.x ?? 0;
    const frame = (await page.locator(".strip").boundingBox())?.width ?? 0;
    assert.ok(Math.abs(left - right - 9 * frame) < 2, `moved by ${left - right} of ${frame}`);
    await page.screenshot({ path: "/tmp/darkroom-story-scale.png" });

    const seed = page.getByRole("slider", { name: "Seed" });
    await seed.focus();
    await page.keyboard.press("ArrowRight");
    assert.equal(await seed.getAttribute("aria-valuetext"), "15");
    assert.equal(
      await page.locator('[data-seed="15"]').getAttribute("aria-current"),
      "true",
      "the point of the seed",
    );
    await page.locator('[data-seed="40"] circle + circle').hover({ force: true });
    await page.waitForFunction(
      () => document.querySelector("[aria-current=true]")?.getAttribute("data-seed") !== "15",
    );
    await page.locator(".seen").scrollIntoViewIfNeeded();
    await page.screenshot({ path: "/tmp/darkroom-story-map.png" });
    assert.deepEqual(errors, []);
    await close();
  });

  test("a press draws both pictures of a seed on the visitor's machine", async () => {
    const { page, errors, close } = await visit();
    await page.getByLabel("Seed", { exact: true }).first().fill("29");
    await page.getByRole("button", { name: "Draw both" }).click();
    await page.getByText("Seed 29: without, and with").waitFor({ timeout: 120_000 });
    const sums = await page.locator("[data-live] canvas").evaluateAll((canvases) =>
      canvases.map((canvas) => {
        const { width, height } = /** @type {HTMLCanvasElement} */ (canvas);
        const context = /** @type {HTMLCanvasElement} */ (canvas).getContext("2d");
        const { data } = /** @type {CanvasRenderingContext2D} */ (context).getImageData(
          0,
          0,
          width,
          height,
        );
        return data.reduce((sum, value) => sum + value, 0);
      }),
    );
    assert.ok(
      sums.every((sum) => sum > 128 * 128 * 255),
      "a picture is black",
    );
    assert.notEqual(sums[0], sums[1], "both pictures are the same");
    await page.locator("[data-live]").screenshot({ path: "/tmp/darkroom-story-live.png" });
    assert.deepEqual(errors, []);
    await close();
  });

  for (const [name, options] of /** @type {const} */ ([
    ["desktop", {}],
    ["dark", { colorScheme: "dark" }],
    ["phone", PHONE],
  ])) {
    test(`axe finds nothing, and nothing is wider than the window: ${name}`, async () => {
      const { page, close } = await visit(options);
      assert.deepEqual(await violations(page), []);
      const [inner, outer] = await page.evaluate(() => [
        document.documentElement.scrollWidth,
        document.documentElement.clientWidth,
      ]);
      assert.ok(inner <= outer, `${inner} > ${outer}`);
      await page.screenshot({ path: `/tmp/darkroom-story-${name}.png`, fullPage: true });
      await close();
    });
  }

  test("the first screen leads to it, and it leads back", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(server.address);
    await page.getByRole("link", { name: "How it works" }).first().click();
    await page.waitForURL(/story\.html$/);
    await page.getByRole("link", { name: "Open Darkroom" }).click();
    await page.waitForSelector("darkroom-studio");
    await context.close();
  });
});
