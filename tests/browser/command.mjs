// @ts-check
/** Arguments of the native command. */

/** The settings of the demo picture. */
export const DEMO = {
  prompt: "Portrait photo of a man",
  negative_prompt: "mustache",
  seed: "19",
  sampler: "euler",
};

/**
 * `--name value` for each option; `--name` alone where the value is true.
 * @param {Record<string, string | number | true>} options
 */
export const args = (options) =>
  Object.entries(options).flatMap(([key, value]) => {
    const name = `--${key.replaceAll("_", "-")}`;
    return value === true ? [name] : [name, String(value)];
  });
