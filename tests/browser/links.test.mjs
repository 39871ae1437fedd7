// @ts-check
/** Links: what the address bar holds, and addresses of models, malformed ones included. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pageModule } from "./modules.mjs";

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
