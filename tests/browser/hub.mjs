// @ts-check
/**
 * A model hub, as they are: `/{owner}/{name}/resolve/{revision}/{path}` answers small text itself and sends whoever wants a large file to another origin,
 * with a signature that runs out. Neither lets itself be asked beforehand: a preflight is redirected like everything else, which browsers refuse.
 * And it misbehaves, where a test wants it to.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { open, readFile, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join } from "node:path";

/** @typedef {import("node:http").IncomingMessage} Incoming */
/** @typedef {import("node:http").ServerResponse} Outgoing */

/**
 * A file of a model: what is in it, and which of its versions that is.
 * @typedef {{bytes: Buffer, version: string} | {disk: string, size: number, version: string}} Content
 */

/**
 * A request for a large file, before it is answered.
 * @typedef {object} Exchange
 * @property {Repository} repository
 * @property {string} path within it
 * @property {Incoming} request
 * @property {Outgoing} response
 * @property {number} size of the file
 * @property {number} start of what is wanted
 * @property {number} end exclusive
 * @property {boolean} ranged whether a part was asked for
 * @property {(options?: Delivery) => Promise<void>} deliver answers it
 */

/**
 * How a request is answered, where not as it should be.
 * @typedef {object} Delivery
 * @property {number} [status]
 * @property {Record<string, string>} [headers] besides and in place of the usual ones; an empty one is left out
 * @property {boolean} [whole] ranges are ignored
 * @property {number} [cutAfter] the connection breaks after so many bytes of the body
 * @property {number} [stallAfter] nothing comes any more after so many
 * @property {number} [chunk] so many bytes at a time,
 * @property {number} [everyMs] and so long between
 * @property {(bytes: Buffer) => Buffer} [change] what comes instead of what is in the file
 * @property {boolean} [empty] nothing of it comes
 */

/** The address that is asked first, or the one it sends on to. @typedef {"hub" | "store"} Where */

/**
 * Answers a request, or tells that it does not concern itself with this one.
 * @typedef {(exchange: Exchange, where: Where) => Promise<boolean>} Fault
 */

const CORS = {
  "access-control-allow-origin": "*",
  "access-control-expose-headers":
    "ETag, Content-Range, Accept-Ranges, X-Linked-Size, X-Linked-ETag",
};
const TEXT = /\.(json|txt)$/;
/** Longer than any test takes. */
const SIGNED_FOR_MS = 3_600_000;

/** A model on the hub. */
export class Repository {
  /** @type {Map<string, Content>} */ files = new Map();
  /** @type {Fault | null} */ fault = null;
  requests = 0;
  /** What was sent, by file and version. @type {Map<string, [number, number][]>} */ #sent =
    new Map();

  /** @param {string} path @param {Buffer} bytes */
  put(path, bytes) {
    this.files.set(path, { bytes, version: createHash("sha256").update(bytes).digest("hex") });
  }

  /** A file too large for memory. @param {string} path @param {string} disk where it is */
  async link(path, disk) {
    const { size, mtimeMs } = await stat(disk);
    this.files.set(path, {
      disk,
      size,
      version: createHash("sha256").update(`${disk} ${mtimeMs}`).digest("hex"),
    });
  }

  /** @param {string} key @param {number} from @param {number} to */
  note(key, from, to) {
    const ranges = this.#sent.get(key) ?? [];
    ranges.push([from, to]);
    this.#sent.set(key, ranges);
  }

  /** Bytes sent, and how many of them not for the first time. */
  get traffic() {
    let [all, fresh] = [0, 0];
    for (const ranges of this.#sent.values()) {
      let reached = 0;
      for (const [from, to] of [...ranges].sort(([a], [b]) => a - b)) {
        all += to - from;
        fresh += Math.max(0, to - Math.max(from, reached));
        reached = Math.max(reached, to);
      }
    }
    return { all, twice: all - fresh };
  }

  get bytes() {
    return [...this.files.values()].reduce((sum, content) => sum + sizeOf(content), 0);
  }
}

/** @param {Content} content */
const sizeOf = (content) => ("bytes" in content ? content.bytes.length : content.size);

/**
 * @param {Content} content
 * @param {number} start
 * @param {number} end
 */
async function read(content, start, end) {
  if ("bytes" in content) return content.bytes.subarray(start, end);
  const file = await open(content.disk);
  try {
    const bytes = Buffer.alloc(end - start);
    await file.read(bytes, 0, bytes.length, start);
    return bytes;
  } finally {
    await file.close();
  }
}

