// @ts-check
/**
 * Settings in the files of other programs: A1111's odd lines, Exif in JPEG and WebP, the JSON of
 * ComfyUI and InvokeAI. These tests need no browser.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pageModules } from "./modules.mjs";
import { png, tEXt } from "./png-inputs.mjs";

const [text, json, file, loras, table] = await pageModules(
  "studio/infotext.js",
  "studio/infotext-json.js",
  "studio/picture-file.js",
  "studio/loras.js",
  "strings/index.js",
);
const { fromInfotext, infotext } = text;
const { fromComfy, fromInvoke } = json;
const { settingsOfFile } = file;
const { missingNotes, NOTHING, equip } = loras;
const { setLanguage } = table;

const CHAIR = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 42, Size: 512x768, RNG: CPU";
const SETTINGS = {
  steps: "20",
  sampler: "euler-a",
  guidance_scale: "7",
  seed: "42",
  width: "512",
  height: "768",
  prompt_syntax: "a1111",
};

/** @param {number} value */
const u16 = (value) => Buffer.from([value >> 8, value & 255]);
/** @param {number} value */
const u32 = (value) =>
  Buffer.from([value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255]);

/** @param {string} text @param {boolean} little */
function utf16(text, little) {
  const bytes = Buffer.from(text, "utf16le");
  return little ? bytes : bytes.swap16();
}

/** Exif data with a comment, as piexif writes it. @param {Buffer} comment */
const tiff = (comment) =>
  Buffer.concat([
    Buffer.from("MM\0*\0\0\0\x08\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x1a\0\0\0\0", "latin1"),
    Buffer.from("\0\x01\x92\x86\0\x07", "latin1"),
    u32(comment.length),
    u32(44),
    u32(0),
    comment,
  ]);

/** A little-endian directory with a text. @param {number} tag @param {string} text */
function textTiff(tag, text) {
  const value = Buffer.from(`${text}\0`);
  const head = Buffer.from("II*\0\x08\0\0\0\x01\0", "latin1");
  const entry = Buffer.alloc(16);
  entry.writeUInt16LE(tag, 0);
  entry.writeUInt16LE(2, 2);
  entry.writeUInt32LE(value.length, 4);
  entry.writeUInt32LE(26, 8);
  return Buffer.concat([head, entry, value]);
}

/** @param {Buffer} exif */
function jpeg(exif) {
  const body = Buffer.concat([Buffer.from("Exif\0\0", "latin1"), exif]);
  return Buffer.concat([
    Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 4, 0, 0, 0xff, 0xe1]),
    u16(body.length + 2),
    body,
    Buffer.from([0xff, 0xc0, 0, 11, 8, 0, 64, 0, 48, 1, 1, 0x11, 0, 0xff, 0xda, 0, 2]),
  ]);
}

/** @param {Buffer} exif */
function webp(exif) {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(exif.length);
  const chunks = Buffer.concat([
    Buffer.from("VP8X\x0a\0\0\0\x08\0\0\0\x3f\0\0\x3f\0\0", "latin1"),
    Buffer.from("VP8 \x03\0\0\0abc\0", "latin1"),
    Buffer.from("EXIF"),
    length,
    exif,
  ]);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(chunks.length + 4);
  return Buffer.concat([Buffer.from("RIFF"), size, Buffer.from("WEBP"), chunks]);
}

/** @param {Uint8Array<ArrayBuffer>} bytes @param {string} [name] */
const found = (bytes, name = "a.png") => settingsOfFile(new File([bytes], name), "");

test("spaces around the lines of other programs have no meaning", () => {
  for (const text of [
    `a red chair\n Negative prompt: blur, text\n${CHAIR}`,
    `  a red chair  \n\t Negative prompt:blur, text \n  ${CHAIR}`,
    `a red chair\r\nNegative prompt:   blur, text\r\n${CHAIR}\r\n`,
  ]) {
    const { settings, notes } = fromInfotext(text);
    assert.deepEqual(settings, {
      ...SETTINGS,
      prompt: "a red chair",
      negative_prompt: "blur, text",
    });
    assert.deepEqual(notes, []);
  }
});

