//! The 3×3 convolution as a matrix product over patches that are read in place.

use super::linear::started;
use super::product::{Left, Right, Rows, add_product};

/// A convolution over plain memory; see [`crate::ops::Conv3x3`].
pub struct Conv<'a> {
    /// The input `[n, h, w, channels]` and its channels.
    pub x: (&'a [f32], usize),
    /// The skip connection beside it.
    pub skip: Option<(&'a [f32], usize)>,
    /// Height and width of both.
    pub size: [usize; 2],
    /// Height and width they are enlarged to by nearest neighbour.
    pub enlarged: [usize; 2],
    pub stride: usize,
    pub weight: &'a [f32],
    pub bias: &'a [f32],
    pub add: Option<&'a [f32]>,
    pub residual: Option<&'a [f32]>,
}

/// `[n, h, w, c]` → `[n, h', w', out]`
pub fn conv3x3(args: Conv) -> Vec<f32> {
    let outputs = args.bias.len();
    let batch = args.x.0.len() / (args.size[0] * args.size[1] * args.x.1);
    let patches = Patches::new(args.x, args.skip, args.size, args.enlarged, args.stride);
    let [height, width] = patches.output;
    let size = height * width * outputs;
    let mut out = Vec::with_capacity(batch * size);
    for image in 0..batch {
        let residual = args.residual.map(|map| &map[image * size..][..size]);
        match args.add {
            Some(add) => {
                let add = &add[image * outputs..][..outputs];
                let start: Vec<f32> = add.iter().zip(args.bias).map(|(a, b)| a + b).collect();
                started(&mut out, &start, residual, height * width);
            }
            None => started(&mut out, args.bias, residual, height * width),
        }
    }
    let inner = args.weight.len() / outputs;
    let weight = Right::Rows(Rows::dense(args.weight, outputs));
    add_product(&mut out, outputs, &patches, weight, inner);
    out
}

/// The patches of a 3×3 convolution with padding 1, one for each output position.
struct Patches<'a> {
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
    fn new(
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
