// @ts-check
/**
 * `cargo xtask bench`: node bench.mjs [--json FILE] [--models FOLDER] PART…
 *
 * It sets up everything and says in the environment where it is: DARKROOM_CARGO, and for the parts that need them DARKROOM_COMMAND, DARKROOM_PYTHON (which
 * runs peer.py); for those in a browser CHROMIUM, DARKROOM_XTASK, DARKROOM_PEER (what peer.py exported) and DARKROOM_WASM (the
 * engine's bytes: raw, gzip, Brotli), and for the part stock DARKROOM_STOCK (the engine with Burn's own operations).
 */
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { launchChromium } from "../chromium.mjs";
import { startServer } from "../server.mjs";
import { full } from "./full.mjs";
import { growth } from "./growth.mjs";
import { kernels } from "./kernels.mjs";
import { native } from "./native.mjs";
import { picture } from "./picture.mjs";
import { machine } from "./report.mjs";
import { stock } from "./stock.mjs";
import { cpu, gpu } from "./unet.mjs";

/**
 * @typedef {object} Tools
 * @property {string} cargo
 * @property {string} model folder
 * @property {string} models folder of folders, for the part full
 * @property {string} command the native one
 * @property {string} python for those that want PyTorch
 */
/**
 * @typedef {object} Page
 * @property {import("playwright-core").Browser} browser
 * @property {string} address serves `www/`, `bench/`, `onnxruntime/`, `peer/` and `stock/`; ends with a slash
 * @property {string} adapter what WebGPU runs on; the engine is not told its name in a browser
 * @property {string} peer folder
 * @property {number[]} wasm bytes: raw, gzip, Brotli
 */
/** @typedef {Tools & Page} Place */
/** @typedef {Promise<{result: unknown, text: string}>} Measured */

/** @type {Record<string, {title: string, run: (place: Place) => Measured}>} */
const IN_A_BROWSER = {
  cpu: { title: "One guided U-Net call in the browser, on the CPU", run: cpu },
  gpu: { title: "One guided U-Net call in the browser, on WebGPU", run: gpu },
  picture: { title: "A picture in the browser", run: picture },
  stock: { title: "Beside Burn’s own operations in the browser, on WebGPU", run: stock },
};
/** @type {Record<string, {title: string, run: (tools: Tools) => Measured}>} */
const NATIVELY = {
  native: { title: "Natively", run: native },
  kernels: { title: "Single kernels, natively", run: kernels },
  growth: { title: "How time grows with the picture, natively", run: growth },
  full: { title: "Models of full size, natively", run: full },
};

/** Parts that run the native command. */
const NEED_COMMAND = new Set(["cpu", "gpu", "native", "growth", "full"]);
/** Parts that ask PyTorch something. */
const NEED_PYTHON = new Set(["native", "growth", "full"]);

const root = new URL("../../../", import.meta.url).pathname;
const { values, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "string" }, models: { type: "string" } },
});
const unknown = wanted.find((name) => !(name in IN_A_BROWSER || name in NATIVELY));
if (unknown)
  throw new Error(
    `there is no part ${unknown}; there are ${Object.keys({ ...IN_A_BROWSER, ...NATIVELY }).join(", ")}`,
  );

/** @param {string} name */
function told(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run this by cargo xtask bench`);
  return value;
}

/** @param {boolean} needed @param {string} name */
const toldIf = (needed, name) => (needed ? told(name) : "");

/** @type {Tools} */
const tools = {
  cargo: told("DARKROOM_CARGO"),
  model: join(root, "www/models/portraits"),
  models: values.models ?? "",
  command: toldIf(
    wanted.some((name) => NEED_COMMAND.has(name)),
    "DARKROOM_COMMAND",
  ),
  python: toldIf(
    wanted.some((name) => NEED_PYTHON.has(name)),
    "DARKROOM_PYTHON",
  ),
};
const about = machine();
console.log(
  `${about.processor}, ${about.cores} cores; ${about.commit}; ${about.date.slice(0, 10)}`,
);
if (about.load > about.cores / 4) {
  console.log(
    `The machine is not idle (load ${about.load.toFixed(1)}): times are too long, and ratios by minima say more than those by medians.`,
  );
}
/** @type {Record<string, unknown>} */
const results = { machine: about };
const browserParts = wanted.filter((name) => name in IN_A_BROWSER);
if (browserParts.length > 0) await inABrowser(browserParts);
for (const name of wanted.filter((name) => name in NATIVELY))
  await measure(name, NATIVELY[name].title, () => NATIVELY[name].run(tools));
if (values.json) await writeFile(values.json, `${JSON.stringify(results, null, 1)}\n`);

/**
 * @param {string} name
 * @param {string} title
 * @param {() => Measured} run
 */
async function measure(name, title, run) {
  console.log(`\n### ${title}\n`);
  const begin = performance.now();
  const { result, text } = await run();
  results[name] = result;
  console.log(`${text}\n\n(${((performance.now() - begin) / 1000).toFixed(0)} s)`);
}

/** @param {string[]} names of parts */
async function inABrowser(names) {
  const peer = told("DARKROOM_PEER");
  const folder = await mkdtemp(join(tmpdir(), "darkroom-bench-"));
  /** @type {Record<string, string>} */
  const links = {
    www: join(root, "www"),
    bench: import.meta.dirname,
    onnxruntime: join(root, "tests/browser/node_modules/onnxruntime-web/dist"),
    peer,
  };
  if (names.includes("stock")) Object.assign(links, { stock: told("DARKROOM_STOCK") });
  for (const [name, target] of Object.entries(links))
    await symlink(target, join(folder, name), "junction");
  const server = await startServer({ root: folder });
  const browser = await launchChromium();
  try {
    const found = {
      browser: `Chromium ${browser.version()}`,
      adapter: await adapter(browser, server.address),
    };
    Object.assign(about, found);
    console.log(`${found.browser}, WebGPU on ${found.adapter}`);
    /** @type {Place} */
    const place = {
      ...tools,
      browser,
      address: server.address,
      adapter: found.adapter,
      peer,
      wasm: told("DARKROOM_WASM").split(" ").map(Number),
    };
    for (const name of names)
      await measure(name, IN_A_BROWSER[name].title, () => IN_A_BROWSER[name].run(place));
  } finally {
    await browser.close();
    await server.close();
    await rm(folder, { recursive: true });
  }
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
    const gpu = /** @type {any} */ (navigator).gpu;
    const { info } = (await gpu?.requestAdapter()) ?? {};
    return [info?.vendor, info?.architecture, info?.description].filter(Boolean).join(" ");
  });
  await page.close();
  return name || "no adapter";
}
