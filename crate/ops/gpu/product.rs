//! Matrix products and 3×3 convolutions. Both have the same kernel, which gathers its rows
//! differently.

use burn::tensor::{DType, Tensor};
use burn_cubecl::tensor::CubeTensor;

#[cfg(feature = "testing")]
use super::kernel_tiling::blocks;
use super::kernel_tiling::{Block, KernelTiling, TileMemory};
use super::launch::{Kernel, contiguous, launch, split, tensor, vector};
use super::template::Value;
use crate::ops::{Conv3x3, Linear};

/// Division of work in the register kernel.
///
/// More rows mean fewer loads for each multiplication, and a longer text to compile. Measured on a
/// loaded machine, in GFLOP/s of one core, with 8, 12, 16 rows of 2 vectors and 16 rows of 4:
/// linear 12.1, 13.4, 12.7, 12.3 on lavapipe and 2.6, 2.4, 3.2, 3.7 on SwiftShader; convolution
/// 8.7, 9.3, 9.8, 6.9 and 2.4, 2.7, 2.3, 2.7, its compilation 0.5, 0.8, 1.2 and 2.6 s on
/// SwiftShader.
mod registers {
    /// Rows of the result that an invocation of a linear layer computes.
    pub const LINEAR_ROWS: u32 = 16;
    /// Rows of the result that an invocation of a convolution computes.
    pub const CONV_ROWS: u32 = 12;
    /// Rows where channels do not divide by four and elements are read one by one. Rare, so
    /// compiled quickly.
    pub const UNALIGNED_ROWS: u32 = 4;
    /// Vectors of four columns in each row; for GEGLU, of values and gates together.
    pub const VECTORS: u32 = 2;
    /// Rows where there are four columns or fewer.
    pub const NARROW_ROWS: u32 = 4;
    /// Invocations along columns. Lavapipe's vectors are eight wide.
    pub const LANES: u32 = 8;
}

/// Properties that the text of the shader depends on.
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    /// Activations are f16.
    pub half: bool,
    /// Weights are stored in f16.
    pub half_weights: bool,
    /// There is a second input beside the first.
    pub skip: bool,
    /// The channels of all inputs are multiples of four.
    pub aligned_inputs: bool,
    /// The number of outputs is a multiple of four.
    pub aligned_outputs: bool,
    /// There is a bias.
    pub bias: bool,
    /// The timestep embedding is added.
    pub add: bool,
    /// A residual is added.
    pub residual: bool,
    /// Operation of the kernel.
    pub kind: Kind,
    /// The result has four columns or fewer.
    pub narrow: bool,
    /// Division of the result among workgroups.
    pub block: Block,
}

/// Operations of this kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Linear layer: a row is a token.
    Linear,
    /// GEGLU: a row is a token, and the second half of the columns gates the first.
    Geglu,
    /// Convolution: a row is nine taps of a map.
    Conv,
}

impl Variant {
    /// Halves of the columns that are computed together.
    fn parts(self) -> u32 {
        if self.kind == Kind::Geglu { 2 } else { 1 }
    }

    /// Division of the work.
    fn shape(self, memory: TileMemory) -> Shape {
        let rows = match self.kind {
            _ if !self.aligned_inputs => registers::UNALIGNED_ROWS,
            Kind::Conv => registers::CONV_ROWS,
            Kind::Linear | Kind::Geglu => registers::LINEAR_ROWS,
        };
        match memory {
            // A tile for one vector of columns would be nearly all idle.
            _ if self.narrow => Shape {
                memory: TileMemory::Registers,
                rows: registers::NARROW_ROWS,
                vectors: 1,
                lanes: registers::LANES,
                group: [registers::NARROW_ROWS * registers::LANES, 1],
            },
            TileMemory::Registers => {
                let vectors = registers::VECTORS / self.parts();
                Shape {
                    memory,
                    rows,
                    vectors,
                    lanes: registers::LANES,
                    group: [rows, vectors * registers::LANES],
                }
            }
            TileMemory::Workgroup => {
                let vectors = (self.block.vectors / self.parts()).max(1);
                Shape {
                    memory,
                    rows: self.block.rows,
                    vectors,
                    lanes: self.block.side * self.block.side,
                    group: [self.block.rows, vectors].map(|n| n * self.block.side),
                }
            }
        }
    }

    fn kernel(self, memory: TileMemory) -> Kernel {
        let shape = self.shape(memory);
        let (name, template) = match shape.memory {
            TileMemory::Registers => (
                "product_registers",
                concat!(
                    include_str!("product.wgsl"),
                    include_str!("product_registers.wgsl"),
                    include_str!("gelu.wgsl")
                ),
            ),
            TileMemory::Workgroup => (
                "product_workgroup",
                concat!(
                    include_str!("product.wgsl"),
                    include_str!("product_workgroup.wgsl"),
                    include_str!("gelu.wgsl")
                ),
            ),
        };
        let values = self.operation_values();
        let values = values.into_iter().chain(self.division_values(&shape));
        Kernel::new(name, template, shape.lanes, self.half, values)
    }

