//! The hot operations on the CPU, for Burn's Flex device: natively on all cores, in a browser without a GPU in
//! WebAssembly's 128-bit SIMD.

mod attention;
mod conv;
mod math;
mod norm;
mod product;
mod threads;

use burn::tensor::{DType, Tensor, TensorData};
use burn_flex::{Flex, FlexTensor};

use super::{Attention, Conv3x3, GroupNorm, Linear, Ops, Stock, stock};
use crate::config::Activation;
use attention::{Sizes, attention};
use conv::Patches;
use norm::{Groups, group_norm, layer_norm};
use product::{Right, Rows, add_product};

/// Our own loops over the memory of Flex tensors. Tensors in f16 are left to [`Stock`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu;

impl Ops for Cpu {
    fn conv3x3(&self, args: Conv3x3) -> Tensor<4> {
        if args.x.dtype() != DType::F32 || args.weight.dtype() != DType::F32 {
            return Stock.conv3x3(args);
        }
        let [n, h, w, c] = args.x.dims();
        let [height, width] = args.output_size();
        let outputs = args.weight.dims()[1];
        let (device, shape) = (args.x.device(), [n, height, width, outputs]);
        let skip_channels = args.skip.as_ref().map_or(0, |skip| skip.dims()[3]);

        let x = Memory::of(args.x);
        let skip = args.skip.map(Memory::of);
        let weight = Memory::of(args.weight.clone());
        let bias = Memory::of(args.bias.clone());
        let start: Vec<f32> = match args.add.map(Memory::of) {
            Some(add) => {
                let both = add
                    .values()
                    .chunks_exact(outputs)
                    .flat_map(|add| add.iter().zip(bias.values()).map(|(add, bias)| add + bias));
                both.collect()
            }
            None => bias.values().repeat(n),
        };
        let residual = args.residual.map(Memory::of);
        let mut out = Vec::with_capacity(n * height * width * outputs);
        for (image, start) in start.chunks_exact(outputs).enumerate() {
            let size = height * width * outputs;
            let residual = residual
                .as_ref()
                .map(|map| &map.values()[image * size..][..size]);
            extend(&mut out, start, residual, height * width);
        }
        let patches = Patches::new(
            (x.values(), c),
            skip.as_ref().map(|skip| (skip.values(), skip_channels)),
            [h, w],
            args.upsample_to.unwrap_or([h, w]),
            args.stride,
        );
        let inner = 9 * (c + skip_channels);
        let weight = Right::Rows(Rows::dense(weight.values(), outputs));
        add_product(&mut out, outputs, &patches, weight, inner);
        Tensor::from_data(TensorData::new(out, shape), &device)
    }

    fn linear(&self, args: Linear) -> Tensor<3> {
        if args.x.dtype() != DType::F32 || args.weight.dtype() != DType::F32 {
            return Stock.linear(args);
        }
        let [n, t, c] = args.x.dims();
        let outputs = args.weight.dims()[1];
        let (device, shape) = (args.x.device(), [n, t, outputs]);
        let skip = args.skip.map(|skip| (skip.dims()[2], Memory::of(skip)));
        let x = Memory::of(args.x);
        let weight = Memory::of(args.weight.clone());
        let bias = match args.bias {
            Some(bias) => Memory::of(bias.clone()).values().to_vec(),
            None => vec![0.0; outputs],
        };
        let residual = args.residual.map(Memory::of);
        let mut out = Vec::with_capacity(n * t * outputs);
        extend(
            &mut out,
            &bias,
            residual.as_ref().map(Memory::values),
            n * t,
        );
        let weight = Right::Rows(Rows::dense(weight.values(), outputs));
        let x = Rows::dense(x.values(), c);
        match &skip {
            Some((width, skip)) => {
                let left = (x, Rows::dense(skip.values(), *width));
                add_product(&mut out, outputs, &left, weight, c + width);
            }
            None => add_product(&mut out, outputs, &x, weight, c),
        }
        Tensor::from_data(TensorData::new(out, shape), &device)
    }