export class Hub {
  /** By "owner/name". @type {Map<string, Repository>} */ #repositories = new Map();
  #hub = createServer((request, response) => this.#answer(request, response, "hub"));
  #store = createServer((request, response) => this.#answer(request, response, "store"));
  /** Requests that a browser sends to ask whether it may send another. */
  preflights = 0;

  static async start() {
    const hub = new Hub();
    for (const server of [hub.#hub, hub.#store]) {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
    }
    return hub;
  }

  /**
   * Its address under a name of one's own: a browser opens six connections to each host, and no more.
   * @param {string} [name]
   */
  address(name = "hub") {
    return `http://${name}.localhost:${portOf(this.#hub)}/`;
  }

  /** @param {string} name "owner/name" */
  repository(name) {
    const repository = this.#repositories.get(name) ?? new Repository();
    this.#repositories.set(name, repository);
    return repository;
  }

  /** Nobody is there any more. */
  async close() {
    for (const server of [this.#hub, this.#store]) {
      if (!server.listening) continue;
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    }
  }

  /** @param {Incoming} request @param {Outgoing} response @param {Where} where */
  async #answer(request, response, where) {
    const url = new URL(request.url ?? "/", `http://${request.headers.host}`);
    const [, name, kind, path] =
      /^\/([^/]+\/[^/]+)\/(resolve|raw|signed)\/[^/]+\/(.+)$/.exec(
        decodeURIComponent(url.pathname),
      ) ?? [];
    const repository = this.#repositories.get(name ?? "");
    if (request.method === "OPTIONS") this.preflights += 1;
    const refuse = (/** @type {number} */ status) => void response.writeHead(status, CORS).end();
    if (!repository) return refuse(404);
    repository.requests += 1;
    const content = repository.files.get(path ?? "");
    if (!content || !path || !name) return refuse(404);
    const size = sizeOf(content);
    if (kind === "raw" && !TEXT.test(path)) return this.#pointer(response, content);

    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    const [start, end] = range
      ? [Number(range[1]), Math.min(size, range[2] ? Number(range[2]) + 1 : size)]
      : [0, size];
    const redirects = where === "hub" && !TEXT.test(path);
    // A fault may replace it.
    const now = () => repository.files.get(path) ?? content;
    /** @param {Delivery} [delivery] */
    const deliver = (delivery = {}) => {
      if (redirects && !delivery.status)
        return this.#redirect(url, request, response, name, path, now());
      if (start >= size && range)
        return Promise.resolve(
          void response.writeHead(416, { ...CORS, "content-range": `bytes */${size}` }).end(),
        );
      const about = { path, content: now(), start, end, ranged: range !== null };
      return send(request, response, repository, about, delivery);
    };
    /** @type {Exchange} */
    const exchange = {
      repository,
      path,
      request,
      response,
      size,
      start,
      end,
      ranged: range !== null,
      deliver,
    };
    if (repository.fault && !TEXT.test(path) && (await repository.fault(exchange, where)))
      return undefined;
    if (request.method === "OPTIONS" && !redirects) return refuse(403);
    if (where === "store" && Number(url.searchParams.get("Expires")) < Date.now())
      return refuse(403);
    await deliver();
  }

  /** @param {URL} url @param {Incoming} request @param {Outgoing} response @param {string} name @param {string} path @param {Content} content */
  #redirect(url, request, response, name, path, content) {
    const [host] = (request.headers.host ?? "").split(":");
    const signed = `http://store-${host}:${portOf(this.#store)}/${name}/signed/${url.pathname.split("/")[4]}/${path}`;
    const signature = createHash("sha256").update(`${signed} ${Date.now()}`).digest("hex");
    const location = `${signed}?Expires=${Date.now() + SIGNED_FOR_MS}&Signature=${signature}`;
    response
      .writeHead(302, {
        ...CORS,
        location,
        "content-length": "0",
        "x-linked-size": String(sizeOf(content)),
        "x-linked-etag": `"${content.version}"`,
      })
      .end();
    return Promise.resolve();
  }

  /** What Git LFS keeps in a large file's place. @param {Outgoing} response @param {Content} content */
  async #pointer(response, content) {
    const text = `version https://git-lfs.github.com/spec/v1\noid sha256:${content.version}\nsize ${sizeOf(content)}\n`;
    // Of a linked file the version is no SHA-256 of what is in it.
    if (!("bytes" in content)) return void response.writeHead(404, CORS).end();
    response.writeHead(200, { ...CORS, "content-type": "text/plain" }).end(text);
  }
}

/**
 * @param {Incoming} request
 * @param {Outgoing} response
 * @param {Repository} repository
 * @param {{path: string, content: Content, start: number, end: number, ranged: boolean}} about
 * @param {Delivery} delivery
 */
