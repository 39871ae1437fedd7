// @ts-check
/** The optimizer of the development server would part the package's modules from its files. */
export default {
  base: "./",
  optimizeDeps: { exclude: ["darkroom-studio"] },
  build: { target: "es2022" },
};
