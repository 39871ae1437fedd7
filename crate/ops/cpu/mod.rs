//! The hot operations on the CPU, for Burn's Flex device: on all cores natively, and in
//! WebAssembly's 128-bit SIMD in a browser without a GPU.

mod attention;
mod conv;
mod linear;
mod math;
mod norm;
mod product;
mod threads;
mod tile;
mod weights;
mod winograd;

use burn::tensor::{DType, Tensor, TensorData};
use burn_flex::{Flex, FlexTensor};

use super::{Attention, Conv3x3, GroupNorm, Linear, NagImages, Ops};
use crate::config::Activation;
use attention::{Sizes, attention};
use conv::{Conv, conv3x3};
use linear::{geglu, linear};
use norm::{Groups, group_norm, layer_norm};
use product::Rows;
use weights::Weights;

/// Multiplies two matrices on the host, on all cores.
///
/// # Shapes
/// left `[n, inner]`, right `[inner, columns]` → `[n, columns]`
pub fn product(left: &[f32], right: &[f32], inner: usize) -> Vec<f32> {
    let right = (Weights::Single(right), right.len() / inner);
    linear(Rows::dense(left, inner), None, right, None, None)
}

/// Our own loops over the memory of Flex tensors.
///
/// # Panics
/// For activations that are not in f32; `Runtime::cpu` makes no others.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu;

impl Ops for Cpu {
    fn conv3x3(&self, args: Conv3x3) -> Tensor<4> {
        let [n, h, w, c] = args.x.dims();
        let [height, width] = args.output_size();
        let outputs = args.weight.dims()[1];
        let (device, shape) = (args.x.device(), [n, height, width, outputs]);
        let x = Values::of(args.x);
        let weight = Values::of(args.weight.clone());
        let bias = Values::of(args.bias.clone());
        let add = args.add.map(Values::of);
        let residual = args.residual.map(Values::of);
        let out = conv3x3(Conv {
            x: (x.values(), c),
            size: [h, w],
            enlarged: args.upsample_to.unwrap_or([h, w]),
            stride: args.stride,
            weight: weight.weights(),
            bias: bias.values(),
            add: add.as_ref().map(Values::values),
            residual: residual.as_ref().map(Values::values),
        });
        Tensor::from_data(TensorData::new(out, shape), &device)
    }

    fn linear(&self, args: Linear) -> Tensor<3> {
        let [n, t, c] = args.x.dims();
        let outputs = args.weight.dims()[1];
        let (device, shape) = (args.x.device(), [n, t, outputs]);
        let skip = args.skip.map(|skip| (skip.dims()[2], Values::of(skip)));
        let x = Values::of(args.x);
        let weight = Values::of(args.weight.clone());
        let bias = args.bias.map(|bias| Values::of(bias.clone()));
        let residual = args.residual.map(Values::of);
        let out = linear(
            Rows::dense(x.values(), c),
            skip.as_ref()
                .map(|(width, skip)| Rows::dense(skip.values(), *width)),
            (weight.weights(), outputs),
            bias.as_ref().map(Values::values),
            residual.as_ref().map(Values::values),
        );
        Tensor::from_data(TensorData::new(out, shape), &device)
    }

    fn geglu(&self, x: Tensor<3>, weight: &Tensor<2>, bias: &Tensor<1>) -> Tensor<3> {
        let (device, [n, t, c]) = (x.device(), x.dims());
        let width = weight.dims()[1] / 2;
        let x = Values::of(x);
        let weight = Values::of(weight.clone());
        let bias = Values::of(bias.clone());
        let out = geglu(Rows::dense(x.values(), c), weight.weights(), bias.values());
        Tensor::from_data(TensorData::new(out, [n, t, width]), &device)
    }

