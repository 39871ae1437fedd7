// @ts-check
/** A step as the browser's WebGPU sees it: dispatches, submissions and pipelines, counted where the engine asks for them. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { launchChromium } from "./chromium.mjs";
import { inWorker } from "./in-worker.mjs";
import { startServer } from "./server.mjs";

/** @typedef {{submissions: number, dispatches: number, pipelines: number}} Counts */

/**
 * A picture of the demo model on the GPU path; runs in a worker.
 *
 * @param {string} address of the page
 * @param {number} steps
 * @returns {Promise<{loading: Counts, steps: Counts[], finishing: Counts, seen: number}>} what was asked of WebGPU
 * meanwhile, and how many different bytes the picture has
 */
async function walk(address, steps) {
  const scope = /** @type {any} */ (globalThis);
  /** @type {Counts} */
  let counts = { submissions: 0, dispatches: 0, pipelines: 0 };
  /** @type {(kind: string, method: string, what: keyof Counts) => void} */
  const count = (kind, method, what) => {
    const { prototype } = scope[kind];
    const original = prototype[method];
    prototype[method] = function (/** @type {unknown[]} */ ...args) {
      counts[what]++;
      return original.apply(this, args);
    };
  };
  count("GPUQueue", "submit", "submissions");
  count("GPUComputePassEncoder", "dispatchWorkgroups", "dispatches");
  count("GPUDevice", "createComputePipeline", "pipelines");
  const taken = () => {
    const result = counts;
    counts = { submissions: 0, dispatches: 0, pipelines: 0 };
    return result;
  };

  /** @type {Map<string, Promise<Uint8Array | null>>} */
  const files = new Map();
  /** @param {string} path */
  const file = (path) => {
    const fetched =
      files.get(path) ??
      fetch(`${address}models/portraits/${path}`).then(async (response) =>
        response.ok ? new Uint8Array(await response.arrayBuffer()) : null,
      );
    files.set(path, fetched);
    return fetched;
  };
  const source = {
    /** @param {string} path */
    size: async (path) => (await file(path))?.length ?? null,
    /** @param {string} path @param {number} start @param {number} end */
    read: async (path, start, end) => (await file(path))?.subarray(start, end),
  };

  const wasm = await import(`${address}pkg/darkroom.js`);
  await wasm.default();
  const engine = await wasm.Engine.create("gpu");
  await engine.load(source, () => {});
  const loading = taken();
  const request = {
    prompt: "Portrait photo of a man",
    negative_prompt: "mustache",
    seed: 19,
    steps,
    sampler: "euler-a",
  };
  const run = await engine.start(JSON.stringify(request));
  /** @type {Counts[]} */
  const each = [];
  for (;;) {
    const { done } = JSON.parse(await run.step());
    each.push(taken());
    if (done) break;
  }
  const { rgba } = await run.finish();
  return { loading, steps: each, finishing: taken(), seen: new Set(rgba).size };
}

test("a step is one submission, played from a record, and a loaded model has all its pipelines", async (t) => {
  const server = await startServer();
  t.after(() => server.close());
  const browser = await launchChromium();
  t.after(() => browser.close());
  const page = await browser.newPage();
  page.on("console", (message) => message.type() === "error" && t.diagnostic(message.text()));
  // Any document of the same origin will do.
  await page.goto(`${server.address}page.css`);
  const counts = await inWorker(page, walk, server.address, 5);
  t.diagnostic(JSON.stringify(counts));
  const { loading, steps, finishing, seen } = counts;
  assert.equal(steps.length, 5);
  assert.ok(
    loading.pipelines > 10 && loading.pipelines < 100,
    `${loading.pipelines} pipelines for the demo model`,
  );
  for (const [index, step] of [...steps, finishing].entries()) {
    assert.equal(step.pipelines, 0, `pipelines compiled in call ${index}`);
  }
  for (const [index, step] of steps.entries()) {
    if (index < 2) continue; // launched, then recorded
    assert.equal(
      step.submissions,
      2,
      `submissions of call ${index}: the step, and the copy that is read back`,
    );
    assert.equal(step.dispatches, steps[2].dispatches, `dispatches of call ${index}`);
  }
  assert.ok(steps[2].dispatches > 50, "the record is played");
  assert.ok(seen > 50, "a picture comes out");
});
