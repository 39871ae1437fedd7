//! LayerNorm in one pass, with statistics in f32.

use burn::tensor::{DType, Tensor};

use super::TileMemory;
use super::group_norm::types;
use super::launch::{Kernel, contiguous, launch, split, tensor, vector};

/// Tokens of a workgroup of the register kernel, one for each invocation.
const REGISTER_LANES: u32 = 16;
/// Invocations that share a token in the workgroup kernel. Of 1280 channels each has ten vectors.
const TEAM: u32 = 32;
/// Tokens of a workgroup of that kernel. Not measured on a GPU yet.
const TEAMS: u32 = 4;

/// A kernel, and the number of tokens of one of its workgroups.
fn kernel(memory: TileMemory, half: bool, aligned: bool) -> (Kernel, u32) {
    let types = types(half, aligned);
    match memory {
        TileMemory::Registers => {
            let text = include_str!("layer_norm_registers.wgsl");
            let kernel = Kernel::new("layer_norm", text, REGISTER_LANES, half, types);
            (kernel, REGISTER_LANES)
        }
        TileMemory::Workgroup => {
            let text = include_str!("layer_norm_workgroup.wgsl");
            let teams = [("TEAM", TEAM.into()), ("TEAMS", TEAMS.into())];
            let values = types.into_iter().chain(teams);
            let kernel = Kernel::new("layer_norm_workgroup", text, TEAM * TEAMS, half, values);
            (kernel, TEAMS)
        }
    }
}

/// All variants of the kernel.
#[cfg(feature = "testing")]
pub fn variants(memory: TileMemory) -> Vec<Kernel> {
    (0..4u32)
        .map(|bits| kernel(memory, bits & 1 == 1, bits & 2 == 2).0)
        .collect()
}

/// Implements [`Ops::layer_norm`](crate::ops::Ops::layer_norm).
pub fn layer_norm(
    memory: TileMemory,
    x: Tensor<3>,
    weight: &Tensor<1>,
    bias: &Tensor<1>,
    eps: f64,
) -> Tensor<3> {
    let [n, t, c] = x.dims();
    let dtype = x.dtype();
    let (kernel, tokens) = kernel(memory, dtype == DType::F16, c % 4 == 0);
    let (x, weight, bias) = (contiguous(x), vector(weight), vector(bias));
    let [groups, rest] = split((n * t).div_ceil(tokens as usize));
    tensor(launch(
        kernel,
        &[&x, &weight, &bias],
        [n, t, c],
        dtype,
        &[(n * t) as u32, c as u32, (eps as f32).to_bits()],
        [groups, rest, 1],
    ))
}