test("prompts without a settings line are taken, and a note says so", () => {
  for (const [text, prompt, negative] of [
    ["a red chair, oak table\nNegative prompt: blur, text", "a red chair, oak table", "blur, text"],
    ["a red chair: oak, and a table", "a red chair: oak, and a table", ""],
    ["Negative prompt: blur\ntext", "", "blur\ntext"],
  ]) {
    const { settings, notes } = fromInfotext(text);
    assert.deepEqual(settings, {
      prompt,
      negative_prompt: negative,
      prompt_syntax: "a1111",
    });
    assert.match(notes.join(" "), /no settings/);
  }
  const bare = fromInfotext("a chair\nSeed: 7, Size: 64x64, Sampler: Euler");
  assert.equal(bare.settings.seed, "7", "a settings line need not begin with steps");
  for (const none of ["", " \n", '{"prompt": "a"}', "[1]"]) assert.equal(fromInfotext(none), null);
});

test("weights, tags and BREAK are in A1111's language, and what is missing is named", () => {
  const prompt = "a (red:1.4) chair, [oak] table, <lora:sketch:0.7> BREAK a garden";
  const { settings, notes } = fromInfotext(
    `${prompt}\nNegative prompt: (blur:1.3)\n${CHAIR}, Version: v1.9.4`,
  );
  assert.deepEqual([settings.prompt, settings.prompt_syntax], [prompt, "a1111"]);
  assert.deepEqual(notes, []);
  assert.deepEqual(missingNotes(settings, NOTHING), [
    "The LoRA “sketch” is not here. Drop its file onto the page to use it.",
  ]);
  const there = { loras: ["sketch"], vaes: ["soft"], words: [["EasyNegative"]] };
  assert.deepEqual(missingNotes(settings, there), []);

  const more = fromInfotext(
    `<lora:a:1> x\n${CHAIR}, VAE hash: 1, VAE: soft.safetensors, Clip skip: 2, ` +
      "Emphasis: No norm, " +
      'Lora hashes: "a: 1f, b: 2e", TI hashes: "EasyNegative: c7, EasyNegative: c7", Version: v1',
  );
  const { clip_skip, emphasis, vae, embeddings } = more.settings;
  assert.deepEqual(
    [clip_skip, emphasis, vae, embeddings],
    ["2", "no-norm", "soft", "EasyNegative"],
  );
  assert.deepEqual(more.notes, [
    "It was made with the LoRA b; its text does not say with which weight.",
  ]);
  assert.deepEqual(missingNotes(more.settings, { ...NOTHING, loras: ["a"] }).length, 2);
  assert.deepEqual(fromInfotext(`x\n${CHAIR}, VAE: None, Emphasis: None`).settings.vae, "");
});

test("the sampler is taken also where its schedule type is unknown", () => {
  for (const [words, sampler, schedule, note] of [
    ["UniPC, Schedule type: Karras", "unipc", "karras", null],
    ["Euler, Schedule type: SGM Uniform", "euler", "sgm-uniform", null],
    ["Heun, Schedule type: KL Optimal", "heun", undefined, /no schedule type “KL Optimal”/],
    ["Restart, Schedule type: Karras", undefined, undefined, /no sampler “Restart”/],
  ]) {
    const { settings, notes } = fromInfotext(`x\nSteps: 1, Sampler: ${words}, RNG: CPU`);
    assert.deepEqual([settings.sampler, settings.schedule], [sampler, schedule], String(words));
    if (note instanceof RegExp) assert.match(notes.join(), note);
    else assert.deepEqual(notes, []);
  }
});

test("every setting that is not applied has a note", () => {
  const { notes } = fromInfotext(
    `x\n${CHAIR}, Denoising strength: 0.4, Hires upscale: 2, Face restoration: GFPGAN, ` +
      "Model hash: 1, Batch pos: 2, Version: v1",
  );
  assert.deepEqual(notes, [
    "Not applied here: Denoising strength, Hires upscale, Face restoration.",
  ]);
  const gpu = fromInfotext("x\nSteps: 1, Sampler: Euler, Seed: 1");
  assert.equal(gpu.settings.rng, "philox");
  assert.match(gpu.notes.join(), /NVIDIA/);
});