    fn geglu(&self, x: Tensor<3>, weight: &Tensor<2>, bias: &Tensor<1>) -> Tensor<3> {
        if x.dtype() != DType::F32 || weight.dtype() != DType::F32 {
            return Stock.geglu(x, weight, bias);
        }
        let (device, [n, t, _]) = (x.device(), x.dims());
        let both = self.linear(Linear {
            x,
            skip: None,
            weight,
            bias: Some(bias),
            residual: None,
        });
        let width = both.dims()[2] / 2;
        let both = Memory::of(both);
        let mut out = Vec::with_capacity(n * t * width);
        for row in both.values().chunks_exact(2 * width) {
            let (a, b) = row.split_at(width);
            out.extend(a.iter().zip(b).map(|(a, b)| a * math::gelu(*b)));
        }
        Tensor::from_data(TensorData::new(out, [n, t, width]), &device)
    }

    fn attention(&self, args: Attention) -> Tensor<3> {
        if args.q.dtype() != DType::F32 {
            return Stock.attention(args);
        }
        let (device, [batch, queries, width]) = (args.q.device(), args.q.dims());
        let sizes = Sizes {
            queries,
            keys: args.k.dims()[1],
            heads: args.heads,
            head_width: width / args.heads,
            causal: args.causal,
        };
        let [q, k, v] = [args.q, args.k, args.v].map(Memory::of);
        let out = attention(q.values(), k.values(), v.values(), sizes);
        Tensor::from_data(TensorData::new(out, [batch, queries, width]), &device)
    }

    fn group_norm(&self, args: GroupNorm) -> Tensor<4> {
        if args.x.dtype() != DType::F32 || args.weight.dtype() != DType::F32 {
            return Stock.group_norm(args);
        }
        let (device, [n, h, w, c]) = (args.x.device(), args.x.dims());
        let skip = args.skip.map(|skip| (skip.dims()[3], Memory::of(skip)));
        let x = Memory::of(args.x);
        let mut maps = vec![(x.values(), c)];
        maps.extend(skip.as_ref().map(|(width, skip)| (skip.values(), *width)));
        let weight = Memory::of(args.weight.clone());
        let bias = Memory::of(args.bias.clone());
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
        if x.dtype() != DType::F32 || weight.dtype() != DType::F32 {
            return Stock.layer_norm(x, weight, bias, eps);
        }
        let (device, shape) = (x.device(), x.dims());
        let x = Memory::of(x);
        let weight = Memory::of(weight.clone());
        let bias = Memory::of(bias.clone());
        let out = layer_norm(x.values(), weight.values(), bias.values(), eps);
        Tensor::from_data(TensorData::new(out, shape), &device)
    }

    fn activation(&self, x: Tensor<3>, activation: Activation) -> Tensor<3> {
        if x.dtype() != DType::F32 {
            return stock::activation(x, activation);
        }
        let (device, shape) = (x.device(), x.dims());
        let x = Memory::of(x);
        let x = x.values().iter();
        let out: Vec<f32> = match activation {
            Activation::Gelu => x.map(|x| math::gelu(*x)).collect(),
            Activation::QuickGelu => x.map(|x| math::quick_gelu(*x)).collect(),
        };
        Tensor::from_data(TensorData::new(out, shape), &device)
    }
}

/// The values of a tensor on the Flex device, row by row without gaps.
struct Memory(FlexTensor);

impl Memory {
    fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        let tensor = tensor
            .try_into_primitive::<Flex>()
            .expect("Cpu is for tensors of the Flex device");
        Memory(tensor.to_contiguous())
    }

    fn values(&self) -> &[f32] {
        self.0
            .as_slice()
            .expect("a contiguous tensor whose type was looked at")
    }
}

/// Appends `rows` rows of `start`, plus `residual` where there is one.
fn extend(out: &mut Vec<f32>, start: &[f32], residual: Option<&[f32]>, rows: usize) {
    match residual {
        Some(residual) => {
            for row in residual.chunks_exact(start.len()) {
                out.extend(row.iter().zip(start).map(|(x, start)| x + start));
            }
        }
        None => {
            for _ in 0..rows {
                out.extend_from_slice(start);
            }
        }
    }
}
