//! 3×3 convolution as a matrix product over patches that are read in place.

use super::linear::started;
use super::product::{Left, Right, add_product};
use super::weights::Weights;
use super::winograd;

/// Arguments of a convolution over plain memory, as in [`crate::ops::Conv3x3`].
pub struct Conv<'a> {
    /// The input `[n, h, w, channels]` and its channels.
    pub x: (&'a [f32], usize),
    /// Its height and width.
    pub size: [usize; 2],
    /// Height and width it is enlarged to by nearest neighbour.
    pub enlarged: [usize; 2],
    pub stride: usize,
    pub weight: Weights<'a>,
    pub bias: &'a [f32],
    pub add: Option<&'a [f32]>,
    pub residual: Option<&'a [f32]>,
}

/// `[n, h, w, c]` → `[n, h', w', out]`
pub fn conv3x3(args: Conv) -> Vec<f32> {
    let outputs = args.bias.len();
    let batch = args.x.0.len() / (args.size[0] * args.size[1] * args.x.1);
    let map = Padded::new(&args);
    let [height, width] = map.output;
    let size = height * width * outputs;
    let mut out = Vec::with_capacity(batch * size);
    for image in 0..batch {
        let residual = args.residual.map(|map| &map[image * size..][..size]);
        match args.add {
            Some(add) => {
                // One row for each image, or one for all.
                let add = &add[image * outputs % add.len()..][..outputs];
                let start: Vec<f32> = add.iter().zip(args.bias).map(|(a, b)| a + b).collect();
                started(&mut out, &start, residual, height * width);
            }
            None => started(&mut out, args.bias, residual, height * width),
        }
    }
    if winograd::pays(&map, outputs) {
        winograd::add_convolution(&mut out, &map, args.weight, outputs);
    } else {
        let weight = Right::Weights(args.weight);
        add_product(&mut out, outputs, &map, weight, 9 * map.channels);
    }
    out
}

/// The input as a convolution sees it: enlarged, with zeros around it. Copying it costs little
/// beside the products, and then a patch is three runs of memory, wherever it lies.
pub struct Padded {
    /// `[n, rows, columns, channels]`
    values: Vec<f32>,
    rows: usize,
    columns: usize,
    pub channels: usize,
    pub stride: usize,
    /// Height and width of the convolution's result.
    pub output: [usize; 2],
}

impl Padded {
    fn new(args: &Conv) -> Self {
        let [h, w] = args.size;
        let [height, width] = args.enlarged;
        let (x, channels) = args.x;
        let batch = x.len() / (h * w * channels);
        // One row and column of zeros before, and one or two behind: tiles of 2×2 need even sizes.
        let rows = height.next_multiple_of(2) + 2;
        let columns = width.next_multiple_of(2) + 2;
        let sources: Vec<usize> = (0..width).map(|i| i * w / width).collect();

        let mut values = Vec::with_capacity(batch * rows * columns * channels);
        let zeros = |values: &mut Vec<f32>, pixels| {
            values.resize(values.len() + pixels * channels, 0.0);
        };
        for image in 0..batch {
            zeros(&mut values, columns);
            for y in 0..height {
                let row = (image * h + y * h / height) * w;
                zeros(&mut values, 1);
                if width == w {
                    values.extend_from_slice(&x[row * channels..][..w * channels]);
                } else {
                    for source in &sources {
                        values.extend_from_slice(&x[(row + source) * channels..][..channels]);
                    }
                }
                zeros(&mut values, columns - width - 1);
            }
            zeros(&mut values, (rows - height - 1) * columns);
        }
        Padded {
            values,
            rows,
            columns,
            channels,
            stride: args.stride,
            output: args.enlarged.map(|size| size.div_ceil(args.stride)),
        }
    }

    /// Positions of the result in all images.
    pub fn positions(&self) -> usize {
        let images = self.values.len() / (self.rows * self.columns * self.channels);
        images * self.output[0] * self.output[1]
    }

    /// `count` neighbouring pixels of a row. Positions are those of the padded map.
    pub fn pixels(&self, image: usize, row: usize, column: usize, count: usize) -> &[f32] {
        let pixel = (image * self.rows + row) * self.columns + column;
        &self.values[pixel * self.channels..][..count * self.channels]
    }
}

impl Left for Padded {
    fn runs<'a>(&'a self, row: usize, mut each: impl FnMut(&'a [f32])) {
        let [height, width] = self.output;
        let (image, position) = (row / (height * width), row % (height * width));
        let (y, x) = (
            position / width * self.stride,
            position % width * self.stride,
        );
        for dy in 0..3 {
            each(self.pixels(image, y + dy, x, 3));
        }
    }
}