test("the comment of JPEG and WebP files is read in either order of bytes", async () => {
  const text = `a red chair, oak table\nNegative prompt: blur, text\n${CHAIR}`;
  const expected = { prompt: "a red chair, oak table", negative_prompt: "blur, text" };
  for (const [name, bytes] of /** @type {[string, Buffer][]} */ ([
    ["a.jpg", jpeg(tiff(Buffer.concat([Buffer.from("UNICODE\0"), utf16(text, false)])))],
    ["a.webp", webp(tiff(Buffer.concat([Buffer.from("UNICODE\0"), utf16(text, false)])))],
    ["le.jpg", jpeg(tiff(Buffer.concat([Buffer.from("UNICODE\0"), utf16(text, true)])))],
    ["ascii.webp", webp(tiff(Buffer.from(`ASCII\0\0\0${text}`)))],
    [
      "prefixed.webp",
      webp(Buffer.concat([Buffer.from("Exif\0\0"), tiff(Buffer.from(`ASCII\0\0\0${text}`))])),
    ],
  ])) {
    const { settings } = await found(Uint8Array.from(bytes), name);
    assert.equal(settings.prompt, expected.prompt, name);
    assert.equal(settings.negative_prompt, expected.negative_prompt, name);
    assert.equal(settings.height, "768", name);
  }
  const comfy = await found(webp(textTiff(0x0110, `prompt:${JSON.stringify(GRAPH)}`)), "c.webp");
  assert.equal(comfy.settings.prompt, "a red chair");
  for (const bytes of [jpeg(Buffer.alloc(0)), webp(Buffer.alloc(3)), jpeg(tiff(Buffer.alloc(0)))])
    await assert.rejects(found(bytes, "none.jpg"), { kind: "picture" });
});

const GRAPH = {
  3: {
    class_type: "KSampler",
    inputs: {
      ...{ seed: 42, steps: 20, cfg: 8.0, sampler_name: "euler", scheduler: "normal", denoise: 1 },
      ...{ model: ["4", 0], positive: ["6", 0], negative: ["7", 0], latent_image: ["5", 0] },
    },
  },
  4: { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "mixA.safetensors" } },
  5: { class_type: "EmptyLatentImage", inputs: { width: 512, height: 768, batch_size: 1 } },
  6: { class_type: "CLIPTextEncode", inputs: { text: "a red chair", clip: ["4", 1] } },
  7: { class_type: "CLIPTextEncode", inputs: { text: "blur, text", clip: ["4", 1] } },
};

test("a plain graph of ComfyUI is read", async () => {
  const settings = {
    ...{ prompt: "a red chair", negative_prompt: "blur, text", steps: "20", seed: "42" },
    ...{ guidance_scale: "8", width: "512", height: "768", sampler: "euler", schedule: "normal" },
  };
  assert.deepEqual(fromComfy(JSON.stringify(GRAPH)), {
    settings,
    notes: ["It was made with the model “mixA”."],
  });
  // LoRAs, clip skip, a VAE, an embedding, a seed beyond 2⁵³ and text from another node.
  const more = structuredClone(/** @type {Record<string, any>} */ (GRAPH));
  more[3].inputs = { ...more[3].inputs, model: ["8", 0], sampler_name: "dpmpp_2m_sde_gpu" };
  more[3].inputs.scheduler = "karras";
  more[6].inputs = { text: ["11", 0], clip: ["9", 0] };
  more[7].inputs.text = "(embedding:EasyNegative.pt:1.2), [x]";
  more[8] = {
    class_type: "LoraLoader",
    inputs: {
      ...{ lora_name: "art/sketch.safetensors", strength_model: 0.8, strength_clip: 0.5 },
      ...{ model: ["4", 0], clip: ["4", 1] },
    },
  };
  more[9] = { class_type: "CLIPSetLastLayer", inputs: { stop_at_clip_layer: -2, clip: ["8", 1] } };
  more[10] = { class_type: "VAELoader", inputs: { vae_name: "soft.safetensors" } };
  more[11] = { class_type: "PrimitiveString", inputs: { value: "a chair: 12345678901234567890" } };
  more[12] = { class_type: "VAEDecode", inputs: { samples: ["3", 0], vae: ["10", 0] } };
  more[13] = { class_type: "FaceDetailer", inputs: { image: ["12", 0] } };
  const text = JSON.stringify(more).replace('"seed":42', '"seed":18446744073709551615,"x":NaN');
  const complex = fromComfy(text, "models/mixA");
  assert.deepEqual(complex.settings, {
    ...settings,
    ...{ prompt: "a chair: 12345678901234567890", negative_prompt: "(EasyNegative:1.2), \\[x\\]" },
    ...{ seed: "18446744073709551615", sampler: "dpm++2m-sde", schedule: "karras" },
    ...{ loras: "sketch:0.5:0.8", clip_skip: "2", vae: "soft", embeddings: "EasyNegative" },
    prompt_syntax: "a1111",
  });
  assert.deepEqual(complex.notes, [
    "ComfyUI applies weights such as (x:1.3) in another way: the picture may differ.",
    "Nodes that are not applied here: FaceDetailer.",
  ]);

  // Two samplers: the first begins with noise.
  const two = structuredClone(/** @type {Record<string, any>} */ (GRAPH));
  two[1] = structuredClone(two[3]);
  two[1].inputs = { ...two[1].inputs, steps: 5, denoise: 0.5, latent_image: ["3", 0] };
  const first = fromComfy(JSON.stringify(two), "mixA");
  assert.equal(first.settings.steps, "20");
  assert.match(first.notes.join(), /2 samplers/);
  for (const none of [
    "",
    "{}",
    "[]",
    "{",
    JSON.stringify({ 1: { class_type: "Note", inputs: {} } }),
  ])
    assert.equal(fromComfy(none), null);
});

