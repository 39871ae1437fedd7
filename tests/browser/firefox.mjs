// @ts-check
import { existsSync } from "node:fs";
import puppeteer from "puppeteer-core";

/**
 * Starts a headless Firefox with a new profile: `$FIREFOX`, or the one where Debian installs it.
 * Playwright drives builds of its own only; puppeteer drives any Firefox, over WebDriver BiDi.
 * @returns {Promise<import("puppeteer-core").Browser>}
 */
export async function launchFirefox() {
  const executablePath = process.env.FIREFOX ?? "/usr/bin/firefox-esr";
  if (!existsSync(executablePath)) {
    throw new Error(
      `${executablePath} is not there: set FIREFOX, or run the tests by cargo xtask test`,
    );
  }
  return puppeteer.launch({
    browser: "firefox",
    executablePath,
    headless: true,
    extraPrefsFirefox: {
      // Off in the versions that Debian ships, on in later ones. The test is about the CPU path.
      "dom.webgpu.enabled": false,
      // The optimizing compiler works on the engine in the background. When the page is reloaded
      // meanwhile, a busy machine with two cores leaves the new worker waiting for minutes. The
      // other compiler's code is hardly slower here.
      "javascript.options.wasm_optimizingjit": false,
    },
    args: ["--width=1280", "--height=900"],
    // Firefox 140 lacks a command that a viewport of another size would need.
    defaultViewport: null,
    protocolTimeout: 300_000,
  });
}
