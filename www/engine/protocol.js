// @ts-check
/**
 * Messages between page and worker: each request has an id, each answer the id of its request.
 *
 * The page sends a {@link PageMessage}. The worker answers each `open`, `count`, `layout`,
 * `plan`, `add`, `remove` and `generate` with any number of `progress` messages and then
 * exactly one `done` or `failed`.
 * `cancel` has no answer of its own: the generation it names fails with kind "cancelled".
 * `ping` is answered at once, also in the middle of a request, unless the worker is computing.
 * `crashed` answers no request: the engine is gone, and with it every open request.
 */

// Structures of the engine: their types come from Rust.

/** @typedef {"auto" | "epsilon" | "v"} Prediction Prediction type; auto: found out by the engine */
/** @typedef {import("../pkg/darkroom.js").MemoryPlan} MemoryPlan */
/** @typedef {import("../pkg/darkroom.js").ModelInfo} ModelInfo */
/** @typedef {import("../pkg/darkroom.js").Progress} Progress */
/**
 * A request with the fields that the page always sets.
 *
 * @typedef {import("../pkg/darkroom.js").Request &
 *   {prompt: string, negative_prompt: string, steps: number}} Request
 */
/** @typedef {import("../pkg/darkroom.js").TokenCount} TokenCount */
/** @typedef {import("../pkg/darkroom.js").PromptLayout} PromptLayout */

/**
 * Settings for reading a prompt.
 * @typedef {object} LayoutOptions
 * @property {string} syntax plain or a1111
 * @property {string} emphasis original, no-norm or ignore
 * @property {number} steps of the picture
 * @property {boolean} negative in a negative prompt `AND` and tags are text
 */

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

/**
 * A file that changes a model. `name`: of a LoRA in tags, of a VAE in settings; of an embedding for
 * people, its names in prompts are in its file.
 * @typedef {object} Addition
 * @property {"lora" | "embedding" | "vae"} kind
 * @property {string} name
 * @property {File} file
 * @property {File} [config] the configuration of a VAE that came in a folder
 */

/**
 * An addition that the engine has examined.
 * @typedef {object} Added
 * @property {Addition["kind"]} kind
 * @property {string} name
 * @property {string[]} words names of an embedding in prompts
 * @property {number} vectors tokens that an embedding takes
 * @property {string[]} warnings
 * @property {string} problem the reason why it does not fit the model; empty: it fits
 */

/**
 * A LoRA's weights in a picture.
 * @typedef {{name: string, text_encoder: number, unet: number}} LoraWeights
 */

/**
 * The additions that a picture is made with. LoRAs that are not named have the weight 0.
 * @typedef {object} Using
 * @property {LoraWeights[]} loras
 * @property {string} vae empty: the model's own
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
 * @property {Added[]} added the additions, with those that do not fit this model
 */

/**
 * A finished picture.
 * @typedef {object} Finished
 * @property {Pixels} picture
 * @property {string[]} warnings
 * @property {Predictions} predictions
 */

/**
 * Predictions of the U-Net: those made, and those that windows and an early end of the guidance
 * have saved.
 * @typedef {{made: number, saved: number}} Predictions
 */

/**
 * Progress of opening a model. `notice`: a message for the visitor; empty: the last one is over.
 * `storage`: that many more bytes are about to be cached. `plan`: the memory that the model takes.
 * `chosen`: the device that the engine is being started on.
 * `engine`: bytes of its download, total 0 where unknown; the model's files are fetched meanwhile.
 * @typedef {{stage: "device" | "test"}
 *   | {stage: "engine", done: number, total: number}
 *   | {stage: "weights", done: number, total: number, fetched: number, what: string}
 *   | {stage: "chosen", device: "gpu" | "cpu"}
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
 * @property {number} [merging] share of the weights that LoRAs have changed so far, before the
 *   first call; 0 … 1
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
 * @property {string} [language] of the texts for the visitor
 * @property {Addition[]} [additions] to be added to the model
 * @property {string} [vae] the name of the addition that takes the place of the model's VAE
 */

/**
 * @typedef {OpenMessage
 *   | {tag: "count", id: number, text: string}
 *   | {tag: "layout", id: number, text: string, options: LayoutOptions}
 *   | {tag: "plan", id: number, width: number, height: number}
 *   | {tag: "generate", id: number, request: Request, using: Using}
 *   | {tag: "add", id: number, addition: Addition}
 *   | {tag: "remove", id: number, kind: Addition["kind"], name: string}
 *   | {tag: "cancel", id: number}
 *   | {tag: "ping", id: number}} PageMessage
 */

/** @typedef {Opened | Added | TokenCount | PromptLayout | MemoryPlan | Finished | null} Answer */

/**
 * @typedef {{tag: "progress", id: number, value: OpenProgress | StepProgress}
 *   | {tag: "done", id: number, value: Answer}
 *   | {tag: "failed", id: number, problem: Problem}
 *   | {tag: "crashed", problem: Problem}} WorkerMessage
 */

export {};