test("InvokeAI's metadata are read", () => {
  const metadata = {
    ...{
      generation_mode: "txt2img",
      positive_prompt: "a red chair",
      negative_prompt: "blur, text",
    },
    ...{ width: 512, height: 768, seed: 42, rand_device: "cpu", cfg_scale: 7.5, steps: 20 },
    ...{ scheduler: "euler_a", model: { name: "mixA", base: "sd-1" }, app_version: "5.4.3" },
  };
  const settings = {
    ...{ prompt: "a red chair", negative_prompt: "blur, text", steps: "20", seed: "42" },
    ...{ guidance_scale: "7.5", width: "512", height: "768", sampler: "euler-a" },
  };
  assert.deepEqual(fromInvoke(JSON.stringify(metadata)), {
    settings,
    notes: ["It was made with the model “mixA”."],
  });
  const more = fromInvoke(
    JSON.stringify({
      ...metadata,
      ...{ scheduler: "dpmpp_2m_k", clip_skip: 1, generation_mode: "img2img", rand_device: "cuda" },
      ...{ positive_prompt: "a (red)1.3 chair++", vae: { name: "soft" } },
      loras: [
        { model: { name: "sketch" }, weight: 0.75 },
        { lora: { model_name: "ink" }, weight: 1 },
      ],
    }),
    "mixA",
  );
  const { sampler, schedule, clip_skip, loras, vae, rng } = more.settings;
  assert.deepEqual(
    [sampler, schedule, clip_skip, loras, vae, rng],
    ["dpm++2m", "karras", "2", "sketch:0.75, ink:1", "soft", "philox"],
  );
  assert.match(more.notes.join(" "), /GPU.*plain text.*img2img/);
  const unknown = fromInvoke(JSON.stringify({ ...metadata, scheduler: "dpmpp_5z" }));
  assert.match(unknown.notes.join(), /no sampler “dpmpp_5z”/);
  for (const none of ["", "{}", '{"positive_prompt": 1}', "7"])
    assert.equal(fromInvoke(none), null);
});

test("a cut PNG gives its settings where the text is whole", async () => {
  const text = `a red chair, oak table\nNegative prompt: blur, text\n${CHAIR}, Version: v1.9.4`;
  const file = png(tEXt(text));
  for (const cut of [file.length - 13, file.length - 40, file.length - 64])
    assert.equal((await found(file.subarray(0, cut))).settings.seed, "42", `${cut} bytes`);
  for (const bytes of [file.subarray(0, 60), Buffer.from("<!doctype html>"), Buffer.alloc(0)])
    await assert.rejects(found(bytes), { kind: "picture" });
});

