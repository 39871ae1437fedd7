// @ts-check
/**
 * Messages between page and worker: each request has an id, each answer the id of its request.
 *
 * The page sends a {@link PageMessage}. The worker answers each `open`, `count`, `plan` and
 * `generate` with any number of `progress` messages and then exactly one `done` or `failed`.
 * `cancel` has no answer of its own: the generation it names fails with kind "cancelled".
 * `crashed` answers no request: the engine is gone, and with it every open request.
 */

// Structures of the engine, as crate/web.rs writes them.

/** @typedef {"auto" | "epsilon" | "v"} Prediction Prediction type; auto: found out by the engine */

/**
 * Memory that a model takes, in bytes. Computed before the weights load, for pictures of the
 * model's default size, and on request for other sizes.
 * @typedef {object} MemoryPlan
 * @property {number} weights
 * @property {number} activations
 * @property {number} scratch
 * @property {number} decode for decoding the picture, besides the weights
 * @property {number} host in WebAssembly's memory
 * @property {number} total on the device
 * @property {number} largest_buffer
 * @property {number | null} buffer_limit the device's; null: it has none
 * @property {number} width of the picture, in pixels
 * @property {number} height of the picture, in pixels
 * @property {boolean} tiled pictures are decoded in tiles
 */

/**
 * The loaded model's defaults and limits.
 * @typedef {object} ModelInfo
 * @property {string} default_sampler
 * @property {string[]} samplers
 * @property {number} default_width pixels
 * @property {number} default_height pixels
 * @property {number} size_multiple pixels
 * @property {string} prediction_type
 * @property {number} max_tokens
 * @property {number} weight_bytes
 * @property {string[]} warnings notes about the model, for people
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

/**
 * Progress after a U-Net call.
 * @typedef {object} Progress
 * @property {number} call U-Net calls done; some samplers make more calls than steps
 * @property {number} calls U-Net calls in all
 * @property {number} timestep
 * @property {number} sigma
 * @property {boolean} done all steps are done
 * @property {boolean} restarted the run started over with this call, in a safer precision
 */

/**
 * Tokens of a prompt.
 * @typedef {object} TokenCount
 * @property {number} count
 * @property {number} limit tokens of a chunk
 * @property {string | null} cut the text after the first chunk
 */

// End of the engine's structures.

/** @typedef {import("../base/problem.js").Problem} Problem */
/** @typedef {import("../weights/local.js").LocalModel} LocalModel */

/** @typedef {"auto" | "gpu" | "cpu"} DeviceChoice The visitor's choice */

/**
 * The device that pictures are computed on.
 * @typedef {object} DeviceReport
 * @property {"gpu" | "cpu"} kind
 * @property {string} name for people: the adapter's name, or "CPU"
 * @property {string | null} reason a sentence: why it is not the GPU, or what to know about it
 */

/** @typedef {{width: number, height: number, rgba: Uint8ClampedArray<ArrayBuffer>}} Pixels */

/**
 * A model that is open.
 * @typedef {object} Opened
 * @property {DeviceReport} device
 * @property {ModelInfo} model
 * @property {"browser" | "memory" | "disk"} stored the weights are cached in the browser, held in
 *   memory only, or on the visitor's disk
 * @property {string} why not in the browser; part of a sentence
 */

/**
 * A finished picture.
 * @typedef {object} Finished
 * @property {Pixels} picture
 * @property {string[]} warnings
 */

/**
 * Progress of opening a model. `notice`: a message for the visitor; empty: the last one is over.
 * `storage`: that many more bytes are about to be cached. `plan`: the memory that the model takes.
 * @typedef {{stage: "device" | "engine" | "test"}
 *   | {stage: "weights", done: number, total: number, fetched: number, what: string}
 *   | {stage: "notice", text: string}
 *   | {stage: "storage", bytes: number}
 *   | {stage: "plan", plan: MemoryPlan}} OpenProgress
 */

/**
 * Progress of a generation.
 * @typedef {object} StepProgress
 * @property {number} call U-Net calls done; some samplers make more calls than steps
 * @property {number} calls U-Net calls in all
 * @property {number} steps
 * @property {boolean} done all steps are done, the picture is being decoded
 * @property {Pixels | null} preview the latent's colours, one pixel for each latent position
 * @property {string[]} [warnings] with the first message, and again when there are more
 */

/**
 * @typedef {object} OpenMessage
 * @property {"open"} tag
 * @property {number} id
 * @property {string | LocalModel} model an absolute address: a folder's ends in a slash, a
 *   checkpoint's does not; or files on the visitor's disk
 * @property {Prediction} prediction
 * @property {DeviceChoice} device
 * @property {string | null} reason for the device, where a failure chose it
 * @property {boolean} fresh delete the cached files of the model first
 */

/**
 * @typedef {OpenMessage
 *   | {tag: "count", id: number, text: string}
 *   | {tag: "plan", id: number, width: number, height: number}
 *   | {tag: "generate", id: number, request: Request}
 *   | {tag: "cancel", id: number}} PageMessage
 */

/**
 * @typedef {{tag: "progress", id: number, value: OpenProgress | StepProgress}
 *   | {tag: "done", id: number, value: Opened | TokenCount | MemoryPlan | Finished}
 *   | {tag: "failed", id: number, problem: Problem}
 *   | {tag: "crashed", problem: Problem}} WorkerMessage
 */

export {};
