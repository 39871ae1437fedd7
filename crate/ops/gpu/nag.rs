//! Normalized attention guidance: attention to the prompts, and a kernel that moves one image's
//! away from a negative prompt. The norm of a token is over all heads, and a workgroup of the
//! attention has one of them; so the guidance is a launch of its own.

use burn::tensor::{DType, Tensor};
use burn_cubecl::tensor::CubeTensor;

use super::launch::{Kernel, launch_into, reshaped, split, tensor};
use super::{TileMemory, attention, dry_run};
use crate::ops::{Attention, NagImage};
use crate::sampling::Nag;

/// Tokens of a workgroup for software adapters, one for each invocation.
const REGISTER_LANES: u32 = 16;
/// Invocations that share a token on a GPU, and tokens of a workgroup. Not measured on a GPU yet.
const TEAM: u32 = 32;
const TEAMS: u32 = 4;

/// A kernel, and the number of tokens of one of its workgroups.
fn kernel(memory: TileMemory, half: bool) -> (Kernel, u32) {
    let (team, teams) = match memory {
        TileMemory::Registers => (1, REGISTER_LANES),
        TileMemory::Workgroup => (TEAM, TEAMS),
    };
    let values = [
        ("TEAM", team.into()),
        ("TEAMS", teams.into()),
        ("SHARED", (team > 1).into()),
    ];
    let text = include_str!("nag.wgsl");
    (Kernel::new("nag", text, team * teams, half, values), teams)
}

/// All variants of the kernel.
#[cfg(feature = "testing")]
pub fn variants(memory: TileMemory) -> Vec<Kernel> {
    [false, true].map(|half| kernel(memory, half).0).to_vec()
}

/// Implements [`Ops::attention_with_nag`](crate::ops::Ops::attention_with_nag) for widths of heads
/// that are [`possible`](attention::possible).
pub fn attention_with_nag(memory: TileMemory, args: Attention, guided: NagImage) -> Tensor<3> {
    let [images, tokens, channels] = args.q.dims();
    let z = attention::attentions(memory, args, Some(guided));
    let NagImage { image, nag, .. } = guided;
    let Nag { scale, tau, alpha } = nag;
    let (kernel, teams) = kernel(memory, z.dtype == DType::F16);
    let sizes = [tokens, channels / 4, image, images].map(|size| size as u32);
    let settings = [scale, tau, alpha].map(|setting| (setting as f32).to_bits());
    let [groups, rest] = split(tokens.div_ceil(teams as usize));
    let params = [&sizes[..], &settings].concat();
    launch_into(kernel, &[], &[&z], &params, [groups, rest, 1]);
    tensor(first_images(z, [images, tokens, channels]))
}

/// The attentions of the images, without that to the negative prompt behind them.
fn first_images(z: CubeTensor, shape: [usize; 3]) -> CubeTensor {
    let behind = (shape[1] * shape[2] * z.dtype.size()) as u64;
    let mut images = reshaped(&z, shape.into());
    // A tensor of a dry run has no memory of its size.
    if !dry_run::in_progress() {
        images.handle = images.handle.offset_end(behind);
    }
    images
}
