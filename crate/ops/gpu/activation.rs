//! Activations that are kernels of their own: the text encoder's, and those of the timestep
//! embedding.

use burn::tensor::{DType, Tensor};

use super::launch::{Kernel, contiguous, launch, split, tensor};
use crate::config::Activation;

const LANES: u32 = 64;

/// Function of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Curve {
    Gelu,
    /// CLIP's approximation of GELU.
    QuickGelu,
    Silu,
}

fn kernel(half: bool, aligned: bool, curve: Curve) -> Kernel {
    let data = match (half, aligned) {
        (false, false) => "f32",
        (true, false) => "f16",
        (false, true) => "vec4<f32>",
        (true, true) => "vec4<f16>",
    };
    Kernel::new(
        "activation",
        concat!(include_str!("activation.wgsl"), include_str!("gelu.wgsl")),
        LANES,
        half,
        [
            ("WIDTH", if aligned { 4 } else { 1 }.into()),
            ("DATA", data.into()),
            ("GELU", (curve == Curve::Gelu).into()),
            ("QUICK", (curve == Curve::QuickGelu).into()),
        ],
    )
}

/// All variants of the kernel.
#[cfg(feature = "testing")]
pub fn variants() -> Vec<Kernel> {
    let curves = [Curve::Gelu, Curve::QuickGelu, Curve::Silu];
    (0..4u32)
        .flat_map(|bits| curves.map(|curve| kernel(bits & 1 == 1, bits & 2 == 2, curve)))
        .collect()
}

/// Implements [`Ops::activation`](crate::ops::Ops::activation).
pub fn activation(x: Tensor<3>, activation: Activation) -> Tensor<3> {
    let curve = match activation {
        Activation::Gelu => Curve::Gelu,
        Activation::QuickGelu => Curve::QuickGelu,
    };
    apply(x, curve)
}

/// Implements [`Ops::silu`](crate::ops::Ops::silu).
pub fn silu(x: Tensor<3>) -> Tensor<3> {
    apply(x, Curve::Silu)
}

fn apply(x: Tensor<3>, curve: Curve) -> Tensor<3> {
    let shape = x.dims();
    let dtype = x.dtype();
    let elements: usize = shape.iter().product();
    let aligned = elements.is_multiple_of(4);
    let length = if aligned { elements / 4 } else { elements };
    let [groups, rest] = split(length.div_ceil(LANES as usize));
    tensor(launch(
        kernel(dtype == DType::F16, aligned, curve),
        &[&contiguous(x)],
        shape,
        dtype,
        &[length as u32],
        [groups, rest, 1],
    ))
}
