// @ts-check
/** Sites that embed the studio: pages with headers of their own, beside folders of the disk. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

/** @typedef {{body: string, headers?: Record<string, string>}} HostFile */

const TYPES = /** @type {Record<string, string>} */ ({
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".wasm": "application/wasm",
});
export const WWW = new URL("../../www/", import.meta.url).pathname;

export class HostSite {
  #server = createServer((request, response) => void this.#answer(request, response));
  /** Files by path, such as "index.html". @type {Map<string, HostFile>} */ files = new Map();
  /** Folders of the disk by their prefix, such as "darkroom/". @type {Map<string, string>} */
  folders = new Map();
  /**
   * Headers of a file in a folder; null: not found.
   * @type {(path: string) => Record<string, string> | null}
   */
  headers = () => ({});
  /** Requested paths. @type {string[]} */ log = [];

  /** @param {Record<string, string>} [folders] */
  static async start(folders = { "darkroom/": WWW }) {
    const site = new HostSite();
    site.folders = new Map(Object.entries(folders));
    site.#server.listen(0, "127.0.0.1");
    await once(site.#server, "listening");
    return site;
  }

  /** Ends with a slash. */
  get address() {
    const address = this.#server.address();
    if (!address || typeof address === "string") throw new Error("the site is closed");
    return `http://localhost:${address.port}/`;
  }

  /** @param {string} path @param {string} body @param {Record<string, string>} [headers] */
  put(path, body, headers) {
    this.files.set(path, { body, headers });
  }

  async close() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  /** @param {string} path @returns {Promise<[Buffer, Record<string, string>] | null>} */
  async #find(path) {
    const own = this.files.get(path);
    if (own) return [Buffer.from(own.body), own.headers ?? {}];
    for (const [prefix, folder] of this.folders) {
      const headers = path.startsWith(prefix) ? this.headers(path) : null;
      if (!headers) continue;
      const inside = normalize(path.slice(prefix.length));
      if (inside.startsWith("..")) return null;
      const bytes = await readFile(join(folder, inside)).catch(() => null);
      if (bytes) return [bytes, headers];
    }
    return null;
  }

  /**
   * @param {import("node:http").IncomingMessage} request
   * @param {import("node:http").ServerResponse} response
   */
  async #answer(request, response) {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const path = decodeURIComponent(pathname.slice(1)).replace(/(^|\/)$/, "$1index.html");
    this.log.push(path);
    const found = await this.#find(path);
    const plain = { "content-type": "text/plain" };
    if (!found) return void response.writeHead(404, { ...this.headers(path), ...plain }).end();
    const [bytes, more] = found;
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const [from, to] = range
      ? [Number(range[1]), Math.min(bytes.length, Number(range[2]) + 1)]
      : [0, bytes.length];
    response.writeHead(range ? 206 : 200, {
      "content-type": TYPES[extname(path)] ?? "application/octet-stream",
      "cache-control": "no-store",
      "content-length": String(to - from),
      ...(range && { "content-range": `bytes ${from}-${to - 1}/${bytes.length}` }),
      ...more,
    });
    response.end(request.method === "HEAD" ? undefined : bytes.subarray(from, to));
  }
}

/** Headers that let other origins read files. */
export const CORS = {
  "access-control-allow-origin": "*",
  "access-control-expose-headers": "ETag, Content-Range, Accept-Ranges",
};

/** The strict policy of docs/embedding.md. */
export const STRICT =
  "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; " +
  "object-src 'none'; base-uri 'none'; form-action 'none'";

/**
 * A page around some markup.
 * @param {string} body
 * @param {string} [head]
 */
export const page = (body, head = "") => `<!doctype html>
<html lang="en">
  <head><meta charset="utf-8"><title>Host</title>${head}</head>
  <body>${body}</body>
</html>`;
