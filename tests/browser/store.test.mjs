// @ts-check
/** The page's storage in IndexedDB: full, blocked and newer storage, several tabs. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { startServer } from "./server.mjs";

/** @typedef {import("playwright-core").BrowserContext} BrowserContext */
/** @typedef {import("playwright-core").Page} Page */

describe("the store", () => {
  /** @type {import("./server.mjs").Server} */ let server;
  /** @type {import("playwright-core").Browser} */ let browser;
  before(async () => {
    server = await startServer();
    browser = await launchChromium({ webgpu: false });
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  /** A page of the same origin without a studio. @param {BrowserContext} context */
  async function blank(context) {
    const page = await context.newPage();
    await page.route("**/blank", (route) =>
      route.fulfill({ contentType: "text/html", body: "<!doctype html><title>blank</title>" }),
    );
    await page.goto(`${server.address}blank`);
    return page;
  }

  /** Limits the storage of the page's origin. @param {Page} page @param {number} [bytes] */
  async function quota(page, bytes) {
    const session = await page.context().newCDPSession(page);
    const { origin } = new URL(server.address);
    await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: bytes });
  }

  test("a picture is kept with its file, or not at all where the disk is full", async () => {
    const page = await blank(await browser.newContext());
    // Before the first use: Chromium remembers the space that was left then.
    await quota(page, 1_000_000);
    const keep = (/** @type {number} */ bytes) =>
      page.evaluate(async (bytes) => {
        const { Database } = await import(`${location.origin}/store/database.js`);
        const { PictureStore, newId } = await import(`${location.origin}/store/pictures.js`);
        const store = new PictureStore(new Database());
        const record = { id: newId(Date.now()), starred: false, thumbnail: new Blob(["small"]) };
        // Bytes that do not compress: the storage may count what is written.
        const parts = Array.from({ length: bytes / 65536 }, () =>
          crypto.getRandomValues(new Uint8Array(65536)),
        );
        const why = await store.add(record, new Blob(parts)).then(
          () => "kept",
          (/** @type {any} */ error) => error.reason,
        );
        const all = await store.all();
        const file = await store.file(record.id);
        return { why, count: all.length, size: file?.size };
      }, bytes);
    assert.deepEqual(await keep(131072), { why: "kept", count: 1, size: 131072 });
    assert.deepEqual(await keep(4 * 1048576), { why: "full", count: 1, size: undefined });
    await quota(page);
    assert.deepEqual(await keep(4 * 1048576), { why: "kept", count: 2, size: 4 * 1048576 });
    await page.context().close();
  });

  test("blocked storage is named, whether it throws or does not exist", async () => {
    for (const script of [
      `Object.defineProperty(window, "indexedDB", {
        get() { throw new DOMException("denied", "SecurityError"); } })`,
      `Object.defineProperty(window, "indexedDB", { value: undefined })`,
    ]) {
      const context = await browser.newContext();
      await context.addInitScript(script);
      const page = await blank(context);
      const reason = await page.evaluate(async () => {
        const { Database } = await import(`${location.origin}/store/database.js`);
        const { PictureStore } = await import(`${location.origin}/store/pictures.js`);
        return new PictureStore(new Database()).all().catch((/** @type {any} */ e) => e.reason);
      });
      assert.equal(reason, "blocked");
      await context.close();
    }
  });

  test("a newer version of the page is not held up, and the older one says why", async () => {
    const context = await browser.newContext();
    const older = await blank(context);
    const newer = await blank(context);
    /** @param {Page} page @param {boolean} changed the storage has one more step */
    const read = (page, changed) =>
      page.evaluate(async (changed) => {
        const { Database } = await import(`${location.origin}/store/database.js`);
        const first = (/** @type {IDBDatabase} */ db) =>
          void db.createObjectStore("prompts", { keyPath: "key" });
        const second = (/** @type {IDBDatabase} */ db) => void db.createObjectStore("more");
        const shared = /** @type {any} */ (globalThis);
        shared.database ??= new Database("steps", changed ? [first, second] : [first]);
        return shared.database
          .run(["prompts"], "readonly", (/** @type {any} */ store) => store("prompts").getAll())
          .then(
            (/** @type {any[]} */ all) => all.length,
            (/** @type {any} */ error) => error.reason,
          );
      }, changed);
    assert.equal(await read(older, false), 0);
    assert.equal(await read(newer, true), 0);
    assert.equal(await read(older, false), "newer");
    assert.equal(await read(newer, true), 0);
    await context.close();
  });

  test("a connection that the browser closed is opened again", async () => {
    const page = await blank(await browser.newContext());
    const count = await page.evaluate(async () => {
      const { Database } = await import(`${location.origin}/store/database.js`);
      const { PromptStore } = await import(`${location.origin}/store/prompts.js`);
      const database = new Database();
      const store = new PromptStore(database);
      await store.use("a cat", "");
      await database.close();
      return (await store.all()).length;
    });
    assert.equal(count, 1);
    await page.context().close();
  });

  test("a run is made by one tab only, and not after it was made", async () => {
    const context = await browser.newContext();
    const pages = [await blank(context), await blank(context), await blank(context)];
    /** @param {Page} page */
    const make = (page) =>
      page.evaluate(async () => {
        const { Database } = await import(`${location.origin}/store/database.js`);
        const { QueueStore } = await import(`${location.origin}/store/queue.js`);
        const store = new QueueStore(new Database());
        await store.put([
          { id: "one", tab: store.tab, order: 1, settings: {}, tries: 0, problem: "" },
        ]);
        const shared = /** @type {any} */ (globalThis);
        shared.make = () =>
          store.once("one", async () => {
            await new Promise((resolve) => setTimeout(resolve, 300));
            await store.remove(["one"]);
          });
      });
    for (const page of pages) await make(page);
    const made = await Promise.all(
      pages.map((page) => page.evaluate(() => /** @type {any} */ (globalThis).make())),
    );
    assert.deepEqual(made.filter(Boolean).length, 1);
    const later = await pages[0].evaluate(() => /** @type {any} */ (globalThis).make());
    assert.equal(later, false, "made once more");
    await context.close();
  });

  test("runs of a closed tab are left behind, those of an open one are not", async () => {
    const context = await browser.newContext();
    const [one, two] = [await blank(context), await blank(context)];
    const open = (/** @type {Page} */ page) =>
      page.evaluate(async () => {
        const { Database } = await import(`${location.origin}/store/database.js`);
        const { QueueStore } = await import(`${location.origin}/store/queue.js`);
        const shared = /** @type {any} */ (globalThis);
        shared.store = new QueueStore(new Database());
        await shared.store.openTabs();
        return shared.store.tab;
      });
    const tabs = [await open(one), await open(two)];
    const openTabs = () =>
      two.evaluate(async () => [...(await /** @type {any} */ (globalThis).store.openTabs())]);
    assert.deepEqual((await openTabs()).sort(), [...tabs].sort());
    await one.close();
    // The browser frees the locks of a closed tab a moment later.
    for (let tries = 0; (await openTabs()).length > 1 && tries < 50; tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 100));
    assert.deepEqual(await openTabs(), [tabs[1]]);
    await context.close();
  });

  test("prompts are kept with their latest use, 500 of them at most", async () => {
    const page = await blank(await browser.newContext());
    const found = await page.evaluate(async () => {
      const { Database } = await import(`${location.origin}/store/database.js`);
      const { PromptStore, PROMPTS_AT_MOST } = await import(`${location.origin}/store/prompts.js`);
      const store = new PromptStore(new Database());
      for (let at = 0; at < PROMPTS_AT_MOST + 3; at += 1) await store.use(`prompt ${at}`, "", at);
      await store.use("prompt 7", "", 1e6);
      await store.use("  ", "", 2e6);
      const all = await new PromptStore(new Database()).all();
      await store.remove(all[1].key);
      const left = await new PromptStore(new Database()).all();
      await store.clear();
      const none = await new PromptStore(new Database()).all();
      return {
        count: all.length,
        first: [all[0].prompt, all[0].times],
        last: all.at(-1).prompt,
        left: left.length,
        none: none.length,
      };
    });
    assert.deepEqual(found, {
      count: 500,
      first: ["prompt 7", 2],
      last: "prompt 3",
      left: 499,
      none: 0,
    });
    await page.context().close();
  });

  test("drafts of two pages and of two tabs are kept apart", async () => {
    const context = await browser.newContext();
    const [one, two] = [await blank(context), await blank(context)];
    /** @param {Page} page @param {string} path @param {Record<string, string>} [draft] */
    const use = (page, path, draft) =>
      page.evaluate(
        async ([path, draft]) => {
          const { Database } = await import(`${location.origin}/store/database.js`);
          const { DraftStore } = await import(`${location.origin}/store/drafts.js`);
          const store = new DraftStore(new Database(), path);
          if (draft) {
            store.writeTab(draft);
            await store.writePage(draft);
          }
          return [store.ofTab(), await store.ofPage()];
        },
        /** @type {[string, Record<string, string> | undefined]} */ ([path, draft]),
      );
    const cat = { prompt: "a cat" };
    const dog = { prompt: "a dog" };
    assert.deepEqual(await use(one, "/a", cat), [cat, cat]);
    assert.deepEqual(await use(two, "/a"), [null, cat]);
    assert.deepEqual(await use(two, "/a", dog), [dog, dog]);
    assert.deepEqual(await use(one, "/a"), [cat, dog]);
    assert.deepEqual(await use(one, "/b"), [null, null]);
    await context.close();
  });
});
