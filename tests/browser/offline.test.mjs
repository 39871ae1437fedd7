// @ts-check
/**
 * What the service worker keeps of the page: a visit without network and server, and never a mix of two deployments. On localhost it stands back, so the
 * page is at a name of its own here.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { Site } from "./hub.mjs";
import { Studio } from "./studio.mjs";

const HOST = "darkroom.localhost";
const QUICK = { steps: "2", sampler: "euler" };
/** Files that tell which deployment they are of, by what they put into `globalThis.deployments`. */
const MARKED =
  /^(main|darkroom-studio|engine\/client|base\/problem|studio\/form|studio\/settings)\.js$/;

describe("without a network", () => {
  /** @type {import("playwright-core").Browser} */ let browser;
  before(async () => {
    browser = await launchChromium({ webgpu: false });
  });
  after(() => browser?.close());

  /** The edition that the next opening gets. @param {Studio} studio */
  const newest = (studio) =>
    studio.page.evaluate(async () => {
      const notes = await caches.open("darkroom-shell");
      return (await (await notes.match(new URL("?note=newest", location.href)))?.text()) ?? null;
    });

  /** @param {Studio} studio @param {string | null} before */
  async function renewed(studio, before) {
    for (let tries = 0; tries < 1200; tries += 1) {
      const now = await newest(studio);
      if (now !== before) return now;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`the newest edition is still ${before}`);
  }

  for (const host of [HOST, "localhost"]) {
    test(`a second visit to ${host} makes a picture with the network off and the server gone`, async () => {
      const site = await Site.start();
      const studio = await Studio.visit(browser, site.address(host));
      await studio.engine();
      await renewed(studio, null);
      await studio.page.context().setOffline(true);
      await site.close();
      await studio.page.reload();
      await studio.engine();
      await studio.generate({ ...QUICK, seed: "3" });
      assert.equal((await studio.picture()).width, 128);
      await studio.close();
    });
  }

  test("a new deployment is never mixed with the old one", async () => {
    const site = await Site.start();
    let deployment = "one";
    /** Files that are of the old one still, once. @type {Set<string>} */
    const late = new Set();
    site.change = (path, bytes) => {
      if (!MARKED.test(path)) return bytes;
      const name = late.delete(path) ? "one" : deployment;
      return Buffer.concat([
        bytes,
        Buffer.from(`\n(globalThis.deployments ??= {})["${path}"] = "${name}";\n`),
      ]);
    };
    const studio = await Studio.visit(browser, site.address(HOST));
    await studio.engine();
    const editions = () =>
      studio.page.evaluate(() => [
        ...new Set(Object.values(/** @type {any} */ (globalThis).deployments)),
      ]);
    assert.deepEqual(await editions(), ["one"]);
    const first = await renewed(studio, null);
    await studio.page.reload();
    await studio.engine();
    assert.deepEqual(await editions(), ["one"]);

    // The server's files are looked at while they are being uploaded: what is found then is no deployment.
    deployment = "two";
    for (const path of ["base/problem.js", "studio/form.js"]) late.add(path);
    await studio.page.reload();
    await studio.engine();
    assert.deepEqual(await editions(), ["one"]);
    for (let tries = 0; late.size > 0; tries += 1) {
      assert.ok(tries < 1200, "the server was not asked for a newer edition");
      await studio.page.waitForTimeout(100);
    }
    // Long enough to look twice.
    const asked = () =>
      site.log.filter((path) => path === "sw.js" || path === "weights/source.js").length;
    for (let before = -1; before !== asked(); await studio.page.waitForTimeout(2000))
      before = asked();
    assert.equal(await newest(studio), first, "half of an upload was taken for a deployment");

    await studio.page.reload();
    await studio.engine();
    assert.deepEqual(await editions(), ["one"], "the newer one is for the next opening");
    const second = await renewed(studio, first);
    assert.notEqual(second, first);
    // An old page, still open, goes on with its own files: its worker is started anew here.
    await studio.fill({ device: "cpu" });
    await studio.engine();
    await studio.generate(QUICK);
    await studio.page.reload();
    await studio.engine();
    assert.deepEqual(await editions(), ["two"]);
    await studio.generate(QUICK);
    assert.equal((await studio.picture()).width, 128);
    assert.deepEqual(studio.errors, []);
    await studio.close();
    await site.close();
  });

  test("all that the page loads by itself is kept", async () => {
    const site = await Site.start();
    const studio = await Studio.visit(browser, site.address(HOST));
    await studio.engine();
    await renewed(studio, null);
    const shell = await studio.page.evaluate(async () => {
      const name = (await caches.keys()).find((name) => name.startsWith("darkroom-shell-"));
      return (await (await caches.open(name ?? "")).keys()).map(
        ({ url }) => new URL(url).pathname.slice(1) || "index.html",
      );
    });
    const loaded = new Set(site.log.filter((path) => !/^(models|vocab)\/|^sw\.js$/.test(path)));
    assert.deepEqual([...loaded].sort(), shell.sort());
    await studio.close();
    await site.close();
  });
});
