/** Types of the package's main module, with the element's tag and its events. */
import type { DarkroomStudio } from "./types/darkroom-studio.js";
import type { StudioEventMap } from "./types/studio/events.js";

export type { DarkroomError, Problem, ProblemKind } from "./types/base/problem.js";
export { DarkroomStudio } from "./types/darkroom-studio.js";
export type { Details, ProgressDetail, StepDetail, StudioEventMap } from "./types/studio/events.js";
export type { Outcome, Picture } from "./types/studio/run.js";
export type { Settings } from "./types/studio/settings.js";
export type { Timings } from "./types/studio/timings.js";

declare module "./types/studio/element.js" {
  interface DarkroomStudio {
    addEventListener<K extends keyof StudioEventMap>(
      type: K,
      listener: (this: DarkroomStudio, event: StudioEventMap[K]) => unknown,
      options?: boolean | AddEventListenerOptions,
    ): void;
    addEventListener(
      type: string,
      listener: EventListenerOrEventListenerObject,
      options?: boolean | AddEventListenerOptions,
    ): void;
    removeEventListener<K extends keyof StudioEventMap>(
      type: K,
      listener: (this: DarkroomStudio, event: StudioEventMap[K]) => unknown,
      options?: boolean | EventListenerOptions,
    ): void;
    removeEventListener(
      type: string,
      listener: EventListenerOrEventListenerObject,
      options?: boolean | EventListenerOptions,
    ): void;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "darkroom-studio": DarkroomStudio;
  }
}
