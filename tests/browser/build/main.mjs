// @ts-check
/**
 * Bundles the page and the npm package: `node main.mjs DIST NPM MAPS [ADDRESS]`. The folders are
 * emptied first. `cargo xtask dist` calls it, and adds the licences, types and package.json.
 */
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { bundle, bundleCss, pageModule, studioStyleFiles, unusedTexts, WWW } from "./bundle.mjs";
import { hashOf, readEngine } from "./compress.mjs";
import { absolute, filesOf, rewrite, sourcesOf } from "./html.mjs";
import { listed, serviceWorker } from "./shell.mjs";

const [dist, npm, maps, address] = process.argv.slice(2);
if (!maps) throw new Error("expected three folders: of the page, the npm package and the maps");

const VOCABULARY = ["vocab/clip/vocab.json", "vocab/clip/merges.txt"];
/** The list of models on the shelf. */
const CATALOGUE = "catalogue.json";
const WORKER = "engine/worker.js";
const ENGINE = "pkg/darkroom_bg.wasm";
/** Entry points of the npm package; the second may not exist yet. */
const PACKAGE = ["darkroom-studio.js", "api.js"];

const engine = await readEngine(join(WWW, ENGINE));
const css = await bundleCss(await studioStyleFiles());
const unused = await unusedTexts(WORKER);
for (const folder of [dist, npm, maps]) {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
}
await makePage();
await makePackage();

/** Fills `dist/`. */
async function makePage() {
  const assets = new Map([...VOCABULARY, CATALOGUE].map((file) => [file, file]));
  const wasm = `assets/darkroom_bg-${engine.hash}.wasm`;
  assets.set(ENGINE, wasm).set(`${ENGINE}.gz`, `${wasm}.gz`);
  await write(dist, wasm, engine.bytes);
  await write(dist, `${wasm}.gz`, engine.gzip);
  await write(dist, `${wasm}.br`, engine.brotli);
  const studioStyle = await writeHashed(dist, "assets/studio", "css", css);
  assets.set("studio/studio.css", studioStyle);
  const common = { names: "assets/[name]-[hash]", css: null, engine, places: assets };
  const worker = await bundleInto(dist, { ...common, entries: [WORKER], unused });
  const workerPath = pathOf(worker, WORKER);
  assets.set(WORKER, workerPath);

  const { template } = await pageModule("studio/template.js");
  const copied = await copyRest(dist);
  /** @type {Set<string>} */
  const shell = new Set(["./", workerPath, wasm]);
  const pages = (await readdir(WWW)).filter((name) => name.endsWith(".html"));
  for (const name of pages) {
    const html = await readFile(join(WWW, name), "utf8");
    const { styles, scripts } = sourcesOf(html);
    const style = await writeHashed(dist, "assets/page", "css", await bundleCss(styles));
    const bundled = scripts.length
      ? await bundleInto(dist, { ...common, entries: scripts })
      : new Map();
    const form = template();
    const parts = { style, scripts: bundled, studioStyle, form };
    const page = absolute(rewrite(html, parts), name, address);
    await write(dist, name, page);
    if (name !== "index.html") shell.add(name);
    for (const file of filesOf(page)) if (!/^(\.|data:)/.test(file)) shell.add(file);
    for (const file of bundled.values()) shell.add(file);
  }
  const source = await readFile(join(WWW, "sw.js"), "utf8");
  for (const file of listed(source)) if (copied.has(file)) shell.add(file);
  for (const file of shell) {
    const made = file === "./" || file.startsWith("assets/") || pages.includes(file);
    const known = made || copied.has(file);
    if (!known) throw new Error(`the page refers to ${file}, which is not in www/`);
  }
  const copies = { [wasm]: `${wasm}.gz` };
  await write(dist, "sw.js", await serviceWorker(source, [...shell].sort(), copies));
  // GitHub Pages would run a site generator over the folder.
  await write(dist, ".nojekyll", "");
}

/** Fills the npm package: stable names, for bundlers and for CDNs. */
async function makePackage() {
  const places = new Map([...VOCABULARY, CATALOGUE, WORKER].map((file) => [file, file]));
  places.set(WORKER, "worker.js");
  for (const [suffix, bytes] of /** @type {const} */ ([
    ["", engine.bytes],
    [".gz", engine.gzip],
  ])) {
    const place = `darkroom_bg.wasm${suffix}`;
    places.set(`${ENGINE}${suffix}`, place);
    await write(npm, place, bytes);
  }
  const existing = new Set(await readdir(WWW));
  const entries = PACKAGE.filter((name) => existing.has(name));
  const common = { names: "[name]", css, engine, places };
  await bundleInto(npm, { ...common, entries: [WORKER], unused });
  await bundleInto(npm, { ...common, entries, chunks: "shared-[hash]" });
  await cp(join(WWW, "vocab"), join(npm, "vocab"), { recursive: true });
  await write(npm, CATALOGUE, await packagedCatalogue());
}

/** The list of models without those beside the page: the package contains none. */
async function packagedCatalogue() {
  const { models, ...rest } = JSON.parse(await readFile(join(WWW, CATALOGUE), "utf8"));
  const others = models.filter(
    (/** @type {{address: string}} */ { address }) => !address.startsWith("models/"),
  );
  return JSON.stringify({ ...rest, models: others });
}

/**
 * Writes bundles and their source maps; returns the addresses of entry points.
 * @param {string} folder
 * @param {Parameters<typeof bundle>[0]} options
 * @returns {Promise<Map<string, string>>}
 */
async function bundleInto(folder, options) {
  const { outputs, maps: mapped } = await bundle(options);
  for (const { path, bytes } of outputs) await write(folder, path, bytes);
  const where = join(maps, relative(dirname(maps), folder));
  for (const { path, bytes } of mapped) await write(where, path, bytes);
  return new Map(outputs.flatMap(({ path, entry }) => (entry ? [[entry, path]] : [])));
}

/** @param {Map<string, string>} bundled @param {string} entry */
function pathOf(bundled, entry) {
  const path = bundled.get(entry);
  if (!path) throw new Error(`${entry} was not bundled`);
  return path;
}

/**
 * Copies what is not bundled: models, the vocabulary, pictures. Hidden files belong to the build.
 * @param {string} folder
 * @returns {Promise<Set<string>>} paths relative to the folder
 */
async function copyRest(folder) {
  /** @type {Set<string>} */
  const copied = new Set();
  const entries = await readdir(WWW, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    const path = relative(WWW, join(entry.parentPath, entry.name));
    const isBundled = /^pkg\/|(^|\/)\.|\.(js|css)$|^[^/]+\.html$/.test(path);
    if (!entry.isFile() || isBundled) continue;
    await write(folder, path, await readFile(join(WWW, path)));
    copied.add(path);
  }
  return copied;
}

/**
 * @param {string} folder
 * @param {string} stem
 * @param {string} extension
 * @param {string} text
 */
async function writeHashed(folder, stem, extension, text) {
  const path = `${stem}-${hashOf(Buffer.from(text))}.${extension}`;
  await write(folder, path, text);
  return path;
}

/** @param {string} folder @param {string} path @param {string | Uint8Array} contents */
async function write(folder, path, contents) {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), contents);
}