async function send(
  request,
  response,
  repository,
  { path, content, start, end, ranged },
  delivery,
) {
  const {
    status,
    headers,
    whole,
    cutAfter = Infinity,
    stallAfter = Infinity,
    chunk = 1 << 16,
    everyMs = 0,
    change,
    empty,
  } = delivery;
  const size = sizeOf(content);
  const part = ranged && !whole;
  const [from, to] = part ? [start, Math.min(end, size)] : [0, size];
  const usual = {
    ...CORS,
    "content-type": TEXT.test(path) ? "application/json" : "application/octet-stream",
    "content-length": String(to - from),
    etag: `"${content.version.slice(0, 32)}"`,
    ...(part ? { "content-range": `bytes ${from}-${to - 1}/${size}` } : {}),
    ...(whole ? {} : { "accept-ranges": "bytes" }),
  };
  const all = Object.entries({ ...usual, ...headers }).filter(([, value]) => value !== "");
  response.writeHead(status ?? (part ? 206 : 200), Object.fromEntries(all));
  if (status && status >= 300) return void response.end();
  if (empty || request.method === "HEAD") return void response.end();
  response.flushHeaders();
  for (let at = from; at < to && !response.destroyed; ) {
    const done = at - from;
    if (done >= cutAfter) return void response.destroy();
    if (done >= stallAfter) return;
    const next = Math.min(at + chunk, to, from + cutAfter, from + stallAfter, at + (1 << 20));
    const bytes = await read(content, at, next);
    repository.note(`${path} ${content.version}`, at, next);
    const taken = response.write(change ? change(Buffer.from(bytes)) : bytes);
    if (!taken) await drained(response);
    if (everyMs) await new Promise((resolve) => setTimeout(resolve, everyMs));
    at = next;
  }
  if (to - from >= cutAfter) return void response.destroy();
  if (to - from >= stallAfter) return;
  response.end();
}

/** Until there is room for more, or nobody there to take it. @param {Outgoing} response */
function drained(response) {
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done).off("close", done);
      resolve(null);
    };
    response.on("drain", done).on("close", done);
    if (response.destroyed) done();
  });
}

/** @param {import("node:http").Server} server */
function portOf(server) {
  const address = server.address();
  if (!address || typeof address === "string") throw new Error("the server does not listen");
  return address.port;
}

const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".svg": "image/svg+xml",
  ".txt": "text/plain",
};

/**
 * The page's own files on a static host, which can be replaced as by a new deployment.
 */
export class Site {
  #server = createServer((request, response) => void this.#answer(request, response));
  #root = new URL("../../www/", import.meta.url).pathname;
  /** Files answered otherwise than they are on disk; null: not found. @type {Map<string, Buffer | string | null>} */ replaced =
    new Map();
  /** What is done to every file before it is sent. @type {(path: string, bytes: Buffer) => Buffer} */ change =
    (_, bytes) => bytes;
  /** Paths asked for. @type {string[]} */ log = [];

  static async start(port = 0) {
    const site = new Site();
    site.#server.listen(port, "127.0.0.1");
    await once(site.#server, "listening");
    return site;
  }

  get port() {
    return portOf(this.#server);
  }

  /** @param {string} [host] where the page is not on localhost itself, it behaves as on a server */
  address(host = "localhost") {
    return `http://${host}:${this.port}/`;
  }

  async close() {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  /** @param {Incoming} request @param {Outgoing} response */
  async #answer(request, response) {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const path = decodeURIComponent(pathname.slice(1)) || "index.html";
    this.log.push(path);
    const other = this.replaced.get(path);
    const read =
      other === undefined
        ? await readFile(join(this.#root, path)).catch(() => null)
        : other === null
          ? null
          : Buffer.from(other);
    if (!read) return void response.writeHead(404).end();
    const bytes = this.change(path, read);
    const etag = `"${createHash("sha256").update(bytes).digest("hex").slice(0, 32)}"`;
    const type =
      TYPES[/** @type {keyof typeof TYPES} */ (extname(path))] ?? "application/octet-stream";
    const headers = { "content-type": type, etag, "cache-control": "no-cache" };
    if (request.headers["if-none-match"] === etag)
      return void response.writeHead(304, headers).end();
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const [from, to] = range
      ? [Number(range[1]), Math.min(bytes.length, Number(range[2]) + 1)]
      : [0, bytes.length];
    if (range && from >= bytes.length)
      return void response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end();
    const part = range ? { "content-range": `bytes ${from}-${to - 1}/${bytes.length}` } : {};
    response.writeHead(range ? 206 : 200, {
      ...headers,
      ...part,
      "content-length": String(to - from),
    });
    response.end(request.method === "HEAD" ? undefined : bytes.subarray(from, to));
  }
}
