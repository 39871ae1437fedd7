// @ts-check
/** Writes below the studio what its last picture was. */
const output = document.querySelector("output");
document.querySelector("darkroom-studio")?.addEventListener("picture", (event) => {
  const { seed, timings } = /** @type {CustomEvent} */ (event).detail;
  if (output) output.textContent = `seed ${seed}, ${timings.total.toFixed(1)} s`;
});
