// @ts-check
/**
 * Benchmark of one guided U-Net call of the demo model in the browser: Darkroom and
 * onnxruntime-web, on the CPU and on the same WebGPU adapter.
 */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { args } from "../command.mjs";
import { psnr, Studio } from "../studio.mjs";
import { Contender, interleaved } from "./contender.mjs";
import { ratio, ratioText, spread, table, times } from "./report.mjs";

/**
 * Browsers compile frequently called WebAssembly a second time, with more optimizations. On a GPU
 * the first call compiles shaders. A call on a software GPU takes up to ten seconds.
 */
const KINDS = {
  cpu: { provider: "wasm", on: "WebAssembly, 1 thread", warm: 10, rounds: 31 },
  gpu: { provider: "webgpu", on: "WebGPU", warm: 1, rounds: 3 },
};
/** Relative to the largest value. */
const SAME = 1e-3;
/** About the loss by rounding to bytes. */
const ALIKE_DB = 55;
const STEPS = 20;

/** @typedef {import("./bench.mjs").Place} Place */

/** @param {Place} place */
export const cpu = (place) => compare(place, "cpu");

/** @param {Place} place */
export const gpu = (place) => compare(place, "gpu");

/**
 * @param {Place} place
 * @param {"cpu" | "gpu"} kind
 */
async function compare(place, kind) {
  const { browser, address } = place;
  const { provider, on, warm, rounds } = KINDS[kind];
  const request = JSON.parse(await readFile(join(place.peer, "request.json"), "utf8"));
  const ours = await Contender.start(`Darkroom ${kind}`, browser, address, "darkroom-worker.js");
  const theirs = await Contender.start(
    `onnxruntime-web ${provider}`,
    browser,
    address,
    "onnxruntime-worker.js",
  );
  const opened = {
    ours: await ours.call("open", {
      pkg: `${address}www/pkg/darkroom.js`,
      model: `${address}www/models/portraits/`,
      kind,
    }),
    onnxruntime: await theirs.call("open", {
      ort: `${address}onnxruntime/`,
      model: `${address}peer/`,
      provider,
    }),
  };

  const { differences, alike } = await checkSame(place, request, kind, ours, theirs);
  const long = asked(request, STEPS);
  const measured = await interleaved(
    [
      { name: ours.name, time: () => ours.call("step", long) },
      { name: theirs.name, time: () => theirs.call("step") },
    ],
    { warm, rounds },
  );
  await ours.end();
  await theirs.end();
  const [a, b] = [ours, theirs].map(({ name }) => times(measured.get(name) ?? []));
  const faster = ratio(a, b);
  const all = Object.entries(differences)
    .map(([what, value]) => `${what} ${value.toExponential(1)}`)
    .join("; ");
  const text = [
    table(
      ["", "Darkroom", `onnxruntime-web ${opened.onnxruntime.version}`, "faster", "calls each"],
      [
        [
          kind === "cpu" ? on : `${on}, ${place.adapter}, ${opened.ours.device.dtype}`,
          spread(a),
          spread(b),
          ratioText(faster),
          String(rounds),
        ],
      ],
    ),
    "",
    `Largest difference between the two, relative to the largest value: ${all} (by the native ` +
      `command; its picture is ${alike.toFixed(0)} dB like the browser’s).`,
  ].join("\n");
  return {
    result: { opened, differences, alike_db: alike, ours: a, onnxruntime: b, ratio: faster },
    text,
  };
}

/**
 * Checks that both contenders compute the same U-Net. The latents of onnxruntime-web's U-Net are
 * compared with those of the native command; the native command's picture with the picture of the
 * engine in the browser, which gives pages no latents. A software GPU makes one call only.
 * @param {Place} place
 * @param {any} request of peer.py
 * @param {"cpu" | "gpu"} kind
 * @param {Contender} ours
 * @param {Contender} theirs
 */
async function checkSame(place, request, kind, ours, theirs) {
  /** @type {Record<string, number>} */
  const differences = {};
  let alike = Infinity;
  for (const steps of kind === "cpu" ? [1, STEPS] : [1]) {
    const native = await generate(place, request, steps);
    const picture = await ours.call("picture", asked(request, steps));
    alike = Math.min(alike, psnr(picture, native.picture));
    /** @type {[number[], number[]]} */
    const latents = [await theirs.call("sample", { steps }), native.latent];
    const difference =
      steps === 1 ? relative(...predictions(request, latents)) : relative(...latents);
    if (!(difference < SAME)) {
      const by = `${difference.toExponential(1)} of the largest value after ${steps} steps`;
      throw new Error(`${theirs.name} and Darkroom differ by ${by}: not the same U-Net`);
    }
    if (!(alike > ALIKE_DB)) {
      const both = `${ours.name} and the native command`;
      throw new Error(`${both} make different pictures in ${steps} steps: ${alike} dB`);
    }
    differences[steps === 1 ? "one prediction" : `the latent after ${steps} steps`] = difference;
  }
  return { differences, alike };
}

/**
 * The request in the engine's form.
 * @param {any} request of peer.py
 * @param {number} steps
 */
export function asked({ prompt, negative_prompt, seed, guidance_scale }, steps) {
  return { prompt, negative_prompt, seed, guidance_scale, steps, sampler: "euler" };
}

/**
 * The native command's final latent and picture for the request.
 * @param {Place} place
 * @param {any} request
 * @param {number} steps
 */
async function generate({ browser, command, model }, request, steps) {
  const folder = await mkdtemp(join(tmpdir(), "darkroom-"));
  const [latents, png] = ["latent.safetensors", "picture.png"].map((name) => join(folder, name));
  const { prompt, negative_prompt, seed, guidance_scale } = request;
  const options = {
    model,
    prompt,
    negative_prompt,
    seed,
    guidance: guidance_scale,
    sampler: "euler",
    steps,
    device: "cpu",
    out: png,
    latents_out: latents,
  };
  await promisify(execFile)(command, ["generate", ...args(options)]);
  const bytes = await readFile(latents);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const latent = Array.from({ length: (bytes.length - start) / 4 }, (_, at) =>
    bytes.readFloatLE(start + 4 * at),
  );
  const page = await browser.newPage();
  const picture = await new Studio(page).decode(await readFile(png));
  await page.close();
  await rm(folder, { recursive: true });
  return { latent, picture };
}

/**
 * The U-Net's predictions, from the latents after one Euler step: latent′ = latent + (σ′ − σ) ·
 * prediction.
 * @param {any} request
 * @param {number[][]} latents
 * @returns {[number[], number[]]}
 */
function predictions(request, latents) {
  const { init_noise_sigma, sigmas } = request.euler[1];
  const [a, b] = latents.map((latent) =>
    latent.map(
      (value, at) => (value - request.noise[at] * init_noise_sigma) / (sigmas[1] - sigmas[0]),
    ),
  );
  return [a, b];
}

/**
 * The largest difference, relative to the largest value.
 * @param {number[]} a
 * @param {number[]} b
 */
function relative(a, b) {
  if (a.length !== b.length) throw new Error(`${a.length} values against ${b.length}`);
  return Math.max(...a.map((value, at) => Math.abs(value - b[at]))) / Math.max(...b.map(Math.abs));
}