    fn attention(&self, args: Attention) -> Tensor<3> {
        let (device, [batch, queries, width]) = (args.q.device(), args.q.dims());
        let sizes = Sizes::of(&args);
        let [q, k, v] = [args.q, args.k, args.v].map(Values::of);
        let out = attention(q.values(), k.values(), v.values(), sizes);
        Tensor::from_data(TensorData::new(out, [batch, queries, width]), &device)
    }

    fn attention_with_nag(&self, args: Attention, guided: NagImages) -> Tensor<3> {
        let NagImages { first, prompt, nag } = guided;
        let (device, [images, queries, width]) = (args.q.device(), args.q.dims());
        let sizes = Sizes::of(&args);
        let [q, k, v] = [args.q, args.k, args.v].map(Values::of);
        let mut out = attention(q.values(), k.values(), v.values(), sizes);
        let [image, context] = [queries, sizes.keys].map(|tokens| tokens * width);
        let [k, v] = [&k, &v].map(|x| &x.values()[prompt * context..][..context]);
        let guided = out.chunks_mut(image).zip(q.values().chunks(image));
        for (positive, q) in guided.skip(first) {
            let negative = attention(q, k, v, sizes);
            let tokens = positive.chunks_mut(width).zip(negative.chunks(width));
            tokens.for_each(|(positive, negative)| nag.guide(positive, negative));
        }
        Tensor::from_data(TensorData::new(out, [images, queries, width]), &device)
    }

    fn group_norm(&self, args: GroupNorm) -> Tensor<4> {
        let (device, [n, h, w, c]) = (args.x.device(), args.x.dims());
        let skip = args.skip.map(|skip| (skip.dims()[3], Values::of(skip)));
        let x = Values::of(args.x);
        let mut maps = vec![(x.values(), c)];
        maps.extend(skip.as_ref().map(|(width, skip)| (skip.values(), *width)));
        let weight = Values::of(args.weight.clone());
        let bias = Values::of(args.bias.clone());
        let groups = Groups {
            count: args.groups,
            eps: args.eps,
            silu: args.silu,
        };
        let out = group_norm(&maps, n, weight.values(), bias.values(), groups);
        let shape = [n, h, w, weight.values().len()];
        Tensor::from_data(TensorData::new(out, shape), &device)
    }

    fn layer_norm(
        &self,
        x: Tensor<3>,
        weight: &Tensor<1>,
        bias: &Tensor<1>,
        eps: f64,
    ) -> Tensor<3> {
        let (device, shape) = (x.device(), x.dims());
        let x = Values::of(x);
        let weight = Values::of(weight.clone());
        let bias = Values::of(bias.clone());
        let out = layer_norm(x.values(), weight.values(), bias.values(), eps);
        Tensor::from_data(TensorData::new(out, shape), &device)
    }

    fn activation(&self, x: Tensor<3>, activation: Activation) -> Tensor<3> {
        let (device, shape) = (x.device(), x.dims());
        let x = Values::of(x);
        let x = x.values().iter();
        let out: Vec<f32> = match activation {
            Activation::Gelu => x.map(|x| math::gelu(*x)).collect(),
            Activation::QuickGelu => x.map(|x| math::quick_gelu(*x)).collect(),
        };
        Tensor::from_data(TensorData::new(out, shape), &device)
    }
}

/// Values of a tensor on the Flex device, row by row without gaps.
struct Values(FlexTensor);

impl Values {
    fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        let tensor = tensor
            .try_into_primitive::<Flex>()
            .expect("Cpu computes on tensors of the Flex device");
        Values(tensor.to_contiguous())
    }

    /// The values in f16 or in f32, as the tensor has them.
    fn weights(&self) -> Weights<'_> {
        match self.0.dtype() {
            DType::F16 => Weights::Half(
                self.0
                    .as_slice()
                    .expect("a contiguous tensor of the type that was checked"),
            ),
            _ => Weights::Single(self.values()),
        }
    }

    fn values(&self) -> &[f32] {
        self.0
            .as_slice()
            .expect("a contiguous tensor in f32, the CPU path's type of activations")
    }
}
