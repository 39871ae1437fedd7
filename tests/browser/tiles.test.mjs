// @ts-check
/** Choice of the kernel tiling in a browser, and its cache in the page. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { launchChromium } from "./chromium.mjs";
import { inWorker } from "./in-worker.mjs";
import { startServer } from "./server.mjs";

/** @typedef {import("../../www/pkg/darkroom.js").ChosenTiling} ChosenTiling */

/**
 * Asks GPU and CPU engines for several tilings. Runs in a worker.
 *
 * @param {string} address of the page
 * @returns {Promise<{choices: (ChosenTiling | null)[], wrong: string}>}
 */
async function choose(address) {
  const wasm = await import(`${address}pkg/darkroom.js`);
  await wasm.default();
  const gpu = await wasm.Engine.create("gpu");
  const cpu = await wasm.Engine.create("cpu");
  const choices = [];
  for (const [engine, choice, cached] of [
    [gpu, "auto", "128x128"],
    [gpu, "64x64", undefined],
    [gpu, "measure", "128x128"],
    [cpu, "auto", undefined],
  ]) {
    choices.push(await engine.tune(choice, cached));
    await engine.selfTest();
  }
  const wrong = await gpu
    .tune("fastest", undefined)
    .catch((/** @type {Error} */ error) => error.message);
  return { choices, wrong };
}

test("the kernel tiling comes from the table or a measurement, which is cached", async (t) => {
  const server = await startServer();
  t.after(() => server.close());
  const browser = await launchChromium();
  t.after(() => browser.close());
  const page = await browser.newPage();
  // Any document of the same origin will do.
  await page.goto(`${server.address}page.css`);
  const { choices, wrong } = await inWorker(page, choose, server.address);
  t.diagnostic(JSON.stringify(choices));
  const [table, requested, measured, cpu] = choices;
  assert.deepEqual(
    table,
    { tiling: "registers", chosen_by: "table", timings: [] },
    "the table knows SwiftShader",
  );
  assert.deepEqual(requested, { tiling: "64x64", chosen_by: "request", timings: [] });
  assert.equal(cpu, null, "the CPU has no such kernels");
  assert.ok(measured?.chosen_by === "measured" && measured.timings.length >= 5);
  assert.equal(measured.tiling, "registers", "the measurement disagrees with the table");
  assert.match(wrong, /kernel tiling.*fastest.*measure.*128x128/s);

  const cached = await page.evaluate(async () => {
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
  assert.deepEqual(cached, ["128x128", null, null]);
});
