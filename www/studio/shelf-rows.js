// @ts-check
/** Rows of the shelf: the models of the list and those in the browser's storage. */

/** @typedef {import("../weights/cache.js").CachedModel} CachedModel */
/** @typedef {import("./shelf-catalogue.js").Entry} Entry */

/** A model is not there, or its server refuses it. @typedef {"gone" | "refused"} Refusal */

/**
 * States of a model: in use; saved: in the browser's storage; partly: as far as it was downloaded;
 * own: on the page's own server, and small; absent; gone and refused as its server has answered.
 * @typedef {"inUse" | "saved" | "partly" | "own" | "absent" | Refusal} State
 */

/**
 * @typedef {object} Row
 * @property {string} address absolute
 * @property {string} model the text for the model field
 * @property {string} name
 * @property {Entry | null} entry null: it is not in the list
 * @property {CachedModel | null} cached
 * @property {State} state
 */

/**
 * @typedef {object} Facts
 * @property {string} inUse address of the model that is loaded or loading
 * @property {Map<string, Refusal>} refusals by address
 * @property {(model: string) => string} addressOf a text in the model field
 * @property {(address: string) => string} textOf an address, as one would write it
 * @property {string} origin of the page
 */

/** Models of this size may be loaded without a question. */
const FREE_BYTES = 50e6;

/**
 * Rows, those used before first, the last one before the others.
 * @param {readonly Entry[]} entries
 * @param {readonly CachedModel[]} cached the newest first
 * @param {Facts} facts
 * @returns {Row[]}
 */
export function rowsOf(entries, cached, facts) {
  const listed = new Map(entries.map((entry) => [facts.addressOf(entry.address), entry]));
  const used = new Map(cached.map((model) => [model.address, model]));
  const order = new Set([facts.inUse, ...used.keys(), ...listed.keys()]);
  return [...order]
    .filter((address) => listed.has(address) || used.has(address))
    .map((address) => {
      const entry = listed.get(address) ?? null;
      const name = facts.textOf(address);
      const model = entry?.address ?? name;
      const own = { address, model, name: entry?.name ?? name, entry };
      const stored = used.get(address) ?? null;
      return { ...own, cached: stored, state: stateOf(address, entry, stored, facts) };
    });
}

/**
 * @param {string} address
 * @param {Entry | null} entry
 * @param {CachedModel | null} cached
 * @param {Facts} facts
 * @returns {State}
 */
function stateOf(address, entry, cached, { inUse, refusals, origin }) {
  if (address === inUse) return "inUse";
  if (cached?.complete) return "saved";
  const refusal = refusals.get(address);
  if (refusal) return refusal;
  if (cached) return "partly";
  const small = entry?.bytes !== null && Number(entry?.bytes) <= FREE_BYTES;
  return small && new URL(address).origin === origin ? "own" : "absent";
}
