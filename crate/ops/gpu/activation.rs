//! The text encoder's activations.

use burn::tensor::{DType, Tensor};

use super::launch::{Kernel, launch, memory, split, tensor};
use crate::config::Activation;

const LANES: u32 = 64;

fn kernel(half: bool, aligned: bool, quick: bool) -> Kernel {
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
            ("QUICK", quick.into()),
            ("GELU", (!quick).into()),
        ],
    )
}

/// Every variant of the kernel.
pub fn variants() -> Vec<Kernel> {
    (0..8u32)
        .map(|bits| kernel(bits & 1 == 1, bits & 2 == 2, bits & 4 == 4))
        .collect()
}

/// See [`Ops::activation`](crate::ops::Ops::activation).
pub fn activation(x: Tensor<3>, activation: Activation) -> Tensor<3> {
    let shape = x.dims();
    let dtype = x.dtype();
    let elements: usize = shape.iter().product();
    let aligned = elements.is_multiple_of(4);
    let length = if aligned { elements / 4 } else { elements };
    let kernel = kernel(
        dtype == DType::F16,
        aligned,
        activation == Activation::QuickGelu,
    );
    let [groups, rest] = split(length.div_ceil(LANES as usize));
    tensor(launch(
        kernel,
        &[&memory(x)],
        shape,
        dtype,
        &[length as u32],
        [groups, rest, 1],
    ))
}
