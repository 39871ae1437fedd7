//! Every GPU kernel against the same operation on the CPU, over random shapes: ones, primes,
//! channels that no tile divides, all combinations of fused operations, all ways to divide the
//! work, f32 and f16. Results are written to memory full of NaN, so that an element that a kernel
//! does not write shows.

mod attention;
mod harness;
mod norms;
mod products;
mod weights;
