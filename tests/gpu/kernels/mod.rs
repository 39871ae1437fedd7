//! Every GPU kernel against the same operation on the CPU, over random shapes: ones, primes, channels that no tile divides,
//! all combinations of what may be fused in, both ways to divide the work, f32 and f16. What a kernel forgets to write shows:
//! results come into memory full of NaN.
//!
//! Runs on any wgpu adapter, a software one included, and fails without one unless `DARKROOM_NO_GPU_TESTS=1` says that
//! this is meant.

#[path = "kernels/attention.rs"]
mod attention;
#[path = "kernels/harness.rs"]
mod harness;
#[path = "kernels/norms.rs"]
mod norms;
#[path = "kernels/products.rs"]
mod products;
#[path = "kernels/shaders.rs"]
mod shaders;
#[path = "kernels/weights.rs"]
mod weights;
