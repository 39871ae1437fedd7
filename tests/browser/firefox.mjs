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
    // WebGPU is off in the versions that Debian ships; later ones have it, and this test is about
    // the CPU path.
    extraPrefsFirefox: { "dom.webgpu.enabled": false },
    protocolTimeout: 300_000,
  });
}
