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
const PATIENCE_S = 180;
const CLOSE_DB = 35;
/** The address of the page with these settings. */
const fragment = `#${new URLSearchParams(
  Object.entries(SETTINGS).map(([name, value]) => [name.replaceAll("_", "-"), value]),
)}`;

/**
 * A picture that came as text: WebDriver BiDi wraps every number of an array into an object.
 * @param {{width: number, text: string}} encoded
 * @returns {Picture}
 */
function pictureOf({ width, text }) {
  const bytes = [...Buffer.from(text, "base64")];
  return { width, height: bytes.length / 4 / width, bytes };
}

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

  /**
   * The state of the studio, for waiting and for messages.
   * @param {Page} page
   * @returns {Promise<Record<string, string | undefined>>}
   */
  const state = (page) =>
    page.evaluate(() => {
      const studio = /** @type {HTMLElement | null} */ (document.querySelector("darkroom-studio"));
      const text = (/** @type {string} */ part) =>
        studio?.shadowRoot?.querySelector(`[data-part=${part}]`)?.textContent?.trim() ?? "";
      return { ...studio?.dataset, status: text("status"), problem: text("problem") };
    });

  /**
   * Waits for a state of the studio.
   * @param {Page} page
   * @param {"engine" | "work"} name
   * @param {string} value
   */
  async function until(page, name, value) {
    const began = performance.now();
    for (;;) {
      const now = await state(page);
      if (now[name] === value) return now;
      const seconds = (performance.now() - began) / 1000;
      assert.ok(seconds < PATIENCE_S, `after ${seconds} s: ${JSON.stringify(now)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /**
   * Presses Generate, and returns the finished picture.
   * @param {Page} page
   * @returns {Promise<Picture>}
   */
  async function generate(page) {
    const button = await page.waitForSelector("darkroom-studio >>> [data-act=generate]");
    await button?.click();
    await until(page, "work", "running");
    await until(page, "work", "idle");
    return pictureOf(
      await page.evaluate(() => {
        const root = document.querySelector("darkroom-studio")?.shadowRoot;
        const canvas = root?.querySelector(".picture[data-state=finished] canvas");
        if (!(canvas instanceof HTMLCanvasElement)) throw new TypeError("no finished picture");
        const { width, height } = canvas;
        const data = canvas.getContext("2d")?.getImageData(0, 0, width, height).data ?? [];
        return {
          width,
          text: btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join("")),
        };
      }),
    );
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
    const decoded = await page.evaluate(async (base64) => {
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }), {
        colorSpaceConversion: "none",
      });
      const { width, height } = bitmap;
      const context = new OffscreenCanvas(width, height).getContext("2d");
      context?.drawImage(bitmap, 0, 0);
      const data = context?.getImageData(0, 0, width, height).data ?? [];
      return { width, text: btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join("")) };
    }, file);
    return pictureOf(decoded);
  }

  test("makes the native command's picture, and makes it again without a server", async () => {
    const page = await browser.newPage();
    /** @type {string[]} */
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    await page.goto(server.address + fragment);
    await until(page, "engine", "ready");
    const began = performance.now();
    const picture = await generate(page);
    console.log(`8 steps in Firefox: ${((performance.now() - began) / 1000).toFixed(1)} s`);
    assert.equal((await state(page)).device, "cpu");
    const alike = psnr(picture, await native(page));
    console.log(`compared with the native command: ${alike.toFixed(1)} dB`);
    assert.ok(alike > CLOSE_DB, `${alike} dB`);

    // The note is written when all files are.
    const hasEdition = () =>
      page.evaluate(async () => {
        const notes = await caches.open("darkroom-shell");
        return Boolean(await notes.match(new URL("?note=newest", location.href)));
      });
    for (let tries = 0; !(await hasEdition()); tries += 1) {
      assert.ok(tries < 1200, "the page was not saved for visits without a server");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await server.close();
    await page.reload();
    await until(page, "engine", "ready");
    assert.deepEqual(await generate(page), picture, "another picture without the server");
    assert.deepEqual(errors, []);
    await page.close();
  });
});
