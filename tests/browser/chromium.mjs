// @ts-check
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

/** Nothing that phones home: the tests run where there is no network, and every attempt costs time. */
const QUIET = [
  "--no-first-run",
  "--disable-quic",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** WebGPU on the software adapter that Chromium ships, so that a machine without a GPU has one too. */
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
    // Chromium refuses its sandbox to root, and containers often lack what the sandbox needs.
    args: [
      "--no-sandbox",
      ...QUIET,
      ...(webgpu ? SWIFTSHADER : ["--disable-features=WebGPU"]),
      ...args,
    ],
  };
}

/**
 * Starts a headless Chromium: `$CHROMIUM`, or the one at Debian's place.
 *
 * @param {object} [wanted]
 * @param {boolean} [wanted.webgpu] whether it has WebGPU, on SwiftShader; default true
 * @param {string[]} [wanted.args] further command-line switches
 * @returns {Promise<import("playwright-core").Browser>}
 */
export async function launchChromium({ webgpu = true, args = [] } = {}) {
  return chromium.launch(options(webgpu, args));
}

/**
 * The same for a visitor who comes again: what pages store is kept in a folder.
 * @param {string} profile
 */
export async function launchPersistent(profile) {
  return chromium.launchPersistentContext(profile, options(true, []));
}
