// @ts-check
/** The page in the hands of a visitor, for the tests. */
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** @typedef {import("playwright-core").Locator} Locator */
/** @typedef {import("playwright-core").Page} Page */
/** Pixels in RGBA. @typedef {{width: number, height: number, bytes: number[]}} Picture */

/** A correct run on a software GPU and a busy machine may take minutes. */
const PATIENCE_MS = 300_000;
/** A window in which the settings are open from the start. */
export const ROOMY = { width: 1280, height: 900 };

export class Studio {
  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    /** Errors on the console. @type {string[]} */
    this.errors = [];
    page.on("pageerror", (error) => this.errors.push(String(error)));
    page.on("console", (message) => message.type() === "error" && this.errors.push(message.text()));
  }

  /**
   * Opens the page for a new visitor, in a context without storage.
   * @param {import("playwright-core").Browser} browser
   * @param {string} address
   * @param {import("playwright-core").BrowserContextOptions} [options]
   */
  static async visit(browser, address, options = {}) {
    const context = await browser.newContext({
      viewport: ROOMY,
      ...options,
    });
    const studio = new Studio(await context.newPage());
    await studio.page.goto(address);
    return studio;
  }

  /** @param {"ready" | "failed" | "loading"} [state] */
  async engine(state = "ready") {
    await this.page.waitForSelector(`darkroom-studio[data-engine=${state}]`, {
      timeout: PATIENCE_MS,
    });
  }

  /** Types into the fields of these settings. @param {Record<string, string>} fields */
  async fill(fields) {
    for (const [name, value] of Object.entries(fields)) {
      const field = this.page.locator(`[name="${name.replaceAll("_", "-")}"]`).first();
      await this.unfold(field);
      if (name === "device") await this.page.locator(`.choice label:has([value=${value}])`).click();
      else if (name === "sampler" || name === "rng") await field.selectOption(value);
      else await field.fill(value);
    }
  }

  /** Opens the settings, if they are folded over a field. @param {Locator} field */
  async unfold(field) {
    await field.evaluate((element) => {
      for (
        let at = element.closest("details");
        at;
        at = at.parentElement?.closest("details") ?? null
      )
        at.open = true;
    });
  }

  /** Waits until a field has this value. @param {string} name @param {string} value */
  async field(name, value) {
    await this.page.waitForFunction(
      ([name, value]) => {
        const root = document.querySelector("darkroom-studio")?.shadowRoot;
        const field = root?.querySelector(`[name="${name}"]`);
        return field && "value" in field && field.value === value;
      },
      [name, value],
    );
  }

  /** @param {string} act */
  button(act) {
    return this.page.locator(`[data-act=${act}]`).first();
  }

  /** Waits until no picture is in progress. */
  async idle() {
    await this.page.waitForSelector("darkroom-studio[data-work=idle]", { timeout: PATIENCE_MS });
  }

  /**
   * Presses Generate and waits for the end of the run, successful or not.
   * @param {Record<string, string>} [fields] typed first
   * @returns {Promise<number>} seconds
   */
  async generate(fields = {}) {
    await this.fill(fields);
    const began = performance.now();
    await this.button("generate").click();
    await this.idle();
    return (performance.now() - began) / 1000;
  }

  /**
   * The finished picture in view.
   * @param {number} [print] from the left
   * @returns {Promise<Picture>}
   */
  async picture(print = 0) {
    const canvas = this.page.locator(".picture[data-state=finished] canvas").nth(print);
    return canvas.evaluate((canvas) => {
      if (!(canvas instanceof HTMLCanvasElement)) throw new TypeError("not a canvas");
      const { width, height } = canvas;
      const data = canvas.getContext("2d")?.getImageData(0, 0, width, height).data;
      return { width, height, bytes: [...(data ?? [])] };
    });
  }

  /**
   * The pixels of an image file, decoded by the browser.
   * @param {Buffer} file
   * @param {string} [type]
   * @returns {Promise<Picture>}
   */
  async decode(file, type = "image/png") {
    return this.page.evaluate(
      async ([base64, type]) => {
        const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
        const bitmap = await createImageBitmap(new Blob([bytes], { type }), {
          colorSpaceConversion: "none",
        });
        const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
        const context = canvas.getContext("2d");
        context?.drawImage(bitmap, 0, 0);
        const data = context?.getImageData(0, 0, bitmap.width, bitmap.height).data;
        return { width: bitmap.width, height: bitmap.height, bytes: [...(data ?? [])] };
      },
      [file.toString("base64"), type],
    );
  }

  /** The text that a visitor reads; settings are opened for it. @param {string} part */
  async text(part) {
    const found = this.page.locator(`[data-part=${part}]`);
    await this.unfold(found);
    return found.innerText();
  }

  /** The text of the problem on the page, with its buttons. */
  async problem() {
    const problem = this.page.locator("[data-part=problem]");
    await problem.waitFor({ state: "visible", timeout: 60_000 });
    return problem.innerText();
  }

  /** @param {string} name */
  async screenshot(name) {
    const path = join(process.env.DARKROOM_SCREENSHOTS ?? tmpdir(), `darkroom-${name}.png`);
    await writeFile(path, await this.page.screenshot({ fullPage: true }));
    return path;
  }

  async close() {
    await this.page.context().close();
  }
}

/**
 * Peak signal-to-noise ratio over all colours, in dB; Infinity for equal pictures.
 * @param {Picture} a
 * @param {Picture} b
 */
export function psnr(a, b) {
  if (a.width !== b.width || a.height !== b.height)
    throw new Error(`${a.width}×${a.height} against ${b.width}×${b.height}`);
  let sum = 0;
  let count = 0;
  a.bytes.forEach((byte, at) => {
    if (at % 4 === 3) return;
    sum += (byte - b.bytes[at]) ** 2;
    count += 1;
  });
  return sum === 0 ? Infinity : 10 * Math.log10((255 * 255 * count) / sum);
}
