// @ts-check
/** Models of full size by the native command on the GPU that wgpu finds: how long each part takes, and what a step asks of the device. */
import { execFile } from "node:child_process";
import { access, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { program } from "./kernels.mjs";
import { torch } from "./native.mjs";
import { megabytes, table, time, times } from "./report.mjs";

/** A whole picture of the model's own size on a GPU; where a CPU imitates one, that would take an hour. */
const REQUESTS = {
  gpu: ["--steps", "20"],
  software: ["--steps", "2", "--width", "128", "--height", "128"],
};
const PATIENCE_MS = 1_800_000;

/** @param {import("./bench.mjs").Tools} tools */
export async function full(tools) {
  if (!tools.models)
    throw new Error(
      "the part full needs --models FOLDER, a folder of model folders in diffusers' layout",
    );
  const { software } = await program(tools, ["--adapter"]);
  const folder = await mkdtemp(join(tmpdir(), "darkroom-"));
  /** @type {Record<string, any>} */
  const result = {};
  const rows = [];
  try {
    for (const { name, path } of await found(tools.models)) {
      const { stdout } = await promisify(execFile)(
        tools.command,
        [
          "generate",
          "--model",
          path,
          "--prompt",
          "Portrait photo of a man",
          "--negative-prompt",
          "mustache",
          "--seed",
          "19",
          "--sampler",
          "euler",
          "--device",
          "gpu",
          "--out",
          join(folder, "picture.png"),
          "--json",
          ...REQUESTS[software ? "software" : "gpu"],
        ],
        { timeout: PATIENCE_MS, maxBuffer: 1 << 26 },
      );
      const made = JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
      // For orientation, where PyTorch has the GPU.
      const peer = await torch(tools, "cuda", path);
      result[name] = { ...made, torch: peer };
      const { load, encode, sample, decode } = made.seconds;
      const { launches, memory } = made;
      rows.push([
        `${name}, ${made.width}×${made.height}, ${made.dtype}`,
        ...[load, encode, sample / made.calls, decode].map(time),
        `${launches.start} + ${launches.step} a step + ${launches.finish}`,
        `${megabytes(memory.measured.reserved)} (planned ${megabytes(memory.plan.total)})`,
        peer ? time(times(peer.seconds).median) : "no CUDA",
      ]);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  const adapter = Object.values(result)[0].adapter;
  const text = table(
    [
      adapter,
      "loading",
      "encoding",
      "a step",
      "decoding",
      "dispatches",
      "memory",
      "PyTorch eager fp16, a step",
    ],
    rows,
  );
  return { result, text };
}

/** The folder itself, or those in it, or their folders `model`. @param {string} folder */
export async function found(folder) {
  const candidates = [["", "."]];
  for (const { name } of (await readdir(folder, { withFileTypes: true })).filter((entry) =>
    entry.isDirectory(),
  )) {
    candidates.push([name, name], [name, join(name, "model")]);
  }
  const models = [];
  for (const [name, place] of candidates) {
    const path = join(folder, place);
    const there = await access(join(path, "model_index.json")).then(
      () => true,
      () => false,
    );
    if (there) models.push({ name: name || folder, path });
  }
  if (models.length === 0)
    throw new Error(`${folder}: no model_index.json in it, nor in the folders in it`);
  return models;
}
