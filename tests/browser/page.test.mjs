// @ts-check
/** The page in Chromium, from two prompts to a picture, on the CPU and on WebGPU (SwiftShader). */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { launchChromium } from "./chromium.mjs";
import { args } from "./command.mjs";
import { startServer } from "./server.mjs";
import { psnr, Studio } from "./studio.mjs";

const MAN = {
  prompt: "Portrait photo of a man",
  negative_prompt: "mustache",
  seed: "1234",
  guidance_scale: "7.5",
  sampler: "euler",
};
const USABLE_S = 2;
const CPU_S = 15;
const SWIFTSHADER_S = 60;
const CLOSE_DB = 35;

describe("the page", () => {
  /** @type {import("./server.mjs").Server} */ let server;
  /** @type {import("playwright-core").Browser} */ let browser;
  before(async () => {
    server = await startServer();
    browser = await launchChromium();
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  /**
   * @param {string} [fragment]
   * @param {import("playwright-core").BrowserContextOptions} [options]
   */
  const visit = (fragment = "", options) =>
    Studio.visit(browser, server.address + fragment, options);

  /**
   * The native command's picture of the same settings.
   * @param {Studio} studio
   * @param {string} steps
   */
  async function native(studio, steps) {
    const command = process.env.DARKROOM_COMMAND;
    assert.ok(command, "DARKROOM_COMMAND names the native command (cargo xtask test sets it)");
    const folder = await mkdtemp(join(tmpdir(), "darkroom-"));
    const out = join(folder, "picture.png");
    const model = new URL("../../www/models/portraits", import.meta.url).pathname;
    const { guidance_scale: guidance, ...settings } = MAN;
    const options = { ...settings, guidance, model, steps, device: "cpu", dtype: "f32", out };
    await promisify(execFile)(command, ["generate", ...args(options)]);
    const picture = await studio.decode(await readFile(out));
    await rm(folder, { recursive: true });
    return picture;
  }

  test("a prompt can be typed within two seconds, while the model loads", async () => {
    const context = await browser.newContext();
    // Weights that never arrive.
    await context.route("**/*.safetensors", () => {});
    const studio = new Studio(await context.newPage());
    const began = performance.now();
    await studio.page.goto(server.address);
    await studio.fill({ prompt: "typed at once", negative_prompt: "this too" });
    const seconds = (performance.now() - began) / 1000;
    console.log(`page usable after ${seconds.toFixed(2)} s`);
    assert.equal(await studio.page.locator("[name=prompt]").inputValue(), "typed at once");
    assert.equal(await studio.page.getAttribute("darkroom-studio", "data-engine"), "loading");
    assert.ok(seconds < USABLE_S, `${seconds} s`);
    await studio.close();
  });

  test("the CPU makes the native command's picture, and a link makes it again", async () => {
    const studio = await visit();
    await studio.engine();
    assert.match(
      await studio.text("device"),
      /^CPU: No real GPU found \(only a software one, “.*SwiftShader.*”\)/i,
      "a software adapter was taken for a GPU",
    );
    const seconds = await studio.generate({ ...MAN, steps: "20" });
    assert.deepEqual(studio.errors, []);
    console.log(`20 steps on the CPU: ${seconds.toFixed(2)} s`);
    const picture = await studio.picture();
    const alike = psnr(picture, await native(studio, "20"));
    console.log(`CPU compared with the native command: ${alike.toFixed(1)} dB`);
    assert.ok(alike > CLOSE_DB, `${alike} dB`);
    console.log(`screenshot: ${await studio.screenshot("cpu")}`);

    await studio.page.waitForFunction(() => location.hash.includes("seed=1234"));
    /** @type {string[]} */
    const fetched = [];
    studio.page.on(
      "request",
      (request) =>
        /models\/.*\//.test(request.url()) && fetched.push(`${request.method()} ${request.url()}`),
    );
    await studio.page.reload();
    await studio.engine();
    // HEAD requests ask for the version of a cached file. No weights are downloaded.
    assert.deepEqual(
      fetched.filter((line) => !/^HEAD |\/(model_index|showcase)\.json$/.test(line)),
      [],
      "downloaded on a second visit",
    );
    await studio.generate();
    assert.deepEqual(
      await studio.picture(),
      picture,
      "the link makes the same picture, pixel for pixel",
    );
    assert.ok(seconds < CPU_S, `${seconds} s for 20 steps`);
    await studio.close();
  });

  test("WebGPU makes the native command's picture", async () => {
    const studio = await visit("#device=gpu");
    await studio.engine();
    assert.match(await studio.text("device"), /SwiftShader/i);
    assert.equal(await studio.page.getAttribute("darkroom-studio", "data-device"), "gpu");
    const seconds = await studio.generate({ ...MAN, steps: "20" });
    assert.deepEqual(studio.errors, []);
    console.log(`20 steps on SwiftShader: ${seconds.toFixed(2)} s`);
    const alike = psnr(await studio.picture(), await native(studio, "20"));
    console.log(`SwiftShader compared with the native command: ${alike.toFixed(1)} dB`);
    assert.ok(alike > CLOSE_DB, `${alike} dB`);
    assert.ok(seconds < SWIFTSHADER_S, `${seconds} s for 20 steps`);
    console.log(`screenshot: ${await studio.screenshot("swiftshader")}`);
    await studio.close();
  });

  test("the page switches to the CPU where the GPU fails, and says so", async () => {
    const context = await browser.newContext();
    await context.route("**/pkg/darkroom.js", async (route) => {
      const response = await route.fetch();
      const script = (await response.text()).replace(
        "static create(kind) {",
        `$& if (kind === "gpu") return Promise.reject(new Error("device: 2 + 2 was 5"));`,
      );
      await route.fulfill({ response, body: script });
    });
    const studio = new Studio(await context.newPage());
    await studio.page.goto(`${server.address}#device=gpu`);
    await studio.engine();
    assert.match(
      await studio.text("device"),
      /^CPU: The GPU did not pass its test: device: 2 \+ 2 was 5\.$/,
    );
    await studio.generate({ ...MAN, steps: "2" });
    assert.equal((await studio.picture()).width, 128);
    await studio.close();
  });

  test("a picture has previews and can be cancelled, and the next one is made", async () => {
    const studio = await visit();
    await studio.engine();
    // More steps than will be made.
    await studio.fill({ ...MAN, steps: "500" });
    await studio.button("generate").click();
    await studio.page.waitForSelector(".picture[data-state=preview]");
    assert.match(await studio.text("status"), /Step \d+ of 500/);
    await studio.button("cancel").click();
    await studio.idle();
    assert.equal(await studio.text("status"), "Cancelled.");
    assert.equal(await studio.page.locator(".picture[data-state=finished]").count(), 0);
    await studio.generate({ steps: "3" });
    assert.equal((await studio.picture()).width, 128);
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("Compare makes two pictures of one seed that differ by the negative prompt", async () => {
    const studio = await visit();
    await studio.engine();
    // With the page's first seed the man has a mustache, and only the mustache may go.
    await studio.fill({ ...MAN, seed: "14", steps: "6" });
    await studio.button("compare").click();
    await studio.idle();
    const [without, withIt] = [await studio.picture(0), await studio.picture(1)];
    const alike = psnr(without, withIt);
    assert.ok(alike < 30, `the negative prompt changed next to nothing: ${alike} dB`);
    console.log(`screenshot: ${await studio.screenshot("compare")}`);
    await studio.page.locator("[data-part=lock]").check();
    await studio.generate({ negative_prompt: "" });
    assert.deepEqual(await studio.picture(), without);
    // The gallery restores the older picture.
    await studio.page.locator(".gallery li").nth(1).getByRole("button").click();
    await studio.field("negative-prompt", "mustache");
    assert.deepEqual(await studio.picture(), withIt);
    await studio.close();
  });

  test("a saved PNG contains the picture and its generation parameters", async () => {
    const studio = await visit();
    await studio.engine();
    await studio.generate({ ...MAN, prompt: "Portrait photo of a man, café", steps: "2" });
    const download = studio.page.waitForEvent("download");
    await studio.button("save").click();
    const file = await readFile(await (await download).path());
    assert.match((await download).suggestedFilename(), /^darkroom-1234-portrait.*\.png$/);
    assert.deepEqual(await studio.decode(file), await studio.picture());
    const at = file.indexOf("tEXtparameters\0");
    const text = file.subarray(at + 15, at + 4 + file.readUInt32BE(at - 4)).toString("latin1");
    assert.equal(
      text,
      "Portrait photo of a man, café\nNegative prompt: mustache\n" +
        "Steps: 2, Sampler: Euler, Schedule type: Karras, CFG scale: 7.5, Seed: 1234, " +
        "Size: 128x128, Model: portraits, RNG: CPU, Version: Darkroom",
    );
    await studio.close();
  });

  test("another model gets its default guidance scale, unless the visitor chose one", async () => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    // The same model at another address. A name without a model would be refused.
    await context.route("**/models/other/**", (route) =>
      route.continue({ url: route.request().url().replace("/other/", "/portraits/") }),
    );
    const studio = new Studio(await context.newPage());
    await studio.page.goto(server.address);
    await studio.engine();
    const model = studio.page.locator("[name=model]");
    /** @param {string} name */
    const change = async (name) => {
      await model.fill(name);
      await model.blur();
    };
    await studio.field("guidance-scale", "3");
    await change("models/other");
    await studio.field("guidance-scale", "7.5");
    await studio.page.waitForFunction(() => location.hash.includes("guidance-scale=7.5"));
    await change("models/portraits");
    await studio.field("guidance-scale", "3");
    await studio.fill({ guidance_scale: "6" });
    await change("models/other");
    await studio.page.waitForFunction(() => location.hash.includes("model=models%2Fother"));
    await studio.field("guidance-scale", "6");

    const linked = new Studio(await context.newPage());
    await linked.page.goto(`${server.address}#model=models/other&prompt=a+cat`);
    await linked.engine();
    await linked.field("guidance-scale", "7.5");
    await studio.close();
  });

  test("a link of an earlier version fills the fields, and gets the current names", async () => {
    const studio = await visit("#negative=hat&guidance=2.5");
    assert.equal(await studio.page.locator("[name=negative-prompt]").inputValue(), "hat");
    assert.equal(await studio.page.locator("[name=guidance-scale]").inputValue(), "2.5");
    await studio.fill({ steps: "2" });
    await studio.page.waitForFunction(
      () =>
        location.hash.includes("negative-prompt=hat") &&
        location.hash.includes("guidance-scale=2.5"),
    );
    assert.doesNotMatch(
      await studio.page.evaluate(() => location.hash),
      /[#&](negative|guidance)=/,
    );
    await studio.close();
  });

  test("long prompts and negative prompts without effect are noted", async () => {
    const studio = await visit();
    await studio.engine();
    const tokens = studio.page.locator("[data-for=negative-prompt]");
    await studio.fill({ negative_prompt: "mustache, glasses" });
    await tokens.filter({ hasText: "3 / 75 tokens" }).waitFor();
    await studio.fill({ negative_prompt: "mustache ".repeat(80) });
    await studio.page.waitForSelector("[data-for=negative-prompt][data-over]");
    assert.equal(await tokens.innerText(), "80 / 150 tokens");
    assert.match(
      await studio.page.locator("[data-note=negative-prompt]").innerText(),
      /split into 2 chunks\. The first ends before “mustache mustache mustache mustache must…”/,
    );
    await studio.fill({ negative_prompt: "mustache", guidance_scale: "1" });
    assert.match(await studio.page.locator("[data-note=negative-prompt]").innerText(), /no effect/);
    await studio.close();
  });

  test("a phone-sized page is usable by keyboard", async () => {
    const studio = await visit("", {
      viewport: { width: 360, height: 740 },
      isMobile: true,
      hasTouch: true,
    });
    await studio.engine();
    await studio.fill({ steps: "2" });
    await studio.page.locator("[name=prompt]").focus();
    await studio.page.keyboard.press("Tab");
    assert.equal(
      await studio.page.evaluate(() =>
        document.activeElement?.shadowRoot?.activeElement?.getAttribute("name"),
      ),
      "negative-prompt",
    );
    await studio.page.keyboard.type(", hat");
    await studio.page.keyboard.press("Control+Enter");
    await studio.page.waitForSelector(".picture[data-state=finished]");
    const [content, window] = await studio.page.evaluate(() => [
      document.documentElement.scrollWidth,
      innerWidth,
    ]);
    assert.ok(content <= window, `${content} pixels of page on ${window} of screen`);
    console.log(`screenshot: ${await studio.screenshot("phone")}`);
    await studio.close();
  });
});
