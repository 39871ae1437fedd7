// @ts-check
/** One guided U-Net call of the demo model in the browser: our kernels beside Burn's own operations, on the same WebGPU adapter. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { psnr } from "../studio.mjs";
import { Contender, interleaved } from "./contender.mjs";
import { ratio, ratioText, spread, table, times } from "./report.mjs";
import { asked } from "./unet.mjs";

const ROUNDS = 3;
/** About as much as rounding to bytes takes away. */
const ALIKE_DB = 55;

/** @param {import("./bench.mjs").Place} place */
export async function stock({ browser, address, adapter, peer }) {
  const request = JSON.parse(await readFile(join(peer, "request.json"), "utf8"));
  const model = `${address}www/models/portraits/`;
  const ours = await Contender.start("Darkroom", browser, address, "darkroom-worker.js");
  const theirs = await Contender.start(
    "Burn’s own operations",
    browser,
    address,
    "darkroom-worker.js",
  );
  const opened = await ours.call("open", {
    pkg: `${address}www/pkg/darkroom.js`,
    model,
    kind: "gpu",
  });
  await theirs.call("open", { pkg: `${address}stock/darkroom.js`, model, kind: "stock" });

  // One step, which also compiles what there is to compile.
  const [a, b] = [
    await ours.call("picture", asked(request, 1)),
    await theirs.call("picture", asked(request, 1)),
  ];
  const alike = psnr(a, b);
  if (!(alike > ALIKE_DB))
    throw new Error(
      `${ours.name} and ${theirs.name} make different pictures in one step: ${alike} dB`,
    );

  const long = asked(request, 2 * ROUNDS);
  const contenders = [ours, theirs].map((contender) => ({
    name: contender.name,
    time: () => contender.call("step", long),
  }));
  const measured = await interleaved(contenders, { warm: 1, rounds: ROUNDS });
  const [mine, others] = [ours, theirs].map(({ name }) => times(measured.get(name) ?? []));
  await ours.end();
  await theirs.end();
  const faster = ratio(mine, others);
  const text = [
    table(
      ["", ours.name, theirs.name, "faster", "calls each"],
      [
        [
          `WebGPU, ${adapter}, ${opened.device.dtype}`,
          spread(mine),
          spread(others),
          ratioText(faster),
          String(ROUNDS),
        ],
      ],
    ),
    "",
    `After one step the two pictures are ${alike.toFixed(0)} dB alike.`,
  ].join("\n");
  return { result: { ours: mine, stock: others, ratio: faster, alike_db: alike }, text };
}
