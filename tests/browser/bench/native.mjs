// @ts-check
/** The native command: our operations beside Burn's own, on the CPU and on the GPU that wgpu finds; and PyTorch for orientation. */
import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { ratio, ratioText, spread, table, times } from "./report.mjs";

/** Runs in turns, ours first; the first step of each is not counted, for it compiles what there is to compile. */
const SETS = [
  { device: "cpu", steps: 16, rounds: 2 },
  { device: "gpu", steps: 4, rounds: 2 },
];
/** On the CPU: threads that wait for each other on a machine with other work measure that work. */
const THREADS = 1;

/** @param {import("./bench.mjs").Tools} place */
export async function native(place) {
  const folder = await mkdtemp(join(tmpdir(), "darkroom-"));
  /** @type {Record<string, any>} */
  const result = {};
  const rows = [];
  try {
    for (const { device, steps, rounds } of SETS) {
      /** @type {{ours: number[], stock: number[]}} */
      const measured = { ours: [], stock: [] };
      let adapter = "";
      for (let round = 0; round < rounds; round += 1) {
        for (const who of /** @type {const} */ (["ours", "stock"])) {
          const run = await generate(place.command, [
            "--model",
            place.model,
            "--prompt",
            "Portrait photo of a man",
            "--negative-prompt",
            "mustache",
            "--seed",
            "19",
            "--sampler",
            "euler",
            "--steps",
            String(steps),
            "--device",
            device,
            "--dtype",
            "f32",
            "--out",
            join(folder, "picture.png"),
            ...(who === "stock" ? ["--stock"] : []),
          ]);
          measured[who].push(...run.calls);
          adapter = run.adapter;
        }
      }
      const [ours, stock] = [times(measured.ours), times(measured.stock)];
      const faster = ratio(ours, stock);
      result[device] = { adapter, ours, stock, ratio: faster };
      rows.push([
        device === "cpu" ? `CPU, ${THREADS} thread` : `${adapter}, f32`,
        spread(ours),
        spread(stock),
        ratioText(faster),
        String(ours.all.length),
      ]);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  const onCpu = await torch(place, "time", place.model, String(THREADS));
  result.torch = { version: onCpu.torch, threads: THREADS, ...times(onCpu.seconds) };
  const text = [
    table(["", "Darkroom", "Burn’s own operations", "faster", "calls each"], rows),
    "",
    `PyTorch ${onCpu.torch} on the same CPU, ${THREADS} thread, f32: ${spread(result.torch)}.`,
  ];
  const onGpu = await torch(place, "cuda", place.model);
  if (onGpu) {
    result.torch_gpu = { version: onGpu.torch, gpu: onGpu.gpu, ...times(onGpu.seconds) };
    text.push(`PyTorch eager on ${onGpu.gpu}, fp16: ${spread(result.torch_gpu)}.`);
  }
  return { result, text: text.join("\n") };
}

/**
 * What `peer.py` writes on its last line.
 * @param {import("./bench.mjs").Tools} tools
 * @param {string[]} words
 */
export async function torch({ python }, ...words) {
  const { stdout } = await promisify(execFile)(
    python,
    [join(import.meta.dirname, "peer.py"), ...words],
    { maxBuffer: 1 << 26 },
  );
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
}

/**
 * Runs the native command and times its U-Net calls by the lines it writes after each.
 * @param {string} command
 * @param {string[]} words
 * @param {Record<string, string>} [environment]
 */
export async function generate(
  command,
  words,
  environment = { RAYON_NUM_THREADS: String(THREADS) },
) {
  const child = spawn(command, ["generate", ...words, "--json"], {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  /** @type {number[]} */
  const ends = [];
  /** @type {string[]} */
  const said = [];
  createInterface({ input: child.stderr }).on("line", (line) => {
    if (/^step \d+ of /.test(line)) ends.push(performance.now() / 1000);
    else said.push(line);
  });
  let out = "";
  child.stdout.on("data", (data) => (out += data));
  const code = await new Promise((resolve, reject) =>
    child.once("error", reject).once("close", resolve),
  );
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${said.at(-1)}`);
  const calls = ends.slice(1).map((end, at) => end - ends[at]);
  return { calls, adapter: String(JSON.parse(out).adapter) };
}
