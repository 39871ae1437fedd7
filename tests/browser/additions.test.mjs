// @ts-check
/** LoRAs, embeddings and VAEs that a visitor adds to a model. */
import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { after, before, describe, test } from "node:test";
import { Checkpoint } from "./checkpoints.mjs";
import { launchChromium } from "./chromium.mjs";
import { Hub, Site } from "./hub.mjs";
import { psnr, Studio } from "./studio.mjs";

const GOLDEN = new URL("../golden/", import.meta.url).pathname;
const MODEL = join(GOLDEN, "models/sd1-pndm/model");
const VAE = join(MODEL, "vae");
const QUICK = { seed: "5", steps: "2", width: "64", height: "64", sampler: "euler" };
const PROMPTS = { prompt: "Portrait photo of a man", negative_prompt: "mustache" };

/**
 * A safetensors file.
 * @param {Record<string, {dtype: string, shape: number[], bytes: Buffer}>} tensors
 */
function safetensors(tensors) {
  let end = 0;
  const entries = Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => {
    const start = end;
    end += bytes.length;
    return [name, { dtype, shape, data_offsets: [start, end] }];
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, ...Object.values(tensors).map(({ bytes }) => bytes)]);
}

/** A VAE with the half of each weight of its last layer. @param {Buffer} file */
function changedVae(file) {
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, 8 + length));
  const changed = Buffer.from(file);
  const { dtype, data_offsets: range } = header["decoder.conv_out.weight"];
  assert.ok(["F16", "F32"].includes(dtype), dtype);
  // Clearing the lowest bit of the exponent halves most numbers, or leaves them.
  const bytes = changed.subarray(8 + length + range[0], 8 + length + range[1]);
  const [size, mask] = dtype === "F16" ? [2, 0xfb] : [4, 0x7f];
  for (let at = 0; at < bytes.length; at += size) bytes[at + (dtype === "F16" ? 1 : 2)] &= mask;
  return changed;
}

/** A LoRA for Stable Diffusion XL: its text encoder is 2048 wide. */
const sdxlLora = () =>
  safetensors(
    Object.fromEntries(
      [
        ["lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight", [2, 2048]],
        ["lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_up.weight", [640, 2]],
        ["lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", [2, 1280]],
        ["lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight", [5120, 2]],
      ].map(([name, shape]) => {
        const [rows, columns] = /** @type {number[]} */ (shape);
        const bytes = Buffer.alloc(rows * columns * 2);
        return [String(name), { dtype: "F16", shape: [rows, columns], bytes }];
      }),
    ),
  );

