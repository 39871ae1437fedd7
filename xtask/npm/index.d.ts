/** Types of the package's main module, with the element's tag and its events. */
import type { DarkroomStudio } from "./darkroom-studio.js";
import type { StudioEventMap } from "./studio/events.js";

export type { DarkroomError, Problem, ProblemKind } from "./base/problem.js";
export { DarkroomStudio } from "./darkroom-studio.js";
export type { Details, ProgressDetail, StepDetail, StudioEventMap } from "./studio/events.js";
export type { Outcome, Picture } from "./studio/run.js";
export type { Settings } from "./studio/settings.js";
export type { Timings } from "./studio/timings.js";

declare module "./studio/element.js" {
  interface DarkroomStudio {
    schedule: string;
    clipSkip: string;
    timestepSpacing: string;
    zeroSnr: string;
    finalSigma: string;
    promptSyntax: string;
    emphasis: string;
    negativeStrength: string;
    negativeStart: string;
    negativeEnd: string;
    negativeOutside: string;
    guidanceStart: string;
    guidanceEnd: string;
    guidanceSchedule: string;
    guidanceMinSigma: string;
    guidanceStop: string;
    guidanceKind: string;
    guidanceOptions: string;
    nagScale: string;
    nagTau: string;
    nagAlpha: string;
    variationSeed: string;
    variationStrength: string;
    rng: string;
    ensd: string;
    eta: string;
    loras: string;
    vae: string;
    embeddings: string;
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
