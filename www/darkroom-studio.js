// @ts-check
/**
 * Address of the element `<darkroom-studio>`: importing it defines the tag. On a server, where
 * there are no custom elements, it defines nothing.
 */
import { DarkroomStudio } from "./studio/element.js";

const registry = globalThis.customElements;
if (registry && !registry.get("darkroom-studio"))
  registry.define("darkroom-studio", DarkroomStudio);

export { DarkroomStudio };