describe("what a visitor adds to a model", () => {
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
    folder = await mkdtemp(join(tmpdir(), "darkroom-additions-"));
    const additions = join(GOLDEN, "additions");
    for (const [name, from] of /** @type {const} */ ([
      ["sketch.safetensors", "lora-kohya.safetensors"],
      ["ink.safetensors", "lora-diffusers.safetensors"],
      ["badword.pt", "word-webui.pt"],
    ]))
      await writeFile(join(folder, name), await readFile(join(additions, from)));
    await mkdir(join(folder, "soft"));
    const vae = changedVae(await readFile(join(VAE, "diffusion_pytorch_model.safetensors")));
    await writeFile(join(folder, "soft/diffusion_pytorch_model.safetensors"), vae);
    await cp(join(VAE, "config.json"), join(folder, "soft/config.json"));
    await writeFile(join(folder, "xl.safetensors"), sdxlLora());
    const call = "\x80\x02cos\nsystem\nX\x04\0\0\0echo\x85R.";
    await writeFile(join(folder, "hostile.pt"), Buffer.from(call, "latin1"));
    const repository = hub.repository("o/tiny");
    for (const entry of await readdir(MODEL, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isFile()) repository.put(relative(MODEL, path), await readFile(path));
    }
    hub
      .repository("o/extras")
      .put("ink.safetensors", await readFile(join(folder, "ink.safetensors")));
  });
  after(async () => {
    await browser?.close();
    await site?.close();
    await hub?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** @param {Studio} studio @param {string[]} names */
  const choose = (studio, ...names) =>
    studio.page
      .locator("input[data-part=file]")
      .setInputFiles(names.map((name) => join(folder, name)));

  /** @param {Studio} studio @param {string} name */
  const row = (studio, name) => studio.page.locator(".additions li", { hasText: name });

  /** @param {Studio} studio @param {string} name */
  async function added(studio, name) {
    await row(studio, name).waitFor();
    assert.doesNotMatch(await row(studio, name).innerText(), /not here|does not fit/i);
  }

  /** @param {Studio} studio @param {Record<string, string>} [more] */
  async function make(studio, more = {}) {
    await studio.generate({ ...QUICK, ...PROMPTS, ...more });
    return studio.picture();
  }

  /** Axe-core's rules, with the list open. @param {Studio} studio */
  async function axe(studio) {
    const source = new URL("node_modules/axe-core/axe.min.js", import.meta.url);
    await studio.page.evaluate(await readFile(source, "utf8"));
    const found = await studio.page.evaluate(async () => {
      const { violations } = await /** @type {any} */ (globalThis).axe.run(document);
      return violations.map((/** @type {any} */ { id, nodes }) => [
        id,
        nodes.length,
        nodes[0].html,
      ]);
    });
    assert.deepEqual(found, []);
  }

  async function visit() {
    const hubs = `?hub=${encodeURIComponent(hub.address())}`;
    const studio = await Studio.visit(browser, `${site.address()}${hubs}`);
    await studio.engine();
    await studio.fill({ model: "o/tiny" });
    await studio.page.locator("[name=model]").press("Tab");
    await studio.field("model", "o/tiny");
    await studio.engine("ready");
    await studio.page
      .locator("[data-part=memory]", { hasText: /\d/ })
      .waitFor({ state: "attached" });
    return studio;
  }

  test("a LoRA, an embedding and a VAE change the picture, and leave no trace", async () => {
    const studio = await visit();
    const plain = await make(studio);

    await choose(studio, "sketch.safetensors");
    await added(studio, "sketch");
    const weight = studio.page.locator('[aria-label="Weight of sketch"]');
    assert.equal(await weight.inputValue(), "1");
    const sketched = await make(studio);
    assert.ok(psnr(plain, sketched) < 40, "the LoRA changed nothing");
    await weight.fill("0.3");
    const less = await make(studio);
    assert.ok(psnr(plain, less) > psnr(plain, sketched), "less of it changed more");
    await weight.fill("0");
    assert.equal(psnr(plain, await make(studio)), Infinity, "at weight 0 something is left");
    await weight.fill("1");
    assert.equal(psnr(sketched, await make(studio)), Infinity);

    await choose(studio, "badword.pt");
    await added(studio, "badword");
    const word = row(studio, "badword");
    assert.match(
      await word.innerText(),
      /Write “badword”.*2 tokens.*belong into the negative prompt/s,
    );
    await word.locator("[data-act=into-negative]").click();
    await studio.field("negative-prompt", "mustache, badword");
    // "mustache" and a comma are a token each, and the embedding has two vectors.
    const counter = studio.page.locator("[data-for=negative-prompt]");
    await counter.filter({ hasText: /^4 / }).waitFor({ timeout: 10_000 });
    const worded = await make(studio, { negative_prompt: "mustache, badword" });
    assert.ok(psnr(sketched, worded) < 60, "the embedding changed nothing");

    await studio.page.locator("input[data-part=folder]").setInputFiles(join(folder, "soft"));
    await added(studio, "soft");
    const softened = await make(studio);
    assert.ok(psnr(sketched, softened) < 40, "the VAE changed nothing");
    console.log(`screenshot: ${await studio.screenshot("additions")}`);

    for (const name of ["sketch", "badword", "soft"]) {
      await row(studio, name).locator("[data-act=remove-addition]").click();
      await row(studio, name).waitFor({ state: "detached" });
    }
    assert.equal(psnr(plain, await make(studio)), Infinity, "something of them is left");
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("what does not fit is refused by name, and the model works on", async () => {
    const studio = await visit();
    const plain = await make(studio);
    for (const [name, words] of /** @type {[string, RegExp][]} */ ([
      ["xl.safetensors", /xl\.safetensors was not added.*expected/s],
      ["hostile.pt", /hostile\.pt was not added.*(os|system)/s],
    ])) {
      await choose(studio, name);
      await studio.page.locator("[data-part=problem] .what", { hasText: name }).waitFor();
      assert.match(await studio.problem(), words);
      assert.match(await studio.problem(), /o\/tiny is still loaded/);
    }
    assert.equal(await studio.page.locator(".additions li").count(), 0);
    assert.equal(psnr(plain, await make(studio)), Infinity);
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("additions outlive a reload, and a queued picture has the weights of its time", async () => {
    const studio = await visit();
    await choose(studio, "sketch.safetensors", "badword.pt");
    await added(studio, "sketch");
    await added(studio, "badword");
    await studio.fill({ model: "o/extras/ink.safetensors" });
    await studio.page.locator("[name=model]").press("Tab");
    await added(studio, "ink");
    await studio.field("model", "o/tiny");
    const both = await make(studio);
    assert.match(await studio.page.evaluate(() => location.hash), /loras=sketch%3A1%2C\+ink%3A1/);

    await studio.page.reload();
    await studio.engine();
    await added(studio, "sketch");
    await added(studio, "ink");
    await added(studio, "badword");
    assert.match(await row(studio, "ink").innerText(), /kept in this browser/);
    assert.equal(psnr(both, await make(studio)), Infinity, "the reload changed the picture");

    // Two pictures wait with different weights.
    await studio.fill({ ...QUICK, steps: "6" });
    await studio.button("generate").click();
    await studio.page.locator('[aria-label="Weight of ink"]').fill("0");
    await studio.page.locator('[aria-label="Weight of sketch"]').fill("0");
    await studio.fill({ seed: "6" });
    await studio.button("generate").click();
    await studio.page.locator(".gallery li").nth(3).waitFor();
    await studio.idle();
    const settings = await studio.page.evaluate(async () => {
      const open = indexedDB.open("darkroom");
      await new Promise((resolve) => open.addEventListener("success", resolve));
      const all = open.result.transaction("pictures").objectStore("pictures").getAll();
      await new Promise((resolve) => all.addEventListener("success", resolve));
      return all.result.slice(-2).map(({ settings }) => [settings.seed, settings.loras]);
    });
    assert.deepEqual(settings, [
      ["5", "sketch:1, ink:1"],
      ["6", ""],
    ]);
    await studio.close();
  });

  test("a model that does not take an addition names it, and works without it", async () => {
    const studio = await visit();
    await choose(studio, "sketch.safetensors");
    await added(studio, "sketch");
    const sketched = await make(studio);
    await studio.fill({ model: "models/portraits" });
    await studio.page.locator("[name=model]").press("Tab");
    await row(studio, "sketch").filter({ hasText: "Does not fit this model" }).waitFor();
    await make(studio);
    assert.match(await studio.text("warnings"), /LoRA “sketch” is not here/);

    // Without its files in the cache, a model's weights come from its server again.
    await studio.fill({ model: "o/tiny" });
    await studio.page.locator("[name=model]").press("Tab");
    const weight = studio.page.locator('[aria-label="Weight of sketch"]');
    await weight.fill("0");
    const plain = await make(studio);
    await studio.page.evaluate(() => caches.delete("darkroom-models-2"));
    await weight.fill("1");
    assert.equal(psnr(sketched, await make(studio)), Infinity, "it does not fit as before");
    assert.ok(psnr(plain, sketched) < 40);
    assert.deepEqual(studio.errors, []);
    await choose(studio, "badword.pt");
    await added(studio, "badword");
    // Its own styles break the page's policy, which the console says.
    await axe(studio);
    await studio.close();
  });

  test("an address without an ending is a model, if its first bytes are one's", async () => {
    const checkpoint = (await Checkpoint.read("sd1")).file();
    site.replaced.set("api/download/models/8821", checkpoint);
    site.replaced.set("api/download/models/8822", await readFile(join(folder, "ink.safetensors")));
    const studio = await visit();
    const address = `${site.address()}api/download/models/`;
    await studio.fill({ model: `${address}8822?type=Model` });
    await studio.page.locator("[name=model]").press("Tab");
    await added(studio, "8822");
    await studio.field("model", "o/tiny");
    await studio.fill({ model: `${address}8821?type=Model` });
    await studio.page.locator("[name=model]").press("Tab");
    await studio.page.waitForFunction(() => location.hash.includes("8821"));
    await studio.field("model", `${address}8821?type=Model#file`);
    await studio.engine();
    await studio.page.reload();
    await studio.engine();
    assert.match(await studio.text("model"), /saved for offline use/);
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("programs add to a model of their own", async () => {
    const page = await browser.newPage();
    await page.goto(site.address());
    const files = await Promise.all(
      ["sketch.safetensors", "badword.pt"].map((name) => readFile(join(folder, name), "base64")),
    );
    const made = await page.evaluate(
      async ([model, sketch, word]) => {
        const { createDarkroom } = await import(new URL("api.js", location.href).href);
        const file = (/** @type {string} */ text, /** @type {string} */ name) =>
          new File([Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0))], name);
        const darkroom = await createDarkroom({ model, device: "cpu" });
        const request = { prompt: "a man", seed: 5, steps: 2, width: 64, height: 64 };
        /** @param {object} [more] */
        const make = async (more) => {
          const { bitmap, settings } = await darkroom.generate({ ...request, ...more });
          const canvas = new OffscreenCanvas(64, 64);
          const context = canvas.getContext("2d");
          context?.drawImage(bitmap, 0, 0);
          const pixels = context?.getImageData(0, 0, 64, 64).data.join();
          return { pixels, loras: settings.loras, embeddings: settings.embeddings };
        };
        const plain = await make();
        const { name } = await darkroom.addLora(file(sketch, "sketch.safetensors"), 0.5);
        const half = await make();
        const none = await make({ loras: "" });
        const { words } = await darkroom.addEmbedding(file(word, "badword.pt"));
        const worded = await make({ negativePrompt: words[0] });
        await darkroom.removeLora(name);
        const after = await make();
        const wrong = await darkroom
          .addLora(file(word, "badword.pt"))
          .catch((/** @type {Error} */ error) => error.message);
        darkroom.close();
        return {
          texts: [name, half.loras, none.loras, words[0], worded.embeddings],
          same: [plain.pixels === none.pixels, plain.pixels === after.pixels],
          changed: [plain.pixels !== half.pixels, half.pixels !== worded.pixels],
          wrong,
        };
      },
      [`${hub.address()}o/tiny/resolve/main/`, ...files],
    );
    assert.deepEqual(made.texts, ["sketch", "sketch:0.5", "", "badword", "badword"]);
    assert.deepEqual([...made.same, ...made.changed], [true, true, true, true]);
    assert.match(made.wrong, /badword\.pt/);
    await page.close();
  });
});
