// @ts-check
/**
 * Choice of the device, before the engine is created: the engine panics on an adapter without a
 * feature that it needs.
 */

/** @typedef {import("./protocol.js").DeviceChoice} DeviceChoice */
/** @typedef {import("./protocol.js").DeviceReport} DeviceReport */

/**
 * The parts of WebGPU that are read here.
 * @typedef {object} AdapterInfo
 * @property {string} [vendor]
 * @property {string} [architecture]
 * @property {string} [device]
 * @property {string} [description]
 * @property {boolean} [isFallbackAdapter]
 *
 * @typedef {object} Adapter
 * @property {AdapterInfo} [info]
 * @property {boolean} [isFallbackAdapter]
 * @property {{has(name: string): boolean}} features
 *
 * @typedef {object} Gpu
 * @property {(options?: {powerPreference?: string}) => Promise<Adapter | null>} requestAdapter
 */

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|softpipe|basic render|\bwarp\b/i;

/** @param {string} reason @returns {DeviceReport} */
const cpu = (reason) => ({ kind: "cpu", name: "CPU", reason });

/** @param {AdapterInfo} info */
function nameOf(info) {
  const name =
    info.description || info.device || [info.vendor, info.architecture].filter(Boolean).join(" ");
  return name.trim() || "unnamed adapter";
}

/**
 * Chooses the device and says why.
 * @param {DeviceChoice} choice "gpu" accepts a software adapter, too
 * @param {Gpu | undefined} gpu `navigator.gpu`
 * @returns {Promise<DeviceReport>}
 */
export async function probe(choice, gpu) {
  if (choice === "cpu") return cpu("Chosen by you.");
  if (!gpu) {
    const secure = globalThis.isSecureContext
      ? "This browser does not offer WebGPU."
      : "WebGPU needs a page served over https or from localhost.";
    return cpu(secure);
  }
  /** @type {Adapter | null} */
  let adapter = null;
  try {
    adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  } catch (error) {
    return cpu(`WebGPU gave no adapter: ${error instanceof Error ? error.message : error}`);
  }
  if (!adapter) return cpu("This browser offers WebGPU, but no adapter on this machine.");

  const info = adapter.info ?? {};
  const name = nameOf(info);
  // cubecl creates timestamp queries on every stream, and panics without them.
  if (!adapter.features.has("timestamp-query"))
    return cpu(
      `The adapter “${name}” lacks the feature “timestamp-query”, which the engine needs.`,
    );
  const words = [info.vendor, info.architecture, info.device, info.description].join(" ");
  const software = info.isFallbackAdapter || adapter.isFallbackAdapter || SOFTWARE.test(words);
  if (!software) return { kind: "gpu", name, reason: null };
  if (choice === "gpu")
    return {
      kind: "gpu",
      name,
      reason: "A software GPU: it computes on the CPU, slower than Darkroom’s own CPU path.",
    };
  return cpu(
    `No real GPU found (only a software one, “${name}”), so pictures are made on the CPU.`,
  );
}
