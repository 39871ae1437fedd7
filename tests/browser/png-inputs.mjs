// @ts-check
/** Random PNG files and texts, and what must hold for every result of reading them. */
import assert from "node:assert/strict";
import { deflateSync } from "node:zlib";
import { pageModule } from "./modules.mjs";

const { AT_MOST, textOf, texts } = await pageModule("studio/png-text.js");
const { fromInfotext, infotext } = await pageModule("studio/infotext.js");

/** Pseudorandom numbers, the same in every run (xorshift32). */
class Random {
  #state;

  /** @param {number} seed not 0 */
  constructor(seed) {
    this.#state = seed;
  }

  /** @param {number} below */
  number(below) {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % below;
  }

  /** @template T @param {T[]} list */
  of(list) {
    return list[this.number(list.length)];
  }

  /** @param {number} length */
  bytes(length) {
    return Uint8Array.from({ length }, () => this.number(256));
  }

  /** @param {number} length */
  text(length) {
    return Array.from({ length }, () =>
      this.of([
        "a",
        "Steps: 1",
        ",",
        ":",
        '"',
        "\\",
        " ",
        "\n",
        "Negative prompt: ",
        "é",
        "日",
        "😀",
        "Size: 8x8",
        "\r",
        "\0",
      ]),
    ).join("");
  }
}

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** @param {string} type @param {Buffer} data */
function chunk(type, data) {
  const bytes = Buffer.alloc(12 + data.length);
  bytes.writeUInt32BE(data.length, 0);
  bytes.write(type, 4, "latin1");
  data.copy(bytes, 8);
  return bytes;
}

/**
 * A PNG file with these chunks.
 * @param {Buffer[]} chunks
 * @returns {Uint8Array<ArrayBuffer>}
 */
export const png = (...chunks) =>
  Uint8Array.from(
    Buffer.concat([
      Buffer.from(SIGNATURE),
      chunk("IHDR", Buffer.alloc(13)),
      ...chunks,
      chunk("IDAT", Buffer.alloc(40)),
      chunk("IEND", Buffer.alloc(0)),
    ]),
  );

/** @param {string} text */
export const tEXt = (text) => chunk("tEXt", Buffer.from(`parameters\0${text}`, "latin1"));
/** @param {string} text */
export const iTXt = (text) => chunk("iTXt", Buffer.from(`parameters\0\0\0en\0\0${text}`));
/** @param {string} text */
export const packedITXt = (text) =>
  chunk("iTXt", Buffer.concat([Buffer.from("parameters\0\x01\0\0\0"), deflateSync(text)]));
/** @param {string | Buffer} text */
export const zTXt = (text) =>
  chunk(
    "zTXt",
    Buffer.concat([
      Buffer.from("parameters\0\0"),
      deflateSync(typeof text === "string" ? Buffer.from(text, "latin1") : text),
    ]),
  );

const TEXT =
  "Portrait photo of a man, caf\u00e9\nNegative prompt: mustache\nSteps: 20, Sampler: DPM++ 2M, " +
  'CFG scale: 7.5, Seed: 19, Size: 512x768, Model: "a: b", Version: v1.9';
const FILES = [
  png(tEXt(TEXT)),
  png(iTXt(`${TEXT} 日本`)),
  png(zTXt(TEXT)),
  png(packedITXt(TEXT)),
  png(chunk("tEXt", Buffer.from("Title\0x")), tEXt(TEXT), tEXt("second")),
];
const EXTREMES = [
  0, 1, 11, 12, 13, 79, 80, 0x7fffffff, 0x80000000, 0xfffffff3, 0xfffffff4, 0xffffffff,
];

/** @param {Random} random @returns {Uint8Array<ArrayBuffer>} */
function mutatedFile(random) {
  if (random.number(16) === 0)
    return Uint8Array.from([...SIGNATURE, ...random.bytes(random.number(200))]);
  let file = random.of(FILES).slice();
  for (let times = 1 + random.number(4); times > 0; times -= 1) {
    const at = random.number(file.length || 1);
    switch (random.number(6)) {
      case 0:
        file[at] = random.number(256);
        break;
      case 1:
        file = file.subarray(0, at);
        break;
      case 2: // A chunk's length lies.
        if (at + 4 <= file.length)
          new DataView(file.buffer, file.byteOffset).setUint32(at, random.of(EXTREMES));
        break;
      case 3:
        file = Uint8Array.from([
          ...file.subarray(0, at),
          ...random.bytes(random.number(20)),
          ...file.subarray(at),
        ]);
        break;
      case 4:
        file = Uint8Array.from([...file.subarray(0, at), ...file.subarray(at + random.number(30))]);
        break;
      default:
        file = Uint8Array.from([...file, ...file.subarray(at)]);
    }
  }
  return file;
}

