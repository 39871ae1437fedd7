//! The kernels' shapes: those of SD1.5 unless the name says otherwise, with guidance (a batch of
//! two).

use burn::tensor::{DType, Device, Distribution, Tensor};
use darkroom::config::Activation;
use darkroom::ops::{Attention, Conv3x3, GroupNorm, Linear, Ops};

/// Images in a batch: negative and positive.
const BATCH: usize = 2;
/// Tokens of a prompt.
const TOKENS: usize = 77;

/// An operation on tensors that exist already.
pub type Run = Box<dyn Fn(&dyn Ops)>;

/// A kernel at one shape.
pub struct Case {
    pub name: String,
    /// Operations of a call, a multiply-add being two; those of norms and activations are not
    /// counted.
    pub flop: f64,
    /// Smallest number of values that a call reads or writes, each once.
    pub values: usize,
    prepare: Box<dyn Fn(&Maker) -> Run>,
}

impl Case {
    pub fn prepare(&self, maker: &Maker) -> Run {
        (self.prepare)(maker)
    }
}

/// Makes tensors of random values.
pub struct Maker<'a> {
    device: &'a Device,
    dtype: DType,
}

impl<'a> Maker<'a> {
    pub fn new(device: &'a Device, dtype: DType) -> Self {
        Maker { device, dtype }
    }

    /// Normal values with the standard deviation `scale`.
    fn tensor<const D: usize>(&self, shape: [usize; D], scale: f64) -> Tensor<D> {
        let distribution = Distribution::Normal(0.0, scale);
        Tensor::<D>::random(shape, distribution, (self.device, DType::F32)).cast(self.dtype)
    }

    /// A bias or a norm's parameter, which stay in f32.
    fn vector(&self, length: usize) -> Tensor<1> {
        Tensor::random(
            [length],
            Distribution::Normal(0.0, 0.1),
            (self.device, DType::F32),
        )
    }
}

/// All kernels, for latents of `side` × `side`.
pub fn cases(side: usize) -> Vec<Case> {
    let positions = side * side;
    let (half, quarter, eighth) = (side / 2, side / 4, side / 8);
    let mut cases = vec![
        Conv::new(side, 320, 320)
            .timestep()
            .case("conv 320→320 + timestep"),
        Conv::new(half, 640, 640)
            .residual()
            .case("conv 640→640 + residual"),
        Conv::new(quarter, 1280, 1280).case("conv 1280→1280"),
        Conv::new(eighth, 2560, 1280).case("conv 2560→1280"),
        Conv::new(side, 320, 320)
            .stride()
            .case("conv 320→320, stride 2"),
        Conv::new(half, 640, 640)
            .upsample()
            .case("conv 640→640, upsampled"),
        Conv::new(side, 4, 320).case("conv 4→320"),
        Conv::new(side, 320, 4).case("conv 320→4"),
        Conv::new(8 * side, 128, 128)
            .single()
            .case("VAE conv 128→128"),
        linear("linear 320→320", positions, [320, 0], 320, false),
        linear(
            "linear 1280→320 + residual",
            positions,
            [1280, 0],
            320,
            true,
        ),
        linear(
            "linear 640+320→320 (1×1)",
            positions,
            [640, 320],
            320,
            false,
        ),
        linear("linear 1280→1280", quarter * quarter, [1280, 0], 1280, true),
        linear("linear 768→320, text", TOKENS, [768, 0], 320, false),
        geglu("geglu 320→1280", positions, 320, 1280),
        geglu("geglu 1280→5120", quarter * quarter, 1280, 5120),
    ];
    let (a, b, c) = (positions, half * half, quarter * quarter);
    cases.extend([
        attention("attention 8×40", BATCH, [a, a], 8, 40, false),
        attention("attention 8×80", BATCH, [b, b], 8, 80, false),
        attention("attention 8×160", BATCH, [c, c], 8, 160, false),
        attention("attention 8×40, text", BATCH, [a, TOKENS], 8, 40, false),
        attention("SD2 attention 5×64", BATCH, [a, a], 5, 64, false),
        attention("VAE attention 1×512", 1, [a, a], 1, 512, false),
        attention(
            "text attention 12×64, causal",
            BATCH,
            [TOKENS, TOKENS],
            12,
            64,
            true,
        ),
        group_norm("GroupNorm 320 + SiLU", BATCH, side, [320, 0], true),
        group_norm("GroupNorm 1280+640 + SiLU", BATCH, half, [1280, 640], true),
        group_norm("GroupNorm 320", BATCH, side, [320, 0], false),
        group_norm("VAE GroupNorm 128 + SiLU", 1, 8 * side, [128, 0], true),
        layer_norm("LayerNorm 320", a, 320),
        layer_norm("LayerNorm 1280", c, 1280),
        quick_gelu("text QuickGELU 3072", 3072),
    ]);
    cases
}

