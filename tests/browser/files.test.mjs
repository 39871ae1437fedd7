// @ts-check
/**
 * The visitor's own files on the page: checkpoints and model folders, chosen, dropped or at an
 * address; and pictures with generation parameters.
 */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Checkpoint } from "./checkpoints.mjs";
import { launchChromium } from "./chromium.mjs";
import { Hub, Site } from "./hub.mjs";
import { iTXt, png } from "./png-inputs.mjs";
import { psnr, Studio } from "./studio.mjs";

/** @typedef {import("./checkpoints.mjs").Case} Case */

const CLOSE_DB = 40;
const VOCABULARY = /vocab\/clip\//;

describe("the visitor's own files", () => {
  /** @type {Site} */ let site;
  /** @type {Hub} */ let hub;
  /** @type {import("playwright-core").Browser} */ let browser;
  /** @type {Checkpoint} */ let sd1;
  /** @type {string} */ let folder;
  /** @type {string} */ let file;
  before(async () => {
    [site, hub, browser, sd1] = await Promise.all([
      Site.start(),
      Hub.start(),
      launchChromium({ webgpu: false }),
      Checkpoint.read("sd1"),
    ]);
    folder = await mkdtemp(join(tmpdir(), "darkroom-files-"));
    file = join(folder, "tiny v1.safetensors");
    await writeFile(file, sd1.file());
    await sd1.writeFolder(join(folder, "tiny folder"), "epsilon");
  });
  after(async () => {
    await browser?.close();
    await site?.close();
    await hub?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** @param {string} [fragment] */
  const visit = (fragment = "") =>
    Studio.visit(browser, `${site.address()}?hub=${encodeURIComponent(hub.address())}${fragment}`);

  /**
   * Drops files like a file manager.
   * @param {Studio} studio
   * @param {string[]} files
   * @param {string} [onto]
   */
  async function drop(studio, files, onto = "darkroom-studio .stage") {
    const target = studio.page.locator(onto);
    // Only visible elements receive drops.
    await target.scrollIntoViewIfNeeded();
    const box = await target.boundingBox();
    assert.ok(box);
    const session = await studio.page.context().newCDPSession(studio.page);
    const [x, y] = [box.x + box.width / 2, Math.max(0, box.y) + Math.min(box.height / 2, 50)];
    for (const type of /** @type {const} */ (["dragEnter", "dragOver", "drop"])) {
      await session.send("Input.dispatchDragEvent", {
        type,
        x,
        y,
        data: { items: [], files, dragOperationsMask: 1 },
      });
      if (type === "dragOver" && process.env.DARKROOM_SCREENSHOTS)
        await studio.screenshot("dropping");
    }
  }

  /**
   * Acts, and waits until the model is opened.
   * @param {Studio} studio
   * @param {() => Promise<unknown>} act
   * @param {"ready" | "failed"} [state]
   */
  async function opening(studio, act, state = "ready") {
    // A small model may load before the test sees the state "loading".
    await studio.page
      .locator("darkroom-studio")
      .evaluate((studio) => studio.setAttribute("data-engine", "of before"));
    await act();
    await studio.engine(state);
  }

  /** @param {Studio} studio @param {Case} wanted */
  async function make(studio, wanted) {
    await studio.generate({
      prompt: wanted.prompt,
      negative_prompt: wanted.negative_prompt,
      seed: String(wanted.seed),
      steps: String(wanted.steps),
      guidance_scale: String(wanted.guidance_scale),
      width: String(wanted.width),
      height: String(wanted.height),
    });
    return studio.picture();
  }

  test("a checkpoint and a folder of the same weights make diffusers' picture", async () => {
    const [wanted] = sd1.cases;
    const expected = sd1.picture(wanted);
    const studio = await visit();
    await studio.engine();
    /** @type {string[]} */
    const requests = [];
    studio.page.on("request", (request) => requests.push(`${request.method()} ${request.url()}`));

    await opening(studio, () =>
      studio.page.locator("[data-part=folder]").setInputFiles(join(folder, "tiny folder")),
    );
    assert.match(await studio.text("model"), /read from your disk/);
    assert.equal(await studio.page.locator("[name=prediction]").isVisible(), false);
    const fromFolder = await make(studio, wanted);
    const decibels = psnr(fromFolder, expected);
    console.log(`a folder on the disk, compared with diffusers: ${decibels.toFixed(0)} dB`);
    assert.ok(decibels > CLOSE_DB, `${decibels} dB`);
    assert.deepEqual(
      requests.filter((line) => VOCABULARY.test(line)),
      [],
      "only checkpoints need the vocabulary",
    );

    await opening(studio, () => studio.page.locator("[data-part=file]").setInputFiles(file));
    assert.equal(
      await studio.page.locator("[name=model]").inputValue(),
      "file:tiny v1.safetensors",
    );
    assert.match(await studio.text("model"), /read from your disk\. Prediction type: epsilon\./);
    assert.equal(await studio.page.locator("[name=prediction]").isVisible(), true);
    assert.deepEqual(
      await make(studio, wanted),
      fromFolder,
      "file and folder make different pictures",
    );
    console.log(`screenshot: ${await studio.screenshot("checkpoint")}`);
    assert.equal(
      requests.filter((line) => VOCABULARY.test(line)).length,
      2,
      "the first checkpoint loads the vocabulary",
    );
    assert.deepEqual(
      requests.filter((line) => !line.startsWith("GET ") && !line.startsWith("HEAD ")),
      [],
      "something was sent",
    );

    for (const path of [join(folder, "tiny folder"), file]) {
      await studio.fill({ model: "models/portraits" });
      await opening(studio, () => studio.page.locator("[name=model]").press("Tab"));
      await opening(studio, () => drop(studio, [path]));
      assert.deepEqual(await make(studio, wanted), fromFolder, `dropped: ${path}`);
    }
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("a checkpoint loads by the address of its page, and again without the hub", async () => {
    const [wanted] = sd1.cases;
    const repository = hub.repository("o/checkpoints");
    await repository.link("v1/tiny.safetensors", file);
    const studio = await visit(
      `#model=${encodeURIComponent(`${hub.address()}o/checkpoints/blob/main/v1/tiny.safetensors`)}`,
    );
    await studio.page.locator("[data-remedy=load]").click();
    await studio.page.waitForFunction(() => location.hash.includes("tiny.safetensors"));
    await studio.engine();
    assert.match(await studio.text("model"), /saved for offline use/);
    const picture = await make(studio, wanted);
    const decibels = psnr(picture, sd1.picture(wanted));
    assert.ok(decibels > CLOSE_DB, `${decibels} dB`);
    await studio.button("models").click();
    assert.match(
      await studio.page.locator("dialog[data-part=models] li").first().innerText(),
      /tiny\.safetensors/,
    );
    console.log(`screenshot: ${await studio.screenshot("downloaded-checkpoint")}`);
    const { all } = repository.traffic;
    repository.fault = async ({ request }) => Boolean(request.socket.destroy());
    await studio.page.reload();
    await studio.engine();
    assert.deepEqual(await make(studio, wanted), picture);
    assert.equal(repository.traffic.all, all, "downloaded again");
    await studio.close();
  });

  test("the prediction type of an SD2 checkpoint is detected, and can be chosen", async () => {
    const sd2 = await Checkpoint.read("sd2");
    const path = join(folder, "tiny-v2.safetensors");
    await writeFile(path, sd2.file());
    const studio = await visit();
    await studio.engine();
    await opening(studio, () => studio.page.locator("[data-part=file]").setInputFiles(path));
    // The file does not state it. The engine detects it, and the page says so.
    assert.match(await studio.text("model"), /Prediction type: (v|epsilon)\. .*predict/);
    for (const prediction of ["v", "epsilon"]) {
      await opening(studio, () =>
        studio.page.locator("[name=prediction]").selectOption(prediction),
      );
      const wanted = sd2.cases.find((wanted) => wanted.prediction.startsWith(prediction));
      assert.ok(wanted);
      const decibels = psnr(await make(studio, wanted), sd2.picture(wanted));
      console.log(`SD2 kind, ${prediction}: ${decibels.toFixed(0)} dB`);
      assert.ok(decibels > CLOSE_DB, `${decibels} dB`);
      assert.match(
        await studio.page.evaluate(
          () => new Promise((resolve) => setTimeout(() => resolve(location.hash), 500)),
        ),
        new RegExp(`prediction=${prediction}`),
      );
    }
    await studio.close();
  });

  /**
   * A safetensors file of empty tensors with these names.
   * @param {string[]} names
   */
  function tensors(names) {
    const none = { dtype: "F16", shape: [0], data_offsets: [0, 0] };
    const header = Buffer.from(JSON.stringify(Object.fromEntries(names.map((n) => [n, none]))));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    return Buffer.concat([length, header]);
  }

  test("a dropped file that is no model is named for what it is, and the model stays", async () => {
    const whole = await readFile(file);
    const studio = await visit("#prompt=typed+before&seed=7&guidance-scale=3");
    await studio.engine();
    const address = studio.page.url();
    for (const [name, bytes, words] of /** @type {[string, Buffer | string, RegExp][]} */ ([
      ["notes.txt", "hats and glasses", /notes\.txt is a text file/],
      ["old.ckpt", "PK\x03\x04\0\0\x08\x08archive/data.pkl", /old\.ckpt.*PyTorch pickle.*convert/s],
      ["older.pt", Buffer.from([0x80, 2, 0x8a]), /older\.pt was not added/],
      ["model.zip", "PK\x03\x04\0\0\x08\x08unet/config.json", /model\.zip is a ZIP archive/],
      ["model.gguf", "GGUF\x03\0\0\0\0\0\0\0", /model\.gguf.*GGUF/s],
      [
        "pointer.safetensors",
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        /Git LFS pointer/,
      ],
      ["short.safetensors", whole.subarray(0, whole.length - 1), /short\.safetensors.*truncated/s],
      ["shorter.safetensors", whole.subarray(0, 5000), /shorter\.safetensors.*truncated/s],
      ["empty.safetensors", "", /0 bytes/],
      ["page.safetensors", "<!doctype html><title>", /web page/],
      ["l.safetensors", tensors(["lora_unet_x.lora_up.weight"]), /l\.safetensors was not added/],
      ["l2.safetensors", tensors(["unet.a.lora_A.weight"]), /l2\.safetensors was not added/],
      ["e.safetensors", tensors(["emb_params"]), /e\.safetensors was not added/],
      ["v.safetensors", tensors(["decoder.conv_in.weight"]), /v\.safetensors was not added/],
      ["u.safetensors", tensors(["conv_in.weight", "down_blocks.0.x"]), /has a U-Net only/],
      ["t.safetensors", tensors(["text_model.x"]), /is a text encoder/],
      ["c.safetensors", tensors(["control_model.x"]), /is a ControlNet/],
      [
        "xl.safetensors",
        tensors(["conditioner.embedders.0"]),
        /another family: Stable Diffusion XL/,
      ],
      ["other.safetensors", tensors(["constructor"]), /belong to no known model/],
    ])) {
      const path = join(folder, name);
      await writeFile(path, bytes);
      await drop(studio, [path]);
      await studio.page
        .locator("[data-part=problem] .what", { hasText: name })
        .waitFor({ timeout: 20_000 });
      const problem = await studio.problem();
      assert.match(problem, words, name);
      assert.match(problem, /models\/portraits is still loaded/, name);
      assert.equal(
        await studio.page.locator("darkroom-studio").getAttribute("data-engine"),
        "ready",
      );
    }
    console.log(`screenshot: ${await studio.screenshot("no-checkpoint")}`);
    const empty = join(folder, "holiday");
    await mkdir(empty, { recursive: true });
    await writeFile(join(empty, "notes.txt"), "hats");
    await writeFile(join(empty, "more.txt"), "glasses");
    await drop(studio, [empty]);
    await studio.page.locator("[data-part=problem] .what", { hasText: "holiday/" }).waitFor();
    assert.match(await studio.problem(), /holiday\/ has no unet\/config\.json.*notes\.txt/s);
    assert.equal(await studio.page.locator("[name=model]").inputValue(), "models/portraits");
    assert.equal(await studio.page.locator("[name=guidance-scale]").inputValue(), "3");
    await studio.page.waitForTimeout(500);
    assert.equal(studio.page.url(), address, "a refused file was written into the address");
    await studio.generate({ steps: "2" });
    assert.equal((await studio.picture()).width, 128);
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("a model that does not load leads back to the one before, with its settings", async () => {
    const broken = join(folder, "broken");
    await sd1.writeFolder(broken, "epsilon");
    await writeFile(join(broken, "unet", "config.json"), "{}");
    const studio = await visit("#prompt=typed+before&seed=7&guidance-scale=2.5&sampler=unipc");
    await studio.engine();
    await studio.fill({ width: "64", height: "96" });
    assert.match(
      await studio.page.locator("[data-note=width]").innerText(),
      /trained at 128.×.128\. Much smaller pictures/,
    );
    await opening(
      studio,
      () => studio.page.locator("[data-part=folder]").setInputFiles(broken),
      "failed",
    );
    assert.equal(
      await studio.page.locator("[name=sampler] option:checked").innerText(),
      "Model default",
      "the sampler box is blank while no model is loaded",
    );
    assert.match(await studio.problem(), /unet\/config\.json/);
    await studio.page.waitForTimeout(500);
    const shown = new URLSearchParams(new URL(studio.page.url()).hash.slice(1));
    assert.equal(shown.get("model"), null, "a model that does not load is in the address");
    const back = studio.page.locator("[data-remedy=back]");
    assert.equal(await back.innerText(), "Back to models/portraits");
    console.log(`screenshot: ${await studio.screenshot("back")}`);
    await opening(studio, () => back.click());
    const names = ["model", "guidance_scale", "sampler", "width", "height", "prompt", "seed"];
    assert.deepEqual(await fields(studio, names), {
      model: "models/portraits",
      guidance_scale: "2.5",
      sampler: "unipc",
      width: "64",
      height: "96",
      prompt: "typed before",
      seed: "7",
    });
    await studio.generate({ steps: "2" });
    assert.equal((await studio.picture()).height, 96);
    await studio.close();
  });

  test("a file lost by a reload can be chosen again", async () => {
    const studio = await visit("#prompt=typed+before&seed=7");
    await studio.engine();
    await opening(studio, () =>
      studio.page.locator("[data-part=folder]").setInputFiles(join(folder, "tiny folder")),
    );
    await studio.page.waitForFunction(() => location.hash.includes("tiny+folder"));
    await studio.page.reload();
    await studio.engine("failed");
    assert.match(await studio.problem(), /no longer available/);
    console.log(`screenshot: ${await studio.screenshot("no-longer-available")}`);
    assert.match(await studio.problem(), /Back to models\/portraits/);
    const choosing = studio.page.waitForEvent("filechooser");
    await studio.page.locator("[data-remedy=file]").click();
    // The missing model was a folder, so the dialog chooses a folder.
    await (await choosing).setFiles(join(folder, "tiny folder"));
    await studio.engine();
    assert.equal(await studio.page.locator("[name=prompt]").inputValue(), "typed before");
    await make(studio, sd1.cases[0]);
    await studio.close();
  });

  /**
   * The values of the fields of these settings.
   * @param {Studio} studio
   * @param {string[]} settings
   */
  async function fields(studio, settings) {
    const values = settings.map(async (key) => {
      const field = studio.page.locator(`[name="${key.replaceAll("_", "-")}"]`);
      return [key, await field.inputValue()];
    });
    return Object.fromEntries(await Promise.all(values));
  }

  test("a dropped or chosen picture restores its settings", async () => {
    const studio = await visit();
    await studio.engine();
    const settings = {
      prompt: "Portrait of a woman, café 日本",
      negative_prompt: "hat, glasses",
      seed: "4000000000",
      steps: "3",
      guidance_scale: "5.5",
      sampler: "unipc",
      width: "64",
      height: "96",
    };
    await studio.generate(settings);
    const picture = await studio.picture();
    const download = studio.page.waitForEvent("download");
    await studio.button("save").click();
    const saved = join(folder, "saved.png");
    await (await download).saveAs(saved);

    const others = {
      prompt: "x",
      negative_prompt: "",
      seed: "1",
      steps: "2",
      guidance_scale: "2",
      sampler: "euler",
      width: "128",
      height: "128",
    };
    for (const take of [
      () => drop(studio, [saved]),
      () => drop(studio, [saved], ".why"),
      () => studio.page.locator("[data-part=file]").setInputFiles(saved),
    ]) {
      await studio.fill(others);
      await take();
      await studio.field("seed", settings.seed);
      assert.deepEqual(await fields(studio, Object.keys(settings)), settings);
      await studio.page.waitForSelector(".picture[data-state=finished]");
      assert.deepEqual(await studio.picture(), picture, "another picture is shown");
      assert.equal(await studio.text("warnings"), "", "a note about the model in use");
    }
    await studio.generate();
    assert.deepEqual(await studio.picture(), picture, "the restored settings make another picture");
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });

  test("a picture of another program restores known settings, and notes others", async () => {
    const studio = await visit("#sampler=unipc");
    await studio.engine();
    const foreign = join(folder, "foreign.png");
    const words =
      "a man\nNegative prompt: hat\nSteps: 4, Sampler: Restart, CFG scale: 7, Seed: 5, " +
      "Size: 64x64, Model: v1-5, Clip skip: 2, Version: v1.9";
    await writeFile(foreign, png(iTXt(words)));
    await drop(studio, [foreign]);
    await studio.field("seed", "5");
    const { sampler } = await fields(studio, ["sampler"]);
    assert.equal(sampler, "unipc", "an unknown sampler changed the setting");
    assert.match(await studio.text("warnings"), /Restart.*NVIDIA.*v1-5/s);
    console.log(`screenshot: ${await studio.screenshot("restored")}`);

    const plain = join(folder, "plain.png");
    await writeFile(plain, png());
    await drop(studio, [plain]);
    assert.match(await studio.problem(), /No settings in this file\s+plain\.png has no generation/);
    assert.equal(await studio.text("warnings"), "", "notes about the picture before are left");
    assert.deepEqual(await fields(studio, ["seed"]), { seed: "5" }, "the settings changed");
    assert.deepEqual(studio.errors, []);
    await studio.close();
  });
});
