// @ts-check
/**
 * Memory of the page: with a model of full size, from the hub and from the cache; and over fifty
 * pictures in a row.
 */
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { describe, test } from "node:test";
import { launchChromium, launchPersistent } from "./chromium.mjs";
import { Hub, Site } from "./hub.mjs";
import { Meter, measured } from "./meter.mjs";
import { ROOMY, Studio } from "./studio.mjs";

const HEAP_AT_MOST = 256e6;
const PLANNED_WITHIN = 0.02;
const PICTURES = 50;
/** Caches may fill until this picture. */
const LEVEL_FROM = 3;

const mb = (/** @type {number} */ bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

/** A model folder made by tests/golden/full. @param {string} name */
async function modelFolder(name) {
  const models = process.env.DARKROOM_FULL_MODELS;
  assert.ok(models, "DARKROOM_FULL_MODELS is not set: run this by cargo xtask test --full");
  const folder = join(models, name, "model");
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  assert.ok(entries.length, `${folder} is not there: cargo xtask test --full ${name} makes it`);
  return {
    folder,
    files: entries
      .filter((entry) => entry.isFile())
      .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name))),
  };
}

describe("memory", () => {
  test("sd15 loads from a hub, and again without it, within the planned memory", async () => {
    const { folder, files } = await modelFolder("sd15");
    const profile = await mkdtemp(join(tmpdir(), "darkroom-profile-"));
    const [hub, site] = await Promise.all([Hub.start(), Site.start()]);
    measured(site);
    const repository = hub.repository("tests/sd15");
    for (const path of files) await repository.link(path, join(folder, path));
    // A profile on the disk: a private window would hold its storage in memory.
    const context = await launchPersistent(profile);
    // The visitor has agreed to this model: a link alone loads none from another host.
    await context.addInitScript(
      (model) => localStorage.setItem("darkroom-allowed-models", JSON.stringify([model])),
      `${hub.address()}tests/sd15/resolve/main/`,
    );
    try {
      const address =
        `${site.address()}?hub=${encodeURIComponent(hub.address())}` +
        "#model=tests/sd15&device=gpu&steps=1&width=64&height=64&sampler=euler";
      for (const visit of ["from the hub", "from the cache, without the hub"]) {
        const page = await context.newPage();
        const studio = new Studio(page);
        const meter = await Meter.on(page);
        const { all: before } = repository.traffic;
        const began = performance.now();
        await page.goto(address);
        await page.waitForSelector("darkroom-studio[data-engine=loading]");
        meter.watch(100);
        await studio.engine();
        const seconds = (performance.now() - began) / 1000;
        const loaded = await meter.counts();
        const fetched = repository.traffic.all - before;
        await studio.generate({ prompt: "a man", negative_prompt: "hat" });
        meter.stop();
        assert.equal((await studio.picture()).width, 64);
        assert.deepEqual(studio.errors, []);
        const after = await meter.counts();
        const { plan } = after;
        const off = after.live / plan.total - 1;
        console.log(
          `${visit}: ${mb(fetched)} fetched, loaded in ${seconds.toFixed(0)} s; ` +
            `“${await studio.text("memory")}”`,
        );
        console.log(
          `  peaks: WebAssembly ${mb(meter.peak.wasm)}, JavaScript ${mb(meter.peak.worker)} in ` +
            `the worker and ${mb(meter.peak.page)} in the page (objects, what the browser holds ` +
            "for them, and ArrayBuffers without WebAssembly’s)",
        );
        console.log(
          `  on the GPU: ${mb(loaded.live)} after loading, ${mb(after.live)} after the first ` +
            `picture (peak ${mb(after.peak)}), planned ${mb(plan.total)}: ` +
            `${(100 * off).toFixed(2)} %; ${after.created} buffers`,
        );
        assert.ok(meter.peak.wasm < HEAP_AT_MOST, `WebAssembly: ${mb(meter.peak.wasm)}`);
        assert.ok(
          meter.peak.worker + meter.peak.page < HEAP_AT_MOST,
          `JavaScript: ${mb(meter.peak.worker + meter.peak.page)}`,
        );
        assert.ok(
          Math.abs(off) < PLANNED_WITHIN,
          `${mb(after.live)} on the GPU, planned ${mb(plan.total)}`,
        );
        if (visit === "from the hub") {
          assert.ok(
            repository.traffic.twice < 0.05 * repository.bytes,
            `${mb(repository.traffic.twice)} fetched twice`,
          );
          await hub.close();
        } else assert.equal(fetched, 0);
        await page.close();
      }
    } finally {
      await context.close();
      await hub.close().catch(() => {});
      await site.close();
      await rm(profile, { recursive: true, force: true });
    }
  });

  for (const device of ["cpu", "gpu"]) {
    test(`memory stays level over ${PICTURES} pictures, ${device.toUpperCase()}`, async () => {
      const site = await Site.start();
      measured(site);
      const browser = await launchChromium({ webgpu: device === "gpu" });
      try {
        const page = await (await browser.newContext({ viewport: ROOMY })).newPage();
        const studio = new Studio(page);
        const meter = await Meter.on(page);
        await page.goto(`${site.address()}#device=${device}&steps=2&sampler=euler`);
        await studio.engine();
        /** @type {{gpu: number, wasm: number, heap: number, page: number}[]} */
        const levels = [];
        for (let picture = 1; picture <= PICTURES; picture += 1) {
          await studio.generate({ seed: String(picture) });
          await meter.collect();
          const [{ live, wasm }, heap, pageHeap] = await Promise.all([
            meter.counts(),
            meter.heap(),
            meter.pageHeap(),
          ]);
          levels.push({
            gpu: live,
            wasm,
            heap: heap.used + heap.embedder + heap.buffers,
            page: pageHeap.used,
          });
          if ([1, LEVEL_FROM, 10, 25, PICTURES].includes(picture)) {
            const { gpu, heap, page } = levels[picture - 1];
            console.log(
              `${device}, after picture ${picture}: GPU ${mb(gpu)}, WebAssembly ${mb(wasm)}, ` +
                `JavaScript ${mb(heap)} in the worker and ${mb(page)} in the page`,
            );
          }
        }
        const [level, last] = [levels[LEVEL_FROM - 1], levels[PICTURES - 1]];
        assert.ok(device === "cpu" || level.gpu > 20e6, "no GPU buffers were counted");
        assert.equal(last.gpu, level.gpu, "buffers on the GPU");
        assert.equal(last.wasm, level.wasm, "WebAssembly's memory");
        assert.ok(
          last.heap < level.heap + 1e6,
          `the worker's heap: ${mb(level.heap)}, then ${mb(last.heap)}`,
        );
        // Each picture stays in the gallery, with its settings and two elements. Its pixels are not
        // counted here.
        assert.ok(
          last.page < level.page + 2e6,
          `the page's heap: ${mb(level.page)}, then ${mb(last.page)}`,
        );
        assert.deepEqual(studio.errors, []);
      } finally {
        await browser.close();
        await site.close();
      }
    });
  }
});
