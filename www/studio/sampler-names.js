// @ts-check
/**
 * Names of samplers and schedule types: the engine's, and those of A1111's web UI. The engine's own
 * lists come with a model; this table serves before one is loaded, and texts of other programs.
 */

/**
 * A1111's name, U-Net calls a step, and the schedule type that A1111's "Automatic" means: empty for
 * its plain one, null where schedule types have no effect.
 * @type {[string, [label: string, calls: number, automatic: string | null]][]}
 */
const TABLE = [
  ["euler", ["Euler", 1, ""]],
  ["euler-a", ["Euler a", 1, ""]],
  ["heun", ["Heun", 2, ""]],
  ["dpm2", ["DPM2", 2, "karras"]],
  ["dpm2-a", ["DPM2 a", 2, "karras"]],
  ["lms", ["LMS", 1, ""]],
  ["ddim", ["DDIM", 1, null]],
  ["ddpm", ["DDPM", 1, null]],
  ["pndm", ["PLMS", 1, null]],
  ["dpm++2m", ["DPM++ 2M", 1, "karras"]],
  ["dpm++2m-sde", ["DPM++ 2M SDE", 1, "exponential"]],
  ["dpm++3m-sde", ["DPM++ 3M SDE", 1, "exponential"]],
  ["dpm++sde", ["DPM++ SDE", 2, "karras"]],
  ["dpm++2s", ["DPM++ 2S", 1, ""]],
  ["dpm++2s-a", ["DPM++ 2S a", 2, "karras"]],
  ["deis", ["DEIS", 1, ""]],
  ["unipc", ["UniPC", 1, ""]],
  ["lcm", ["LCM", 1, null]],
  ["tcd", ["TCD", 1, null]],
];

const SAMPLERS = new Map(TABLE);

/** Schedule types by the engine's name; `model` leaves the choice to the model's files. */
const SCHEDULES = new Map([
  ["model", "Automatic"],
  ["normal", "Uniform"],
  ["karras", "Karras"],
  ["exponential", "Exponential"],
  ["beta", "Beta"],
  ["sgm-uniform", "SGM Uniform"],
  ["simple", "Simple"],
  ["ays", "Align Your Steps"],
]);

/** Names of other programs and of earlier versions. @type {[string, string][]} */
const OTHER_SAMPLERS = [
  ["plms", "pndm"],
  ["euler ancestral", "euler-a"],
  ["dpm2 ancestral", "dpm2-a"],
  ["dpm++ 2s ancestral", "dpm++2s-a"],
];

/** A sampler for the list in the form. @typedef {{id: string, label: string, calls: number}} Row */

/** All samplers. @type {readonly Row[]} */
export const SAMPLER_ROWS = TABLE.map(([id, [label, calls]]) => ({ id, label, calls }));

/** All schedule types but the model's own. */
export const SCHEDULE_ROWS = [...SCHEDULES]
  .filter(([id]) => id !== "model")
  .map(([id, label]) => ({ id, label }));

/** A sampler's name for people. @param {string} id */
export const samplerName = (id) => {
  const { sampler, schedule } = pairOf({ sampler: id, schedule: "" });
  const label = SAMPLERS.get(sampler)?.[0] ?? sampler;
  return schedule ? `${label} ${scheduleName(schedule)}` : label;
};

/** A schedule type's name for people. @param {string} id */
export const scheduleName = (id) => SCHEDULES.get(id) ?? id;

/** Tells whether schedule types have an effect on a sampler. @param {string} id */
export const hasSchedules = (id) => SAMPLERS.get(id)?.[2] !== null;

/** A sampler and a schedule type. @typedef {{sampler: string, schedule: string}} Pair */

/**
 * The sampler and the schedule type of settings. Until version 0.3 one name stood for both:
 * `dpm++2m-karras`. A schedule type without an effect is left out.
 * @param {{sampler: string, schedule?: string}} settings
 * @returns {Pair}
 */
export function pairOf({ sampler, schedule = "" }) {
  if (sampler === "dpm++2m-karras")
    return { sampler: "dpm++2m", schedule: ["", "model"].includes(schedule) ? "karras" : schedule };
  return { sampler, schedule: hasSchedules(sampler) ? schedule : "" };
}

/**
 * A name without what programs write differently, as the engine compares it.
 * @param {string} name
 */
const plain = (name) => name.toLowerCase().replaceAll(/[\s_-]/g, "");

/** All ways to write a schedule type. @type {[string, string][]} */
const SCHEDULE_WORDS = [...SCHEDULES].flatMap(([id, label]) => [
  [plain(id), id],
  [plain(label), id],
]);

/** @type {Map<string, string>} */
const SCHEDULE_OF = new Map(SCHEDULE_WORDS);

/**
 * Samplers by all their names, alone or followed by a schedule type's.
 * @type {Map<string, Pair>}
 */
const SAMPLER_OF = new Map(
  [
    ...TABLE.flatMap(([id, [label]]) => [
      [id, id],
      [label, id],
    ]),
    ...OTHER_SAMPLERS,
  ].flatMap(([name, sampler]) =>
    [["", ""], ...SCHEDULE_WORDS].map(([end, schedule]) => [
      plain(name) + end,
      { sampler, schedule },
    ]),
  ),
);

/**
 * Reads a sampler from a PNG's text. A1111 wrote the schedule type behind the sampler's name until
 * version 1.8, and under a key of its own since.
 * @param {string | undefined} name value of "Sampler"
 * @param {string | undefined} type value of "Schedule type"
 * @returns {Pair & {unknown?: string} | null} null: there is no such sampler; `unknown`: the
 *   schedule type, where there is none of this name
 */
export function readSampler(name = "", type = "") {
  const found = SAMPLER_OF.get(plain(name));
  if (!found) return null;
  const named = SCHEDULE_OF.get(plain(type));
  if (type && named === undefined) return { ...pairOf(found), unknown: type };
  const automatic = SAMPLERS.get(found.sampler)?.[2] ?? "";
  // A type in the name wins over "Automatic", which other programs add to old texts.
  const own = found.schedule === "model" ? "" : found.schedule;
  const schedule = named === "model" ? own || automatic : (named ?? own);
  return pairOf({ sampler: found.sampler, schedule });
}
