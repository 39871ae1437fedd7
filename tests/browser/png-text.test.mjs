// @ts-check
/**
 * Generation parameters in PNG files: read back, also from other programs and from malformed files.
 * These tests need no browser.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pageModule } from "./modules.mjs";
import { iTXt, packedITXt, png, tEXt, thereAndBack, tryInputs, zTXt } from "./png-inputs.mjs";

const { textOf } = await pageModule("studio/png-text.js");
const { fromInfotext } = await pageModule("studio/infotext.js");

test("the first readable text chunk of every kind is found", async () => {
  for (const [kind, file, expected] of /** @type {[string, Uint8Array, string | null][]} */ ([
    ["tEXt", png(tEXt("caf\u00e9 \u0080")), "caf\u00e9 \u0080"],
    ["iTXt", png(iTXt("日本 😀")), "日本 😀"],
    ["zTXt", png(zTXt("caf\u00e9")), "caf\u00e9"],
    ["packed iTXt", png(packedITXt("日本 😀")), "日本 😀"],
    ["the first of two", png(tEXt("one"), tEXt("two")), "one"],
    ["none", png(), null],
    ["too large after decompression", png(zTXt(Buffer.alloc(3e6))), null],
    ["a readable one after it", png(zTXt(Buffer.alloc(3e6)), tEXt("x")), "x"],
    ["not a PNG", Uint8Array.from([...png(tEXt("x"))].slice(1)), null],
    ["empty", new Uint8Array(0), null],
  ])) {
    assert.equal(await textOf(file, "parameters"), expected, kind);
  }
});

test("infotext of other programs becomes settings and notes", () => {
  const long = `a man, (hat:1.2)
in a city
Negative prompt: mustache,
glasses
Steps: 30, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 3141592653, \
Size: 512x768, Model hash: cc6cb27103, Model: v1-5, Lora hashes: "a: 1, b: 2", Clip skip: 2, \
Version: v1.9.4`;
  assert.deepEqual(fromInfotext(long), {
    settings: {
      prompt: "a man, (hat:1.2)\nin a city",
      negative_prompt: "mustache,\nglasses",
      steps: "30",
      seed: "3141592653",
      guidance_scale: "7",
      width: "512",
      height: "768",
      clip_skip: "2",
      sampler: "dpm++2m",
      schedule: "karras",
      prompt_syntax: "a1111",
      rng: "philox",
    },
    notes: [
      "Its noise came from a GPU. NVIDIA’s noise is computed here; that of other GPUs gives " +
        "another picture for the same seed.",
      "It was made with the LoRA a, b; its text does not say with which weight.",
      "It was made with the model “v1-5”.",
    ],
  });
  const sampler = (/** @type {string} */ words) =>
    fromInfotext(`x\nSteps: 1, Sampler: ${words}, RNG: CPU`);
  for (const [words, name, schedule] of [
    ["Euler a", "euler-a"],
    ["PLMS", "pndm"],
    ["UniPC", "unipc"],
    ["DPM++ 2M", "dpm++2m"],
    ["DPM++ 2M Karras", "dpm++2m", "karras"],
    ["DPM++ 2M SDE Karras", "dpm++2m-sde", "karras"],
    ["DPM++ 2M SDE Exponential", "dpm++2m-sde", "exponential"],
    ["DPM2 a Karras", "dpm2-a", "karras"],
    ["LMS Karras", "lms", "karras"],
    ["DPM++ 2M, Schedule type: Automatic", "dpm++2m", "karras"],
    ["DPM++ 3M SDE, Schedule type: Automatic", "dpm++3m-sde", "exponential"],
    ["DPM++ SDE Karras, Schedule type: Automatic", "dpm++sde", "karras"],
    ["DPM++ 2M, Schedule type: Uniform", "dpm++2m", "normal"],
    ["Euler, Schedule type: Automatic", "euler"],
    ["Euler, Schedule type: SGM Uniform", "euler", "sgm-uniform"],
    ["DPM++ 2S a, Schedule type: Align Your Steps", "dpm++2s-a", "ays"],
    // It has timesteps of its own: A1111 writes a type that has no effect.
    ["DDIM, Schedule type: Karras", "ddim"],
  ]) {
    const settings = {
      prompt: "x",
      negative_prompt: "",
      steps: "1",
      sampler: name,
      ...(schedule && { schedule }),
      prompt_syntax: "a1111",
    };
    assert.deepEqual(sampler(words), { settings, notes: [] }, words);
  }
  const unknown = sampler("DPM adaptive");
  assert.equal(unknown.settings.sampler, undefined);
  assert.match(unknown.notes[0], /There is no sampler “DPM adaptive”/);
  const type = sampler("Euler, Schedule type: Polyexponential");
  assert.equal(type.settings.sampler, "euler");
  assert.equal(type.settings.schedule, undefined);
  assert.match(type.notes[0], /no schedule type “Polyexponential”/);
  const eta = "x\nSteps: 1, Sampler: DDIM, RNG: NV, Eta DDIM: 0.5, Variation seed: 3, ";
  const { settings, notes } = fromInfotext(`${eta}Variation seed strength: 0.1, ENSD: 31337`);
  const { prompt: _prompt, negative_prompt: _negative, ...rest } = settings;
  assert.deepEqual(rest, {
    steps: "1",
    sampler: "ddim",
    prompt_syntax: "a1111",
    rng: "philox",
    eta: "0.5",
    variation_seed: "3",
    variation_strength: "0.1",
    ensd: "31337",
  });
  assert.deepEqual(notes, []);
  for (const none of ["", "{}", "[1]"]) assert.equal(fromInfotext(none), null, none);
});

test("infotext written here is read back", () => {
  thereAndBack(20_000, 7);
});

test("no input throws or makes the reader allocate much", async () => {
  const inputs = await tryInputs(50_000, 19);
  console.log(`${inputs} inputs`);
});
