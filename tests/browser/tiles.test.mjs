// @ts-check
/** How the engine chooses the way its kernels divide their work, in a browser, and that the page remembers it. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { launchChromium } from "./chromium.mjs";
import { inWorker } from "./in-worker.mjs";
import { startServer } from "./server.mjs";

/** @typedef {{preset: string, how: string, timings: {preset: string, seconds: number, rounds: number}[]}} Choice */

/**
 * Asks an engine on the GPU path for several choices; runs in a worker.
 *
 * @param {string} address of the page
 * @returns {Promise<{choices: (Choice | null)[], wrong: string}>}
 */
async function choose(address) {
  const wasm = await import(`${address}pkg/darkroom.js`);
  await wasm.default();
  const gpu = await wasm.Engine.create("gpu");
  const cpu = await wasm.Engine.create("cpu");
  const choices = [];
  for (const [engine, wish, remembered] of [
    [gpu, "auto", "128x128"],
    [gpu, "64x64", undefined],
    [gpu, "measure", "128x128"],
    [cpu, "auto", undefined],
  ]) {
    choices.push(JSON.parse(await engine.tune(wish, remembered)));
    await engine.selfTest();
  }
  const wrong = await gpu
    .tune("fastest", undefined)
    .catch((/** @type {Error} */ error) => error.message);
  return { choices, wrong };
}

test("tiles are chosen from the table or measured, and a measurement is remembered", async (t) => {
  const server = await startServer();
  t.after(() => server.close());
  const browser = await launchChromium();
  t.after(() => browser.close());
  const page = await browser.newPage();
  // Any document of the same origin will do.
  await page.goto(`${server.address}page.css`);
  const { choices, wrong } = await inWorker(page, choose, server.address);
  t.diagnostic(JSON.stringify(choices));
  const [table, asked, measured, cpu] = choices;
  assert.deepEqual(
    table,
    { preset: "registers", how: "table", timings: [] },
    "SwiftShader runs on the CPU",
  );
  assert.deepEqual(asked, { preset: "64x64", how: "asked", timings: [] });
  assert.equal(cpu, null, "the CPU path has no such kernels");
  assert.ok(measured?.how === "measured" && measured.timings.length >= 5);
  assert.equal(
    measured.preset,
    "registers",
    "what the table says of SwiftShader is what is measured",
  );
  assert.match(wrong, /tiles.*fastest.*measure.*128x128/s);

  const kept = await page.evaluate(async () => {
    const address = "/engine/tuning-cache.js";
    const { cacheTiling, cachedTiling } = await import(address);
    await cacheTiling("A GPU/1", "0.1", "32x32");
    await cacheTiling("A GPU/1", "0.1", "128x128");
    const found = [];
    for (const [adapter, engine] of [
      ["A GPU/1", "0.1"],
      ["A GPU", "0.1"],
      ["A GPU/1", "0.2"],
    ]) {
      found.push((await cachedTiling(adapter, engine)) ?? null);
    }
    return found;
  });
  assert.deepEqual(kept, ["128x128", null, null]);
});
