// @ts-check
/**
 * Which device to compute on: asked before the engine is made, because an adapter that lacks something ends the engine in a panic there.
 */

/** @typedef {import("./protocol.js").DeviceChoice} DeviceChoice */
/** @typedef {import("./protocol.js").DeviceReport} DeviceReport */

/**
 * The part of WebGPU looked at here.
 * @typedef {{vendor?: string, architecture?: string, device?: string, description?: string, isFallbackAdapter?: boolean}} AdapterInfo
 * @typedef {{info?: AdapterInfo, isFallbackAdapter?: boolean, features: {has(name: string): boolean}}} Adapter
 * @typedef {{requestAdapter(options?: {powerPreference?: string}): Promise<Adapter | null>}} Gpu
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
 * @param {DeviceChoice} choice "gpu" takes a software adapter too
 * @param {Gpu | undefined} gpu `navigator.gpu`
 * @returns {Promise<DeviceReport>}
 */
export async function probe(choice, gpu) {
  if (choice === "cpu") return cpu("Chosen by you.");
  if (!gpu) {
    const secure = globalThis.isSecureContext
      ? "This browser does not offer WebGPU."
      : "WebGPU needs a page served by https or from localhost.";
    return cpu(secure);
  }
  /** @type {Adapter | null} */
  let adapter = null;
  try {
    adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  } catch (error) {
    return cpu(
      `WebGPU could not be asked for an adapter: ${error instanceof Error ? error.message : error}`,
    );
  }
  if (!adapter) return cpu("WebGPU is here, but it has no adapter on this machine.");

  const info = adapter.info ?? {};
  const name = nameOf(info);
  // cubecl measures with timestamps on every stream it creates and panics without them.
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
      reason: "A software adapter: it computes on the CPU, slower than Darkroom’s own CPU path.",
    };
  return cpu(
    `The only WebGPU adapter, “${name}”, is a software one, slower than Darkroom’s own CPU path.`,
  );
}
