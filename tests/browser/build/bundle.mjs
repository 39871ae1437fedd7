// @ts-check
/** Bundles of the page's modules, by esbuild. */
import { readFile } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

/** The address of a file beside a module, as the sources write it. */
const ADDRESS = /new URL\(\s*(["'])([^"'\n]+)\1,\s*import\.meta\.url,?\s*\)/g;
/** Any other use of the module's own address. */
const OWN_ADDRESS = /\bimport\.meta\.url\b/;
/** Browsers that run WebAssembly with SIMD and `DecompressionStream`. */
const TARGET = ["chrome113", "firefox121", "safari16.4"];

/** Options of every bundle. @type {import("esbuild").BuildOptions} */
const COMMON = {
  bundle: true,
  format: "esm",
  target: TARGET,
  minify: true,
  charset: "utf8",
  legalComments: "none",
  sourcemap: "external",
  write: false,
  metafile: true,
  logLevel: "warning",
};

/** The folder with the page's sources. */
export const WWW = new URL("../../../www/", import.meta.url).pathname;

/**
 * A bundled file.
 * @typedef {object} Output
 * @property {string} path relative to the output folder
 * @property {Uint8Array} bytes
 * @property {string | null} entry the source of an entry point, relative to www/
 */

/**
 * Bundles JavaScript.
 * @param {object} options
 * @param {string[]} options.entries relative to www/
 * @param {string} options.names esbuild's pattern for the names of outputs, such as "[name]-[hash]"
 * @param {string} [options.chunks] the pattern for code that several entries share
 * @param {Map<string, string>} options.places where files are in the output, by their path in www/
 * @param {string | null} options.css the studio's style sheet; null: it is a file, at its place
 * @param {string[]} [options.unused] modules of texts that the entries do not read
 * @param {import("./compress.mjs").Engine} options.engine
 * @returns {Promise<{outputs: Output[], maps: Output[]}>}
 */
export async function bundle({ entries, names, chunks, places, css, unused = [], engine }) {
  const folder = dirname(`./${names}`);
  const result = await build({
    ...COMMON,
    entryPoints: entries.map((entry) => join(WWW, entry)),
    entryNames: names,
    chunkNames: chunks,
    splitting: chunks !== undefined,
    outdir: "/out",
    plugins: [addresses(folder, places, replacements(css, unused, engine))],
  });
  const entryOf = new Map(
    Object.entries(result.metafile?.outputs ?? {}).map(([path, { entryPoint }]) => [
      resolve(path),
      entryPoint ? relative(WWW, resolve(entryPoint)) : null,
    ]),
  );
  const files = (result.outputFiles ?? []).map(({ path, contents }) => ({
    path: relative("/out", path),
    bytes: contents,
    entry: entryOf.get(path) ?? null,
  }));
  return {
    outputs: files.filter(({ path }) => !path.endsWith(".map")),
    maps: files.filter(({ path }) => path.endsWith(".map")),
  };
}

/**
 * Bundles style sheets, in this order, into one.
 * @param {string[]} files relative to www/
 */
export async function bundleCss(files) {
  const contents = files.map((file) => `@import ${JSON.stringify(`./${file}`)};`).join("\n");
  const result = await build({
    ...COMMON,
    sourcemap: false,
    stdin: { contents, loader: "css", resolveDir: WWW },
    outfile: "/out/style.css",
  });
  return (result.outputFiles?.[0].text ?? "").trim();
}

/**
 * A module of the page, for use in Node. It is bundled first, so that Node needs no package.json to
 * know it for a module.
 * @param {string} name relative to www/
 * @returns {Promise<any>}
 */
export async function pageModule(name) {
  const result = await build({
    ...COMMON,
    sourcemap: false,
    entryPoints: [join(WWW, name)],
    outfile: "/out/module.mjs",
    define: { "import.meta.url": JSON.stringify(pathToFileURL(join(WWW, name)).href) },
  });
  const text = result.outputFiles?.[0].contents ?? new Uint8Array();
  return import(`data:text/javascript;base64,${Buffer.from(text).toString("base64")}`);
}

/** Names of the studio's style sheets, in the order of the cascade, relative to www/. */
export async function studioStyleFiles() {
  const source = await readFile(join(WWW, "studio/styles.js"), "utf8");
  const names = [...source.matchAll(/"([\w-]+\.css)"/g)].map(([, name]) => `studio/${name}`);
  if (names.length === 0) throw new Error("studio/styles.js names no style sheets");
  return names;
}

/**
 * Modules that differ from their sources, by their path in www/.
 * @param {string | null} css
 * @param {string[]} unused
 * @param {import("./compress.mjs").Engine} engine
 * @returns {Map<string, string>}
 */
function replacements(css, unused, { bytes }) {
  const text =
    css === null
      ? 'fetch(new URL("studio.css", import.meta.url)).then((answer) => answer.text())'
      : `Promise.resolve(${JSON.stringify(css)})`;
  const styles = `let sheet = null;
    export const studioStyles = () =>
      (sheet ??= ${text}.then((css) => new CSSStyleSheet().replace(css)));`;
  const files = `export const ENGINE_FILES = {
      wasm: new URL("../pkg/darkroom_bg.wasm", import.meta.url),
      gzip: new URL("../pkg/darkroom_bg.wasm.gz", import.meta.url),
      bytes: ${bytes.length},
      script: null,
    };`;
  const empty = unused.map((name) => {
    const area = basename(name, ".js");
    return /** @type {[string, string]} */ ([name, `export const ${area} = {};`]);
  });
  return new Map([["studio/styles.js", styles], ["engine/engine-files.js", files], ...empty]);
}

/**
 * Modules of texts that a worker's modules do not read: they name the areas that they do.
 * @param {string} entry relative to www/
 */
export async function unusedTexts(entry) {
  const result = await build({
    ...COMMON,
    sourcemap: false,
    entryPoints: [join(WWW, entry)],
    outfile: "/out/worker.js",
  });
  const inputs = Object.keys(result.metafile?.inputs ?? {}).map((path) =>
    relative(WWW, resolve(path)).split(sep).join("/"),
  );
  /** @type {Set<string>} */
  const used = new Set();
  for (const name of inputs.filter((name) => !name.startsWith("strings/"))) {
    const source = await readFile(join(WWW, name), "utf8");
    for (const [, area] of source.matchAll(/\bstrings\(\)(?:\.(\w+))?/g)) {
      if (!area) throw new Error(`${name}: texts are read as strings().area.key`);
      used.add(area);
    }
  }
  return inputs.filter((name) => {
    const area = /^strings\/\w+\/(\w+)\.js$/.exec(name)?.[1];
    return area !== undefined && area !== "index" && !used.has(area);
  });
}

/**
 * Rewrites the addresses of files beside modules: in the output they lie elsewhere.
 * @param {string} folder of the bundle
 * @param {Map<string, string>} places
 * @param {Map<string, string>} replaced contents of modules that differ from their sources
 * @returns {import("esbuild").Plugin}
 */
function addresses(folder, places, replaced) {
  return {
    name: "addresses",
    setup({ onLoad }) {
      onLoad({ filter: /\.js$/ }, async ({ path }) => {
        const name = relative(WWW, path).split(sep).join("/");
        if (name.startsWith("..")) return null;
        const source = replaced.get(name) ?? (await readFile(path, "utf8"));
        const contents = source.replaceAll(ADDRESS, (_, __, address) => {
          const target = new URL(address, pathToFileURL(path)).pathname.slice(WWW.length);
          const place = places.get(target);
          if (place === undefined) throw new Error(`${name}: ${address} is not in the output`);
          const moved = relative(folder, place).split(sep).join("/");
          return `new URL(${JSON.stringify(moved)}, import.meta.url)`;
        });
        const rest = contents.replaceAll(ADDRESS, "");
        if (OWN_ADDRESS.test(rest))
          throw new Error(`${name}: addresses are written as new URL("file", import.meta.url)`);
        return { contents, loader: "js" };
      });
    },
  };
}
