// @ts-check
/**
 * onnxruntime-web in a worker of its own, on the demo U-Net as diffusers exports it.
 */
import { serve } from "./worker.js";

/** @typedef {import("onnxruntime-web").InferenceSession} Session */
/** @typedef {import("onnxruntime-web").Tensor} Tensor */
/**
 * `request.json` of peer.py.
 * @typedef {object} Request
 * @property {number} guidance_scale
 * @property {number[]} latent_shape channels, height, width
 * @property {number[]} states_shape 2, tokens, width
 * @property {number[]} states embeddings of the negative prompt and of the prompt
 * @property {number[]} noise
 * @property {Record<string, {init_noise_sigma: number, timesteps: number[], sigmas: number[]}>} euler by number of steps
 */

const now = () => performance.now() / 1000;

/** @type {typeof import("onnxruntime-web")} */ let ort;
/** @type {Session} */ let session;
/** @type {Request} */ let request;
/** @type {Tensor} */ let states;

serve({
  /**
   * @param {{ort: string, model: string, provider: "wasm" | "webgpu"}} what addresses of onnxruntime-web's folder and of peer.py's
   */
  async open({ ort: folder, model, provider }) {
    const begin = now();
    // Each provider from the build that is made for it.
    ort = await import(`${folder}ort.${provider}.min.mjs`);
    ort.env.wasm.wasmPaths = folder;
    ort.env.wasm.numThreads = 1;
    request = await (await fetch(`${model}request.json`)).json();
    const bytes = new Uint8Array(await (await fetch(`${model}unet.onnx`)).arrayBuffer());
    session = await ort.InferenceSession.create(bytes, {
      executionProviders: [provider],
      graphOptimizationLevel: "all",
    });
    states = new ort.Tensor("float32", Float32Array.from(request.states), request.states_shape);
    return { version: ort.env.versions.web, seconds: now() - begin };
  },

  /**
   * One guided U-Net call, prediction read back.
   * @returns {Promise<number>} seconds
   */
  async step() {
    const latent = Float32Array.from(request.noise);
    const begin = now();
    await predict(latent, 501);
    return now() - begin;
  },

  /**
   * From the request's noise to the final latent, with the guidance and the Euler sampler of diffusers.
   * @param {{steps: number}} what
   * @returns {Promise<number[]>}
   */
  async sample({ steps }) {
    const { init_noise_sigma, timesteps, sigmas } = request.euler[steps];
    const { guidance_scale: scale } = request;
    const latent = Float32Array.from(request.noise, (x) => x * init_noise_sigma);
    for (const [index, timestep] of timesteps.entries()) {
      const [sigma, next] = sigmas.slice(index, index + 2);
      const prediction = await predict(
        latent.map((x) => x / Math.sqrt(sigma * sigma + 1)),
        timestep,
      );
      for (let i = 0; i < latent.length; i += 1) {
        const [negative, positive] = [prediction[i], prediction[latent.length + i]];
        latent[i] += (next - sigma) * (negative + scale * (positive - negative));
      }
    }
    return [...latent];
  },
});

/**
 * @param {Float32Array} input of one branch; both get the same
 * @param {number} timestep
 * @returns {Promise<Float32Array>} of both branches
 */
async function predict(input, timestep) {
  const sample = new Float32Array(2 * input.length);
  sample.set(input);
  sample.set(input, input.length);
  const { prediction } = await session.run({
    sample: new ort.Tensor("float32", sample, [2, ...request.latent_shape]),
    timestep: new ort.Tensor("float32", Float32Array.of(timestep), [1]),
    encoder_hidden_states: states,
  });
  return /** @type {Float32Array} */ (await prediction.getData());
}
