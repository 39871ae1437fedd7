//! 3×3 convolutions with stride 1 by Winograd's F(2×2, 3×3) (Lavin & Gray 2015): four outputs from
//! a patch of 4×4 take 16 multiplications for each pair of channels instead of 36. Its transforms
//! only add and halve, unlike those of larger tiles, so rounding errors stay near those of the
//! direct sum.
//!
//! The outputs `y` of a patch `d` and a kernel `g` are `y = Aᵀ·[(G·g·Gᵀ) ⊙ (Bᵀ·d·B)]·A`. Summed
//! over channels, ⊙ becomes a matrix product of tiles by channels and channels by outputs at each
//! of the 16 positions.

use std::array::from_fn;
use std::cell::Cell;
use std::ops::{Add, Mul, Range, Sub};

use super::conv::Padded;
use super::product::{Out, Packed, Rows};
use super::threads;
use super::tile::COLUMNS;
use super::weights::Weights;

/// Positions in a transformed patch.
const POSITIONS: usize = 16;
/// Maximum number of transformed weights held at a time, 4 MiB.
const MAX_WEIGHTS: usize = 1 << 20;
/// Maximum number of values of transformed patches and their products held at a time, 512 KiB.
const MAX_PATCHES: usize = 128 << 10;

/// Two rows of an output map, or its last one, with the number of the strip in all images.
type Strip<'a> = (usize, &'a mut [f32]);

/// True where the transforms of patches and weights cost less than they save.
pub fn pays(map: &Padded, outputs: usize) -> bool {
    let even = |channels: usize| channels >= 32 && channels.is_multiple_of(COLUMNS);
    map.stride == 1 && even(map.channels) && even(outputs) && map.positions() >= 64
}

/// Adds the convolution of `map` with `weight` to `out`, `[n, height, width, outputs]`.
pub fn add_convolution(out: &mut [f32], map: &Padded, weight: Weights, outputs: usize) {
    let [height, width] = map.output;
    let channels = map.channels;
    let most = (MAX_WEIGHTS / (POSITIONS * channels)).max(COLUMNS);
    let columns = outputs
        .div_ceil(outputs.div_ceil(most))
        .next_multiple_of(COLUMNS);
    let strips = out.len() / (height * width * outputs) * height.div_ceil(2);
    let at_once = MAX_PATCHES / (POSITIONS * width.div_ceil(2) * (channels + columns));
    let at_once = at_once.clamp(1, strips.div_ceil(threads::count()));
    for start in (0..outputs).step_by(columns) {
        let range = start..outputs.min(start + columns);
        let mut weights = WEIGHTS.take();
        transform_weights(&mut weights, weight, channels, outputs, range.clone());
        let images = out.chunks_mut(height * width * outputs);
        let mut strips: Vec<Strip> = images
            .flat_map(|image| image.chunks_mut(2 * width * outputs))
            .enumerate()
            .collect();
        threads::chunks(&mut strips, at_once, |_, strips| {
            let mut scratch = SCRATCH.take();
            scratch.transform(map, strips);
            scratch.multiply(&weights, channels, range.len());
            scratch.add_outputs(strips, width, outputs, range.clone());
            SCRATCH.set(scratch);
        });
        WEIGHTS.set(weights);
    }
}

/// Intermediate values of a few strips.
#[derive(Default)]
struct Scratch {
    /// `[tiles, 16, channels]`
    patches: Vec<f32>,
    /// `[tiles, 16, columns]`
    products: Vec<f32>,
    /// `[4, columns]`: the outputs of one tile.
    outputs: Vec<f32>,
}

thread_local! {
    // Taken out while in use, because a thread that works for one convolution may begin another.
    static SCRATCH: Cell<Scratch> = Cell::default();
    static WEIGHTS: Cell<[Packed; POSITIONS]> = Cell::default();
}

impl Scratch {
    /// Computes `Bᵀ·d·B` of every tile's patch.
    fn transform(&mut self, map: &Padded, strips: &[Strip]) {
        let [height, width] = map.output;
        let channels = map.channels;
        let (down, across) = (height.div_ceil(2), width.div_ceil(2));
        self.patches
            .resize(strips.len() * across * POSITIONS * channels, 0.0);
        let patches = self.patches.chunks_exact_mut(POSITIONS * channels);
        for (tile, to) in patches.enumerate() {
            let (strip, column) = (strips[tile / across].0, tile % across * 2);
            let (image, row) = (strip / down, strip % down * 2);
            let rows: [&[f32]; 4] = from_fn(|dy| map.pixels(image, row + dy, column, 4));
            let from: [&[[f32; 4]]; POSITIONS] =
                from_fn(|p| quads(&rows[p / 4][p % 4 * channels..][..channels]));
            let to = quads_mut(to);
            for c in 0..channels / 4 {
                let patch = both_ways(from_fn(|y| from_fn(|x| Quad(from[4 * y + x][c]))), patch_1d);
                for (p, value) in patch.into_iter().flatten().enumerate() {
                    to[p * (channels / 4) + c] = value.0;
                }
            }
        }
    }

