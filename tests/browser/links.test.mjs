// @ts-check
/** Links: what the address bar holds, and addresses of models, malformed ones included. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Checkpoint } from "./checkpoints.mjs";
import { launchChromium } from "./chromium.mjs";
import { Hub, Site } from "./hub.mjs";
import { pageModule } from "./modules.mjs";
import { ROOMY, Studio } from "./studio.mjs";

const { addressOf, checkAddress, isCheckpoint, nameOf } = await pageModule("studio/address.js");
const { fromFragment, toFragment } = await pageModule("studio/settings.js");
const { fromInfotext, infotext } = await pageModule("studio/infotext.js");

const BASE = "https://page.test/";

test("an empty prompt and an empty negative prompt are written into the link", () => {
  const settings = { prompt: "", negative_prompt: "", seed: "14", steps: "20", sampler: "" };
  const fragment = toFragment(settings, { sampler: "" });
  const { prompt, negative_prompt, sampler } = fromFragment(fragment);
  assert.deepEqual({ prompt, negative_prompt, sampler }, { ...EMPTY, sampler: undefined });
});
const EMPTY = { prompt: "", negative_prompt: "" };

test("an empty model in a link leaves the present one", () => {
  assert.deepEqual(fromFragment("#model=&seed=3"), { seed: "3" });
  assert.deepEqual(fromFragment("#model=%20"), {});
});

test("a malformed address is explained, and no function of addresses throws for it", () => {
  for (const [text, words] of /** @type {[string, RegExp][]} */ ([
    ["https://huggingface.co/a/b/tree/%zz", /“%zz”.*two hexadecimal digits/],
    ["https://huggingface.co/a/b/tree/%ff", /not a valid address/],
    ["a/b%", /“%”/],
    ["", /empty/],
    ["ftp://host/m", /“ftp:”, expected http: or https:/],
    ["javascript:alert(1)", /“javascript:”/],
    ["data:text/html,x", /“data:”/],
    ["https://", /not a valid address/],
    [`https://h/${"a".repeat(5000)}`, /5010 characters, expected at most 4000/],
  ])) {
    assert.throws(() => checkAddress(text), { kind: "address", message: words }, text);
    const address = addressOf(text, BASE);
    assert.ok(URL.canParse(address), `${text} → ${address}`);
    assert.equal(typeof nameOf(address, BASE), "string");
    assert.equal(typeof isCheckpoint(text), "boolean");
  }
  // A lone surrogate cannot be escaped.
  assert.ok(URL.canParse(addressOf("http:///\ud800", BASE)));
});

test("an address of a page, a hub or a server is accepted", () => {
  for (const text of [
    "owner/name",
    "owner/name@fp16",
    "models/portraits",
    "../x/y%20z.safetensors?key=%zz",
    "https://huggingface.co/a/b/tree/refs%2Fpr%2F1",
    "http://localhost:8080/m",
    "file:notes.txt",
    "file:a%zz/",
  ])
    checkAddress(text);
});

test("long hostile addresses and settings take no more than linear time", () => {
  const n = 300_000;
  const began = performance.now();
  for (const text of [
    `a${"/".repeat(n)}b`,
    `${"?".repeat(n)}\n`,
    "%".repeat(n),
    `https://h/${"/".repeat(n)}b`,
    `https://huggingface.co/a/b/tree/main${"/".repeat(n)}b`,
    "a/".repeat(n),
    `b${" ".repeat(n)}b`,
  ]) {
    isCheckpoint(text);
    assert.throws(() => checkAddress(text), { kind: "address" });
    nameOf(addressOf(text, BASE), BASE);
    infotext({ prompt: "", model: text });
    fromInfotext(`Steps: 1, Model: x`, text);
  }
  const seconds = (performance.now() - began) / 1000;
  assert.ok(seconds < 5, `${seconds} s`);
});

test("names of JavaScript's own properties are no samplers", () => {
  for (const name of ["constructor", "__proto__", "toString", "hasOwnProperty", "valueOf"]) {
    const found = fromInfotext(`x\nSteps: 2, Sampler: ${name}, Seed: 1, Version: Darkroom`);
    assert.equal(found.settings.sampler, undefined, name);
    assert.match(found.notes.join(" "), new RegExp(`no sampler “${name}”`));
    assert.match(infotext({ prompt: "", model: "", sampler: name }), new RegExp(name));
  }
});

