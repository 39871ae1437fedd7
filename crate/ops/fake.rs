//! Fake tensors: a shape and an element type without elements.
//!
//! They live on the Flex device, which is there natively and in every browser. Burn's `reshape`,
//! `slice` and `clone` give views of the same storage, as for any tensor without gaps. Operations
//! that read or write elements panic.

use burn::tensor::{Bytes, DType, Tensor};
use burn_flex::{Flex, FlexTensor, Layout};

/// A fake tensor with an identity of its own.
pub fn fake_tensor<const D: usize>(shape: [usize; D], dtype: DType) -> Tensor<D> {
    let no_bytes = Bytes::from_bytes_vec(Vec::new());
    tensor(FlexTensor::new(
        no_bytes,
        Layout::contiguous(shape.into()),
        dtype,
    ))
}

/// The Flex tensor behind `tensor`.
pub(super) fn primitive<const D: usize>(tensor: &Tensor<D>) -> FlexTensor {
    tensor
        .clone()
        .try_into_primitive::<Flex>()
        .unwrap_or_else(|_| panic!("a fake tensor is a tensor of the Flex device"))
}

fn tensor<const D: usize>(tensor: FlexTensor) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(tensor)
}
