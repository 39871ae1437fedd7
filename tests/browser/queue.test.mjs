// @ts-check
/** The queue on the page: batches, order, cancelling, a reload, crashes, two tabs. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { startServer } from "./server.mjs";
import { Studio } from "./studio.mjs";

const QUICK = { steps: "1", sampler: "euler" };
/** Long enough to do something meanwhile. */
const LONG = { steps: "400", sampler: "euler" };

describe("the queue on the page", () => {
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
  const rows = (studio) => studio.page.locator(".queue li:not([aria-current])");

  /** Seeds of the gallery's pictures, the newest first. @param {Studio} studio */
  async function seeds(studio) {
    const labels = await studio.page
      .locator(".gallery li button")
      .evaluateAll((buttons) => buttons.map((button) => button.getAttribute("aria-label") ?? ""));
    return labels.map((label) => /seed (\d+)$/.exec(label)?.[1]);
  }

  /** Begins a run that takes a while. @param {Studio} studio @param {string} seed */
  async function begin(studio, seed) {
    await studio.fill({ ...LONG, seed });
    await studio.button("generate").click();
    await studio.page.waitForSelector(".picture[data-state=preview]");
  }

  test("several pictures of one press get seeds +1, or random ones", async () => {
    const studio = await Studio.visit(browser, server.address);
    await studio.engine();
    await studio.page.locator("[data-part=count]").fill("3");
    await studio.generate({ ...QUICK, seed: "100" });
    assert.deepEqual(await seeds(studio), ["102", "101", "100"]);
    await studio.page.locator("[data-part=seeds]").selectOption("random");
    await studio.generate({ seed: "100" });
    const [third, second, first] = await seeds(studio);
    assert.equal(first, "100");
    assert.equal(new Set([first, second, third, "101", "102"]).size, 5);
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("runs are added to, moved in and taken out of a queue that runs", async () => {
    const studio = await Studio.visit(browser, server.address);
    await studio.engine();
    await begin(studio, "200");
    assert.equal(await studio.button("generate").innerText(), "Add to queue");
    for (const seed of ["201", "202", "203"]) {
      await studio.fill({ ...QUICK, seed });
      await studio.button("generate").click();
    }
    assert.equal(await rows(studio).count(), 3);
    await rows(studio).nth(2).locator("[data-act=queue-up]").click();
    assert.match(await rows(studio).nth(1).innerText(), /Seed 203/);
    await rows(studio).nth(0).locator("[data-act=queue-remove]").click();
    assert.equal(await rows(studio).count(), 2);
    console.log(`screenshot: ${await studio.screenshot("queue")}`);
    // The cross of the run in progress takes that one out, and the others go on.
    await studio.page.locator(".queue li[aria-current] [data-act=queue-remove]").click();
    await studio.idle();
    assert.deepEqual(await seeds(studio), ["202", "203"]);
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("Cancel holds what waits; the seed of a cancelled picture is used again", async () => {
    const studio = await Studio.visit(browser, server.address);
    await studio.engine();
    await begin(studio, "300");
    await studio.fill({ ...QUICK, seed: "301" });
    await studio.button("generate").click();
    await studio.button("cancel").click();
    await studio.idle();
    assert.match(await studio.text("queue-about"), /Paused\. 1 picture waiting/);
    await studio.button("queue-continue").click();
    await studio.page.waitForSelector(".gallery li");
    await studio.idle();
    assert.deepEqual(await seeds(studio), ["301"]);
    assert.equal(await studio.page.locator(".queue").isVisible(), false);

    await studio.button("new-seed").click();
    const seed = await studio.page.locator("[name=seed]").inputValue();
    await studio.fill(LONG);
    await studio.button("generate").click();
    await studio.page.waitForSelector(".picture[data-state=preview]");
    await studio.button("cancel").click();
    await studio.idle();
    await studio.generate(QUICK);
    assert.deepEqual(await seeds(studio), [seed, "301"], "the seed that was rolled");
    await studio.generate();
    assert.notEqual((await seeds(studio))[0], seed, "used now");
    await studio.close();
  });

  test("a reload in mid-run loses nothing: the queue waits for the visitor", async () => {
    const studio = await Studio.visit(browser, server.address);
    await studio.engine();
    await studio.generate({ ...QUICK, seed: "400" });
    await begin(studio, "401");
    await studio.fill({ ...QUICK, seed: "402" });
    await studio.button("generate").click();
    await rows(studio).first().waitFor();
    await studio.page.reload();
    await studio.engine();
    assert.match(await studio.text("queue-about"), /2 pictures were not finished/);
    assert.equal(await rows(studio).count(), 2);
    await rows(studio).nth(0).locator("[data-act=queue-remove]").click();
    await studio.button("queue-continue").click();
    await studio.page.locator(".gallery li").nth(1).waitFor();
    await studio.idle();
    assert.deepEqual(await seeds(studio), ["402", "400"]);
    await studio.page.reload();
    await studio.engine();
    assert.equal(await studio.page.locator(".queue").isVisible(), false);
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("a run is begun again after the engine has crashed, and the queue goes on", async () => {
    const studio = await Studio.visit(browser, server.address);
    await studio.engine();
    await studio.fill({ steps: "40", sampler: "euler", seed: "500" });
    await studio.button("generate").click();
    await studio.page.waitForSelector(".picture[data-state=preview]");
    await studio.fill({ ...QUICK, seed: "501" });
    await studio.button("generate").click();
    const [worker] = studio.page.workers();
    await worker.evaluate(
      () =>
        void setTimeout(() => {
          throw new WebAssembly.RuntimeError("unreachable executed");
        }),
    );
    assert.match(await studio.problem(), /The engine has stopped/);
    await studio.page.locator(".gallery li").nth(1).waitFor({ timeout: 120_000 });
    await studio.idle();
    assert.deepEqual(await seeds(studio), ["501", "500"]);
    assert.deepEqual(
      studio.errors.filter((error) => !/unreachable executed/.test(error)),
      [],
    );
    await studio.close();
  });

  test("each run is made by one tab; those of a closed tab wait in another one", async () => {
    const one = await Studio.visit(browser, server.address);
    await one.engine();
    const two = new Studio(await one.page.context().newPage());
    await two.page.goto(server.address);
    await two.engine();
    await begin(one, "600");
    await one.fill({ ...QUICK, seed: "601" });
    await one.button("generate").click();
    await two.page
      .locator("[data-part=queue-about]")
      .filter({ hasText: /other tabs?/ })
      .waitFor();
    assert.equal(await rows(two).count(), 0, "they are not this tab's");
    await two.generate({ ...QUICK, seed: "610" });
    assert.deepEqual(await seeds(two), ["610"]);
    await one.page.close();
    await two.page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    await two.page.locator("[data-part=queue-about]").filter({ hasText: "not finished" }).waitFor();
    assert.equal(await rows(two).count(), 2);
    await rows(two).nth(0).locator("[data-act=queue-remove]").click();
    await two.button("queue-continue").click();
    await two.page.locator(".gallery li").nth(1).waitFor();
    await two.idle();
    assert.deepEqual(await seeds(two), ["601", "610"]);
    assert.deepEqual(two.errors, []);
    await two.close();
  });
});
