// @ts-check
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

/** No requests of Chromium's own. Without a network every attempt costs time. */
const QUIET = [
  "--no-first-run",
  "--disable-quic",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** WebGPU on Chromium's software adapter, for machines without a GPU. */
const SWIFTSHADER = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
];

/** @param {boolean} webgpu @param {string[]} args */
function options(webgpu, args) {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  if (!existsSync(executablePath)) {
    throw new Error(
      `${executablePath} is not there: set CHROMIUM, or run the tests by cargo xtask test`,
    );
  }
  return {
    executablePath,
    // Chromium refuses to run its sandbox as root, and containers often lack what it needs.
    args: [
      "--no-sandbox",
      ...QUIET,
      ...(webgpu ? SWIFTSHADER : ["--disable-features=WebGPU"]),
      ...args,
    ],
  };
}

/**
 * Starts a headless Chromium: `$CHROMIUM`, or the one where Debian installs it.
 *
 * @param {object} [wanted]
 * @param {boolean} [wanted.webgpu] WebGPU on SwiftShader; default true
 * @param {string[]} [wanted.args] further command-line switches
 * @returns {Promise<import("playwright-core").Browser>}
 */
export async function launchChromium({ webgpu = true, args = [] } = {}) {
  return chromium.launch(options(webgpu, args));
}

/**
 * Starts a Chromium for several visits of one visitor: a folder holds what the pages store.
 * @param {string} profile
 */
export async function launchPersistent(profile) {
  return chromium.launchPersistentContext(profile, options(true, []));
}
