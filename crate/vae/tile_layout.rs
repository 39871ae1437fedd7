//! Decoding in tiles whose edges are blended, for pictures whose activations would not fit. Matches diffusers 0.42
//! `AutoencoderKL.tiled_decode`.
//!
//! The latent is cut into squares that overlap by a quarter; each is decoded for itself, and where two pictures overlap
//! the one fades into the other. Tiles are blended on the host: they come back one at a time, so the device never holds
//! more than one.

use std::ops::Range;

use crate::config::VaeConfig;

/// How a latent is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileLayout {
    /// Side of a tile in latent positions, a multiple of 4.
    side: usize,
    /// Pixels a latent position becomes, in each direction.
    unit: usize,
}

impl TileLayout {
    /// The smallest side: below, a tile would be mostly overlap that its neighbours see too little around.
    pub const SMALLEST: usize = 8;

    /// Tiles of `side` latent positions, rounded down to a multiple of 4 (a quarter of it is the overlap), but not below
    /// [`TileLayout::SMALLEST`].
    pub fn new(side: usize, config: &VaeConfig) -> Self {
        TileLayout {
            side: (side / 4 * 4).max(Self::SMALLEST),
            unit: config.pixels_per_latent(),
        }
    }

    /// The model's own tiles: the size its VAE was trained at.
    pub fn of_model(config: &VaeConfig) -> Self {
        TileLayout::new(config.sample_size / config.pixels_per_latent(), config)
    }

    /// Tiles of half the side; `None` where these are the smallest.
    pub fn halved(self) -> Option<Self> {
        let side = self.side / 8 * 4;
        (side >= Self::SMALLEST).then_some(TileLayout { side, ..self })
    }

    /// These tiles, halved until their side is `most` or less, or they are the smallest.
    pub fn at_most(mut self, most: usize) -> Self {
        while self.side > most {
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

    /// Whether a latent of this size is more than one tile.
    pub fn divides(self, height: usize, width: usize) -> bool {
        height > self.side || width > self.side
    }

    /// Where tiles begin along `length` latent positions, and where they end.
    pub fn ranges(self, length: usize) -> impl Iterator<Item = Range<usize>> {
        let stride = self.side - self.side / 4;
        (0..length)
            .step_by(stride)
            .map(move |start| start..(start + self.side).min(length))
    }
}

/// A picture that is put together from tiles: row by row, each from left to right.
pub struct Canvas {
    tiling: TileLayout,
    width: usize,
    /// `[height, width, 3]`
    values: Vec<f32>,
    /// The tiles above the row being laid, blended, and those of this row so far.
    above: Vec<Tile>,
    row: Vec<Tile>,
    /// Top of the row being laid, in pixels.
    top: usize,
}

/// `[height, width, 3]`
struct Tile {
    values: Vec<f32>,
    height: usize,
    width: usize,
}

const COLOURS: usize = 3;

impl Canvas {
    /// An empty picture of a latent `[_, height, width]`.
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

    /// Lays the next tile of the row, the picture of the latent at `rows` and `columns`: `[h, w, 3]`.
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
        // Neighbours are taken as they were blended themselves.
        if let Some(above) = self.above.get(self.row.len()) {
            tile.fade_from_above(above, overlap);
        }
        if let Some(left) = self.row.last() {
            tile.fade_from_left(left, overlap);
        }
        // What lies beyond is laid by the neighbours.
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

/// `ours` gets `share` of itself and the rest of `theirs`.
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
    fn sides() {
        assert_eq!(tiling(64).side(), 64);
        assert_eq!(tiling(30).side(), 28);
        assert_eq!(tiling(3).side(), TileLayout::SMALLEST);
        assert_eq!(tiling(24).halved().map(TileLayout::side), Some(12));
        assert_eq!(tiling(20).halved().map(TileLayout::side), Some(8));
        assert_eq!(tiling(12).halved(), None);
    }

    #[test]
    fn every_position_is_in_a_tile_and_edges_overlap_by_a_quarter() {
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

    /// Where overlapping tiles agree, the picture is what they agree on.
    #[test]
    fn tiles_of_one_picture_make_that_picture() {
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
