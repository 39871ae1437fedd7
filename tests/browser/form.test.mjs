// @ts-check
/** Work on the form: undo, prompt history, drafts, the seed, shortcuts, progress in the title. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { startServer } from "./server.mjs";
import { Studio } from "./studio.mjs";

const QUICK = { steps: "1", sampler: "euler" };
const LONG = { steps: "400", sampler: "euler" };

describe("work on the form", () => {
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

  /** @param {string} [fragment] */
  const visit = (fragment = "") => Studio.visit(browser, server.address + fragment);

  /** @param {Studio} studio @param {string} name */
  const value = (studio, name) => studio.page.locator(`[name="${name}"]`).first().inputValue();

  test("undo and redo cover typing and what was filled in, also by Ctrl+Z", async () => {
    const studio = await visit();
    await studio.engine();
    const prompt = studio.page.locator("[name=prompt]");
    await prompt.fill("typed by hand");
    await studio.page.locator("[data-word]", { hasText: "glasses" }).click();
    await studio.field("negative-prompt", "glasses");
    await studio.button("cancel").click();
    await studio.idle();
    await studio.button("undo").click();
    await studio.field("negative-prompt", "mustache");
    await studio.button("undo").click();
    await studio.field("prompt", "Portrait photo of a man");
    await studio.button("redo").click();
    await studio.field("prompt", "typed by hand");

    // In a text field the browser undoes typing, and the studio what was filled in.
    await studio.page.evaluate(() => {
      /** @type {any} */ (document.querySelector("darkroom-studio")).settings = {
        prompt: "from a link",
      };
    });
    await prompt.focus();
    await studio.page.keyboard.press("Control+z");
    await studio.field("prompt", "typed by hand");
    await studio.page.keyboard.press("Control+Shift+z");
    await studio.field("prompt", "from a link");
    await prompt.press("End");
    await prompt.pressSequentially(" and more");
    await studio.page.keyboard.press("Control+z");
    assert.notEqual(await value(studio, "prompt"), "typed by hand");
    await studio.page.locator("h1").click();
    await studio.page.keyboard.press("Control+z");
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("an edit typed right before a reload is kept; a link wins over an older visit", async () => {
    const studio = await visit();
    await studio.engine();
    await studio.fill({ prompt: "typed and reloaded at once", steps: "9" });
    await studio.page.locator("[data-part=lock]").check();
    await studio.page.reload();
    await studio.field("prompt", "typed and reloaded at once");
    await studio.field("steps", "9");
    assert.equal(await studio.page.locator("[data-part=lock]").isChecked(), true);
    await studio.page.waitForTimeout(500);
    const seed = await value(studio, "seed");

    const context = studio.page.context();
    const later = new Studio(await context.newPage());
    await later.page.goto(server.address);
    await later.field("prompt", "typed and reloaded at once");
    await later.field("seed", seed);
    const linked = new Studio(await context.newPage());
    await linked.page.goto(`${server.address}#prompt=a+link&negative-prompt=`);
    await linked.engine();
    assert.deepEqual(
      [await value(linked, "prompt"), await value(linked, "negative-prompt")],
      ["a link", ""],
    );
    await studio.close();
  });

  test("the lock is the visitor's: a seed from elsewhere serves once, and says so", async () => {
    const studio = await visit("#prompt=a+man&seed=77");
    await studio.engine();
    const lock = studio.page.locator("[data-part=lock]");
    const state = studio.page.locator("[data-part=seed-state]");
    assert.equal(await lock.isChecked(), false);
    assert.match(await state.innerText(), /This seed once/);
    await studio.generate(QUICK);
    assert.equal(await value(studio, "seed"), "77");
    assert.equal(await state.innerText(), "");
    await studio.generate();
    assert.notEqual(await value(studio, "seed"), "77");

    await studio.page.locator(".gallery li button").last().click();
    await studio.field("seed", "77");
    assert.equal(await lock.isChecked(), false, "a picture does not lock its seed");
    assert.match(await state.innerText(), /This seed once/);
    await lock.check();
    assert.match(await state.innerText(), /Locked: the same seed again/);
    await studio.generate();
    await studio.generate();
    assert.equal(await value(studio, "seed"), "77");
    await studio.close();
  });

  test("prompts that were used are found, filled in and deleted", async () => {
    const studio = await visit();
    await studio.engine();
    await studio.generate({ ...QUICK, prompt: "a man with a red hat", negative_prompt: "glasses" });
    await studio.generate({ prompt: "an old woman", negative_prompt: "" });
    await studio.page.reload();
    await studio.engine();
    await studio.page.keyboard.press("Alt+h");
    const items = studio.page.locator("[data-part=history] li");
    // The list is read from the database after the dialog was asked for.
    await items.nth(1).waitFor();
    assert.equal(await items.count(), 2);
    assert.match(await items.first().innerText(), /an old woman/);
    await studio.page.locator("[data-part=history] input").fill("GLASSES red");
    await items.nth(1).waitFor({ state: "detached" });
    assert.equal(await items.count(), 1);
    console.log(`screenshot: ${await studio.screenshot("prompt-history")}`);
    await items.first().locator("[data-act=history-use]").click();
    await studio.field("prompt", "a man with a red hat");
    await studio.field("negative-prompt", "glasses");
    await studio.button("undo").click();
    await studio.field("prompt", "an old woman");
    await studio.button("history").click();
    await items.first().locator("[data-act=history-delete]").click();
    await items.nth(1).waitFor({ state: "detached" });
    await studio.page.keyboard.press("Escape");
    await studio.close();
  });

  test("Escape cancels anywhere, arrow keys step numbers, ? lists the keys", async () => {
    const studio = await visit();
    await studio.engine();
    await studio.fill(LONG);
    await studio.page.locator("[name=prompt]").press("Control+Enter");
    await studio.page.waitForSelector(".picture[data-state=preview]");
    await studio.page.locator("h1").click();
    await studio.page.keyboard.press("Escape");
    await studio.idle();
    assert.match(await studio.text("status"), /Cancelled/);

    const steps = studio.page.locator("[name=steps]");
    await steps.fill("20");
    await steps.press("ArrowUp");
    await steps.press("Shift+ArrowUp");
    await studio.field("steps", "31");
    await studio.page.locator("[name=width]").press("ArrowDown");
    await studio.field("width", "120");
    await studio.page.locator("[name=guidance-scale]").press("ArrowUp");
    await studio.field("guidance-scale", "3.5");
    const seed = BigInt(await value(studio, "seed"));
    await studio.page.locator("[name=seed]").press("ArrowUp");
    await studio.field("seed", String(seed + 1n));

    await studio.page.locator("[name=prompt]").press("?");
    assert.match(await value(studio, "prompt"), /\?/, "a question mark in a prompt is text");
    await studio.page.locator("h1").click();
    await studio.page.keyboard.press("?");
    const sheet = studio.page.locator("[data-part=shortcuts]");
    await sheet.waitFor({ state: "visible" });
    assert.equal(await sheet.locator("dt").count(), 18);
    assert.match(await sheet.innerText(), /Ctrl\+Enter/);
    console.log(`screenshot: ${await studio.screenshot("shortcuts")}`);
    await studio.page.keyboard.press("Escape");
    await sheet.waitFor({ state: "hidden" });
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("a comparison cancelled in its second picture keeps the first one", async () => {
    const studio = await visit("#prompt=a+man&negative-prompt=hat&seed=5");
    await studio.engine();
    await studio.fill({ steps: "40", sampler: "euler" });
    await studio.page.keyboard.press("Control+Shift+Enter");
    await studio.page.locator(".picture[data-state=finished]").waitFor({ timeout: 120_000 });
    await studio.page.locator(".picture[data-state=preview]").waitFor();
    await studio.page.keyboard.press("Escape");
    await studio.idle();
    assert.equal(await studio.page.locator(".picture").count(), 1);
    assert.equal((await studio.picture()).width, 128);
    assert.equal(await studio.page.locator(".gallery li").count(), 1);
    await studio.close();
  });

  test("the time of a comparison is of both pictures", async () => {
    const studio = await visit("#prompt=a+man&negative-prompt=hat&seed=6");
    await studio.engine();
    await studio.fill({ steps: "10", sampler: "euler" });
    await studio.button("compare").click();
    const second = studio.page.locator(".picture[data-state=finished]").nth(1);
    await second.waitFor({ timeout: 120_000 });
    await studio.idle();
    const [, said] = /Finished in ([\d.]+) s/.exec(await studio.text("status")) ?? [];
    const made = await studio.page.evaluate(async () => {
      const { Database } = await import(`${location.origin}/store/database.js`);
      const { PictureStore } = await import(`${location.origin}/store/pictures.js`);
      const all = await new PictureStore(new Database()).all();
      return all.map((/** @type {any} */ { seconds }) => seconds);
    });
    assert.equal(made.length, 2);
    assert.ok(Math.abs(Number(said) - (made[0] + made[1])) < 0.1, `${said} s of ${made} s`);
    await studio.close();
  });

  test("the title shows progress, and a hidden tab tells that it has finished", async () => {
    const context = await browser.newContext({ permissions: ["notifications"] });
    const studio = new Studio(await context.newPage());
    await studio.page.addInitScript(() => {
      const shared = /** @type {any} */ (globalThis);
      shared.shown = [];
      const Original = Notification;
      shared.Notification = class extends Original {
        constructor(/** @type {string} */ title, /** @type {NotificationOptions} */ options) {
          super(title, options);
          shared.shown.push(options.body);
        }
      };
    });
    await studio.page.goto(server.address);
    await studio.engine();
    const title = await studio.page.title();
    const hide = (/** @type {boolean} */ hidden) =>
      studio.page.evaluate((hidden) => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event("visibilitychange"));
      }, hidden);
    await hide(true);
    await studio.generate({ steps: "30", sampler: "euler" });
    assert.equal(await studio.page.title(), `✓ ${title}`);
    const shown = () => studio.page.evaluate(() => /** @type {any} */ (globalThis).shown);
    assert.deepEqual(await shown(), [], "nobody asked for notifications");
    await hide(false);
    assert.equal(await studio.page.title(), title);

    await studio.button("notify").click();
    await studio.page.waitForSelector("[data-act=notify][aria-pressed=true]");
    await studio.button("generate").click();
    await studio.page.waitForFunction(() => /^\d+ % · /.test(document.title));
    await hide(true);
    await studio.idle();
    assert.deepEqual(await shown(), ["Your picture is finished."]);
    await context.close();
  });
});