/// A convolution.
#[derive(Clone, Copy)]
struct Conv {
    images: usize,
    /// Side of the input.
    side: usize,
    channels: [usize; 2],
    stride: usize,
    enlarge: usize,
    timestep: bool,
    residual: bool,
}

impl Conv {
    fn new(side: usize, inputs: usize, outputs: usize) -> Self {
        Conv {
            images: BATCH,
            side,
            channels: [inputs, outputs],
            stride: 1,
            enlarge: 1,
            timestep: false,
            residual: false,
        }
    }

    fn single(self) -> Self {
        Conv { images: 1, ..self }
    }

    fn timestep(self) -> Self {
        Conv {
            timestep: true,
            ..self
        }
    }

    fn residual(self) -> Self {
        Conv {
            residual: true,
            ..self
        }
    }

    fn stride(self) -> Self {
        Conv { stride: 2, ..self }
    }

    fn upsample(self) -> Self {
        Conv { enlarge: 2, ..self }
    }

    fn case(self, name: &str) -> Case {
        let Conv {
            images,
            side,
            channels: [inputs, outputs],
            ..
        } = self;
        let large = side * self.enlarge;
        let small = large.div_ceil(self.stride);
        let result = images * small * small * outputs;
        let matrix = 9 * inputs * outputs;
        let read = images * side * side * inputs + usize::from(self.residual) * result;
        Case {
            name: format!("{name}, {large}×{large}"),
            flop: 2.0 * (images * small * small) as f64 * matrix as f64,
            values: read + matrix + result,
            prepare: Box::new(move |make| {
                let x = make.tensor([images, side, side, inputs], 1.0);
                let weight = make.tensor([9 * inputs, outputs], (9.0 * inputs as f64).powf(-0.5));
                let bias = make.vector(outputs);
                let add = self.timestep.then(|| make.tensor([images, outputs], 1.0));
                let residual = self
                    .residual
                    .then(|| make.tensor([images, small, small, outputs], 1.0));
                Box::new(move |ops| {
                    ops.conv3x3(Conv3x3 {
                        stride: self.stride,
                        upsample_to: (self.enlarge > 1).then_some([large, large]),
                        add: add.clone(),
                        residual: residual.clone(),
                        ..Conv3x3::new(x.clone(), &weight, &bias)
                    });
                })
            }),
        }
    }
}

fn linear(name: &str, rows: usize, inputs: [usize; 2], outputs: usize, residual: bool) -> Case {
    let [first, second] = inputs;
    let all = first + second;
    let result = BATCH * rows * outputs;
    Case {
        name: format!("{name}, {rows} rows"),
        flop: 2.0 * result as f64 * all as f64,
        values: BATCH * rows * all + all * outputs + result * (1 + usize::from(residual)),
        prepare: Box::new(move |make| {
            let x = make.tensor([BATCH, rows, first], 1.0);
            let skip = (second > 0).then(|| make.tensor([BATCH, rows, second], 1.0));
            let weight = make.tensor([all, outputs], (all as f64).powf(-0.5));
            let bias = make.vector(outputs);
            let residual = residual.then(|| make.tensor([BATCH, rows, outputs], 1.0));
            Box::new(move |ops| {
                ops.linear(Linear {
                    x: x.clone(),
                    skip: skip.clone(),
                    weight: &weight,
                    bias: Some(&bias),
                    residual: residual.clone(),
                });
            })
        }),
    }
}

