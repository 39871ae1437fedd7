// @ts-check
/**
 * The checkpoints of tests/golden/single_file for the page: as one file, the same weights as a model folder, and what diffusers makes of them. As
 * tests/support/checkpoint.rs has it.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

const GOLDEN = new URL("../golden/single_file/", import.meta.url);
const VOCABULARY = new URL("../../www/vocab/clip/", import.meta.url);

/** @typedef {[name: string, dtype: "F32" | "F16" | "I64", shape: number[], center: number, exponent: number]} Entry */

/**
 * @typedef {object} Case
 * @property {string} prompt
 * @property {string} negative_prompt
 * @property {number} seed
 * @property {number} steps
 * @property {number} guidance_scale
 * @property {number} width
 * @property {number} height
 * @property {"epsilon" | "v_prediction"} prediction
 * @property {string} picture the tensor's name
 */

export class Checkpoint {
  /** @type {Map<string, Buffer>} */ #bytes = new Map();

  /** @param {any} kind `sd1.json` or `sd2.json` @param {Buffer} expected what diffusers computed */
  constructor(kind, expected) {
    this.kind = kind;
    /** @type {Case[]} */
    this.cases = kind.cases;
    this.expected = expected;
  }

  /** @param {"sd1" | "sd2"} name */
  static async read(name) {
    const kind = JSON.parse(await readFile(new URL(`${name}.json`, GOLDEN), "utf8"));
    return new Checkpoint(kind, await readFile(new URL(`${name}.safetensors`, GOLDEN)));
  }

  /** @returns {Entry[]} */
  get #entries() {
    return this.kind.tensors;
  }

  /** The checkpoint as one file. */
  file() {
    return safetensors(this.#entries.map((entry) => [entry, this.#of(entry)]));
  }

  /**
   * Writes the same weights as a model folder in diffusers' layout.
   * @param {string} folder
   * @param {"epsilon" | "v_prediction"} prediction
   */
  async writeFolder(folder, prediction) {
    for (const [path, bytes] of await this.folder(prediction)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), bytes);
    }
  }

  /** @param {"epsilon" | "v_prediction"} prediction @returns {Promise<Map<string, Buffer>>} by path */
  async folder(prediction) {
    const { configs, schedulers, special_tokens: special, folder } = this.kind;
    const json = (/** @type {unknown} */ value) => Buffer.from(JSON.stringify(value));
    /** @type {Map<string, Buffer>} */
    const files = new Map([
      ["model_index.json", json({ _class_name: "StableDiffusionPipeline" })],
      ["scheduler/scheduler_config.json", json(schedulers[prediction])],
      ["tokenizer/special_tokens_map.json", json(special)],
    ]);
    for (const [part, config] of Object.entries(configs))
      files.set(`${part}/config.json`, json(config));
    for (const name of ["vocab.json", "merges.txt"])
      files.set(`tokenizer/${name}`, await readFile(new URL(name, VOCABULARY)));
    const entries = new Map(this.#entries.map((entry) => [entry[0], entry]));
    for (const [part, names] of /** @type {[string, Record<string, [string, number | null]>][]} */ (
      Object.entries(folder)
    )) {
      const tensors = Object.entries(names).map(([name, [origin, third]]) => {
        const entry = entries.get(origin);
        if (!entry) throw new Error(`there is no ${origin}`);
        const [, dtype, shape, ...rest] = entry;
        const bytes = this.#of(entry);
        if (third === null)
          return /** @type {[Entry, Buffer]} */ ([[name, dtype, shape, ...rest], bytes]);
        const size = bytes.length / 3;
        return /** @type {[Entry, Buffer]} */ ([
          [name, dtype, [shape[0] / 3, ...shape.slice(1)], ...rest],
          bytes.subarray(third * size, (third + 1) * size),
        ]);
      });
      files.set(
        `${part}/${part === "text_encoder" ? "model" : "diffusion_pytorch_model"}.safetensors`,
        safetensors(tensors),
      );
    }
    return files;
  }

  /** diffusers' picture: RGBA, as a canvas has it. @param {Case} wanted */
  picture({ picture, width, height }) {
    const length = Number(this.expected.readBigUInt64LE(0));
    const {
      data_offsets: [start, end],
    } = JSON.parse(this.expected.toString("utf8", 8, 8 + length))[picture];
    const rgb = this.expected.subarray(8 + length + start, 8 + length + end);
    const bytes = Array.from({ length: width * height * 4 }, (_, at) =>
      at % 4 === 3 ? 255 : rgb[3 * (at >> 2) + (at % 4)],
    );
    return { width, height, bytes };
  }

  /** @param {Entry} entry */
  #of(entry) {
    const bytes = this.#bytes.get(entry[0]) ?? values(entry);
    this.#bytes.set(entry[0], bytes);
    return bytes;
  }
}