    /// At every position, multiplies rows of channels, one for each tile, with the weights.
    fn multiply(&mut self, weights: &[Packed], channels: usize, columns: usize) {
        let tiles = self.patches.len() / (POSITIONS * channels);
        self.products.resize(tiles * POSITIONS * columns, 0.0);
        for (p, weights) in weights.iter().enumerate() {
            let left = Rows {
                data: &self.patches[p * channels..],
                stride: POSITIONS * channels,
                width: channels,
            };
            let mut out = Out {
                data: &mut self.products[p * columns..],
                stride: POSITIONS * columns,
                width: columns,
            };
            weights.set_product(&mut out, &left, 0);
        }
    }

    /// Adds `Aᵀ·m·A` of every tile's products to the map, as far as the tile is inside it.
    fn add_outputs(
        &mut self,
        strips: &mut [Strip],
        width: usize,
        outputs: usize,
        range: Range<usize>,
    ) {
        let columns = range.len();
        let across = width.div_ceil(2);
        self.outputs.resize(4 * columns, 0.0);
        let products = self.products.chunks_exact(POSITIONS * columns);
        for (tile, from) in products.enumerate() {
            let from: [&[[f32; 4]]; POSITIONS] =
                from_fn(|p| quads(&from[p * columns..][..columns]));
            let to = quads_mut(&mut self.outputs);
            for c in 0..columns / 4 {
                let outputs = both_ways(
                    from_fn(|y| from_fn(|x| Quad(from[4 * y + x][c]))),
                    outputs_1d,
                );
                for (p, value) in outputs.into_iter().flatten().enumerate() {
                    to[p * (columns / 4) + c] = value.0;
                }
            }
            let column = tile % across * 2;
            let rows = strips[tile / across].1.chunks_exact_mut(width * outputs);
            for (row, values) in rows.zip(self.outputs.chunks_exact(2 * columns)) {
                let pixels = row.chunks_exact_mut(outputs).skip(column);
                for (pixel, values) in pixels.zip(values.chunks_exact(columns)) {
                    for (out, value) in pixel[range.clone()].iter_mut().zip(values) {
                        *out += value;
                    }
                }
            }
        }
    }
}

/// Computes `G·g·Gᵀ` for all inputs and the outputs of `range`, packed for the product at each
/// position.
fn transform_weights(
    packed: &mut [Packed; POSITIONS],
    weight: Weights,
    channels: usize,
    outputs: usize,
    range: Range<usize>,
) {
    let columns = range.len();
    let mut rows = vec![0.0; 9 * columns];
    let mut packed = packed
        .each_mut()
        .map(|packed| packed.space(channels, columns));
    for channel in 0..channels {
        for (tap, row) in rows.chunks_exact_mut(columns).enumerate() {
            weight.copy((tap * channels + channel) * outputs + range.start, row);
        }
        let from: [&[[f32; 4]]; 9] = from_fn(|tap| quads(&rows[tap * columns..][..columns]));
        #[allow(clippy::needless_range_loop)]
        // `c` walks nine slices of weights and sixteen panels at once.
        for c in 0..columns / 4 {
            let weights = both_ways(
                from_fn(|y| from_fn(|x| Quad(from[3 * y + x][c]))),
                kernel_1d,
            );
            let panel = 4 * c / COLUMNS;
            for (packed, value) in packed.iter_mut().zip(weights.into_iter().flatten()) {
                quads_mut(&mut packed[panel * channels + channel])[c % (COLUMNS / 4)] = value.0;
            }
        }
    }
}

/// `Bᵀ·d`
#[inline(always)]
fn patch_1d(d: [Quad; 4]) -> [Quad; 4] {
    [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]
}

/// `G·g`
#[inline(always)]
fn kernel_1d(g: [Quad; 3]) -> [Quad; 4] {
    let half = Quad([0.5; 4]);
    let (outer, inner) = ((g[0] + g[2]) * half, g[1] * half);
    [g[0], outer + inner, outer - inner, g[2]]
}

/// `Aᵀ·m`
#[inline(always)]
fn outputs_1d(m: [Quad; 4]) -> [Quad; 2] {
    [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]
}

/// A transform applied to the columns of a square and then to its rows.
#[inline(always)]
fn both_ways<const N: usize, const M: usize>(
    square: [[Quad; N]; N],
    transform: impl Fn([Quad; N]) -> [Quad; M],
) -> [[Quad; M]; M] {
    let columns: [[Quad; M]; N] = from_fn(|x| transform(from_fn(|y| square[y][x])));
    from_fn(|y| transform(from_fn(|x| columns[x][y])))
}

fn quads(values: &[f32]) -> &[[f32; 4]] {
    values.as_chunks().0
}

fn quads_mut(values: &mut [f32]) -> &mut [[f32; 4]] {
    values.as_chunks_mut().0
}

/// Four neighbouring channels, one vector of WebAssembly.
#[derive(Clone, Copy)]
struct Quad([f32; 4]);

impl Add for Quad {
    type Output = Quad;
    #[inline(always)]
    fn add(self, other: Quad) -> Quad {
        Quad(from_fn(|i| self.0[i] + other.0[i]))
    }
}

impl Sub for Quad {
    type Output = Quad;
    #[inline(always)]
    fn sub(self, other: Quad) -> Quad {
        Quad(from_fn(|i| self.0[i] - other.0[i]))
    }
}

impl Mul for Quad {
    type Output = Quad;
    #[inline(always)]
    fn mul(self, other: Quad) -> Quad {
        Quad(from_fn(|i| self.0[i] * other.0[i]))
    }
}
