// @ts-check
/** Watchdog: a step that takes too long is reported, and a worker that ended is replaced. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { pageModule } from "./modules.mjs";
import { startServer } from "./server.mjs";
import { ROOMY, Studio } from "./studio.mjs";

const { LIMITS, paceOf, Watchdog } = await pageModule("studio/watchdog.js");

describe("pace of a step", () => {
  /** @param {number} taken @param {number[]} steps @param {number} [first] */
  const pace = (taken, steps, first = 900) => paceOf(taken, steps, first, LIMITS).pace;

  test("quick steps are stuck after a minute, never earlier", () => {
    assert.equal(pace(9, [0.1, 0.2, 0.1]), "fine");
    assert.equal(pace(11, [0.1, 0.2, 0.1]), "long");
    assert.equal(pace(61, [0.1, 0.2, 0.1]), "stuck");
  });

  test("steps of minutes on a CPU are stuck after ten times their median", () => {
    const slow = [150, 160, 155];
    assert.equal(pace(400, slow), "fine");
    assert.equal(pace(500, slow), "long");
    assert.equal(pace(1540, slow), "long");
    assert.equal(pace(1600, slow), "stuck");
  });

  test("a first step has the device's own limit", () => {
    assert.equal(pace(899, [], LIMITS.first.cpu), "fine");
    assert.equal(pace(901, [], LIMITS.first.cpu), "stuck");
    assert.equal(pace(181, [], LIMITS.first.gpu), "stuck");
  });

  test("one slow step among quick ones does not raise the limit", () => {
    assert.equal(pace(70, [1, 1, 60, 1, 1]), "stuck");
  });

  test("time in which the page was frozen does not count", () => {
    /** @type {string[]} */
    const paces = [];
    const dog = new Watchdog((/** @type {{pace: string}} */ { pace }) => paces.push(pace));
    dog.begin("gpu");
    dog.beat();
    const now = performance.now() / 1000;
    dog.look(now + 3600);
    dog.look(now + 7200);
    assert.deepEqual(paces, []);
    for (let second = 1; second <= 70; second += 1) dog.look(now + 7200 + second);
    dog.end();
    assert.equal(paces.filter((pace) => pace === "stuck").length, 1, "reported once");
  });

  test("a visitor who waits is not asked again about the same step", () => {
    let reports = 0;
    const dog = new Watchdog((/** @type {{pace: string}} */ { pace }) => {
      if (pace === "stuck") reports += 1;
    });
    dog.begin("opening");
    const now = performance.now() / 1000;
    for (let second = 1; second <= 130; second += 1) dog.look(now + second);
    dog.wait();
    for (let second = 131; second <= 500; second += 1) dog.look(now + second);
    dog.end();
    assert.equal(reports, 1);
  });
});

const QUICK = { steps: "2", sampler: "euler" };

describe("a worker without a sign of life", () => {
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

  /** @param {Studio} studio */
  async function running(studio) {
    await studio.engine();
    await studio.generate({ ...QUICK, seed: "5" });
    await studio.fill({ steps: "500" });
    await studio.button("generate").click();
    await studio.page.waitForSelector(".picture[data-state=preview]");
  }

  /** @param {Studio} studio */
  async function works(studio) {
    await studio.engine();
    await studio.generate(QUICK);
    assert.equal((await studio.picture()).width, 128);
    assert.equal(await studio.page.locator(".gallery li").count(), 2, "a picture was lost");
  }

  test("a worker that the browser ended is replaced, and the next picture is made", async () => {
    const studio = await Studio.visit(browser, server.address);
    await studio.engine();
    await studio.generate({ ...QUICK, seed: "5" });
    const [worker] = studio.page.workers();
    await worker.evaluate(() => void setTimeout(() => self.close()));
    await works(studio);
    assert.match(await studio.problem(), /The engine has stopped\s+.*does not answer/);
    await studio.close();
  });

  test("a step that never ends is reported, and a restart keeps all pictures", async () => {
    const context = await browser.newContext({ viewport: ROOMY });
    const page = await context.newPage();
    await page.clock.install();
    const studio = new Studio(page);
    await page.goto(server.address);
    await running(studio);
    const [worker] = page.workers();
    // The step that follows never ends, and the worker answers nothing any more.
    void worker
      .evaluate(() =>
        setTimeout(() => {
          for (;;);
        }),
      )
      .catch(() => {});
    const long = /Step \d+ of 500 · longer than usual \(\d+ s\)/;
    const seen = page.locator("[data-part=problem]");
    let longAfter = 0;
    let stuckAfter = 0;
    // How long depends on the steps before, and these on the machine.
    for (let second = 1; second <= 600 && stuckAfter === 0; second += 1) {
      await page.clock.runFor(1000);
      if (longAfter === 0 && long.test(await studio.text("status"))) longAfter = second;
      if (await seen.isVisible()) stuckAfter = second;
    }
    assert.ok(longAfter > 10 && longAfter < stuckAfter, `long after ${longAfter} s`);
    assert.ok(stuckAfter >= 60, `stuck after ${stuckAfter} s`);
    const words = await studio.problem();
    assert.match(words, /takes much longer than expected\s+Step \d+ has taken \d+ s so far/);
    assert.match(words, /has ended without a message/);
    await page.locator("[data-remedy=wait]").click();
    assert.equal(await page.locator("[data-part=problem]").isVisible(), false);
    await page.clock.resume();
    // Cancelling offers a hard stop after three seconds.
    await studio.button("cancel").click();
    await page.waitForSelector("darkroom-studio[data-work=stuck]");
    await studio.button("cancel").click();
    await works(studio);
    await studio.close();
  });
});