/** @param {[Entry, Buffer][]} tensors */
function safetensors(tensors) {
  let end = 0;
  const header = Object.fromEntries(
    tensors.map(([[name, dtype, shape], bytes]) => {
      const start = end;
      end += bytes.length;
      return [name, { dtype, shape, data_offsets: [start, end] }];
    }),
  );
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...tensors.map(([, bytes]) => bytes)]);
}

/**
 * Numbers out of a hash of name and index, as `values` of generate.py: FNV-1a of the name, then splitmix64, of which the upper eight bits count.
 * @param {Entry} entry
 */
function values([name, dtype, shape, center, exponent]) {
  let seed = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(name))
    seed = BigInt.asUintN(64, (seed ^ BigInt(byte)) * 0x100000001b3n);
  const step = 2 ** (exponent - 7);
  const table = Array.from({ length: 256 }, (_, top) => center + (top - 127) * step);
  const tops = splitmix(
    Number(seed >> 32n) | 0,
    Number(seed & 0xffffffffn) | 0,
    shape.reduce((product, size) => product * size, 1),
  );
  // Typed arrays are little-endian wherever there is a browser to be tested.
  const [array, of] = {
    F32: /** @type {const} */ ([new Float32Array(tops.length), Float32Array.from(table)]),
    F16: /** @type {const} */ ([new Uint16Array(tops.length), Uint16Array.from(table, half)]),
    I64: /** @type {const} */ ([
      new BigInt64Array(tops.length),
      BigInt64Array.from(table, (value) => BigInt(Math.trunc(value))),
    ]),
  }[dtype];
  for (let at = 0; at < tops.length; at += 1) array[at] = of[tops[at]];
  return Buffer.from(array.buffer);
}

/**
 * The upper eight bits of splitmix64's numbers, 64 bits as two halves: BigInt would take minutes.
 * @param {number} high of the seed
 * @param {number} low
 * @param {number} count
 */
function splitmix(high, low, count) {
  const tops = new Uint8Array(count);
  for (let at = 0; at < count; at += 1) {
    const sum = (low >>> 0) + 0x7f4a7c15;
    high = (high + 0x9e3779b9 + (sum > 0xffffffff ? 1 : 0)) | 0;
    low = sum | 0;
    // (z ^ (z >> 30)) · 0xbf58476d1ce4e5b9, and with 27 and 0x94d049bb133111eb, modulo 2⁶⁴
    const l1 = low ^ ((low >>> 30) | (high << 2));
    const h1 = high ^ (high >>> 30);
    const l2 = Math.imul(l1, 0x1ce4e5b9);
    const h2 = (upper(l1, 0x1ce4e5b9) + Math.imul(h1, 0x1ce4e5b9) + Math.imul(l1, 0xbf58476d)) | 0;
    const l3 = l2 ^ ((l2 >>> 27) | (h2 << 5));
    const h3 = h2 ^ (h2 >>> 27);
    const h4 = (upper(l3, 0x133111eb) + Math.imul(h3, 0x133111eb) + Math.imul(l3, 0x94d049bb)) | 0;
    tops[at] = (h4 ^ (h4 >>> 31)) >>> 24;
  }
  return tops;
}

/** The upper half of a product of two unsigned numbers of 32 bits, in doubles that hold 53 exactly. @param {number} a @param {number} b */
const upper = (a, b) =>
  Math.floor(((a >>> 16) * b + Math.floor(((a & 0xffff) * b) / 65536)) / 65536);

/** The bits of a half: all values here are small multiples of powers of two, which it holds exactly. @param {number} value */
function half(value) {
  if (value === 0) return 0;
  const exponent = Math.floor(Math.log2(Math.abs(value)));
  const fraction = Math.abs(value) / 2 ** exponent - 1;
  return (value < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | Math.round(fraction * 1024);
}
