// @ts-check
/**
 * A WebAssembly module and its compressed copies. `node compress.mjs FILE` prints the three sizes.
 * It needs no packages.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";

/**
 * @typedef {object} Engine
 * @property {Uint8Array} bytes
 * @property {Uint8Array} gzip
 * @property {Uint8Array} brotli
 * @property {string} hash eight characters that change with the bytes
 */

const BROTLI = {
  params: {
    [constants.BROTLI_PARAM_QUALITY]: 11,
    [constants.BROTLI_PARAM_LGWIN]: 24,
  },
};

/** @param {Uint8Array} bytes */
export const hashOf = (bytes) => createHash("sha256").update(bytes).digest("hex").slice(0, 8);

/**
 * Reads a module and compresses it at each format's best level. That takes half a minute or more,
 * so that the copies are cached in a hidden folder beside the module.
 * @param {string} file
 * @returns {Promise<Engine>}
 */
export async function readEngine(file) {
  const bytes = await readFile(file);
  const hash = hashOf(bytes);
  const cache = join(dirname(file), ".compressed");
  const [gz, br] = ["gz", "br"].map((format) => join(cache, `${hash}.${format}`));
  const cached = await Promise.all([readFile(gz), readFile(br)]).catch(() => null);
  if (cached) return { bytes, hash, gzip: cached[0], brotli: cached[1] };
  const [gzipped, brotli] = await Promise.all([
    promisify(gzip)(bytes, { level: 9 }),
    promisify(brotliCompress)(bytes, BROTLI),
  ]);
  await rm(cache, { recursive: true, force: true });
  await mkdir(cache, { recursive: true });
  await Promise.all([writeFile(gz, gzipped), writeFile(br, brotli)]);
  return { bytes, hash, gzip: gzipped, brotli };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { bytes, gzip, brotli } = await readEngine(process.argv[2]);
  console.log(bytes.length, gzip.length, brotli.length);
}