test("LoRAs are tags behind the prompt for A1111, and none when they are read here", () => {
  const settings = {
    ...SETTINGS,
    ...{ prompt: "a chair", negative_prompt: "blur", model: "m", prompt_syntax: "plain" },
    ...{ loras: "sketch:0.8, ink:0.5:1", vae: "soft", embeddings: "EasyNegative", clip_skip: "2" },
  };
  const text = infotext(settings);
  assert.match(text, /^a chair <lora:sketch:0.8> <lora:ink:0.5:1>\nNegative prompt: blur\n/);
  assert.match(text, /LoRAs: "sketch:0.8, ink:0.5:1", VAE: soft, Embeddings: EasyNegative/);
  const { settings: read, notes } = fromInfotext(text, "m");
  for (const field of ["prompt", "loras", "vae", "embeddings", "clip_skip"])
    assert.equal(read[field], settings[/** @type {keyof typeof settings} */ (field)], field);
  assert.deepEqual(notes, []);
  const tagged = infotext({ ...settings, prompt: "<lora:sketch:0.8> a chair", loras: "sketch:1" });
  assert.match(tagged, /^<lora:sketch:0.8> a chair\n/);
  assert.equal(fromInfotext(tagged, "m").settings.prompt, "<lora:sketch:0.8> a chair");
});

test("a picture says which additions it was really made with", () => {
  const available = {
    loras: ["sketch"],
    vaes: ["soft"],
    words: [["easynegative", "<easy>"], ["oak"]],
  };
  const { settings, using, warnings } = equip(
    {
      ...{ prompt: "oaken, cloak", negative_prompt: "EasyNegative, x", prompt_syntax: "plain" },
      ...{ loras: "sketch:0.8, ink:1, off:0", vae: "hard" },
    },
    available,
  );
  assert.deepEqual(
    [settings.loras, settings.vae, settings.embeddings],
    ["sketch:0.8", "", "easynegative"],
  );
  assert.deepEqual(using, { loras: [{ name: "sketch", text_encoder: 0.8, unet: 0.8 }], vae: "" });
  assert.deepEqual(warnings.length, 2);
  assert.match(warnings.join(" "), /LoRA “ink” is not here.*VAE “hard” is not here/);
});

test("the notes are in the language of the page", () => {
  setLanguage("de");
  const { notes } = fromInfotext("x\nSteps: 1, Sampler: Restart, Seed: 1, Model: mixA");
  setLanguage("en");
  assert.match(notes.join(" "), /gibt es hier nicht.*NVIDIA.*Modell „mixA“/);
});

test("no file and no text of another program throws", async () => {
  // Pseudorandom numbers, the same in every run.
  let state = 77;
  const random = (/** @type {number} */ below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  const comment = Buffer.concat([Buffer.from("UNICODE\0"), utf16("x\nSteps: 1, Seed: 2", false)]);
  const files = [jpeg(tiff(comment)), webp(tiff(comment)), webp(textTiff(0x0110, "prompt:{}"))];
  const texts = [
    JSON.stringify(GRAPH),
    '{"positive_prompt": "a", "loras": [{"model": {"name": "b"}}]}',
  ];
  for (let turn = 0; turn < 1000; turn += 1) {
    const file = Uint8Array.from(files[turn % files.length]);
    const words = [...texts[turn % texts.length]];
    for (let times = random(5); times >= 0; times -= 1) {
      file[random(file.length)] = random(256);
      words.splice(
        random(words.length),
        random(4),
        ...['"', "[", "null", "{}", "9e999"].slice(random(5)),
      );
    }
    const cut = Uint8Array.from(file.subarray(0, file.length - random(40)));
    await found(cut, "x.jpg").catch((/** @type {any} */ error) =>
      assert.equal(error.kind, "picture", String(error)),
    );
    const text = words.join("");
    for (const read of [fromComfy, fromInvoke]) {
      const { settings } = read(text) ?? { settings: {} };
      for (const value of Object.values(settings)) assert.equal(typeof value, "string", text);
    }
  }
  const deep = Object.fromEntries(
    Array.from({ length: 3000 }, (_, at) => [
      at,
      { class_type: "KSampler", inputs: { positive: [String(at + 1), 0], model: ["0", 0] } },
    ]),
  );
  const began = performance.now();
  fromComfy(JSON.stringify(deep));
  assert.ok(performance.now() - began < 2000);
});
