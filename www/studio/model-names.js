// @ts-check
/** Names and addresses of models, for an element on a page. */
import { addressOf, nameOf, ON_DISK, pageOf } from "./address.js";

/**
 * @typedef {object} ModelNames
 * @property {(model: string) => string} addressOf a text in the model field
 * @property {(address: string) => string} textOf a model's address as a visitor would write it
 * @property {(model: string) => string} nameOf a text in the model field, for people
 * @property {(address: string) => string} pageOf the page about a model; empty: there is none
 */

/**
 * @param {() => string | undefined} hub address of the element's hub
 * @returns {ModelNames}
 */
export function modelNames(hub) {
  const names = {
    addressOf: (/** @type {string} */ model) => addressOf(model, document.baseURI, hub()),
    textOf: (/** @type {string} */ address) => nameOf(address, document.baseURI, hub()),
    pageOf: (/** @type {string} */ address) => pageOf(address, document.baseURI, hub()),
  };
  const nameOnDisk = (/** @type {string} */ model) =>
    model.slice(ON_DISK.length).replace(/\/$/, "");
  return {
    ...names,
    nameOf: (model) =>
      model.startsWith(ON_DISK) ? nameOnDisk(model) : names.textOf(names.addressOf(model)),
  };
}
