// @ts-check
/** The main path in Firefox, on the published page: open, make a picture, come back offline. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { args, DEMO } from "./command.mjs";
import { distFolder } from "./dist.mjs";
import { launchFirefox } from "./firefox.mjs";
import { startServer } from "./server.mjs";
import { psnr } from "./studio.mjs";

/** @typedef {import("puppeteer-core").Page} Page */
/** @typedef {import("./studio.mjs").Picture} Picture */

const SETTINGS = { ...DEMO, guidance_scale: "3", steps: "8" };
const PATIENCE_MS = 300_000;
const CLOSE_DB = 35;
/** The address of the page with these settings. */
const fragment = `#${new URLSearchParams(
  Object.entries(SETTINGS).map(([name, value]) => [name.replaceAll("_", "-"), value]),
)}`;

describe("Firefox", () => {
  /** @type {import("puppeteer-core").Browser} */ let browser;
  /** @type {import("./server.mjs").Server} */ let server;
  before(async () => {
    server = await startServer({ root: distFolder() });
    browser = await launchFirefox();
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  /** @param {Page} page */
  async function ready(page) {
    await page.waitForSelector("darkroom-studio[data-engine=ready]", { timeout: PATIENCE_MS });
  }

  /**
   * Presses Generate, and returns the finished picture.
   * @param {Page} page
   * @returns {Promise<Picture>}
   */
  async function generate(page) {
    await page.locator("darkroom-studio >>> [data-act=generate]").click();
    const finished = "darkroom-studio >>> .picture[data-state=finished] canvas";
    await page.waitForSelector("darkroom-studio[data-work=idle]", { timeout: PATIENCE_MS });
    const canvas = await page.waitForSelector(finished, { timeout: PATIENCE_MS });
    assert.ok(canvas);
    return canvas.evaluate((element) => {
      if (!(element instanceof HTMLCanvasElement)) throw new TypeError("not a canvas");
      const { width, height } = element;
      const data = element.getContext("2d")?.getImageData(0, 0, width, height).data;
      return { width, height, bytes: [...(data ?? [])] };
    });
  }

  /** The native command's picture of the same settings. @param {Page} page */
  async function native(page) {
    const command = process.env.DARKROOM_COMMAND;
    assert.ok(command, "DARKROOM_COMMAND names the native command (cargo xtask test sets it)");
    const folder = await mkdtemp(join(tmpdir(), "darkroom-"));
    const out = join(folder, "picture.png");
    const model = new URL("../../www/models/portraits", import.meta.url).pathname;
    const options = { ...SETTINGS, model, device: "cpu", dtype: "f32", out };
    await promisify(execFile)(command, ["generate", ...args(options)]);
    const file = (await readFile(out)).toString("base64");
    await rm(folder, { recursive: true });
    return page.evaluate(async (base64) => {
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }), {
        colorSpaceConversion: "none",
      });
      const { width, height } = bitmap;
      const context = new OffscreenCanvas(width, height).getContext("2d");
      context?.drawImage(bitmap, 0, 0);
      const data = context?.getImageData(0, 0, width, height).data;
      return { width, height, bytes: [...(data ?? [])] };
    }, file);
  }

  test("makes the native command's picture, and makes it again without a server", async () => {
    const page = await browser.newPage();
    /** @type {string[]} */
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    await page.goto(server.address + fragment);
    await ready(page);
    const began = performance.now();
    const picture = await generate(page);
    console.log(`8 steps in Firefox: ${((performance.now() - began) / 1000).toFixed(1)} s`);
    const device = await page.$eval("darkroom-studio", (studio) =>
      studio.getAttribute("data-device"),
    );
    assert.equal(device, "cpu");
    const alike = psnr(picture, await native(page));
    console.log(`compared with the native command: ${alike.toFixed(1)} dB`);
    assert.ok(alike > CLOSE_DB, `${alike} dB`);

    await page.waitForFunction(
      async () => (await caches.keys()).some((name) => name.startsWith("darkroom-shell-")),
      { timeout: PATIENCE_MS },
    );
    await server.close();
    await page.reload();
    await ready(page);
    assert.deepEqual(await generate(page), picture, "another picture without the server");
    assert.deepEqual(errors, []);
    await page.close();
  });
});
