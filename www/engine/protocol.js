// @ts-check
/**
 * What page and worker say to each other: tagged messages, every request with an id, every answer with the id of its request.
 *
 * The page sends a {@link PageMessage}; the worker answers each `open`, `count`, `plan` and `generate` with any number of `progress` messages and
 * then exactly one `done` or `failed`. `cancel` has no answer of its own: the generation it names fails with kind "cancelled".
 * `crashed` answers nobody: the engine is gone, and so is every request still open.
 */

/** @typedef {import("../base/problem.js").Problem} Problem */

/** @typedef {"auto" | "gpu" | "cpu"} DeviceChoice What the visitor wants. */

/**
 * Where pictures are computed.
 * @typedef {object} DeviceReport
 * @property {"gpu" | "cpu"} kind
 * @property {string} name for people: the adapter's name, or "CPU"
 * @property {string | null} reason why not the GPU, or what to know about it, as a sentence; null when there is nothing to explain
 */

/** @typedef {"auto" | "epsilon" | "v"} Prediction What the U-Net predicts; auto: what the model's files say, or a trial shows. */

/** @typedef {import("../weights/local.js").LocalModel} LocalModel */

/**
 * What a model takes in memory, in bytes: as the engine works it out before the first weight moves, for pictures of the model's own size, and when asked for
 * another.
 * @typedef {object} MemoryPlan
 * @property {number} weights
 * @property {number} activations
 * @property {number} scratch
 * @property {number} decode for decoding the picture, beside the weights
 * @property {number} host in WebAssembly's memory
 * @property {number} total on the device
 * @property {number} largest_buffer
 * @property {number | null} buffer_limit the device's; null: it has none
 * @property {number} width of the picture planned for, in pixels
 * @property {number} height
 * @property {boolean} tiled whether pictures are decoded in tiles
 */

/**
 * What the loaded model offers, as told by the engine.
 * @typedef {object} ModelInfo
 * @property {string} default_sampler
 * @property {string[]} samplers
 * @property {number} default_width pixels
 * @property {number} default_height pixels
 * @property {number} size_multiple pixels
 * @property {string} prediction_type
 * @property {number} max_tokens
 * @property {number} weight_bytes
 * @property {string[]} warnings what to know about the model
 */

/**
 * One picture to make. Absent fields take the engine's or the model's default.
 * @typedef {object} Request
 * @property {string} prompt
 * @property {string} negative_prompt
 * @property {string} seed decimal, 0 … 2⁶⁴−1: too large for a JavaScript number
 * @property {number} steps
 * @property {number} guidance_scale
 * @property {string} [sampler]
 * @property {number} [width] pixels
 * @property {number} [height] pixels
 */

/** @typedef {{count: number, limit: number, cut: string | null}} TokenCount `limit`: tokens of one part; `cut`: the text after the first part */

/** @typedef {{width: number, height: number, rgba: Uint8ClampedArray<ArrayBuffer>}} Pixels */

/**
 * @typedef {object} Opened
 * @property {DeviceReport} device
 * @property {ModelInfo} model
 * @property {"browser" | "memory" | "disk"} stored where the weights are for the next visit: kept in the browser, nowhere, or where they have always been
 * @property {string} why not in the browser, as a part of a sentence
 */

/**
 * @typedef {object} Finished
 * @property {Pixels} picture
 * @property {string[]} warnings
 */

/**
 * How far opening a model is.
 * @typedef {{stage: "device" | "engine" | "test"} | {stage: "weights", done: number, total: number, fetched: number, what: string} |
 *   {stage: "notice", text: string} | {stage: "storage", bytes: number} | {stage: "plan", plan: MemoryPlan}} OpenProgress
 *   `notice`: to be known; empty: that has passed; `storage`: so many more bytes are about to be kept; `plan`: what the model takes in memory
 */

/**
 * How far a generation is. `call` of `calls` U-Net calls are done; some samplers make more calls than steps.
 * @typedef {object} StepProgress
 * @property {number} call
 * @property {number} calls
 * @property {number} steps
 * @property {boolean} done all steps are done, the picture is being decoded
 * @property {Pixels | null} preview the latent's colours, one pixel per latent cell
 * @property {string[]} [warnings] with the first message, and again when there are more of them
 */

/**
 * @typedef {{tag: "open", id: number, model: string | LocalModel, prediction: Prediction, device: DeviceChoice, reason: string | null, fresh: boolean} | {tag: "count", id: number, text: string} |
 *   {tag: "plan", id: number, width: number, height: number} |
 *   {tag: "generate", id: number, request: Request} | {tag: "cancel", id: number}} PageMessage
 *   `model`: absolute address, of a folder with a slash at its end, of a checkpoint without; `reason`: why the choice was made, where a failure made it;
 *   `fresh`: forget what this browser keeps of the model first
 */

/**
 * @typedef {{tag: "progress", id: number, value: OpenProgress | StepProgress} | {tag: "done", id: number, value: Opened | TokenCount | MemoryPlan | Finished} |
 *   {tag: "failed", id: number, problem: Problem} | {tag: "crashed", problem: Problem}} WorkerMessage
 */

export {};
