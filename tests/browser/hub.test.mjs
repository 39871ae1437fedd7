// @ts-check
/**
 * Downloads from a misbehaving hub, through www/weights/source.js. The test reads in place of the
 * engine, so that every fault is tried at the start, in the middle and at the end of a file within
 * seconds.
 */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { FAULTS, POSITIONS } from "./faults.mjs";
import { Hub, Site } from "./hub.mjs";

/** @typedef {import("./faults.mjs").Fault} Fault */
/** @typedef {import("./faults.mjs").Position} Position */
/** @typedef {import("playwright-core").Page} Page */

const WEIGHTS = "unet/diffusion_pytorch_model.safetensors";
const INDEX = "model_index.json";
const SIZE = 600_011;
/**
 * Chunks as many as in a model of 1 GB, in proportion to those in flight; and times that are long
 * enough for a busy machine.
 */
const TUNING = {
  head: 4096,
  chunk: 15_000,
  inFlight: 2,
  stallMs: 1200,
  attempts: 3,
  waitMs: 20,
  revalidateMs: 5000,
};
const TWICE_AT_MOST = 0.05;
/** Cases that run at the same time, each with host names of its own. */
const LANES = 6;

/**
 * Result of a visit.
 * @typedef {object} Visit
 * @property {string | null} hash SHA-256 of the weights; null: they did not load
 * @property {string} message
 * @property {string} kind of problem
 * @property {string} storage of the model
 * @property {string[]} notices
 */

/**
 * Loads the model from its first byte to its last, like engine/worker.js. Runs in the page.
 * @param {{address: string, tuning: object, paths: string[], until?: number}} wanted `until`: the
 *   visitor leaves at this byte
 * @returns {Promise<Visit>}
 */
async function visit({ address, tuning, paths, until = Infinity }) {
  const { ModelSource } = await import(/** @type {any} */ ("/weights/source.js"));
  const wasm = await import(/** @type {any} */ ("/pkg/darkroom.js"));
  await wasm.default();
  /** @type {string[]} */
  const notices = [];
  const attempt = async () => {
    const source = await ModelSource.open(
      address,
      false,
      {
        notice: (/** @type {string} */ text) => text && notices.push(text),
        fetched() {},
        createSha256: () => new wasm.Sha256(),
      },
      tuning,
    );
    try {
      /** @type {Uint8Array[]} */
      const parts = [];
      for (const path of paths) {
        const size = await source.size(path);
        if (size === null) throw new Error(`${path}: no such file`);
        const weights = path.endsWith(".safetensors");
        if (weights) await source.read(path, 0, 8);
        if (weights) source.expect(size);
        // Tensors one after the other. None starts at the edge of a chunk.
        for (let at = 0; at < size; at += 7001) {
          const bytes = await source.read(path, at, Math.min(size, at + 7001));
          if (weights) parts.push(bytes.slice());
          if (at >= until) await new Promise(() => {});
        }
      }
      await source.complete();
      const hash = new Uint8Array(
        await crypto.subtle.digest(
          "SHA-256",
          await new Blob(/** @type {any} */ (parts)).arrayBuffer(),
        ),
      );
      return {
        again: false,
        hash: Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join(""),
        message: "",
        kind: "",
        storage: source.storage,
        notices,
      };
    } catch (error) {
      await source.close();
      const said = [...source.absent.values()].find(Boolean);
      const message = [/** @type {Error} */ (error).message, said].filter(Boolean).join("; ");
      return {
        again: source.retryable,
        hash: null,
        message,
        kind: source.problem?.kind ?? "missing",
        storage: source.storage,
        notices,
      };
    }
  };
  const first = await attempt();
  return first.again ? attempt() : first;
}

