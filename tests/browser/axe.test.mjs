// @ts-check
/** Accessibility rules of axe-core, in each state of the page. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { startServer } from "./server.mjs";
import { Studio } from "./studio.mjs";

/** Best practices beside the rules of WCAG 2.2, A and AA. */
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const axe = await readFile(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

describe("axe finds nothing", () => {
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
   * @param {import("playwright-core").BrowserContextOptions} [options]
   * @param {string} [address]
   */
  async function visit(options = {}, address = "") {
    const context = await browser.newContext({
      viewport: { width: 1366, height: 768 },
      ...options,
    });
    const studio = new Studio(await context.newPage());
    await studio.page.goto(server.address + address);
    return studio;
  }

  /**
   * @param {Studio} studio
   * @param {string} state
   * @param {string[]} [without] rules that do not hold there
   */
  async function check(studio, state, without = []) {
    await studio.page.evaluate(axe);
    const found = await studio.page.evaluate(
      async ([tags, without]) => {
        const { violations } = await /** @type {any} */ (globalThis).axe.run(document, {
          runOnly: { type: "tag", values: tags },
          rules: Object.fromEntries(without.map((rule) => [rule, { enabled: false }])),
        });
        return violations.map((/** @type {any} */ { id, nodes }) => {
          const places = nodes.map(
            (/** @type {any} */ { target, failureSummary }) =>
              `${JSON.stringify(target)} ${failureSummary.split("\n").slice(1).join(" ").trim()}`,
          );
          return `${id}: ${places.join(" | ")}`;
        });
      },
      /** @type {const} */ ([TAGS, without]),
    );
    assert.deepEqual(found, [], state);
  }

  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    test(`first visit, running, finished and compared, ${colorScheme}`, async () => {
      const studio = await visit({ colorScheme });
      await studio.engine();
      await check(studio, "first visit");
      await studio.page.locator("[data-part=fold] > summary").click();
      await studio.page.locator("[data-part=noise-fold] > summary").click();
      await studio.page.locator("#ensd").waitFor();
      await check(studio, "noise settings");
      await studio.fill({ steps: "40" });
      await studio.button("generate").click();
      await studio.page.waitForSelector(".picture[data-state=preview]");
      await check(studio, "running");
      await studio.button("cancel").click();
      await studio.idle();
      await check(studio, "cancelled");
      await studio.generate({ steps: "2" });
      await check(studio, "finished");
      await studio.button("compare").click();
      await studio.page.waitForSelector("darkroom-studio[data-work=running]");
      await studio.idle();
      await check(studio, "compared");
      await studio.close();
    });
  }

  test("all groups of settings, light, dark and on a phone", async () => {
    const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
    const set = "#negative-strength=1.5&negative-end=0.5&guidance-kind=apg&nag-scale=5";
    const dark = /** @type {const} */ ({ colorScheme: "dark" });
    for (const [name, options] of Object.entries({ light: {}, dark, phone })) {
      const studio = await visit(options, set);
      await studio.engine();
      await studio.unfold(studio.page.locator("[data-part=negative-body]"));
      for (const group of ["guidance", "nag"])
        await studio.page.locator(`[data-part=${group}-fold] summary`).click();
      await studio.page.locator("[name=nag-scale]:visible").waitFor();
      await studio.page.locator("[data-option=eta]").waitFor();
      await check(studio, "groups of settings");
      await studio.screenshot(`groups-${name}`);
      await studio.close();
    }
  });

  test("wall, and a pair of it", async () => {
    const studio = await visit();
    await studio.engine();
    await studio.fill({ steps: "1" });
    await studio.button("wall").click();
    await studio.page.locator("[data-part=wall] button:not([aria-disabled])").first().waitFor();
    await check(studio, "wall in the making");
    await studio.idle();
    await check(studio, "wall");
    await studio.page.locator("[data-part=wall] button").first().click();
    await check(studio, "a pair of the wall");
    await studio.close();
  });

  test("a problem, a note at a field, and the dialog of models", async () => {
    const studio = await visit({}, "#model=models/none");
    await studio.engine("failed");
    await studio.problem();
    await check(studio, "problem");
    await studio.fill({ guidance_scale: "1", width: "3" });
    await check(studio, "notes");
    await studio.button("models").click();
    await studio.page.locator("[data-part=shelf-list] li").first().waitFor();
    await check(studio, "dialog");
    await studio.close();
  });

  for (const colorScheme of /** @type {const} */ (["light", "dark"]))
    test(`marked prompts, the offer, and the dialog of sets, ${colorScheme}`, async () => {
      const marked = "#prompt-syntax=a1111&prompt=a+(cat:1.6)+[dog:wolf:0.5]+(open";
      const studio = await visit({ colorScheme }, marked);
      await studio.engine();
      await studio.page.locator("[data-marks=prompt] .problem").waitFor();
      await check(studio, "marked prompts");
      await studio.button("library").click();
      await studio.page.locator("[data-part=library-save] input").fill("a set");
      await studio.page.keyboard.press("Enter");
      await studio.page.locator("[data-act=library-rename]").click();
      await check(studio, "dialog of sets");
      await studio.page.keyboard.press("Escape");
      const box = studio.page.locator("[data-switch=prompt-syntax]");
      await studio.unfold(box);
      await box.uncheck();
      await studio.page.locator("[data-part=brackets-offer]").waitFor();
      await check(studio, "offer to read brackets");
      await studio.close();
    });

  test("on a phone, in German, with forced colours, without a model yet", async () => {
    const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
    const studio = await visit({ ...phone, locale: "de-DE" });
    await studio.page.waitForSelector("html[lang=de]");
    await studio.engine();
    await check(studio, "phone");
    await studio.close();
    const forced = await visit({ forcedColors: "active", reducedMotion: "reduce" });
    await forced.engine();
    // The system chooses these colours. Axe reads the page's own.
    await check(forced, "forced colours", ["color-contrast"]);
    await forced.close();
    const context = await browser.newContext();
    await context.route("**/*.safetensors", () => {});
    const loading = new Studio(await context.newPage());
    await loading.page.goto(server.address);
    await loading.engine("loading");
    await check(loading, "loading");
    await loading.close();
  });
});
