// @ts-check
/** The page as it is published, on a host that does not compress, and on one that does. */
import assert from "node:assert/strict";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { launchChromium } from "./chromium.mjs";
import { distFolder, npmFolder, startCompressingHost } from "./dist.mjs";
import { startServer } from "./server.mjs";
import { Studio } from "./studio.mjs";

const QUICK = { steps: "2", sampler: "euler", seed: "3" };
/** Another name than localhost, where the service worker prefers the server. */
const HOST = "darkroom.localhost";

describe("the published page", () => {
  /** @type {import("./server.mjs").Server} */ let server;
  /** @type {import("playwright-core").Browser} */ let browser;
  /** @type {string} */ let address;
  before(async () => {
    const dist = distFolder();
    // Under a sub-path, as project pages are.
    server = await startServer({ root: dirname(dist), hosts: [HOST] });
    address = `${server.address}${basename(dist)}/`;
    browser = await launchChromium({ webgpu: false });
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  /** @param {import("playwright-core").Page} page @param {string} base */
  function requestsOf(page, base) {
    /** @type {string[]} */
    const requests = [];
    page.context().on("request", (request) => {
      const url = request.url();
      requests.push(`${request.method()} ${url.startsWith(base) ? url.slice(base.length) : url}`);
    });
    return requests;
  }

  test("the form is there before any script, and keeps what is typed", async () => {
    const context = await browser.newContext();
    let release = () => {};
    const held = new Promise((resolve) => (release = () => resolve(null)));
    await context.route("**/assets/main-*.js", async (route) => {
      await held;
      await route.continue();
    });
    const studio = new Studio(await context.newPage());
    const began = performance.now();
    await studio.page.goto(address, { waitUntil: "commit" });
    await studio.fill({ prompt: "typed before any script" });
    console.log(`form usable after ${Math.round(performance.now() - began)} ms`);
    const pair = studio.page.locator(".wipe");
    await studio.page.waitForFunction(() => [...document.images].every(({ complete }) => complete));
    const before = await pair.boundingBox();
    assert.equal(await studio.page.getAttribute("darkroom-studio", "data-engine"), null);
    release();
    await studio.engine();
    assert.equal(
      await studio.page.locator("[name=prompt]").inputValue(),
      "typed before any script",
    );
    assert.deepEqual(await pair.boundingBox(), before, "the script moved the pair");
    assert.deepEqual(studio.errors.filter(notMissing), []);
    await studio.close();
  });

  test("a first visit makes few requests, each once, and fetches the small engine", async () => {
    const context = await browser.newContext({ serviceWorkers: "block" });
    const studio = new Studio(await context.newPage());
    const requests = requestsOf(studio.page, address);
    await studio.page.goto(address);
    await studio.engine();
    const code = requests.filter((line) => /\.(js|css|html|wasm|gz)$|^GET $/.test(line));
    console.log(code.join("\n"));
    assert.equal(new Set(code).size, code.length, `requested twice:\n${code.join("\n")}`);
    assert.ok(code.length <= 8, `${code.length} requests for code`);
    assert.ok(code.some((line) => /^GET assets\/darkroom_bg-.*\.wasm\.gz$/.test(line)));
    assert.ok(!code.some((line) => /^GET .*\.wasm$/.test(line)), "the raw engine was fetched");
    assert.deepEqual(
      requests.filter((line) => /^\w+ https?:/.test(line)),
      [],
      "requests to other hosts",
    );
    await studio.close();
  });

  test("where the host compresses, the page lets it compress the engine", async () => {
    const host = await startCompressingHost();
    const studio = await Studio.visit(browser, host.address, { serviceWorkers: "block" });
    await studio.engine();
    const engine = host.log.filter((line) => line.includes(".wasm"));
    assert.deepEqual(
      engine.map((line) => line.replace(/-[0-9a-f]{8}/, "")),
      ["HEAD assets/darkroom_bg.wasm", "GET assets/darkroom_bg.wasm"],
    );
    await studio.close();
    host.close();
  });

  test("the bytes of the engine show in the progress", async () => {
    const context = await browser.newContext();
    const studio = new Studio(await context.newPage());
    await studio.page.addInitScript(() => {
      /** @type {string[]} */
      const texts = [];
      Object.assign(globalThis, { texts });
      document.addEventListener("DOMContentLoaded", () => {
        const root = document.querySelector("darkroom-studio")?.shadowRoot;
        const status = root?.querySelector("[data-part=status]");
        if (!status) throw new Error("the studio has no status");
        new MutationObserver(() => texts.push(status.textContent ?? "")).observe(status, {
          childList: true,
          characterData: true,
          subtree: true,
        });
      });
    });
    await studio.page.goto(address);
    await studio.engine();
    const texts = await studio.page.evaluate(() => /** @type {any} */ (globalThis).texts);
    const shown = texts.flatMap((/** @type {string} */ text) => {
      const match = /engine · ([\d.]+) of ([\d.]+) MB/.exec(text);
      return match ? [match.slice(1).map(Number)] : [];
    });
    assert.ok(shown.length > 3, `${shown.length} times: ${texts.join(" | ")}`);
    const [done, total] = shown[shown.length - 1];
    const [file] = (await readdir(join(distFolder(), "assets"))).filter((name) =>
      name.endsWith(".gz"),
    );
    const { size } = await stat(join(distFolder(), "assets", file));
    assert.equal(total, Number((size / 1e6).toFixed(1)));
    assert.ok(done > 0.9 * total, `${done} of ${total} MB`);
    await studio.close();
  });

  test("the published page makes the same picture as the sources", async () => {
    const source = await startServer();
    /** @type {import("./studio.mjs").Picture[]} */
    const pictures = [];
    for (const where of [address, source.address]) {
      const studio = await Studio.visit(browser, where);
      await studio.engine();
      await studio.generate(QUICK);
      pictures.push(await studio.picture());
      await studio.close();
    }
    assert.deepEqual(pictures[0], pictures[1]);
    await source.close();
  });

  test("a second visit works without a network, from the list that was generated", async () => {
    const there = address.replace("localhost", HOST);
    const studio = await Studio.visit(browser, there);
    await studio.engine();
    const cached = () =>
      studio.page.evaluate(async () => {
        const name = (await caches.keys()).find((name) => name.startsWith("darkroom-shell-"));
        const keys = name ? await (await caches.open(name)).keys() : [];
        return keys.map(({ url }) => url);
      });
    for (let tries = 0; (await cached()).length === 0; tries += 1) {
      assert.ok(tries < 600, "nothing was cached");
      await studio.page.waitForTimeout(100);
    }
    const names = (await cached()).map((url) => url.slice(there.length));
    assert.ok(!names.some((name) => name.endsWith(".wasm")), "the raw engine was cached");
    await studio.page.context().setOffline(true);
    const failed = /** @type {string[]} */ ([]);
    studio.page.on("requestfailed", (request) => failed.push(request.url()));
    await studio.page.reload();
    await studio.engine();
    await studio.generate(QUICK);
    assert.equal((await studio.picture()).width, 128);
    assert.deepEqual(
      failed.filter((url) => !/\/models\/|\.wasm$/.test(url)),
      [],
      "files that the page needs are not cached",
    );
    await studio.close();
  });

  test("the page can be installed", async () => {
    const studio = await Studio.visit(browser, address);
    const session = await studio.page.context().newCDPSession(studio.page);
    await studio.engine();
    const { errors, data } = await session.send("Page.getAppManifest");
    assert.deepEqual(errors, []);
    const manifest = JSON.parse(data ?? "{}");
    const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
    const reasons = installabilityErrors.map(({ errorId }) => errorId);
    // A test's browser context keeps nothing, as a private window does.
    assert.deepEqual(
      reasons.filter((reason) => reason !== "in-incognito"),
      [],
    );
    assert.equal(manifest.display, "standalone");
    assert.ok(manifest.icons.some((/** @type {any} */ { purpose }) => purpose === "maskable"));
    const sizes = await studio.page.evaluate(async (pictures) => {
      const found = [];
      for (const { src } of pictures) {
        const answer = await fetch(src);
        const { width, height } = await createImageBitmap(await answer.blob());
        found.push(`${width}x${height}`);
      }
      return found;
    }, rasters(manifest));
    assert.deepEqual(
      sizes,
      rasters(manifest).map(({ sizes }) => sizes),
    );
    await studio.close();
  });

  test("code has hashed names, and the licences of all works are there", async () => {
    const files = await readdir(distFolder(), { recursive: true, withFileTypes: true });
    const names = files
      .filter((file) => file.isFile())
      .map((file) => join(file.parentPath, file.name).slice(distFolder().length + 1));
    const code = names.filter((name) => /\.(js|css|wasm|map)(\.(gz|br))?$/.test(name));
    for (const name of code.filter((name) => name !== "sw.js"))
      assert.match(name, /^assets\/\w+-[0-9A-Za-z]{8}\./);
    for (const name of [".nojekyll", "index.html", "sw.js", "THIRD-PARTY-LICENSES.txt"])
      assert.ok(names.includes(name), `${name} is missing`);
    const notices = await readFile(join(distFolder(), "THIRD-PARTY-LICENSES.txt"), "utf8");
    for (const work of ["burn", "vocab/clip", "esbuild"]) assert.ok(notices.includes(work), work);
  });

  test("the npm package can be imported on a server, and exports what it names", async () => {
    const folder = npmFolder();
    const manifest = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    for (const target of Object.values(manifest.exports)) {
      const paths = typeof target === "string" ? [target] : Object.values(target);
      for (const path of paths) await stat(join(folder, path));
    }
    const element = await import(pathToFileURL(join(folder, "darkroom-studio.js")).href);
    assert.equal(typeof element.DarkroomStudio, "function");
    if (manifest.exports["./api"]) {
      const api = await import(pathToFileURL(join(folder, "api.js")).href);
      assert.equal(typeof api.createDarkroom, "function");
    }
    const names = await readdir(folder, { recursive: true });
    assert.deepEqual(
      names.filter((name) => name.endsWith(".map")),
      [],
    );
  });
});

/** A console line for one of the engine's questions about files that a model may lack. */
const notMissing = (/** @type {string} */ line) => !/404/.test(line);

/** @param {any} manifest @returns {{src: string, sizes: string}[]} */
const rasters = ({ icons, screenshots }) =>
  [...icons, ...screenshots].filter((/** @type {any} */ { sizes }) => sizes !== "any");
