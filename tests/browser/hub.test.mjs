// @ts-check
/**
 * Downloads from a hub that misbehaves, as www/weights/source.js sees them: the engine's reads are made by the test here, so that every fault can be tried at
 * the start, in the middle and at the end of a file within seconds. What the page says of them: models.test.mjs.
 */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { FAULTS, PLACES } from "./faults.mjs";
import { Hub, Site } from "./hub.mjs";

/** @typedef {import("./faults.mjs").Fault} Fault */
/** @typedef {import("./faults.mjs").Place} Place */
/** @typedef {import("playwright-core").Page} Page */

const WEIGHTS = "unet/diffusion_pytorch_model.safetensors";
const INDEX = "model_index.json";
const SIZE = 600_011;
/** Pieces in proportion to what is under way as they are of a model of 1 GB; patience enough for a machine that does other work too. */
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
/** Cases at once, each with hosts of its own. */
const LANES = 6;

/**
 * What a visit comes to.
 * @typedef {object} Visit
 * @property {string | null} hash SHA-256 of the weights as they were read; null: the visitor read a message
 * @property {string} message
 * @property {string} kind of problem
 * @property {string} place where the model is kept
 * @property {string[]} notices
 */

/**
 * Loads the model as worker.js does it, from its first byte to its last. In the page.
 * @param {{address: string, tuning: object, paths: string[], until?: number}} wanted `until`: the visitor leaves at this byte
 * @returns {Promise<Visit>}
 */
async function visit({ address, tuning, paths, until = Infinity }) {
  const { ModelSource } = await import(/** @type {any} */ ("/weights/source.js"));
  /** @type {string[]} */
  const notices = [];
  const attempt = async () => {
    const source = await ModelSource.open(
      address,
      false,
      { notice: (/** @type {string} */ text) => text && notices.push(text), fetched() {} },
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
        // Tensors, one after the other, none of them at a piece's edge.
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
        place: source.storage,
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
        place: source.storage,
        notices,
      };
    }
  };
  const first = await attempt();
  return first.again ? attempt() : first;
}