fn geglu(name: &str, rows: usize, inputs: usize, outputs: usize) -> Case {
    Case {
        name: format!("{name}, {rows} rows"),
        flop: 4.0 * (BATCH * rows * outputs) as f64 * inputs as f64,
        values: BATCH * rows * (inputs + outputs) + 2 * inputs * outputs,
        prepare: Box::new(move |make| {
            let x = make.tensor([BATCH, rows, inputs], 1.0);
            let weight = make.tensor([inputs, 2 * outputs], (inputs as f64).powf(-0.5));
            let bias = make.vector(2 * outputs);
            Box::new(move |ops| {
                ops.geglu(x.clone(), &weight, &bias);
            })
        }),
    }
}

fn attention(
    name: &str,
    images: usize,
    [queries, keys]: [usize; 2],
    heads: usize,
    width: usize,
    causal: bool,
) -> Case {
    let c = heads * width;
    // A causal text has a little more than half of the scores.
    let scores = match causal {
        true => queries * (queries + 1) / 2,
        false => queries * keys,
    };
    Case {
        name: format!("{name}, {queries} × {keys}"),
        flop: 4.0 * (images * scores) as f64 * c as f64,
        values: 2 * images * (queries + keys) * c,
        prepare: Box::new(move |make| {
            let [q, k, v] = [queries, keys, keys].map(|t| make.tensor([images, t, c], 1.0));
            Box::new(move |ops| {
                ops.attention(Attention {
                    q: q.clone(),
                    k: k.clone(),
                    v: v.clone(),
                    heads,
                    causal,
                });
            })
        }),
    }
}

fn group_norm(name: &str, images: usize, side: usize, channels: [usize; 2], silu: bool) -> Case {
    let [first, second] = channels;
    Case {
        name: format!("{name}, {side}×{side}"),
        flop: 0.0,
        values: 2 * images * side * side * (first + second),
        prepare: Box::new(move |make| {
            let x = make.tensor([images, side, side, first], 1.0);
            let skip = (second > 0).then(|| make.tensor([images, side, side, second], 1.0));
            let [weight, bias] = [(); 2].map(|()| make.vector(first + second));
            Box::new(move |ops| {
                ops.group_norm(GroupNorm {
                    x: x.clone(),
                    skip: skip.clone(),
                    weight: &weight,
                    bias: &bias,
                    groups: 32,
                    eps: 1e-5,
                    silu,
                });
            })
        }),
    }
}

fn layer_norm(name: &str, rows: usize, channels: usize) -> Case {
    Case {
        name: format!("{name}, {rows} rows"),
        flop: 0.0,
        values: 2 * BATCH * rows * channels,
        prepare: Box::new(move |make| {
            let x = make.tensor([BATCH, rows, channels], 1.0);
            let [weight, bias] = [(); 2].map(|()| make.vector(channels));
            Box::new(move |ops| {
                ops.layer_norm(x.clone(), &weight, &bias, 1e-5);
            })
        }),
    }
}

fn quick_gelu(name: &str, channels: usize) -> Case {
    Case {
        name: format!("{name}, {TOKENS} rows"),
        flop: 0.0,
        values: 2 * BATCH * TOKENS * channels,
        prepare: Box::new(move |make| {
            let x = make.tensor([BATCH, TOKENS, channels], 1.0);
            Box::new(move |ops| {
                ops.activation(x.clone(), Activation::QuickGelu);
            })
        }),
    }
}
