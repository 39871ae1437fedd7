// @ts-check
/** Layout of the page: what fits a screen, what moves, and longer words. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { startServer } from "./server.mjs";
import { Studio } from "./studio.mjs";

const QUICK = { steps: "2" };
const MOST_SHIFT = 0.02;
const LEAST_TARGET = 24;
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

/**
 * Boxes of the elements of a page that are shown, also inside the studio.
 * @typedef {{name: string, x: number, y: number, right: number, bottom: number}} Box
 */

/** Sums the layout shifts of the page from its beginning. */
function watchShifts() {
  const shifts = { sum: 0, sources: /** @type {string[]} */ ([]) };
  Object.assign(globalThis, { shifts });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { hadRecentInput, value, sources } = /** @type {any} */ (entry);
      if (hadRecentInput) continue;
      shifts.sum += value;
      for (const { node } of sources)
        shifts.sources.push(`${value.toFixed(4)} ${node?.nodeName} ${node?.className}`);
    }
  }).observe({ type: "layout-shift", buffered: true });
}

describe("the layout", () => {
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
   * @param {import("playwright-core").BrowserContextOptions} options
   * @param {string} [address]
   */
  async function visit(options, address = "") {
    const context = await browser.newContext(options);
    const studio = new Studio(await context.newPage());
    await studio.page.addInitScript(watchShifts);
    await studio.page.goto(server.address + address);
    await studio.engine();
    return studio;
  }

  /** @param {Studio} studio @param {string} selector @returns {Promise<Box>} */
  async function box(studio, selector) {
    const found = await studio.page.locator(selector).first().boundingBox();
    assert.ok(found, `${selector} is not shown`);
    const { x, y, width, height } = found;
    return { name: selector, x, y, right: x + width, bottom: y + height };
  }

  /** @param {Box} box @param {number} width @param {number} height */
  function assertInside({ name, x, y, right, bottom }, width, height) {
    const inside = x >= 0 && y >= 0 && right <= width && bottom <= height;
    assert.ok(inside, `${name} is cut: ${x} to ${right}, ${y} to ${bottom} of ${width}×${height}`);
  }

  for (const [width, height] of [
    [1366, 768],
    [1280, 900],
    [1920, 1080],
  ]) {
    test(`at ${width}×${height} picture, caption, Save and gallery need no scrolling`, async () => {
      const studio = await visit({ viewport: { width, height } });
      for (const name of [".pair .wipe", "[data-live]", "[data-act=generate]"])
        assertInside(await box(studio, name), width, height);
      await studio.generate(QUICK);
      await studio.page.evaluate(() => scrollTo(0, 0));
      for (const name of ["canvas", "figcaption .label", "[data-act=save]"])
        assertInside(await box(studio, `.picture ${name}`), width, height);
      const gallery = await box(studio, ".gallery li button");
      assert.ok(gallery.y + 40 < height, `the gallery starts at ${gallery.y}`);
      assertInside(await box(studio, "[data-act=generate]"), width, height);
      await studio.button("compare").click();
      await studio.idle();
      for (const at of [0, 1]) {
        const canvas = studio.page.locator(".picture canvas").nth(at);
        const found = await canvas.boundingBox();
        assert.ok(found && found.y + found.height < height && found.width > 250, `picture ${at}`);
      }
      await studio.close();
    });
  }

  test("at 1920×1080 stage and desk use the width", async () => {
    const studio = await visit({ viewport: { width: 1920, height: 1080 } });
    const stage = await box(studio, ".stage");
    const desk = await box(studio, ".desk");
    assert.ok(stage.x < 100 && desk.right > 1820, `${stage.x} to ${desk.right}`);
    assert.ok(desk.x >= stage.right, "the desk covers the stage");
    await studio.close();
  });

  test("at 390×844 picture and Generate are on the screen, before and after", async () => {
    const studio = await visit(PHONE);
    const { width, height } = PHONE.viewport;
    for (const name of [".pair .wipe", "[data-live]", "[data-act=generate]"])
      assertInside(await box(studio, name), width, height);
    await studio.generate(QUICK);
    await studio.page.evaluate(() => scrollTo(0, 0));
    for (const name of [".picture canvas", "[data-act=save]", "[data-act=generate]"])
      assertInside(await box(studio, name), width, height);
    await studio.close();
  });

  test("the stage keeps its height whatever the settings and the texts are", async () => {
    const studio = await visit({ viewport: { width: 1280, height: 900 } });
    const size = async () => {
      const { x, y, right, bottom } = await box(studio, ".stage");
      return { x, y, right, bottom };
    };
    const before = await size();
    const fold = studio.page.locator("[data-part=fold]");
    const summary = fold.locator("> summary");
    await summary.click();
    assert.deepEqual(await size(), before);
    await summary.click();
    await studio.generate({ ...QUICK, prompt: "very long words ".repeat(60) });
    await studio.button("compare").click();
    await studio.idle();
    await studio.page.evaluate(() => scrollTo(0, 0));
    assert.deepEqual(await size(), before);
    await studio.close();
  });

  test("the settings stay open or folded as the visitor left them", async () => {
    const studio = await visit({ viewport: { width: 1366, height: 700 } });
    const fold = studio.page.locator("[data-part=fold]");
    const open = () => fold.evaluate((it) => /** @type {HTMLDetailsElement} */ (it).open);
    assert.equal(await open(), false, "where there is no room for them");
    await fold.locator("> summary").click();
    assert.equal(await open(), true);
    const field = studio.page.locator("#ensd");
    assert.equal(await field.isVisible(), false, "a fold within them");
    await fold.locator("[data-part=noise-fold] > summary").click();
    await studio.page.reload();
    await studio.engine();
    assert.equal(await open(), true);
    await field.waitFor({ state: "visible" });
    await fold.locator("> summary").click();
    await studio.page.reload();
    await studio.engine();
    assert.equal(await open(), false);
    await studio.close();
  });

  test("a wrong value in folded settings opens them and gets the focus", async () => {
    const studio = await visit({ viewport: { width: 1366, height: 700 } }, "#steps=none");
    await studio.button("generate").click();
    const steps = studio.page.locator("[name=steps]");
    await steps.waitFor({ state: "visible" });
    assert.equal(await steps.evaluate((field) => field.matches(":focus")), true);
    await studio.close();
  });

  for (const [name, options] of /** @type {const} */ ([
    ["1280×900", { viewport: { width: 1280, height: 900 } }],
    ["1366×768", { viewport: { width: 1366, height: 768 } }],
    ["390×844", PHONE],
  ])) {
    test(`at ${name} next to nothing moves by itself, from opening to a comparison`, async () => {
      const studio = await visit(options);
      await studio.page.locator("[data-live]").click();
      await studio.page.waitForSelector("darkroom-studio[data-work=running]");
      await studio.idle();
      await studio.button("generate").click();
      await studio.page.waitForSelector("darkroom-studio[data-work=running]");
      await studio.idle();
      await studio.page.waitForTimeout(300);
      const { sum, sources } = await studio.page.evaluate(
        () => /** @type {any} */ (globalThis).shifts,
      );
      console.log(`layout shift at ${name}: ${sum.toFixed(4)}`);
      assert.ok(sum < MOST_SHIFT, `${sum}: ${sources.join("; ")}`);
      await studio.close();
    });
  }

  for (const width of [320, 961, 1366]) {
    test(`German words push nothing out at ${width} pixels`, async () => {
      const studio = await visit({ viewport: { width, height: 800 } }, "?lang=de");
      await studio.page.locator("[data-part=fold]").evaluate((it) => it.setAttribute("open", ""));
      const wide = await studio.page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= width, `${wide} pixels of page on ${width} of screen`);
      const outside = await studio.page.evaluate(() => {
        const root = document.querySelector("darkroom-studio")?.shadowRoot;
        const all = root?.querySelectorAll(".desk :is(input, select, button, textarea, label, p)");
        return [...(all ?? [])].flatMap((element) => {
          const parent = element.closest(".settings, .desk")?.getBoundingClientRect();
          const { right, width } = element.getBoundingClientRect();
          if (!parent || width <= 1 || right <= parent.right + 0.5) return [];
          return `${element.outerHTML.slice(0, 60)} ends at ${right}, not ${parent.right}`;
        });
      });
      assert.deepEqual(outside, []);
      const words = await studio.page.locator(".pair").evaluate((pair) => {
        const { bottom } = pair.getBoundingClientRect();
        const live = pair.querySelector("[data-live]")?.getBoundingClientRect();
        return live ? bottom - live.bottom : -1;
      });
      assert.ok(words >= 0, "the pair's words are cut");
      await studio.close();
    });
  }

  test("buttons, fields and sliders are at least 24 pixels high and wide", async () => {
    const studio = await visit({ viewport: { width: 1280, height: 900 } });
    await studio.generate(QUICK);
    const small = await studio.page.evaluate((least) => {
      const root = document.querySelector("darkroom-studio")?.shadowRoot;
      const controls = "button, input, select, textarea, summary, label:has(input)";
      const all = [document, root].flatMap((place) => [
        ...(place?.querySelectorAll(controls) ?? []),
      ]);
      return all.flatMap((element) => {
        // A box inside its label is pressed by the label.
        if (element.matches("label input, [type=file]")) return [];
        const { width, height } = element.getBoundingClientRect();
        if (width === 0 || (width >= least && height >= least)) return [];
        return `${element.outerHTML.slice(0, 80)}: ${width}×${height}`;
      });
    }, LEAST_TARGET);
    assert.deepEqual(small, []);
    await studio.close();
  });
});