describe("a hub that misbehaves", () => {
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

  /** A page of a visitor who has not been here before. */
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
   * @param {Place} place
   * @param {string} host
   * @param {Page} page
   */
  async function row(fault, place, host, page) {
    const name = `${fault.name}-${place}`.replace(/[^a-z0-9]+/gi, "-");
    const repository = model(name);
    const at = { start: 0, middle: SIZE >> 1, end: SIZE - 1 }[place];
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
      place === "start"
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
    return { fault, place, outcome, requests: repository.requests, twice, seconds, wrong };
  }

  test("every fault, at the start, in the middle and at the end: it loads, or the visitor reads why and a later try goes on", async () => {
    const only = process.env.DARKROOM_FAULT;
    const todo = FAULTS.filter(({ name }) => !only || name.includes(only)).flatMap((fault) =>
      PLACES.map((place) => ({ fault, place })),
    );
    /** @type {Map<object, Awaited<ReturnType<typeof row>>>} */
    const rows = new Map();
    const left = [...todo];
    const page = await newPage();
    const lane = async (/** @type {unknown} */ _, /** @type {number} */ number) => {
      for (let next = left.shift(); next; next = left.shift())
        rows.set(next, await row(next.fault, next.place, `hub-${number}`, page));
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    await page.context().close();

    const lines = todo.map((key) => {
      const found = rows.get(key);
      assert.ok(found);
      const { fault, place, outcome, requests, twice, wrong } = found;
      const share = `${((100 * twice) / SIZE).toFixed(1)} %${fault.again ? " *" : ""}`;
      return [
        fault.name.padEnd(46),
        place.padEnd(6),
        String(requests).padStart(4),
        share.padStart(9),
        `${wrong.length ? "WRONG " : ""}${outcome}`,
      ].join("  ");
    });
    console.log([`${"fault".padEnd(46)}  place   requests  twice  outcome`, ...lines].join("\n"));
    const whys = new Set(todo.map(({ fault }) => fault.again).filter(Boolean));
    if (whys.size) console.log(`* ${[...whys].join("; ")}`);
    const slowest = Math.max(...[...rows.values()].map(({ seconds }) => seconds));
    console.log(
      `${rows.size} cases, the slowest ${slowest.toFixed(1)} s; ${hub.preflights} preflights`,
    );
    const wrong = [...rows.values()].filter(({ wrong }) => wrong.length);
    assert.deepEqual(
      wrong.map(
        ({ fault, place, outcome, wrong }) =>
          `${fault.name}, ${place}: ${outcome}: ${wrong.join("; ")}`,
      ),
      [],
    );
    assert.equal(hub.preflights, 0, "a request that needs a preflight fails where hubs redirect");
  });

  /** @param {string} name @param {Visit} found @param {number} twice @param {RegExp} [notice] @param {Buffer} [content] */
  function told(name, found, twice, notice, content = bytes) {
    console.log(
      `${name}: ${found.hash ? "loads" : found.message}, kept in ${found.place}, ${((100 * twice) / SIZE).toFixed(1)} % fetched twice${notice ? `, “${found.notices.join(" ")}”` : ""}`,
    );
    assert.equal(found.hash, sha256(content));
    if (notice) assert.match(found.notices.join(" "), notice);
  }

  test("a visitor who leaves midway goes on from there at the next visit", async () => {
    for (const [where, until] of /** @type {[string, number][]} */ ([
      ["start", 20_000],
      ["middle", SIZE >> 1],
      ["end", SIZE - 20_000],
    ])) {
      const name = `left-at-the-${where}`;
      const repository = model(name);
      const page = await newPage();
      const leaving = load(page, name, { until }).catch(() => null);
      // Until it stands still: the reads have come to where the visitor leaves.
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
      told(`left at the ${where}`, found, twice);
      assert.ok(twice <= SIZE * TWICE_AT_MOST, `${twice} bytes fetched twice`);
      await next.context().close();
    }
  });

  test("storage that is too small, fills up or fails: the model goes through memory, and the visitor is told", async () => {
    /** @type {[string, RegExp, (page: Page) => Promise<unknown>][]} */
    const cases = [
      [
        "too small from the beginning",
        /needs 12 MB more of this browser’s storage, which has 9 MB left/,
        (page) =>
          page.evaluate(() => {
            StorageManager.prototype.estimate = () => Promise.resolve({ quota: 10e6, usage: 1e6 });
          }),
      ],
      // What the browser enforces here it does not tell beforehand.
      [
        "full in the midst of it",
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
        "failing in the midst of it",
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
        "not to be had at all",
        /offers no storage here/,
        (page) =>
          page.evaluate(() => {
            CacheStorage.prototype.open = () =>
              Promise.reject(new DOMException("denied", "SecurityError"));
          }),
      ],
    ];
    for (const [name, notice, spoil] of cases) {
      const large = Buffer.concat(Array(20).fill(bytes));
      const repository = model(name.replaceAll(" ", "-"), large);
      const page = await newPage();
      await spoil(page);
      const found = await load(page, name.replaceAll(" ", "-"), { tuning: { chunk: 15_000 * 20 } });
      told(`storage ${name}`, found, repository.traffic.twice, notice, large);
      assert.equal(found.place, "memory");
      await page.context().close();
    }
  });

  test("what was kept and is spoilt, cut short or lost is fetched again, and nothing else", async () => {
    const piece = TUNING.head + 2 * TUNING.chunk;
    /** @type {[string, number, (cache: Cache, key: string, bytes: Uint8Array<ArrayBuffer>, headers: Headers) => Promise<unknown>][]} */
    const cases = [
      [
        "a spoilt piece",
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
        "a piece cut short",
        TUNING.chunk,
        (cache, key, bytes, headers) =>
          cache.put(key, new Response(bytes.subarray(1), { headers })),
      ],
      ["a lost piece", TUNING.chunk, (cache, key) => cache.delete(key)],
      [
        "a piece without its hash",
        TUNING.chunk,
        (cache, key, bytes) => cache.put(key, new Response(bytes)),
      ],
    ];
    for (const [name, again, change] of cases) {
      const id = name.replaceAll(" ", "-");
      const repository = model(id);
      const page = await newPage();
      told(`${name}, before`, await load(page, id), repository.traffic.twice);
      const changing = await page.evaluateHandle(`(${change})`);
      await page.evaluate(
        async ([mark, change]) => {
          const cache = await caches.open("darkroom-models-2");
          const key = (await cache.keys()).map(({ url }) => url).find((url) => url.includes(mark));
          const kept = key && (await cache.match(key));
          if (!kept) throw new Error(`nothing is kept at ${mark}`);
          const { headers } = kept;
          await change(cache, key, new Uint8Array(await kept.arrayBuffer()), headers);
        },
        /** @type {[string, any]} */ ([`?darkroom=${piece}-`, changing]),
      );
      const found = await load(page, id);
      // The index is always read again.
      const twice = repository.traffic.twice - 2;
      told(
        name,
        found,
        twice,
        again === TUNING.chunk && name.includes("lost")
          ? undefined
          : /was spoilt and is fetched again/,
      );
      assert.equal(twice, again);
      await page.context().close();
    }
  });

  test("a second visit fetches nothing, a replaced file anew, and needs no server", async () => {
    const repository = model("second");
    const page = await newPage();
    told("first visit", await load(page, "second"), 0);
    const { all } = repository.traffic;
    told("second visit", await load(page, "second"), 0);
    // The text of the index is compared: it is how a new revision shows first.
    assert.equal(repository.traffic.all - all, 2, "only model_index.json moves");

    const other = randomBytes(SIZE);
    repository.put(WEIGHTS, other);
    const found = await load(page, "second");
    assert.equal(found.hash, sha256(other));
    assert.match(found.notices.join(" "), /has been replaced on the server/);

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

    // A model within another's folder is one of its own.
    const kept = () =>
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
      (await kept()).sort(),
      [
        [address, 2],
        [`${address}${WEIGHTS}`, SIZE],
      ],
      "the same bytes are kept once",
    );
    await page.context().close();
  });
});
