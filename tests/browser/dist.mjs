// @ts-check
/** The page as it is published: `dist/`, made by `cargo xtask dist`. */
import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { gzipSync } from "node:zlib";

/** @param {string} variable @param {string} name */
function folder(variable, name) {
  const path = process.env[variable] ?? new URL(`../../${name}`, import.meta.url).pathname;
  if (!existsSync(path)) throw new Error(`${path} is not there: run cargo xtask dist`);
  return path;
}

export const distFolder = () => folder("DARKROOM_DIST", "dist");
export const npmFolder = () => folder("DARKROOM_DIST_NPM", "dist-npm");

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".wasm": "application/wasm",
};

/**
 * A host that compresses code by itself, as many do, and logs its requests.
 * @returns {Promise<{address: string, log: string[], close(): void}>}
 */
export async function startCompressingHost() {
  const root = distFolder();
  /** @type {string[]} */
  const log = [];
  /** @type {Map<string, Buffer>} */
  const compressed = new Map();
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? "/", "http://host").pathname.slice(1) || "index.html";
    log.push(`${request.method} ${path}`);
    const isFile = await stat(join(root, path)).then(
      (found) => found.isFile(),
      () => false,
    );
    if (!isFile) return void response.writeHead(404).end();
    const type = TYPES[/** @type {keyof typeof TYPES} */ (extname(path))];
    const file = await readFile(join(root, path));
    const headers = { "content-type": type ?? "application/octet-stream" };
    const body = type ? (compressed.get(path) ?? gzipSync(file, { level: 1 })) : file;
    if (type) compressed.set(path, body);
    const encoding = type ? { "content-encoding": "gzip" } : {};
    response.writeHead(200, { ...headers, ...encoding, "content-length": body.length });
    response.end(request.method === "HEAD" ? undefined : body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return {
    address: `http://localhost:${port}/`,
    log,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
