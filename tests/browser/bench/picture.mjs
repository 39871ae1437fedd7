// @ts-check
/** A whole picture of the demo model, 20 steps: in the page as a visitor has it, and in a bare worker, with the memory it takes. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { psnr, Studio } from "../studio.mjs";
import { Contender } from "./contender.mjs";
import { megabytes, spread, table, time, times } from "./report.mjs";
import { asked } from "./unet.mjs";

const STEPS = 20;
const CPU_PICTURES = 3;
const VISITS = 3;

/** @param {import("./bench.mjs").Place} place */
export async function picture(place) {
  const { browser, address } = place;
  const request = JSON.parse(await readFile(join(place.peer, "request.json"), "utf8"));
  /** @type {Record<string, any>} */
  const result = { wasm_bytes: place.wasm, engine: {}, page: {} };
  const memory = [];
  /** @type {import("../studio.mjs").Picture[]} */
  const pictures = [];
  for (const kind of /** @type {const} */ (["cpu", "gpu"])) {
    const engine = await Contender.start(
      `Darkroom ${kind}`,
      browser,
      address,
      "darkroom-worker.js",
    );
    const opened = await engine.call("open", {
      pkg: `${address}www/pkg/darkroom.js`,
      model: `${address}www/models/portraits/`,
      kind,
    });
    const made = [];
    // The first picture on a GPU compiles shaders; it is the second that tells.
    for (let count = 0; count < (kind === "cpu" ? CPU_PICTURES : 2); count += 1)
      made.push(await engine.call("picture", asked(request, STEPS)));
    await engine.end();
    const last = made[made.length - 1];
    pictures.push(last);
    result.engine[kind] = {
      opened,
      pictures: made.map(({ seconds }) => seconds),
      step: last.step,
      heap_bytes: last.heap_bytes,
    };
    memory.push([
      kind === "cpu" ? "CPU" : place.adapter,
      megabytes(opened.heap_bytes),
      megabytes(last.heap_bytes),
    ]);
  }
  result.alike_db = psnr(pictures[0], pictures[1]);

  result.page = await page(place, request);
  const devices = [result.engine.cpu, result.engine.gpu].map(({ opened, pictures }, at) => {
    const { sample, decode, all } = pictures[pictures.length - 1];
    return [
      at === 0 ? "CPU" : place.adapter,
      ...[opened.seconds.load, sample, decode, all].map(time),
      time(result.page.pictures[at]),
    ];
  });
  const text = [
    table(
      ["", "loading weights", `${STEPS} steps`, "decoding", "picture", "picture in the page"],
      devices,
    ),
    "",
    `The two pictures are ${result.alike_db.toFixed(1)} dB alike. A step on WebGPU is ${result.engine.gpu.step.dispatches} dispatches in ` +
      `${result.engine.gpu.step.submissions} submissions, that of the copy which is read back among them.`,
    "",
    table(["wasm heap", "after loading", "after a picture"], memory),
    "",
    table(["engine (wasm)", "gzip", "Brotli"], [place.wasm.map(megabytes)]),
    "",
    table(
      ["page, from localhost", "prompt can be typed", "engine ready"],
      [
        ["first visit", spread(result.page.first.usable), spread(result.page.first.ready)],
        ["second visit", spread(result.page.again.usable), spread(result.page.again.ready)],
      ],
    ),
  ].join("\n");
  return { result, text };
}

/** @param {import("./bench.mjs").Place} place @param {any} request */
async function page({ browser, address }, request) {
  const first = { usable: /** @type {number[]} */ ([]), ready: /** @type {number[]} */ ([]) };
  const again = { usable: /** @type {number[]} */ ([]), ready: /** @type {number[]} */ ([]) };
  const pictures = [];
  const fields = {
    prompt: request.prompt,
    negative_prompt: request.negative_prompt,
    seed: String(request.seed),
    steps: String(STEPS),
    sampler: "euler",
  };
  for (let visit = 0; visit < VISITS; visit += 1) {
    const studio = new Studio(await (await browser.newContext()).newPage());
    for (const times of [first, again]) {
      const begin = performance.now();
      const since = () => (performance.now() - begin) / 1000;
      await studio.page.goto(`${address}www/`, { waitUntil: "commit" });
      await studio.fill({ prompt: request.prompt });
      times.usable.push(since());
      await studio.engine();
      times.ready.push(since());
    }
    if (visit === 0) pictures.push(await studio.generate(fields));
    await studio.close();
  }
  const gpu = await Studio.visit(browser, `${address}www/#device=gpu`);
  await gpu.engine();
  await gpu.generate({ ...fields, steps: "1" });
  pictures.push(await gpu.generate(fields));
  await gpu.close();
  return {
    first: { usable: times(first.usable), ready: times(first.ready) },
    again: { usable: times(again.usable), ready: times(again.ready) },
    pictures,
  };
}
