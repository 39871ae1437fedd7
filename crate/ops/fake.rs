//! Fake tensors: a shape and an element type without elements.
//!
//! They are on the Flex device, which exists natively and in every browser. Burn's `reshape`,
//! `slice` and `clone` return views of the same storage, as for any contiguous tensor. Operations
//! on elements are invalid: there are none.

use burn::tensor::{Bytes, DType, Tensor};
use burn_flex::{Flex, FlexTensor, Layout};

/// Makes a fake tensor with storage of its own.
pub fn fake_tensor<const D: usize>(shape: [usize; D], dtype: DType) -> Tensor<D> {
    let no_bytes = Bytes::from_bytes_vec(Vec::new());
    tensor(FlexTensor::new(
        no_bytes,
        Layout::contiguous(shape.into()),
        dtype,
    ))
}

/// Returns the Flex tensor behind `tensor`.
pub(super) fn primitive<const D: usize>(tensor: &Tensor<D>) -> FlexTensor {
    tensor
        .clone()
        .try_into_primitive::<Flex>()
        .unwrap_or_else(|_| panic!("a fake tensor is a tensor of the Flex device"))
}

fn tensor<const D: usize>(tensor: FlexTensor) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(tensor)
}