    /// Values of the template that describe the operation.
    fn operation_values(self) -> [(&'static str, Value); 17] {
        let (addends, matrices) = match (self.add, self.residual, self.bias) {
            (false, false, false) => ("", "weight"),
            (false, false, true) => ("", "weight bias"),
            (true, false, false) => ("add", "weight add"),
            (true, false, true) => ("add", "weight bias add"),
            (false, true, false) => ("residual", "weight residual"),
            (false, true, true) => ("residual", "weight bias residual"),
            (true, true, false) => ("add residual", "weight add residual"),
            (true, true, true) => ("add residual", "weight bias add residual"),
        };
        let element = |vector: bool, half: bool| match (vector, half) {
            (true, false) => "vec4<f32>",
            (true, true) => "vec4<f16>",
            (false, false) => "f32",
            (false, true) => "f16",
        };
        // With f32 activations the adapter may lack f16, so pairs of f16 are widened by core WGSL.
        let packed = self.half_weights && !self.half;
        let weight = match (packed, self.aligned_outputs) {
            (false, vector) => element(vector, self.half_weights),
            (true, true) => "vec2<u32>",
            (true, false) => "u32",
        };
        [
            ("PARTS", self.parts().into()),
            ("CONV", (self.kind == Kind::Conv).into()),
            ("TAPS", if self.kind == Kind::Conv { 9 } else { 1 }.into()),
            ("GELU", (self.kind == Kind::Geglu).into()),
            ("SOURCES", if self.skip { "x skip" } else { "x" }.into()),
            ("STEP", if self.aligned_inputs { 4 } else { 1 }.into()),
            ("INPUT", element(self.aligned_inputs, self.half).into()),
            ("UNIT", if self.aligned_outputs { 4 } else { 1 }.into()),
            ("OUTPUT", element(self.aligned_outputs, self.half).into()),
            ("VECTOR", element(self.aligned_outputs, false).into()),
            ("WEIGHT", weight.into()),
            ("PACKED", packed.into()),
            ("BIAS", self.bias.into()),
            ("ADD", self.add.into()),
            ("RESIDUAL", self.residual.into()),
            ("ADDENDS", addends.into()),
            ("MATRICES", matrices.into()),
        ]
    }

    /// Values of the template that describe the division of the work.
    fn division_values(self, shape: &Shape) -> [(&'static str, Value); 8] {
        let vectors = shape.vectors * self.parts();
        let (side, depth) = match shape.memory {
            TileMemory::Registers => (1, 1),
            TileMemory::Workgroup => (self.block.side, self.block.depth),
        };
        [
            ("ROWS", shape.rows.into()),
            ("TILES", shape.vectors.into()),
            ("VECTORS", vectors.into()),
            ("NARROW", self.narrow.into()),
            ("SIDE", side.into()),
            ("DEPTH", depth.into()),
            // Factors of each kind that an invocation brings into workgroup memory.
            ("INPUTLOADS", (shape.rows * depth / side).into()),
            ("WEIGHTLOADS", (4 * depth * vectors / side).into()),
        ]
    }

    /// Workgroups for a result of `rows` × `outputs`.
    fn groups(self, memory: TileMemory, rows: usize, outputs: usize) -> [usize; 3] {
        let [tile_rows, vectors] = self.shape(memory).group.map(|n| n as usize);
        let [x, z] = split(rows.div_ceil(tile_rows));
        [x, outputs.div_ceil(4 * vectors), z]
    }
}

/// Division of a kernel's work.
struct Shape {
    memory: TileMemory,
    /// Rows of the result that an invocation computes.
    rows: u32,
    /// Vectors of its columns that an invocation computes.
    vectors: u32,
    /// Invocations in a workgroup.
    lanes: u32,
    /// Rows and vectors of columns that a workgroup computes.
    group: [u32; 2],
}

/// All variants of the kernel that inputs can select. With other tiles than a tiling's own, only
/// those of the networks themselves, which have channels that divide by four.
#[cfg(feature = "testing")]
pub fn variants(memory: TileMemory) -> Vec<Kernel> {
    let mut kernels = Vec::new();
    for (index, block) in blocks(memory).into_iter().enumerate() {
        for bits in 0..512u32 {
            let bit = |i: u32| bits >> i & 1 == 1;
            for kind in [Kind::Linear, Kind::Geglu, Kind::Conv] {
                let variant = Variant {
                    half: bit(0),
                    skip: bit(1),
                    aligned_inputs: bit(2),
                    aligned_outputs: bit(3),
                    bias: bit(4),
                    add: bit(5),
                    residual: bit(6),
                    narrow: bit(7),
                    half_weights: bit(8),
                    block,
                    kind,
                };
                let possible = match kind {
                    Kind::Linear => !variant.add,
                    Kind::Geglu => {
                        !variant.add && !variant.residual && !variant.skip && variant.bias
                    }
                    Kind::Conv => !variant.skip && variant.bias,
                };
                let aligned = variant.aligned_inputs && variant.aligned_outputs;
                let common = aligned && !variant.narrow;
                if possible && (index < 2 && !(variant.narrow && index == 1) || common) {
                    kernels.push(variant.kernel(memory));
                }
            }
        }
    }
    kernels
}

/// Implements [`Ops::conv3x3`](crate::ops::Ops::conv3x3).
pub fn conv3x3(tiling: KernelTiling, args: Conv3x3) -> Tensor<4> {
    let [out_h, out_w] = args.output_size();
    let outputs = args.weight.dims()[1];
    let [n, h, w, channels] = args.x.dims();
    let [large_h, large_w] = args.upsample_to.unwrap_or([h, w]);
    let add_step = match &args.add {
        Some(add) if add.dims()[0] > 1 && outputs.is_multiple_of(4) => outputs / 4,
        Some(add) if add.dims()[0] > 1 => outputs,
        _ => 0,
    };
    let dtype = args.x.dtype();
    let rows = n * out_h * out_w;
    let variant = Variant {
        half: dtype == DType::F16,
        half_weights: args.weight.dtype() == DType::F16,
        skip: false,
        aligned_inputs: channels.is_multiple_of(4),
        aligned_outputs: outputs.is_multiple_of(4),
        bias: true,
        add: args.add.is_some(),
        residual: args.residual.is_some(),
        kind: Kind::Conv,
        narrow: outputs <= 4,
        block: tiling.block_for(rows, outputs),
    };
    let inputs = Inputs {
        x: contiguous(args.x),
        skip: None,
        weight: contiguous(args.weight.clone()),
        bias: Some(vector(args.bias)),
        add: args.add.map(contiguous),
        residual: args.residual.map(contiguous),
    };
    let params = [
        rows,
        outputs,
        channels,
        0, // channels of a second input
        h,
        w,
        large_h,
        large_w,
        out_h,
        out_w,
        args.stride,
        add_step,
    ]
    .map(|n| n as u32);
    tensor(launch(
        variant.kernel(tiling.memory),
        &inputs.list(),
        [n, out_h, out_w, outputs],
        dtype,
        &params,
        variant.groups(tiling.memory, rows, outputs),
    ))
}

/// Implements [`Ops::linear`](crate::ops::Ops::linear).
pub fn linear(tiling: KernelTiling, args: Linear) -> Tensor<3> {
    product(tiling, Kind::Linear, args)
}

/// Implements [`Ops::geglu`](crate::ops::Ops::geglu).
pub fn geglu(
    tiling: KernelTiling,
    x: Tensor<3>,
    weight: &Tensor<2>,
    bias: &Tensor<1>,
) -> Tensor<3> {
    let args = Linear {
        x,
        skip: None,
        weight,
        bias: Some(bias),
        residual: None,
    };
    product(tiling, Kind::Geglu, args)
}

fn product(tiling: KernelTiling, kind: Kind, args: Linear) -> Tensor<3> {
    let [n, t, channels] = args.x.dims();
    let rows = n * t;
    let columns = args.weight.dims()[1];
    let outputs = match kind {
        Kind::Geglu => columns / 2,
        _ => columns,
    };
    let skip_channels = args.skip.as_ref().map_or(0, |skip| skip.dims()[2]);
    let dtype = args.x.dtype();
    let variant = Variant {
        half: dtype == DType::F16,
        half_weights: args.weight.dtype() == DType::F16,
        skip: args.skip.is_some(),
        aligned_inputs: (channels | skip_channels).is_multiple_of(4),
        aligned_outputs: outputs.is_multiple_of(4),
        bias: args.bias.is_some(),
        add: false,
        residual: args.residual.is_some(),
        kind,
        narrow: outputs <= 4 && kind != Kind::Geglu,
        block: tiling.block_for(rows, columns),
    };
    let inputs = Inputs {
        x: contiguous(args.x),
        skip: args.skip.map(contiguous),
        weight: contiguous(args.weight.clone()),
        bias: args.bias.map(vector),
        add: None,
        residual: args.residual.map(contiguous),
    };
    let params = [rows, outputs, channels, skip_channels].map(|n| n as u32);
    tensor(launch(
        variant.kernel(tiling.memory),
        &inputs.list(),
        [n, t, outputs],
        dtype,
        &params,
        variant.groups(tiling.memory, rows, outputs),
    ))
}

/// Buffers in the order of the shader's bindings.
struct Inputs {
    x: CubeTensor,
    skip: Option<CubeTensor>,
    weight: CubeTensor,
    bias: Option<CubeTensor>,
    add: Option<CubeTensor>,
    residual: Option<CubeTensor>,
}

impl Inputs {
    fn list(&self) -> Vec<&CubeTensor> {
        [
            Some(&self.x),
            self.skip.as_ref(),
            Some(&self.weight),
            self.bias.as_ref(),
            self.add.as_ref(),
            self.residual.as_ref(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
