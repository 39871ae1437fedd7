//! The 3×3 convolution as a matrix product over patches that are read in place.

use super::product::Left;

/// The patches of a 3×3 convolution with padding 1, one for each output position; see [`crate::ops::Conv3x3`].
pub struct Patches<'a> {
    /// `[n, h, w, channels]` of the input and of the skip connection beside it.
    maps: [Option<(&'a [f32], usize)>; 2],
    /// Rows of the map, and which of them each row of the enlarged map shows.
    height: usize,
    rows: Vec<usize>,
    width: usize,
    columns: Vec<usize>,
    /// Height and width of the output.
    output: [usize; 2],
    stride: usize,
    /// What lies outside the map, for as many channels as the wider input has.
    zeros: Vec<f32>,
}

impl<'a> Patches<'a> {
    /// `size` is the height and width of the maps, `enlarged` what they are enlarged to by nearest neighbour.
    pub fn new(
        x: (&'a [f32], usize),
        skip: Option<(&'a [f32], usize)>,
        size: [usize; 2],
        enlarged: [usize; 2],
        stride: usize,
    ) -> Self {
        let source = |from: usize, to: usize| (0..to).map(|i| i * from / to).collect();
        let widest = x.1.max(skip.map_or(0, |(_, channels)| channels));
        Patches {
            maps: [Some(x), skip],
            height: size[0],
            rows: source(size[0], enlarged[0]),
            width: size[1],
            columns: source(size[1], enlarged[1]),
            output: enlarged.map(|size| size.div_ceil(stride)),
            stride,
            zeros: vec![0.0; widest],
        }
    }
}

impl Left for Patches<'_> {
    fn runs<'a>(&'a self, row: usize, mut each: impl FnMut(&'a [f32])) {
        let [height, width] = self.output;
        let (image, position) = (row / (height * width), row % (height * width));
        let (y, x) = (
            position / width * self.stride,
            position % width * self.stride,
        );
        // One row up and one column left: usize::MAX, outside every map, where there is none.
        let tap = |start: usize, list: &[usize], offset: usize| {
            let place = (start + offset).wrapping_sub(1);
            list.get(place).copied()
        };
        for dy in 0..3 {
            let row = tap(y, &self.rows, dy);
            for dx in 0..3 {
                let place = row.zip(tap(x, &self.columns, dx));
                for (data, channels) in self.maps.iter().flatten() {
                    each(match place {
                        Some((row, column)) => {
                            let place = (image * self.height + row) * self.width + column;
                            &data[place * channels..][..*channels]
                        }
                        None => &self.zeros[..*channels],
                    });
                }
            }
        }
    }
}
