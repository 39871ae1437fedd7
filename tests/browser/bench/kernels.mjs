// @ts-check
/** Single kernels natively, by the program in `benches/kernels`: what share of the adapter's ceilings they reach, and how they stand beside Burn's own operations. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { ratio, spread, table, time, times } from "./report.mjs";

/** @typedef {{name: string, backend: string, driver: string, software: boolean, f16: boolean}} Adapter */
/** @typedef {{name: string, flop: number, bytes: number, ours: number[], stock: number[]}} Kernel operations and bytes of a call, seconds of each measurement */
/**
 * @typedef {object} Measured
 * @property {Adapter} adapter
 * @property {string} dtype
 * @property {number} latent rows and columns
 * @property {{flop_per_second: number, f16_flop_per_second: number | null, bytes_per_second: number}} ceilings
 * @property {Kernel[]} kernels
 */

/** @param {import("./bench.mjs").Tools} tools */
export async function kernels(tools) {
  const adapter = /** @type {Adapter} */ (await program(tools, ["--adapter"]));
  // Software adapters compute in f16 by way of f32: nothing to learn there, and twice the time.
  const dtypes = adapter.f16 && !adapter.software ? ["f32", "f16"] : ["f32"];
  /** @type {Record<string, Measured>} */
  const result = {};
  const text = [];
  for (const dtype of dtypes) {
    const measured = /** @type {Measured} */ (await program(tools, ["--dtype", dtype]));
    result[dtype] = measured;
    text.push(report(measured));
  }
  return { result, text: text.join("\n\n") };
}

/** @param {Measured} measured */
function report({ adapter, dtype, latent, ceilings, kernels }) {
  const { flop_per_second, f16_flop_per_second, bytes_per_second } = ceilings;
  const half = f16_flop_per_second
    ? ` (${giga(f16_flop_per_second)} GFLOP/s in f16, in which no kernel of ours computes)`
    : "";
  const rows = kernels.map((kernel) => {
    const [ours, stock] = [times(kernel.ours), times(kernel.stock)];
    const rate = kernel.flop / ours.median;
    const bytes = kernel.bytes / ours.median;
    const faster = ratio(ours, stock);
    return [
      kernel.name,
      spread(ours),
      kernel.flop ? giga(rate) : "",
      kernel.flop ? percent(rate / flop_per_second) : "",
      giga(bytes),
      percent(bytes / bytes_per_second),
      time(stock.median),
      `${faster.by_median.toFixed(2)}×`,
    ];
  });
  return [
    `${adapter.name}, ${adapter.backend}, ${adapter.driver}; ${dtype}; latents of ${latent}×${latent}.`,
    `Ceilings: ${giga(flop_per_second)} GFLOP/s in f32${half}, ${giga(bytes_per_second)} GB/s copied. Bytes are counted once each: shares above 100 % are caches.`,
    "",
    table(
      ["kernel", "time", "GFLOP/s", "of ceiling", "GB/s", "of copy", "Burn’s own", "faster"],
      rows,
    ),
  ].join("\n");
}

/** @param {number} perSecond */
const giga = (perSecond) => (perSecond / 1e9).toPrecision(3);

/** @param {number} share */
const percent = (share) => `${(share * 100).toFixed(0)} %`;

/**
 * What the program writes on its last line; what it says of its progress is passed on.
 * @param {import("./bench.mjs").Tools} tools
 * @param {string[]} words
 */
export async function program({ cargo }, words) {
  const child = spawn(
    cargo,
    ["bench", "--quiet", "--package", "darkroom", "--bench", "kernels", "--", ...words],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  /** @type {string[]} */
  const said = [];
  createInterface({ input: child.stderr }).on("line", (line) => {
    said.push(line);
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${line.slice(0, 100)}`);
  });
  let out = "";
  child.stdout.on("data", (data) => (out += data));
  const code = await new Promise((resolve, reject) =>
    child.once("error", reject).once("close", resolve),
  );
  if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
  if (code !== 0)
    throw new Error(`the kernels' bench ended with ${code}: ${said.slice(-3).join(" ")}`);
  return JSON.parse(out.trim().split("\n").at(-1) ?? "");
}