test("a picture of the model in use brings no note about its model", () => {
  const settings = { prompt: "p", steps: "2", seed: "1", guidance_scale: "3", sampler: "euler" };
  for (const model of [
    "models/portraits",
    "file:tiny v1.safetensors",
    "https://h/a/x.safetensors?k",
  ]) {
    const text = infotext({ ...settings, width: "64", height: "64", model });
    assert.deepEqual(fromInfotext(text, model).notes, [], model);
    assert.match(fromInfotext(text, "other/model").notes.join(), /made with the model/);
  }
});

describe("links on the page", () => {
  /** @type {Site} */ let site;
  /** @type {Hub} */ let hub;
  /** @type {import("playwright-core").Browser} */ let browser;
  /** @type {string} */ let folder;
  before(async () => {
    [site, hub, browser] = await Promise.all([
      Site.start(),
      Hub.start(),
      launchChromium({ webgpu: false }),
    ]);
    folder = await mkdtemp(join(tmpdir(), "darkroom-links-"));
    const sd1 = await Checkpoint.read("sd1");
    await writeFile(join(folder, "tiny.safetensors"), sd1.file());
    await hub
      .repository("o/checkpoints")
      .link("tiny.safetensors", join(folder, "tiny.safetensors"));
  });
  after(async () => {
    await browser?.close();
    await site?.close();
    await hub?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** @param {string} fragment */
  const visit = (fragment) =>
    Studio.visit(browser, `${site.address()}?hub=${encodeURIComponent(hub.address())}${fragment}`);
  const foreign = () => `${hub.address()}o/checkpoints/resolve/main/tiny.safetensors`;
  /** @param {Studio} studio @param {string} name */
  const field = (studio, name) => studio.page.locator(`[name=${name}]`).inputValue();
  /** @param {Studio} studio */
  const settings = (studio) =>
    studio.page.evaluate(
      () => /** @type {any} */ (document.querySelector("darkroom-studio")).settings,
    );
  /** @param {Studio} studio */
  const question = (studio) =>
    studio.page.locator("[data-part=problem][data-kind=question]").innerText({ timeout: 60_000 });

  test("the address of an experiment opens the same picture in a new profile", async () => {
    const first = await visit("");
    await first.engine();
    await first.fill({ steps: "3" });
    const link = first.page.locator("a[href*='negative-prompt=&']").first();
    await link.evaluate((link) => {
      const chip = /** @type {HTMLAnchorElement} */ (link);
      chip.href = chip.href.replace("steps=20", "steps=3");
      chip.click();
    });
    await first.page.waitForSelector("darkroom-studio[data-work=running]");
    await first.idle();
    const picture = await first.picture();
    assert.equal(await field(first, "negative-prompt"), "");
    await first.page.waitForFunction(() => /negative-prompt=(&|$)/.test(location.hash));
    const address = first.page.url();
    await first.close();

    const second = await Studio.visit(browser, address);
    await second.engine();
    assert.equal(await field(second, "negative-prompt"), "", "filled in again");
    await second.generate();
    assert.deepEqual(await second.picture(), picture, "another picture");
    await second.close();
  });

  test("a link to another host requests nothing from it before a click", async () => {
    const repository = hub.repository("o/checkpoints");
    const { requests } = repository;
    const studio = await visit(`#model=${encodeURIComponent(foreign())}&seed=7&prompt=from+a+link`);
    await studio.engine();
    const words = await question(studio);
    assert.match(words, /This link wants to load a model/);
    assert.match(words, new RegExp(`from ${new URL(hub.address()).host}`));
    assert.match(words, /Nothing has been requested/);
    console.log(`screenshot: ${await studio.screenshot("link-question")}`);
    assert.equal(repository.requests, requests, "requested before the click");
    assert.deepEqual(
      [await field(studio, "model"), await field(studio, "prompt"), await field(studio, "seed")],
      ["models/portraits", "from a link", "7"],
    );
    // The demo can be used meanwhile, and the question stays.
    await studio.generate({ steps: "1" });
    assert.match(await question(studio), /Stay with models\/portraits/);

    await studio.page.locator("[data-remedy=load]").click();
    await studio.page.waitForFunction(() => location.hash.includes("tiny.safetensors"));
    await studio.engine();
    assert.ok(repository.requests > requests);
    assert.match(await field(studio, "model"), /tiny\.safetensors/);
    // It is downloaded now: the next visit does not ask.
    await studio.page.reload();
    await studio.engine();
    assert.match(await field(studio, "model"), /tiny\.safetensors/);
    assert.equal(await studio.page.locator("[data-part=problem]").isVisible(), false);
    await studio.close();
  });

  test("a visitor who stays with the demo is not asked again on this page", async () => {
    const repository = hub.repository("o/checkpoints");
    const { requests } = repository;
    const studio = await visit(`#model=${encodeURIComponent(foreign())}`);
    await studio.engine();
    await question(studio);
    await studio.page.locator("[data-remedy=stay]").click();
    await studio.generate({ steps: "1" });
    assert.equal(await studio.page.locator("[data-part=problem]").isVisible(), false);
    assert.equal(repository.requests, requests);
    await studio.close();
  });

  test("a link to a large model on the page's own host asks, and states its size", async () => {
    const context = await browser.newContext({ viewport: ROOMY });
    const studio = new Studio(await context.newPage());
    /** @type {string[]} */
    const loaded = [];
    await context.route("**/models/large/**", (route) => {
      if (route.request().method() !== "HEAD") loaded.push(route.request().url());
      return route.fulfill({ status: 200, headers: { "content-length": "60000000" }, body: "" });
    });
    await studio.page.goto(`${site.address()}#model=models/large`);
    await studio.engine();
    assert.match(await question(studio), /The model models\/large has 180 MB/);
    assert.deepEqual(loaded, []);
    await studio.close();
  });

  test("a malformed address in a link is explained, and the demo is loaded", async () => {
    for (const [model, words] of /** @type {[string, RegExp][]} */ ([
      ["https://huggingface.co/a/b/tree/%zz", /“%zz”/],
      [`a${"/".repeat(80_000)}b`, /80002 characters/],
      ["javascript:alert(1)", /“javascript:”/],
    ])) {
      const studio = await visit(`#model=${encodeURIComponent(model)}&seed=7`);
      await studio.engine();
      const problem = await studio.problem();
      assert.match(problem, /This is not a model’s address/);
      assert.match(problem, words);
      await studio.generate({ steps: "1" });
      assert.equal(await field(studio, "model"), "models/portraits");
      assert.equal(await field(studio, "seed"), "7");
      assert.deepEqual(studio.errors, []);
      await studio.close();
    }
    const studio = await visit("#model=");
    await studio.engine();
    assert.equal(await field(studio, "model"), "models/portraits");
    await studio.close();
  });

  test("a typed address that is none keeps the model, and can be corrected", async () => {
    const studio = await visit("#seed=7");
    await studio.engine();
    const before = await settings(studio);
    for (const [typed, words] of /** @type {[string, RegExp][]} */ ([
      ["https://huggingface.co/a/b/tree/%zz", /two hexadecimal digits/],
      ["models/nowhere", /models\/nowhere\/model_index\.json does not exist/],
      ["icon.svg", /icon\.svg/],
    ])) {
      await studio.fill({ model: typed });
      await studio.page.locator("[name=model]").press("Tab");
      const shown = studio.page.locator("[data-part=problem] .what", { hasText: typed });
      await shown.waitFor({ timeout: 60_000 });
      const problem = await studio.problem();
      assert.match(problem, words);
      assert.match(problem, /models\/portraits is still loaded/);
      assert.equal(await studio.page.getAttribute("darkroom-studio", "data-engine"), "ready");
      assert.equal(await field(studio, "model"), "models/portraits");
      await studio.page.locator("[data-remedy=edit]").click();
      assert.equal(await field(studio, "model"), typed, "typed again");
      await studio.fill({ model: "models/portraits" });
    }
    await studio.page.waitForTimeout(500);
    assert.equal(new URL(studio.page.url()).hash.includes("nowhere"), false);
    assert.deepEqual(await settings(studio), before, "a refused address changed other settings");
    await studio.generate({ steps: "1" });
    assert.equal((await studio.picture()).width, 128);
    await studio.close();
  });
});
