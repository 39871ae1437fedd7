//! Normalized attention guidance: attention to the prompts, and a kernel that moves that of some
//! images away from a negative prompt. The norm of a token is over all heads, and a workgroup of
//! the attention has one of them; so the guidance is a launch of its own.

use burn::tensor::{DType, Tensor};

use super::TileMemory;
use super::attention::{self, Special};
use super::launch::{Kernel, beginning, launch_into, split, tensor};
use crate::ops::{Attention, NagImages};
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
pub fn attention_with_nag(memory: TileMemory, args: Attention, guided: NagImages) -> Tensor<3> {
    let [images, tokens, channels] = args.q.dims();
    let z = attention::attention(memory, args, Special::Nag(guided));
    let NagImages { first, nag, .. } = guided;
    let Nag { scale, tau, alpha } = nag;
    let (kernel, teams) = kernel(memory, z.dtype == DType::F16);
    let guided = (images - first) * tokens;
    let sizes = [guided, channels / 4, first * tokens, images * tokens];
    let settings = [scale, tau, alpha].map(|setting| (setting as f32).to_bits());
    let params = [&sizes.map(|size| size as u32)[..], &settings].concat();
    let [groups, rest] = split(guided.div_ceil(teams as usize));
    launch_into(kernel, &[], &[&z], &params, [groups, rest, 1]);
    // Without the attentions to the negative prompt.
    tensor(beginning(&z, [images, tokens, channels]))
}
