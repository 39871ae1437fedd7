// @ts-check
/** Errors are explained, keep what was typed, and do not prevent the next picture. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launchChromium } from "./chromium.mjs";
import { startServer } from "./server.mjs";
import { ROOMY, Studio } from "./studio.mjs";

const QUICK = { steps: "2", sampler: "euler" };

describe("errors on the page", () => {
  /** @type {import("./server.mjs").Server} */ let server;
  /** @type {import("playwright-core").Browser} */ let browser;
  before(async () => {
    server = await startServer({ hosts: ["plain.test"] });
    // These tests need no GPU, and one of them is about a browser without WebGPU.
    browser = await launchChromium({
      webgpu: false,
      args: ["--host-resolver-rules=MAP plain.test 127.0.0.1"],
    });
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  /**
   * Opens a page that gets other answers for some of the model's files.
   * @param {string} files
   * @param {(route: import("playwright-core").Route) => unknown} answer
   */
  async function tamper(files, answer) {
    const context = await browser.newContext({ viewport: ROOMY });
    await context.route(files, answer);
    const studio = new Studio(await context.newPage());
    await studio.page.goto(`${server.address}#prompt=typed+before&seed=7`);
    return { studio, repair: () => context.unroute(files) };
  }

  /** The text of the problem. Checks that what was typed is still there. @param {Studio} studio */
  async function problemText(studio) {
    const words = await studio.problem();
    await studio.engine("failed");
    assert.equal(await studio.page.locator("[name=prompt]").inputValue(), "typed before");
    assert.equal(await studio.page.locator("[name=seed]").inputValue(), "7");
    return words;
  }

  /**
   * @param {Studio} studio
   * @param {string} remedy
   */
  async function remedied(studio, remedy) {
    await studio.page.locator(`[data-remedy=${remedy}]`).click();
    await studio.engine();
    assert.equal(await studio.page.locator("[data-part=problem]").isVisible(), false);
    await works(studio);
  }

  /** @param {Studio} studio */
  async function works(studio) {
    await studio.generate(QUICK);
    assert.equal((await studio.picture()).width, 128);
    await studio.close();
  }

  test("without WebGPU pictures are made on the CPU, and the page says why", async () => {
    const studio = await Studio.visit(browser, server.address);
    await studio.engine();
    assert.match(await studio.text("device"), /^CPU: .*WebGPU/);
    await works(studio);
  });

  test("a missing model folder is named, and another one loads after it", async () => {
    const studio = await Studio.visit(
      browser,
      `${server.address}#prompt=typed+before&seed=7&model=models/nowhere`,
    );
    const words = await problemText(studio);
    assert.match(words, /models\/nowhere\/|model_index\.json/);
    await studio.fill({ model: "models/portraits" });
    await studio.page.locator("[name=model]").press("Tab");
    await studio.engine();
    await works(studio);
  });

  test("a missing file is named, and the model loads once it is there", async () => {
    const { studio, repair } = await tamper("**/vae/*", (route) =>
      route.fulfill({ status: 404, body: "" }),
    );
    assert.match(await problemText(studio), /vae\//);
    await repair();
    await studio.generate();
    await works(studio);
  });

  test("a truncated weights file is named, and downloading it again helps", async () => {
    const { studio, repair } = await tamper(
      "**/unet/diffusion_pytorch_model.safetensors",
      async (route) => {
        // This server does not answer HEAD either.
        if (route.request().method() === "HEAD") return route.fulfill({ status: 405, body: "" });
        const [start, last] = (route.request().headers().range ?? "")
          .match(/\d+/g)
          ?.map(Number) ?? [0, Infinity];
        const file = (await (await route.fetch({ headers: {} })).body()).subarray(0, 1_000_000);
        const body = file.subarray(start, last + 1);
        const headers = {
          "content-range": `bytes ${start}-${start + body.length - 1}/${file.length}`,
        };
        await route.fulfill({
          status: 206,
          contentType: "application/octet-stream",
          headers,
          body,
        });
      },
    );
    assert.match(await problemText(studio), /unet\/diffusion_pytorch_model\.safetensors/);
    await repair();
    await remedied(studio, "fresh");
  });

  test("an unknown type in a config is quoted, with the file's path", async () => {
    const { studio, repair } = await tamper("**/unet/config.json", async (route) => {
      const body = (await (await route.fetch()).text()).replace(
        "CrossAttnDownBlock2D",
        "SidewaysBlock2D",
      );
      await route.fulfill({ body, contentType: "application/json" });
    });
    const words = await problemText(studio);
    assert.match(words, /unet\/config\.json/);
    assert.match(words, /SidewaysBlock2D/);
    await repair();
    await remedied(studio, "fresh");
  });

  test("an unreachable server is reported, and trying again loads the model", async () => {
    const { studio, repair } = await tamper("**/models/**", (route) =>
      route.abort("connectionrefused"),
    );
    assert.match(await problemText(studio), /could not be reached/);
    await repair();
    await remedied(studio, "again");
  });

  test("a connection that breaks twice does not stop the download", async () => {
    let breaks = 2;
    const { studio } = await tamper("**/unet/diffusion_pytorch_model.safetensors", (route) =>
      breaks-- > 0 ? route.abort("connectionreset") : route.continue(),
    );
    await studio.engine();
    await works(studio);
  });

  test("a model loads from a server without ranges", async () => {
    const { studio } = await tamper("**/*.safetensors", async (route) => {
      const { range, ...headers } = route.request().headers();
      const response = await route.fetch({ headers });
      const { "accept-ranges": _, ...rest } = response.headers();
      await route.fulfill({ response, headers: rest });
    });
    await studio.engine();
    await works(studio);
  });

  test("a page without https makes pictures, without storage", async () => {
    const studio = await Studio.visit(
      browser,
      server.address.replace(/\/\/[^:/]+/, "//plain.test"),
    );
    await studio.engine();
    assert.match(await studio.text("device"), /https/);
    assert.match(
      await studio.text("model"),
      /not saved, because this page is not served over https/,
    );
    await works(studio);
  });

  test("a second visit needs no server, and downloads a changed model", async () => {
    const studio = await Studio.visit(browser, server.address);
    await studio.engine();
    const context = studio.page.context();
    await context.route("**/models/**", (route) => route.abort("connectionrefused"));
    await studio.page.reload();
    await studio.engine();
    await context.unroute("**/models/**");

    /** @type {string[]} */
    const fetched = [];
    studio.page.on("request", (request) => fetched.push(new URL(request.url()).pathname));
    await context.route("**/model_index.json", async (route) => {
      const response = await route.fetch();
      await route.fulfill({
        response,
        body: (await response.text()).replace("{", '{ "_new": true,'),
      });
    });
    await studio.page.reload();
    await studio.engine();
    assert.ok(
      fetched.some((path) => path.endsWith("unet/diffusion_pytorch_model.safetensors")),
      "a changed model was not downloaded again",
    );
    await works(studio);
  });

  test("invalid settings are explained beside their fields, and make no picture", async () => {
    const studio = await Studio.visit(browser, server.address);
    await studio.engine();
    for (const [field, value, words] of [
      ["width", "100", /multiple of 8 pixels up to 4096, such as 104/],
      ["width", "100000000", /up to 4096, such as 4096/],
      ["height", "x", /multiple of 8/],
      ["steps", "0", /from 1 to 1000/],
      ["steps", "1000000", /from 1 to 1000/],
      ["guidance-scale", "NaN", /a number/],
      ["seed", "18446744073709551616", /from 0 to 18446744073709551615/],
    ]) {
      const name = /** @type {string} */ (field);
      const before = await studio.page.locator(`[name=${name}]`).inputValue();
      await studio.generate({ [name]: /** @type {string} */ (value) });
      assert.match(
        await studio.page.locator(`[data-note=${name}]`).innerText(),
        /** @type {RegExp} */ (words),
      );
      assert.equal(await studio.page.locator(".picture[data-state=finished]").count(), 0);
      await studio.fill({ [name]: before });
    }
    // An empty field means the model's default.
    await studio.fill({ width: "" });
    await works(studio);
  });

  /**
   * Opens a page with an engine that fails with this error at its first step.
   * @param {{kind: string, message: string}} error
   */
  async function failingStep({ kind, message }) {
    // The service worker would also request the engine, perhaps before the engine's worker does.
    const context = await browser.newContext({ viewport: ROOMY, serviceWorkers: "block" });
    let altered = false;
    await context.route("**/pkg/darkroom.js", async (route) => {
      const response = await route.fetch();
      const script = await response.text();
      if (altered) return route.fulfill({ response, body: script });
      altered = true;
      const words = JSON.stringify(message);
      const fail = `Promise.reject(Object.assign(new Error(${words}), { kind: "${kind}" }))`;
      const body = script.replace(
        /\bstep\(\) \{/,
        `$& if (!globalThis.failed) { globalThis.failed = true; return ${fail}; }`,
      );
      assert.notEqual(body, script, "the engine's step was not found");
      await route.fulfill({ response, body });
    });
    const studio = new Studio(await context.newPage());
    await studio.page.goto(server.address);
    await studio.engine();
    await studio.page.locator("darkroom-studio").evaluate((studio) => {
      new MutationObserver(
        () =>
          studio.getAttribute("data-engine") === "loading" &&
          studio.setAttribute("data-reopened", ""),
      ).observe(studio, { attributeFilter: ["data-engine"] });
    });
    await studio.generate(QUICK);
    return {
      studio,
      reopened: async () =>
        (await studio.page.getAttribute("darkroom-studio", "data-reopened")) !== null,
    };
  }

  test("an error of kind device replaces the engine, however it is worded", async () => {
    const { studio, reopened } = await failingStep({
      kind: "device",
      message: "words of any kind",
    });
    assert.match(await studio.problem(), /The engine has stopped\s+words of any kind/);
    await studio.engine();
    assert.ok(await reopened());
    await works(studio);
  });

  test("an error of another kind keeps the engine, however it is worded", async () => {
    const { studio, reopened } = await failingStep({ kind: "numeric", message: "device: NaN" });
    assert.match(await studio.problem(), /The picture could not be made\s+device: NaN/);
    assert.equal(await reopened(), false);
    await works(studio);
  });

  test("an engine that crashes during a picture restarts, and keeps what was typed", async () => {
    const studio = await Studio.visit(browser, server.address);
    await studio.engine();
    await studio.generate({ ...QUICK, prompt: "typed before", seed: "7" });
    await studio.fill({ steps: "500" });
    await studio.button("generate").click();
    await studio.page.waitForSelector(".picture[data-state=preview]");
    const [worker] = studio.page.workers();
    await worker.evaluate(
      () =>
        void setTimeout(() => {
          throw new WebAssembly.RuntimeError("unreachable executed");
        }),
    );
    assert.match(await studio.problem(), /The engine has stopped/);
    await studio.engine();
    assert.equal(await studio.page.locator("[name=prompt]").inputValue(), "typed before");
    assert.equal(await studio.page.locator(".gallery li").count(), 1);
    // The picture is begun again, until the visitor cancels it.
    await studio.button("cancel").click();
    await studio.idle();
    assert.equal(await studio.page.locator(".picture[data-state=finished]").count(), 1);
    await works(studio);
  });

  test("a first visit asks for no file that does not exist", async () => {
    const context = await browser.newContext({ viewport: ROOMY });
    const studio = new Studio(await context.newPage());
    /** @type {string[]} */
    const refused = [];
    context.on("response", (response) => {
      if (response.status() >= 400) refused.push(`${response.status()} ${response.url()}`);
    });
    await studio.page.goto(server.address);
    await studio.engine();
    assert.deepEqual(refused, []);
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("blocked storage is named, and pictures are made without it", async () => {
    const context = await browser.newContext({ viewport: ROOMY, serviceWorkers: "block" });
    const block = () =>
      Object.defineProperty(globalThis, "caches", {
        get() {
          throw new DOMException("The operation is insecure.", "SecurityError");
        },
      });
    await context.addInitScript(block);
    await context.route("**/engine/worker.js", async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: `${await response.text()}\n(${block})();\n` });
    });
    const studio = new Studio(await context.newPage());
    await studio.page.goto(server.address);
    await studio.engine();
    assert.match(await studio.text("model"), /not saved, because the browser refuses storage/);
    await studio.button("models").click();
    await studio.page.locator("dialog[data-part=models]").waitFor();
    await studio.page
      .locator("[data-part=storage]", {
        hasText: "No models are saved: the browser refuses storage",
      })
      .waitFor();
    await studio.page.locator("[data-part=models] [data-act=close]").click();
    assert.deepEqual(studio.errors, []);
    await works(studio);
  });

  for (const file of ["pkg/darkroom.js", "pkg/darkroom_bg.wasm"])
    test(`a page without ${file} says so, and works once it is there`, async () => {
      const context = await browser.newContext({ viewport: ROOMY, serviceWorkers: "block" });
      const missing = (/** @type {import("playwright-core").Route} */ route) =>
        route.fulfill({ status: 404, body: "" });
      await context.route(`**/${file}`, missing);
      const studio = new Studio(await context.newPage());
      await studio.page.goto(server.address);
      await studio.engine("failed");
      const words = await studio.problem();
      assert.match(words, /A file of this page is missing/);
      assert.match(words, new RegExp(`${file}: the server answered 404`));
      await context.unroute(`**/${file}`, missing);
      await studio.page.locator("[data-remedy=reload]").click();
      await works(await ready(studio));
    });

  /** @param {Studio} studio */
  async function ready(studio) {
    await studio.engine();
    return studio;
  }

  test("a change of the device during a picture takes effect after it", async () => {
    const studio = await Studio.visit(browser, server.address);
    await studio.engine();
    // Long enough for the change to come before its end.
    await studio.fill({ steps: "40", sampler: "euler" });
    await studio.button("generate").click();
    await studio.page.waitForSelector(".picture[data-state=preview]");
    await studio.fill({ device: "cpu" });
    const later = studio.page.locator("[data-part=device]", { hasText: "after this picture" });
    await later.waitFor();
    await studio.idle();
    assert.equal((await studio.picture()).width, 128, "the picture was thrown away");
    await studio.engine();
    assert.match(await studio.text("device"), /CPU: Chosen by you/);
    await works(studio);
  });

  test("a picture larger than WebAssembly's memory is refused before the first step", async () => {
    const studio = await Studio.visit(browser, server.address);
    await studio.engine();
    await studio.generate({ ...QUICK, width: "4096", height: "4096" });
    assert.match(
      await studio.problem(),
      /These settings don’t work\s+A picture of 4096.×.4096 needs \d\.\d\d GB .* at most 4\.29 GB/,
    );
    assert.equal(await studio.page.getAttribute("darkroom-studio", "data-engine"), "ready");
    await studio.fill({ width: "64", height: "64" });
    await studio.generate();
    assert.equal((await studio.picture()).width, 64);
    await studio.close();
  });

  test("two tabs download a model once, and both hear of its deletion", async () => {
    const context = await browser.newContext({ viewport: ROOMY });
    /** @type {string[]} */
    const fetched = [];
    context.on("request", (request) => {
      const { range = "" } = request.headers();
      if (request.method() === "GET" && /unet.*safetensors/.test(request.url()))
        fetched.push(range);
    });
    const tabs = await Promise.all([0, 1].map(async () => new Studio(await context.newPage())));
    await Promise.all(tabs.map(({ page }) => page.goto(server.address)));
    await Promise.all(tabs.map((tab) => tab.engine()));
    assert.equal(new Set(fetched).size, fetched.length, `fetched twice: ${fetched.join(", ")}`);
    for (const tab of tabs) assert.match(await tab.text("model"), /saved for offline use/);
    const [one, other] = tabs;
    await one.button("models").click();
    await one.page.locator("[data-act=delete]").first().click();
    await other.page
      .locator("[data-part=model]", { hasText: "deleted from the browser’s cache" })
      .waitFor();
    await one.page.locator("[data-part=models] [data-act=close]").click();
    for (const tab of tabs) await tab.generate(QUICK);
    for (const tab of tabs) assert.equal((await tab.picture()).width, 128);
    await context.close();
  });
});

test("a GPU lost while weights are loaded is not the model's fault, and comes back", async () => {
  const [server, browser] = await Promise.all([startServer(), launchChromium()]);
  try {
    const context = await browser.newContext({ viewport: ROOMY, serviceWorkers: "block" });
    const session = await browser.newBrowserCDPSession();
    const studio = new Studio(await context.newPage());
    let lost = 0;
    await context.route("**/unet/*.safetensors", async (route) => {
      const [start = 0] = (route.request().headers().range ?? "").match(/\d+/g)?.map(Number) ?? [];
      if (start > 0 && lost === 0) {
        lost = 1;
        // The model is fetched while the engine starts: the GPU is in use only later.
        const loading = { hasText: "Loading the model" };
        await studio.page.locator("[data-part=status]", loading).waitFor();
        await session.send(/** @type {any} */ ("Browser.crashGpuProcess")).catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
      await route.continue();
    });
    /** @type {string[]} */
    const fetched = [];
    context.on("request", (request) => {
      if (/text_encoder.*safetensors/.test(request.url()) && request.method() === "GET")
        fetched.push(request.headers().range ?? "");
    });
    await studio.page.goto(`${server.address}#device=gpu&prompt=typed+before`);
    const words = await studio.problem();
    assert.equal(lost, 1);
    assert.doesNotMatch(words, /This model cannot be used|Download again/);
    assert.match(words, /The engine has stopped/);
    await studio.engine();
    assert.match(await studio.text("device"), /swiftshader/i);
    assert.equal(await studio.page.locator("[name=prompt]").inputValue(), "typed before");
    assert.equal(new Set(fetched).size, fetched.length, "cached bytes were fetched again");
    await studio.generate(QUICK);
    assert.equal((await studio.picture()).width, 128);
    await studio.close();
  } finally {
    await browser.close();
    await server.close();
  }
});
