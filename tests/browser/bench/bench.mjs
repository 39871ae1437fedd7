// @ts-check
/**
 * `cargo xtask bench`: node bench.mjs [--json FILE] [PART…]
 *
 * It sets up everything and says in the environment where it is: CHROMIUM, DARKROOM_XTASK, DARKROOM_COMMAND, DARKROOM_PEER (what peer.py exported),
 * DARKROOM_PYTHON (which runs peer.py, for the part native) and DARKROOM_WASM (the engine's bytes: raw, gzip, Brotli).
 */
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { launchChromium } from "../chromium.mjs";
import { startServer } from "../server.mjs";
import { native } from "./native.mjs";
import { picture } from "./picture.mjs";
import { machine } from "./report.mjs";
import { cpu, gpu } from "./unet.mjs";

/**
 * @typedef {object} Place
 * @property {import("playwright-core").Browser} browser
 * @property {string} address serves `www/`, `bench/`, `onnxruntime/` and `peer/`; ends with a slash
 * @property {string} adapter what WebGPU runs on; the engine is not told its name in a browser
 * @property {string} peer folder
 * @property {string} model folder
 * @property {string} command the native one
 * @property {string} python for the part native
 * @property {number[]} wasm bytes: raw, gzip, Brotli
 */

/** @type {Record<string, {title: string, run: (place: Place) => Promise<{result: unknown, text: string}>}>} */
const PARTS = {
  cpu: { title: "One guided U-Net call in the browser, on the CPU", run: cpu },
  gpu: { title: "One guided U-Net call in the browser, on WebGPU", run: gpu },
  picture: { title: "A picture in the browser", run: picture },
  native: { title: "Natively", run: native },
};

const root = new URL("../../../", import.meta.url).pathname;
const { values, positionals } = parseArgs({ allowPositionals: true, options: { json: { type: "string" } } });
const unknown = positionals.find((name) => !(name in PARTS));
if (unknown) throw new Error(`there is no part ${unknown}; there are ${Object.keys(PARTS).join(", ")}`);
const wanted = positionals.length > 0 ? positionals : Object.keys(PARTS);

/** @param {string} name */
function told(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run this by cargo xtask bench`);
  return value;
}

const peer = told("DARKROOM_PEER");
const folder = await mkdtemp(join(tmpdir(), "darkroom-bench-"));
const links = { www: join(root, "www"), bench: import.meta.dirname, onnxruntime: join(root, "tests/browser/node_modules/onnxruntime-web/dist"), peer };
for (const [name, target] of Object.entries(links)) await symlink(target, join(folder, name), "junction");
const server = await startServer({ root: folder });
const browser = await launchChromium();
try {
  const about = { ...machine(), browser: `Chromium ${browser.version()}`, adapter: await adapter(browser, server.address) };
  console.log(`${about.processor}, ${about.cores} cores; ${about.browser}, WebGPU on ${about.adapter}; ${about.commit}; ${about.date.slice(0, 10)}`);
  if (about.load > about.cores / 4) {
    console.log(`The machine is not idle (load ${about.load.toFixed(1)}): times are too long, and ratios by minima say more than those by medians.`);
  }
  /** @type {Record<string, unknown>} */
  const results = { machine: about };
  /** @type {Place} */
  const place = {
    browser,
    address: server.address,
    adapter: about.adapter,
    peer,
    model: join(root, "www/models/portraits"),
    command: told("DARKROOM_COMMAND"),
    python: wanted.includes("native") ? told("DARKROOM_PYTHON") : "",
    wasm: told("DARKROOM_WASM").split(" ").map(Number),
  };
  for (const name of wanted) {
    const { title, run } = PARTS[name];
    console.log(`\n### ${title}\n`);
    const begin = performance.now();
    const { result, text } = await run(place);
    results[name] = result;
    console.log(`${text}\n\n(${((performance.now() - begin) / 1000).toFixed(0)} s)`);
  }
  if (values.json) await writeFile(values.json, `${JSON.stringify(results, null, 1)}\n`);
} finally {
  await browser.close();
  await server.close();
  await rm(folder, { recursive: true });
}

/**
 * @param {import("playwright-core").Browser} browser
 * @param {string} address
 * @returns {Promise<string>}
 */
async function adapter(browser, address) {
  const page = await browser.newPage();
  await page.goto(`${address}bench/requirements.txt`);
  const name = await page.evaluate(async () => {
    const gpu = /** @type {{gpu?: import("../../../www/device.js").Gpu}} */ (/** @type {unknown} */ (navigator)).gpu;
    const { info } = (await gpu?.requestAdapter()) ?? {};
    return [info?.vendor, info?.architecture, info?.description].filter(Boolean).join(" ");
  });
  await page.close();
  return name || "no adapter";
}