describe("a misbehaving hub", () => {
  /** @type {Hub} */ let hub;
  /** @type {Site} */ let site;
  /** @type {import("playwright-core").Browser} */ let browser;
  const bytes = randomBytes(SIZE);
  before(async () => {
    hub = await Hub.start();
    site = await Site.start();
    site.replaced.set("blank.html", "<!doctype html><title>blank</title>");
    browser = await launchChromium({ webgpu: false });
  });
  after(async () => {
    await browser?.close();
    await site?.close();
    await hub?.close();
  });

  /** Opens a page for a new visitor. */
  async function newPage() {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${site.address()}blank.html`);
    return page;
  }

  /** @param {string} name @param {Buffer} [content] */
  function model(name, content = bytes) {
    const repository = hub.repository(`tests/${name}`);
    repository.put(INDEX, Buffer.from("{}"));
    repository.put(WEIGHTS, content);
    return repository;
  }

  /**
   * @param {Page} page
   * @param {string} name
   * @param {{host?: string, tuning?: object, until?: number}} [options]
   */
  const load = (page, name, { host, tuning, until } = {}) =>
    page.evaluate(visit, {
      address: `${hub.address(host)}tests/${name}/resolve/main/`,
      tuning: { ...TUNING, ...tuning },
      paths: [INDEX, WEIGHTS],
      until,
    });

  /** @param {Buffer} content */
  const sha256 = (content) => createHash("sha256").update(content).digest("hex");

  /** @param {import("./hub.mjs").Repository} repository */
  const now = (repository) => {
    const content = repository.files.get(WEIGHTS);
    return content && "bytes" in content ? content.bytes : Buffer.alloc(0);
  };

  /**
   * @param {Fault} fault
   * @param {Position} position
   * @param {string} host
   * @param {Page} page
   */
  async function row(fault, position, host, page) {
    const name = `${fault.name}-${position}`.replace(/[^a-z0-9]+/gi, "-");
    const repository = model(name);
    const at = { start: 0, middle: SIZE >> 1, end: SIZE - 1 }[position];
    let left = fault.times ?? Infinity;
    let hits = 0;
    repository.fault = async (exchange, where) => {
      if (where !== (fault.where ?? "store") || exchange.request.method !== "GET") return false;
      if (exchange.path !== WEIGHTS || left <= 0) return false;
      if (!fault.everywhere && (at < exchange.start || at >= exchange.end)) return false;
      left -= 1;
      await fault.act(exchange, at, hits++);
      return true;
    };
    const says =
      position === "start"
        ? fault.saysAtStart === undefined
          ? fault.says
          : fault.saysAtStart
        : fault.says;
    const began = performance.now();
    const first = await load(page, name, { host });
    let outcome = first.notices.length ? "loads after retries" : "loads";
    /** @type {string[]} */
    const wrong = [];
    if (first.hash === null) {
      outcome = `“${first.message}” (${first.kind}), then loads`;
      if (!says?.test(first.message)) wrong.push(`expected ${says ?? "it to load"}`);
      left = 0;
      const second = await load(page, name, { host });
      if (second.hash !== sha256(now(repository)))
        wrong.push(`the later try: ${second.message || "other bytes"}`);
    } else {
      if (says) wrong.push(`expected words: ${says}`);
      if (first.hash !== sha256(now(repository))) wrong.push("other bytes than the server has");
    }
    const { twice } = repository.traffic;
    if (twice > SIZE * TWICE_AT_MOST && !fault.again) wrong.push("bytes fetched twice");
    const seconds = (performance.now() - began) / 1000;
    return { fault, position, outcome, requests: repository.requests, twice, seconds, wrong };
  }

  test("every fault is overcome, or explained and overcome by a later try", async () => {
    const only = process.env.DARKROOM_FAULT;
    const todo = FAULTS.filter(({ name }) => !only || name.includes(only)).flatMap((fault) =>
      POSITIONS.map((position) => ({ fault, position })),
    );
    /** @type {Map<object, Awaited<ReturnType<typeof row>>>} */
    const rows = new Map();
    const left = [...todo];
    const page = await newPage();
    const lane = async (/** @type {unknown} */ _, /** @type {number} */ number) => {
      for (let next = left.shift(); next; next = left.shift())
        rows.set(next, await row(next.fault, next.position, `hub-${number}`, page));
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    await page.context().close();

    const lines = todo.map((key) => {
      const found = rows.get(key);
      assert.ok(found);
      const { fault, position, outcome, requests, twice, wrong } = found;
      const share = `${((100 * twice) / SIZE).toFixed(1)} %${fault.again ? " *" : ""}`;
      return [
        fault.name.padEnd(46),
        position.padEnd(8),
        String(requests).padStart(4),
        share.padStart(9),
        `${wrong.length ? "WRONG " : ""}${outcome}`,
      ].join("  ");
    });
    console.log([`${"fault".padEnd(46)}  position  requests  twice  outcome`, ...lines].join("\n"));
    const whys = new Set(todo.map(({ fault }) => fault.again).filter(Boolean));
    if (whys.size) console.log(`* ${[...whys].join("; ")}`);
    const slowest = Math.max(...[...rows.values()].map(({ seconds }) => seconds));
    console.log(
      `${rows.size} cases, the slowest ${slowest.toFixed(1)} s; ${hub.preflights} preflights`,
    );
    const wrong = [...rows.values()].filter(({ wrong }) => wrong.length);
    assert.deepEqual(
      wrong.map(
        ({ fault, position, outcome, wrong }) =>
          `${fault.name}, ${position}: ${outcome}: ${wrong.join("; ")}`,
      ),
      [],
    );
    assert.equal(hub.preflights, 0, "a request that needs a preflight fails where hubs redirect");
  });

  /**
   * @param {string} name
   * @param {Visit} found
   * @param {number} twice
   * @param {RegExp} [notice]
   * @param {Buffer} [content]
   */
  function check(name, found, twice, notice, content = bytes) {
    console.log(
      `${name}: ${found.hash ? "loads" : found.message}, stored in ${found.storage}, ` +
        `${((100 * twice) / SIZE).toFixed(1)} % fetched twice` +
        (notice ? `, “${found.notices.join(" ")}”` : ""),
    );
    assert.equal(found.hash, sha256(content));
    if (notice) assert.match(found.notices.join(" "), notice);
  }

  test("a download that was left midway continues at the next visit", async () => {
    for (const [where, until] of /** @type {[string, number][]} */ ([
      ["start", 20_000],
      ["middle", SIZE >> 1],
      ["end", SIZE - 20_000],
    ])) {
      const name = `left-at-the-${where}`;
      const repository = model(name);
      const page = await newPage();
      const leaving = load(page, name, { until }).catch(() => null);
      // Waits until no more bytes are sent: the visitor has stopped reading.
      for (let before = -1; repository.traffic.all < until || repository.traffic.all !== before; ) {
        before = repository.traffic.all;
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
      await page.close();
      await leaving;
      const next = await page.context().newPage();
      await next.goto(`${site.address()}blank.html`);
      const found = await load(next, name);
      const { twice } = repository.traffic;
      check(`left at the ${where}`, found, twice);
      assert.ok(twice <= SIZE * TWICE_AT_MOST, `${twice} bytes fetched twice`);
      await next.context().close();
    }
  });

  test("a model loads where storage is small, full, failing or missing, and says so", async () => {
    /** @type {[string, RegExp, (page: Page) => Promise<unknown>][]} */
    const cases = [
      [
        "too small",
        /needs 12 MB more of this browser’s storage, which has 9 MB left/,
        (page) =>
          page.evaluate(() => {
            StorageManager.prototype.estimate = () => Promise.resolve({ quota: 10e6, usage: 1e6 });
          }),
      ],
      // The browser enforces this quota without reporting it in advance.
      [
        "full after some chunks",
        /storage is full/,
        async (page) => {
          const session = await page.context().newCDPSession(page);
          await session.send("Storage.overrideQuotaForOrigin", {
            origin: new URL(page.url()).origin,
            quotaSize: 9e6,
          });
        },
      ],
      [
        "failing after some chunks",
        /storage failed \(.*disk/,
        (page) =>
          page.evaluate(() => {
            const put = Cache.prototype.put;
            let left = 12;
            Cache.prototype.put = function (...args) {
              return left-- > 0
                ? put.apply(this, args)
                : Promise.reject(new TypeError("the disk is gone"));
            };
          }),
      ],
      [
        "missing",
        /refuses storage to this page/,
        (page) =>
          page.evaluate(() => {
            CacheStorage.prototype.open = () =>
              Promise.reject(new DOMException("denied", "SecurityError"));
          }),
      ],
    ];
    for (const [name, notice, restrict] of cases) {
      const large = Buffer.concat(Array(20).fill(bytes));
      const repository = model(name.replaceAll(" ", "-"), large);
      const page = await newPage();
      await restrict(page);
      const found = await load(page, name.replaceAll(" ", "-"), { tuning: { chunk: 15_000 * 20 } });
      check(`storage ${name}`, found, repository.traffic.twice, notice, large);
      assert.equal(found.storage, "memory");
      await page.context().close();
    }
  });

  test("only a cached chunk that is corrupt, truncated or lost is downloaded again", async () => {
    const offset = TUNING.head + 2 * TUNING.chunk;
    /** @typedef {Uint8Array<ArrayBuffer>} Bytes */
    /** @typedef {(cache: Cache, key: string, bytes: Bytes, headers: Headers) => unknown} Change */
    /** @type {[string, number, Change][]} */
    const cases = [
      [
        "a corrupt chunk",
        TUNING.chunk,
        (cache, key, bytes, headers) =>
          cache.put(
            key,
            new Response(
              bytes.map((byte) => byte ^ 1),
              { headers },
            ),
          ),
      ],
      [
        "a truncated chunk",
        TUNING.chunk,
        (cache, key, bytes, headers) =>
          cache.put(key, new Response(bytes.subarray(1), { headers })),
      ],
      ["a lost chunk", TUNING.chunk, (cache, key) => cache.delete(key)],
      [
        "a chunk without its hash",
        TUNING.chunk,
        (cache, key, bytes) => cache.put(key, new Response(bytes)),
      ],
    ];
    for (const [name, again, change] of cases) {
      const id = name.replaceAll(" ", "-");
      const repository = model(id);
      const page = await newPage();
      check(`${name}, before`, await load(page, id), repository.traffic.twice);
      const changing = await page.evaluateHandle(`(${change})`);
      await page.evaluate(
        async ([mark, change]) => {
          const cache = await caches.open("darkroom-models-2");
          const key = (await cache.keys()).map(({ url }) => url).find((url) => url.includes(mark));
          const cached = key && (await cache.match(key));
          if (!cached) throw new Error(`nothing is cached at ${mark}`);
          const { headers } = cached;
          await change(cache, key, new Uint8Array(await cached.arrayBuffer()), headers);
        },
        /** @type {[string, any]} */ ([`?darkroom=${offset}-`, changing]),
      );
      const found = await load(page, id);
      // The index is always read again.
      const twice = repository.traffic.twice - 2;
      check(
        name,
        found,
        twice,
        again === TUNING.chunk && name.includes("lost")
          ? undefined
          : /a cached chunk failed its checksum/,
      );
      assert.equal(twice, again);
      await page.context().close();
    }
  });

  test("a second visit downloads only a replaced file, and needs no server", async () => {
    const repository = model("second");
    const page = await newPage();
    check("first visit", await load(page, "second"), 0);
    const { all } = repository.traffic;
    check("second visit", await load(page, "second"), 0);
    // The text of the index is compared, because a new revision shows there first.
    assert.equal(repository.traffic.all - all, 2, "only model_index.json moves");

    const other = randomBytes(SIZE);
    repository.put(WEIGHTS, other);
    const found = await load(page, "second");
    assert.equal(found.hash, sha256(other));
    assert.match(found.notices.join(" "), /was replaced on the server/);

    repository.fault = async ({ request }) => {
      request.socket.destroy();
      return true;
    };
    await page.context().setOffline(true);
    assert.equal((await load(page, "second")).hash, sha256(other), "without a network");
    await page.context().setOffline(false);
    assert.equal(
      (await load(page, "second")).hash,
      sha256(other),
      "with a server that does not answer",
    );

    // A model inside another model's folder has a cache entry of its own.
    const cached = () =>
      page.evaluate(async () =>
        (await (await import(/** @type {any} */ ("/weights/cache.js"))).cachedModels()).map(
          (/** @type {any} */ { address, bytes }) => [address, bytes],
        ),
      );
    repository.fault = null;
    const address = `${hub.address()}tests/second/resolve/main/`;
    await page.evaluate(visit, {
      address: `${address}${WEIGHTS}`,
      tuning: TUNING,
      paths: [WEIGHTS.split("/")[1]],
    });
    assert.deepEqual(
      (await cached()).sort(),
      [
        [address, 2],
        [`${address}${WEIGHTS}`, SIZE],
      ],
      "the same bytes are cached twice",
    );
    await page.context().close();
  });
});
