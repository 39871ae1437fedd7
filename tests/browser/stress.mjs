// @ts-check
/**
 * Stress of the studio: many pictures in two tabs, with random cancels, crashes and losses of the
 * device. Every picture is made, cancelled, or ended by a fault that the page explains.
 */
import assert from "node:assert/strict";
import { ROOMY, Studio } from "./studio.mjs";

/** @typedef {"plain" | "cancel" | "crash" | "device"} Fate */
/** @typedef {{fate: Fate, result: string, kind: string, milliseconds: number}} Outcome */

/** Pseudorandom numbers, the same in every run (xorshift32). @param {number} seed not 0 */
function random(seed) {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/**
 * The fate of a picture: six of ten are left alone.
 * @param {number} number 0 … 1
 * @returns {Fate}
 */
function fateOf(number) {
  if (number < 0.6) return "plain";
  if (number < 0.8) return "cancel";
  return number < 0.9 ? "crash" : "device";
}

/** Lets the next step end as if the device was lost, when the test has asked for it. */
const LOSE = `$& if (globalThis.loseDevice) {
  globalThis.loseDevice = false;
  return Promise.reject(Object.assign(new Error("the device was lost"), { kind: "device" }));
}`;

/**
 * Opens tabs of one visitor.
 * @param {import("playwright-core").Browser} browser
 * @param {string} address
 * @param {number} count
 */
export async function openTabs(browser, address, count) {
  const context = await browser.newContext({ viewport: ROOMY, serviceWorkers: "block" });
  await context.route("**/pkg/darkroom.js", async (route) => {
    const response = await route.fetch();
    const script = await response.text();
    const body = script.replace(/\bstep\(\) \{/, LOSE);
    assert.notEqual(body, script, "the engine's step was not found");
    await route.fulfill({ response, body });
  });
  await context.addInitScript(() => {
    const failed = /** @type {string[]} */ ([]);
    Object.assign(globalThis, { failed });
    addEventListener("unhandledrejection", ({ reason }) => failed.push(String(reason)));
  });
  const tabs = [];
  for (let tab = 0; tab < count; tab += 1) {
    const studio = new Studio(await context.newPage());
    await studio.page.goto(address);
    await studio.engine();
    tabs.push(studio);
  }
  return { context, tabs };
}

/**
 * Asks for a picture, and lets it meet its fate.
 * @param {Studio} studio
 * @param {number} seed
 * @param {Fate} fate
 * @param {number} after milliseconds until then
 * @returns {Promise<Outcome>}
 */
async function picture(studio, seed, fate, after) {
  const began = performance.now();
  const made = studio.page.evaluate(
    async ({ seed, abortAfter }) => {
      const studio = /** @type {any} */ (document.querySelector("darkroom-studio"));
      const abort = new AbortController();
      if (abortAfter !== null) setTimeout(() => abort.abort(), abortAfter);
      studio.settings = { seed: String(seed), steps: "2", width: "64", height: "64" };
      try {
        const outcome = await studio.generate({ signal: abort.signal });
        return { result: outcome.seed === String(seed) ? "made" : "another seed", kind: "" };
      } catch (error) {
        const { name, kind = "" } = /** @type {any} */ (error);
        return { result: name, kind };
      }
    },
    { seed, abortAfter: fate === "cancel" ? after : null },
  );
  if (fate === "crash" || fate === "device") {
    await studio.page.waitForTimeout(after);
    const [worker] = studio.page.workers();
    // The worker may be replaced at this very moment.
    await worker
      ?.evaluate((fate) => {
        if (fate === "device") Object.assign(globalThis, { loseDevice: true });
        else
          setTimeout(() => {
            throw new WebAssembly.RuntimeError("unreachable executed");
          });
      }, fate)
      .catch(() => {});
  }
  return { fate, ...(await made), milliseconds: performance.now() - began };
}

/** Bytes of the page's JavaScript heap after a collection. @param {Studio} studio */
async function heap(studio) {
  const session = await studio.page.context().newCDPSession(studio.page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize;
}

/**
 * Makes pictures in two tabs at once, and checks what came of them.
 * @param {import("playwright-core").Browser} browser
 * @param {string} address
 * @param {number} count of pictures in all
 */
export async function stress(browser, address, count) {
  const { context, tabs } = await openTabs(browser, address, 2);
  const all = await Promise.all(tabs.map((tab, at) => run(tab, at, count / tabs.length)));
  const outcomes = all.flatMap(({ outcomes }) => outcomes);
  const counted = (/** @type {(outcome: Outcome) => boolean} */ test) =>
    outcomes.filter(test).length;
  console.log(
    `${outcomes.length} pictures: ${counted(({ result }) => result === "made")} made, ` +
      `${counted(({ result }) => result === "AbortError")} cancelled, ` +
      `${counted(({ kind }) => kind === "crash")} ended by a fault`,
  );
  assert.equal(outcomes.length, count);
  // A picture that was left alone may only be ended by the fault of the one before it.
  for (const { fate, result, kind } of outcomes) {
    const fair =
      result === "made" ||
      (fate === "cancel" && result === "AbortError") ||
      (result === "DarkroomError" && kind === "crash");
    assert.ok(fair, `${fate}: ${result} ${kind}`);
  }
  const faults = counted(({ fate }) => fate === "crash" || fate === "device");
  assert.ok(counted(({ kind }) => kind === "crash") <= faults, "more pictures lost than faults");
  assert.ok(counted(({ result }) => result !== "made") > 0, "no fault had an effect");
  for (const [at, { grown, made, kept }] of all.entries()) {
    assert.ok(kept >= made, `tab ${at}: ${kept} pictures in the gallery, ${made} made`);
    assert.ok(grown < 6e6, `tab ${at}: the heap grew by ${(grown / 1e6).toFixed(1)} MB`);
  }
  for (const tab of tabs) {
    assert.deepEqual(await tab.page.evaluate(() => /** @type {any} */ (globalThis).failed), []);
    // The last picture after all this is made as the first one was.
    await tab.engine();
    await tab.generate({ seed: "7", steps: "2", width: "64", height: "64" });
    assert.equal((await tab.picture()).width, 64);
  }
  assert.deepEqual(await tabs[0].picture(), await tabs[1].picture(), "the tabs differ");
  await context.close();
}

/**
 * @param {Studio} tab
 * @param {number} at which tab
 * @param {number} count
 */
async function run(tab, at, count) {
  const next = random(at + 5);
  const outcomes = [];
  let level = 0;
  for (let number = 0; number < count; number += 1) {
    outcomes.push(await picture(tab, 1000 * at + number, fateOf(next()), next() * 200));
    if (number === 2) level = await heap(tab);
  }
  const made = outcomes.filter(({ result }) => result === "made").length;
  const kept = await tab.page.evaluate(
    () =>
      document
        .querySelector("darkroom-studio")
        ?.shadowRoot?.querySelectorAll("[data-part=gallery] li").length ?? 0,
  );
  return { outcomes, made, kept, grown: (await heap(tab)) - level };
}
