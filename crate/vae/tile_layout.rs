//! Decoding in tiles with blended edges, for pictures with activations too large for memory.
//! Matches diffusers 0.42 `AutoencoderKL.tiled_decode`.
//!
//! The latent is cut into squares that overlap by a quarter. Each square is decoded alone, and
//! overlapping pictures fade into each other. Tiles are blended on the host as they arrive one by
//! one, so the device never holds more than one.

use std::ops::Range;

use crate::config::VaeConfig;

/// Division of a latent into tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileLayout {
    /// Side of a tile in latent positions, a multiple of 4.
    side: usize,
    /// Pixels per latent position in each direction.
    unit: usize,
}

impl TileLayout {
    /// The smallest side of a tile. A smaller tile would be mostly overlap, decoded with too little
    /// of its surroundings.
    pub const SMALLEST: usize = 8;

    /// Makes tiles of `side` latent positions, rounded down to a multiple of 4, because a quarter
    /// of the side is overlap, and at least [`TileLayout::SMALLEST`].
    pub fn new(side: usize, config: &VaeConfig) -> Self {
        TileLayout {
            side: (side / 4 * 4).max(Self::SMALLEST),
            unit: config.pixels_per_latent(),
        }
    }

    /// Makes tiles of the size that the model's VAE was trained on.
    pub fn of_model(config: &VaeConfig) -> Self {
        TileLayout::new(config.sample_size / config.pixels_per_latent(), config)
    }

    /// Halves the side of the tiles. Returns `None` if they are the smallest.
    pub fn halved(self) -> Option<Self> {
        let side = self.side / 8 * 4;
        (side >= Self::SMALLEST).then_some(TileLayout { side, ..self })
    }

    /// Halves the tiles until their side is at most `max` or the smallest.
    pub fn at_most(mut self, max: usize) -> Self {
        while self.side > max {
            match self.halved() {
                Some(smaller) => self = smaller,
                None => break,
            }
        }
        self
    }

    /// Side of a tile in latent positions.
    pub fn side(self) -> usize {
        self.side
    }

    /// True if a latent of this size is more than one tile.
    pub fn divides(self, height: usize, width: usize) -> bool {
        height > self.side || width > self.side
    }

    /// The ranges of latent positions that tiles cover along a side of `length`.
    pub fn ranges(self, length: usize) -> impl Iterator<Item = Range<usize>> {
        let stride = self.side - self.side / 4;
        (0..length)
            .step_by(stride)
            .map(move |start| start..(start + self.side).min(length))
    }
}

/// A picture assembled from tiles, row by row and from left to right.
pub struct Canvas {
    tiling: TileLayout,
    width: usize,
    /// `[height, width, 3]`
    values: Vec<f32>,
    /// The blended tiles of the row above.
    above: Vec<Tile>,
    /// The blended tiles of the current row so far.
    row: Vec<Tile>,
    /// Top of the current row in pixels.
    top: usize,
}

/// The picture of a tile.
struct Tile {
    /// `[height, width, 3]`
    values: Vec<f32>,
    height: usize,
    width: usize,
}

/// Values of a pixel: red, green and blue.
const COLOURS: usize = 3;

impl Canvas {
    /// Makes an empty picture for a latent of `height` × `width` positions.
    pub fn new(tiling: TileLayout, height: usize, width: usize) -> Self {
        let (height, width) = (height * tiling.unit, width * tiling.unit);
        Canvas {
            tiling,
            width,
            values: vec![0.0; height * width * COLOURS],
            above: Vec::new(),
            row: Vec::new(),
            top: 0,
        }
    }

    /// Adds the next tile: `values` `[h, w, 3]`, decoded from the latent at `rows` and `columns`.
    pub fn lay(&mut self, rows: Range<usize>, columns: Range<usize>, values: Vec<f32>) {
        let TileLayout { side, unit } = self.tiling;
        let overlap = side / 4 * unit;
        if columns.start == 0 {
            self.above = std::mem::take(&mut self.row);
            self.top = rows.start * unit;
        }
        let mut tile = Tile {
            values,
            height: rows.len() * unit,
            width: columns.len() * unit,
        };
        // Neighbours are blended already, as in diffusers.
        if let Some(above) = self.above.get(self.row.len()) {
            tile.fade_from_above(above, overlap);
        }
        if let Some(left) = self.row.last() {
            tile.fade_from_left(left, overlap);
        }
        // The next tiles draw the overlap.
        let kept = side * unit - overlap;
        let (height, width) = (tile.height.min(kept), tile.width.min(kept));
        let left = columns.start * unit;
        for y in 0..height {
            let from = y * tile.width * COLOURS;
            let to = ((self.top + y) * self.width + left) * COLOURS;
            self.values[to..to + width * COLOURS]
                .copy_from_slice(&tile.values[from..from + width * COLOURS]);
        }
        self.row.push(tile);
    }

