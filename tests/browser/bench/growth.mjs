// @ts-check
/** How the time of a guided U-Net call grows from 256×256 to 768×768 pixels, beside how its arithmetic grows. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { found } from "./full.mjs";
import { program } from "./kernels.mjs";
import { generate, torch } from "./native.mjs";
import { spread, table, times } from "./report.mjs";

const SIDES = [256, 512, 768];
/** Pixels of a latent's pixel. */
const FACTOR = 8;
/** The first call compiles, on a GPU the second one records: neither is counted. */
const UNCOUNTED = 2;
const CALLS = 3;

/** @param {import("./bench.mjs").Tools} tools */
export async function growth(tools) {
  const { software } = await program(tools, ["--adapter"]);
  const demo = { name: "demo model", path: tools.model };
  const [large] = tools.models ? await found(tools.models) : [demo];
  // Where a CPU imitates the GPU, a model of full size would take hours.
  const sets = [
    { device: "cpu", model: large },
    { device: "gpu", model: software ? demo : large },
  ];
  const folder = await mkdtemp(join(tmpdir(), "darkroom-"));
  /** @type {Record<string, any>} */
  const result = {};
  const rows = [];
  try {
    for (const { device, model } of sets) {
      const flop = /** @type {number[]} */ (
        await torch(tools, "flops", model.path, ...SIDES.map((side) => String(side / FACTOR)))
      );
      const measured = [];
      let adapter = "";
      for (const side of SIDES) {
        const run = await generate(
          tools.command,
          [
            "--model",
            model.path,
            "--prompt",
            "Portrait photo of a man",
            "--negative-prompt",
            "mustache",
            "--seed",
            "19",
            "--sampler",
            "euler",
            "--steps",
            String(UNCOUNTED + CALLS),
            "--device",
            device,
            "--width",
            String(side),
            "--height",
            String(side),
            "--out",
            join(folder, "picture.png"),
          ],
          {},
        );
        adapter = run.adapter;
        // Its list begins with the second call.
        measured.push(times(run.calls.slice(UNCOUNTED - 1)));
      }
      const last = SIDES.length - 1;
      const grown = {
        time: measured[last].median / measured[0].median,
        flop: flop[last] / flop[0],
      };
      result[device] = {
        adapter,
        model: model.name,
        sides: SIDES,
        flop,
        measured,
        grown,
        ratio: grown.time / grown.flop,
      };
      rows.push([
        `${adapter}, ${model.name}`,
        ...measured.map(
          (each, at) => `${spread(each)}, ${(flop[at] / each.median / 1e9).toPrecision(3)} GFLOP/s`,
        ),
        `${grown.time.toFixed(2)}×`,
        `${grown.flop.toFixed(2)}×`,
        `${(grown.time / grown.flop).toFixed(2)}`,
      ]);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  const text = table(
    ["", ...SIDES.map((side) => `${side}×${side}`), "time grew", "FLOPs grew", "ratio"],
    rows,
  );
  return { result, text };
}
