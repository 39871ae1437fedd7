// @ts-check
/**
 * Growth of the time of a guided U-Net call from 256×256 to 768×768 pixels, compared with the
 * growth of its arithmetic.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { args, DEMO } from "../command.mjs";
import { found } from "./full.mjs";
import { program } from "./kernels.mjs";
import { generate, torch } from "./native.mjs";
import { spread, table, times } from "./report.mjs";

const SIDES = [256, 512, 768];
/** Pixels per latent position. */
const FACTOR = 8;
/** The first call compiles, and on a GPU the second one records. Neither counts. */
const UNCOUNTED = 2;
const CALLS = 3;

/** @param {import("./bench.mjs").Tools} tools */
export async function growth(tools) {
  const { software } = await program(tools, ["--adapter"]);
  const demo = { name: "demo model", path: tools.model };
  const [large] = tools.models ? await found(tools.models) : [demo];
  // On a software GPU a full-size model would take hours.
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
      const { adapter, measured } = await measure(tools.command, device, model.path, folder);
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

/**
 * Times the guided U-Net calls of pictures of all sizes.
 * @param {string} command
 * @param {string} device
 * @param {string} model folder
 * @param {string} folder for the pictures
 */
async function measure(command, device, model, folder) {
  const measured = [];
  let adapter = "";
  for (const side of SIDES) {
    const options = {
      ...DEMO,
      model,
      steps: UNCOUNTED + CALLS,
      device,
      width: side,
      height: side,
      out: join(folder, "picture.png"),
    };
    const run = await generate(command, args(options), {});
    adapter = run.adapter;
    // The list begins with the second call.
    measured.push(times(run.calls.slice(UNCOUNTED - 1)));
  }
  return { adapter, measured };
}