    /// The whole picture, `[height, width, 3]`.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }
}

impl Tile {
    fn fade_from_above(&mut self, above: &Tile, overlap: usize) {
        let overlap = overlap.min(self.height).min(above.height);
        let length = self.width.min(above.width) * COLOURS;
        for y in 0..overlap {
            let theirs = (above.height - overlap + y) * above.width * COLOURS;
            let ours = y * self.width * COLOURS;
            blend(
                &above.values[theirs..theirs + length],
                &mut self.values[ours..ours + length],
                y as f32 / overlap as f32,
            );
        }
    }

    fn fade_from_left(&mut self, left: &Tile, overlap: usize) {
        let overlap = overlap.min(self.width).min(left.width);
        for y in 0..self.height.min(left.height) {
            for x in 0..overlap {
                let theirs = (y * left.width + left.width - overlap + x) * COLOURS;
                let ours = (y * self.width + x) * COLOURS;
                blend(
                    &left.values[theirs..theirs + COLOURS],
                    &mut self.values[ours..ours + COLOURS],
                    x as f32 / overlap as f32,
                );
            }
        }
    }
}

/// Mixes `ours · share + theirs · (1 − share)` into `ours`.
fn blend(theirs: &[f32], ours: &mut [f32], share: f32) {
    for (ours, theirs) in ours.iter_mut().zip(theirs) {
        *ours = theirs * (1.0 - share) + *ours * share;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiling(side: usize) -> TileLayout {
        let config = VaeConfig {
            block_out_channels: vec![8, 8],
            ..VaeConfig::default()
        };
        TileLayout::new(side, &config)
    }

    #[test]
    fn sides_are_multiples_of_4_from_the_smallest_up() {
        assert_eq!(tiling(64).side(), 64);
        assert_eq!(tiling(30).side(), 28);
        assert_eq!(tiling(3).side(), TileLayout::SMALLEST);
        assert_eq!(tiling(24).halved().map(TileLayout::side), Some(12));
        assert_eq!(tiling(20).halved().map(TileLayout::side), Some(8));
        assert_eq!(tiling(12).halved(), None);
    }

    #[test]
    fn tiles_cover_every_position_and_overlap_by_a_quarter() {
        for length in 1..100 {
            let ranges: Vec<_> = tiling(16).ranges(length).collect();
            assert_eq!(ranges[0].start, 0);
            assert_eq!(ranges.last().map(|r| r.end), Some(length));
            for pair in ranges.windows(2) {
                assert_eq!(pair[1].start, pair[0].start + 12);
                assert!(pair[0].end >= pair[1].start.min(length));
            }
        }
    }

    #[test]
    fn blending_tiles_of_one_picture_restores_the_picture() {
        for (height, width) in [(8, 8), (9, 30), (31, 17), (14, 6), (25, 25)] {
            let tiling = tiling(8);
            let picture = |y: usize, x: usize, c: usize| (y * 1000 + x * 3 + c) as f32;
            let mut canvas = Canvas::new(tiling, height, width);
            for rows in tiling.ranges(height) {
                for columns in tiling.ranges(width) {
                    let mut values = Vec::new();
                    for y in 2 * rows.start..2 * rows.end {
                        for x in 2 * columns.start..2 * columns.end {
                            values.extend((0..3).map(|c| picture(y, x, c)));
                        }
                    }
                    canvas.lay(rows.clone(), columns, values);
                }
            }
            let values = canvas.into_values();
            assert_eq!(values.len(), 4 * height * width * 3);
            for (i, &value) in values.iter().enumerate() {
                let expected = picture(i / 3 / (2 * width), i / 3 % (2 * width), i % 3);
                assert!((value - expected).abs() < 0.01, "{value} {expected}");
            }
        }
    }
}