/** @param {Random} random */
function mutatedText(random) {
  if (random.number(4) === 0) return random.text(random.number(30));
  const at = random.number(TEXT.length);
  const end = at + random.number(TEXT.length - at);
  return (
    TEXT.slice(0, at) + random.text(random.number(6)) + TEXT.slice(random.number(2) ? at : end)
  );
}

/** @type {Record<string, RegExp>} */
const FORMS = {
  steps: /^\d{1,4}$/,
  seed: /^\d{1,20}$/,
  guidance_scale: /^[\d.]{1,10}$/,
  width: /^\d{1,5}$/,
  height: /^\d{1,5}$/,
  sampler: /^[a-z0-9+-]+$/,
  schedule: /^(normal|karras|exponential|beta|sgm-uniform|simple|ays)$/,
  clip_skip: /^\d{1,2}$/,
  eta: /^[\d.]{1,10}$/,
  rng: /^philox$/,
  prompt_syntax: /^a1111$/,
  emphasis: /^(no-norm|ignore)$/,
  vae: /^[^,:<>"]*$/,
  variation_seed: /^\d{1,20}$/,
};

/** @param {string} text */
function checkText(text) {
  const found = fromInfotext(text);
  if (found === null) return;
  const { prompt, negative_prompt, ...others } = found.settings;
  assert.ok(prompt.length + negative_prompt.length <= text.length);
  for (const [field, value] of Object.entries(others)) assert.match(value, FORMS[field], field);
  // The page has room for them.
  assert.ok(found.notes.every((/** @type {string} */ note) => note.length < 400));
}

/**
 * Reads so many files chunk by chunk, and as many texts. A hundredth of the files is also
 * decompressed, as the page does it.
 * @param {number} count
 * @param {number} seed
 */
export async function tryInputs(count, seed) {
  const random = new Random(seed);
  let found = 0;
  for (let turn = 0; turn < count; turn += 1) {
    const file = mutatedFile(random);
    try {
      let total = 0;
      for (const { keyword, bytes } of texts(file)) {
        assert.ok(keyword.length >= 1 && keyword.length <= 79);
        assert.equal(bytes.buffer, file.buffer, "a text is a view into the file");
        total += bytes.length;
        found += 1;
      }
      assert.ok(total <= file.length, "chunks do not overlap");
      if (turn % 100 === 0) {
        const text = await textOf(file, "parameters");
        assert.ok(text === null || text.length * 2 <= file.length * AT_MOST);
        if (text !== null) checkText(text);
      }
      checkText(mutatedText(random));
    } catch (error) {
      throw new Error(`turn ${turn} of seed ${seed}: ${Buffer.from(file).toString("hex")}`, {
        cause: error,
      });
    }
  }
  // Otherwise most inputs would be refused at once.
  assert.ok(found > count / 4, `${found} texts in ${count} files`);
  return 2 * count;
}

/**
 * Reads back what was written.
 * @param {number} count
 * @param {number} seed
 */
export function thereAndBack(count, seed) {
  const random = new Random(seed);
  const line = () =>
    random.text(random.number(8)).replaceAll(/Negative prompt: |Steps: 1|[\n\r]/g, "x");
  for (let turn = 0; turn < count; turn += 1) {
    const settings = {
      prompt: [line(), line()].join(random.of(["", "\n"])),
      negative_prompt: line(),
      seed: String(random.number(2 ** 32)),
      steps: String(1 + random.number(1000)),
      guidance_scale: String(1 + random.number(200) / 2),
      sampler: random.of([
        "euler",
        "euler-a",
        "ddim",
        "pndm",
        "dpm++2m",
        "dpm++sde",
        "lms",
        "unipc",
      ]),
      width: String(8 * (1 + random.number(200))),
      height: String(8 * (1 + random.number(200))),
    };
    const more = random.of([
      {},
      { clip_skip: "2", ensd: "-7" },
      { schedule: "ays" },
      { rng: "philox", eta: "0.5" },
    ]);
    Object.assign(settings, more);
    // On samplers with timesteps of their own it has no effect, and is not written.
    if (/ddim|pndm/.test(settings.sampler)) Reflect.deleteProperty(settings, "schedule");
    const text = infotext({ ...settings, model: line(), device: "auto", prediction: "auto" });
    assert.deepEqual(fromInfotext(text).settings, settings, JSON.stringify(text));
  }
  return count;
}
