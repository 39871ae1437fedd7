//! Count of a picture's memory: the networks run on operations that record allocations.
//!
//! The networks are the ones that make pictures, built of fake tensors. Their allocations and frees
//! are carried out on a [model of the device's pools](super::pools), in the order of a run: prompts
//! are encoded; what all steps share is computed and held; a step; the decoding. A change of a
//! network changes its count too.
//!
//! A step on the device takes slices of exactly its sizes, which stay reserved for the next run.
//! Decoding takes pages and cannot use those slices, so a picture needs the memory of both.

use std::rc::Rc;

use burn::tensor::{DType, Tensor};

use super::UnetCall;
use super::pools::{Pool, Pools};
use crate::config::{ModelConfig, UnetConfig, VaeConfig};
use crate::error::Result;
use crate::ops::counting::{Counted, Counting, MemoryEvent};
use crate::ops::fake::fake_tensor;
use crate::ops::gpu::DeviceLatent;
use crate::ops::{NagImages, Ops};
use crate::sampling::Nag;
use crate::text::encoder::TextEncoder;
use crate::unet::{CrossAttnKv, Perturbation, Unet};
use crate::vae::decoder::VaeDecoder;
use crate::weights::{VarBuilder, VarStore};

/// Maximum number of timesteps with embeddings held at a time: the pipeline's batch of them.
const TIMESTEPS: usize = 64;
/// Arrays of the latent's size that the host reads after a step on the device.
const READ_BACK: u64 = 3;

/// A run, counted from its prompts to its picture.
pub struct CountedRun {
    ops: Counting,
    dtype: DType,
    pools: Pools,
    /// Predictions of a call.
    branches: usize,
    /// Held from the first step to the picture.
    prompts: Tensor<3>,
    /// Held from the first step to the picture.
    cross_attn_kv: CrossAttnKv,
    /// Embedded timesteps, held to the last step.
    times: Tensor<2>,
    unet: Unet,
}

impl CountedRun {
    /// Encodes the prompts, and computes what all steps share: keys and values of the prompts, and
    /// embedded timesteps.
    pub fn start(
        config: &ModelConfig,
        counted: Counted,
        dtype: DType,
        limit: u64,
        call: UnetCall,
    ) -> Self {
        let ops = Counting::new(counted);
        let text_encoder = build(&ops, |vb| TextEncoder::new(vb, &config.text));
        let unet = build(&ops, |vb| Unet::new(vb, &config.unet));
        let tokens = config.text.max_position_embeddings;
        let UnetCall { branches, .. } = call;
        let embedded = ops.tensor([branches, tokens, config.text.hidden_size], dtype);
        let prompts = text_encoder.encode(embedded);
        let mut run = CountedRun {
            cross_attn_kv: special(unet.cross_attn_kv(&prompts), call),
            times: unet.times(&[0.0; TIMESTEPS], 1.0, &prompts),
            pools: Pools::new(limit),
            ops,
            dtype,
            branches,
            prompts,
            unet,
        };
        run.replay(Pool::Pages, 1);
        run
    }

    /// Makes a step of a run on the device. All later steps use the same memory.
    pub fn step_on_device(&mut self, config: &UnetConfig, size: [usize; 2]) {
        // A run frees the memory of the last one if that had another size.
        self.pools.cleanup();
        let elements = self.branches as u64 * unet_elements(config);
        let ([h, w], scale) = scaled(size, elements, isize::MAX as usize);
        let shape = [self.branches, h, w, config.in_channels];
        let [_, columns] = self.times.dims();
        let state = DeviceLatent::buffers(shape, columns, self.dtype)
            .map(|(elements, dtype)| self.ops.tensor([elements], dtype));
        self.replay(Pool::Pages, scale);
        drop(self.predict(fake_tensor(shape, self.dtype)));
        self.replay(Pool::Exact, scale);
        let latent = (h * w * config.in_channels * DType::F32.size()) as u64;
        self.pools.read_back(READ_BACK * latent * scale);
        drop(state);
        self.replay(Pool::Pages, 1);
    }

    /// Makes steps of a run with its latent on the host. The first leaves the pages that the later
    /// ones use.
    pub fn steps_on_host(&mut self, config: &UnetConfig, size: [usize; 2]) {
        let elements = self.branches as u64 * unet_elements(config);
        let ([h, w], scale) = scaled(size, elements, isize::MAX as usize);
        let shape = [self.branches, h, w, config.in_channels];
        for _ in 0..2 {
            let prediction = self.predict(self.ops.tensor(shape, self.dtype));
            self.replay(Pool::Pages, scale);
            self.pools.read_back(bytes(&prediction) * scale);
        }
    }

    /// Decodes a latent of `size`, or a tile of it. Returns the pools as the picture leaves them.
    pub fn finish(self, config: &VaeConfig, size: [usize; 2]) -> Pools {
        let CountedRun {
            ops,
            dtype,
            mut pools,
            prompts,
            cross_attn_kv,
            times,
            ..
        } = self;
        drop(times);
        pools.replay(&ops.take_events(), Pool::Pages, 1);
        let decoding = CountedDecoding::new(&ops, config, size, dtype, isize::MAX as usize);
        pools.replay(&decoding.events, Pool::Pages, decoding.scale);
        pools.read_back(decoding.result * decoding.scale);
        drop((prompts, cross_attn_kv));
        pools
    }

    /// The pools as they are.
    pub fn pools(&self) -> &Pools {
        &self.pools
    }

    fn predict(&self, latent: Tensor<4>) -> Tensor<4> {
        let [_, columns] = self.times.dims();
        // A row of the embedded timesteps, which is a view.
        let time = fake_tensor([1, columns], self.dtype);
        self.unet.predict(latent, &time, &self.cross_attn_kv)
    }

    fn replay(&mut self, pool: Pool, scale: u64) {
        self.pools.replay(&self.ops.take_events(), pool, scale);
    }
}

/// The keys and values of the guidance that a call has.
fn special(kv: CrossAttnKv, call: UnetCall) -> CrossAttnKv {
    let nag = NagImages {
        first: call.branches - 1 - usize::from(call.perturbed),
        prompt: 0,
        nag: Nag::default(),
    };
    let perturbation = Perturbation::IdentityAttention;
    kv.with_nag(call.nag.then_some(nag))
        .with_perturbation(call.perturbed.then_some(perturbation))
}

/// Bytes of the largest buffer in decoding a latent of `size` whole.
pub fn largest_in_decoding(config: &VaeConfig, size: [usize; 2], dtype: DType) -> u64 {
    largest_counted(config, size, dtype, isize::MAX as usize)
}

fn largest_counted(config: &VaeConfig, size: [usize; 2], dtype: DType, max_elements: usize) -> u64 {
    let ops = Counting::new(Counted::Gpu);
    let decoding = CountedDecoding::new(&ops, config, size, dtype, max_elements);
    let bytes = decoding.events.iter().map(|event| match event {
        MemoryEvent::Allocate { bytes, .. } => bytes.saturating_mul(decoding.scale),
        MemoryEvent::Free { .. } => 0,
    });
    bytes.max().unwrap_or(0)
}

/// A decoding, counted.
struct CountedDecoding {
    events: Vec<MemoryEvent>,
    /// Factor on the bytes of events.
    scale: u64,
    /// Bytes of the result.
    result: u64,
}

impl CountedDecoding {
    fn new(
        ops: &Counting,
        config: &VaeConfig,
        size: [usize; 2],
        dtype: DType,
        max_elements: usize,
    ) -> Self {
        let ([h, w], scale) = scaled(size, vae_elements(config), max_elements);
        let vae = build(ops, |vb| VaeDecoder::new(vb, config));
        let shape = [1, h, w, config.latent_channels];
        let mut latent = ops.tensor(shape, DType::F32);
        if dtype != DType::F32 {
            latent = ops.tensor(shape, dtype);
        }
        // The latent is divided by its scaling factor.
        latent = ops.tensor(shape, latent.dtype());
        let picture = vae.decode(latent);
        let result = bytes(&picture);
        drop(picture);
        CountedDecoding {
            events: ops.take_events(),
            scale,
            result,
        }
    }
}

/// Bytes of a tensor.
fn bytes(tensor: &Tensor<4>) -> u64 {
    tensor.shape().num_elements() as u64 * tensor.dtype().size() as u64
}

/// A network of fake tensors on `ops`.
fn build<T>(ops: &Counting, network: impl FnOnce(VarBuilder) -> Result<T>) -> T {
    let ops: Rc<dyn Ops> = Rc::new(ops.clone());
    network(VarStore::recording(ops).root()).expect("a recording store supplies every tensor")
}

/// Returns a size to count instead of `size`, and the factor on its memory, so that no tensor has
/// more than `max_elements` elements. An address has 32 bits in a browser, and the activations of
/// 4096×4096 pixels have more elements. Memory grows with the positions of a map, so counting a
/// part of a large map is off by no more than the rounding of its side.
fn scaled(size: [usize; 2], elements: u64, max_elements: usize) -> ([usize; 2], u64) {
    let [mut h, mut w] = size;
    let mut scale = 1;
    let fits = |h: usize, w: usize| {
        let positions = (h as u64).saturating_mul(w as u64);
        positions.saturating_mul(elements) <= max_elements as u64
    };
    while !fits(h, w) && h.max(w) > 1 {
        let longer = if h >= w { &mut h } else { &mut w };
        *longer = longer.div_ceil(2);
        scale *= 2;
    }
    ([h, w], scale)
}

/// Upper bound on the elements of a tensor of the U-Net for each position of the latent and each
/// prediction.
fn unet_elements(config: &UnetConfig) -> u64 {
    let widest = config.blocks.iter().map(|block| block.channels).max();
    // A feed-forward layer is four times as wide, and the CPU computes values and gates together.
    (8 * widest.unwrap_or(1)) as u64
}

/// Upper bound on the elements of a tensor of the decoder for each position of the latent.
fn vae_elements(config: &VaeConfig) -> u64 {
    let widest = config.block_out_channels.iter().max();
    let unit = config.pixels_per_latent() as u64;
    // The CPU's border around a map makes it at most four times as large.
    4 * unit * unit * *widest.unwrap_or(&1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SchedulerConfig, TextConfig};

    /// Sizes of SD1.5's decoder.
    fn vae() -> VaeConfig {
        VaeConfig {
            block_out_channels: vec![128, 256, 512, 512],
            layers_per_block: 2,
            sample_size: 512,
            ..VaeConfig::default()
        }
    }

    #[test]
    fn the_largest_buffer_in_decoding_is_a_map_of_the_second_level() {
        // Enlarged to the picture's size, with the second level's channels.
        let expected = 512 * 512 * 256 * 2;
        let largest = largest_in_decoding(&vae(), [64, 64], DType::F16);
        assert_eq!(largest, expected);
    }

    #[test]
    fn a_part_of_a_large_latent_counts_as_the_whole() {
        let config = vae();
        for size in [[64, 64], [96, 40], [61, 64]] {
            let whole = largest_in_decoding(&config, size, DType::F32) as f64;
            for max_elements in [1 << 28, 1 << 26, 1 << 24] {
                let part = largest_counted(&config, size, DType::F32, max_elements) as f64;
                let error = part / whole - 1.0;
                assert!((0.0..0.15).contains(&error), "{size:?}: {error}");
            }
        }
    }

    #[test]
    fn a_size_is_halved_until_its_tensors_are_small_enough() {
        assert_eq!(scaled([64, 48], 10, 30720), ([64, 48], 1));
        assert_eq!(scaled([64, 48], 10, 30719), ([32, 48], 2));
        assert_eq!(scaled([64, 48], 10, 7680), ([32, 24], 4));
        assert_eq!(scaled([1, 1], 10, 1), ([1, 1], 1));
    }

    #[test]
    fn a_run_holds_keys_and_values_of_its_prompts() {
        let text = br#"{"hidden_size": 768, "num_hidden_layers": 1}"#;
        let text = TextConfig::from_json("text", text).expect("a text encoder");
        let unet = br#"{"cross_attention_dim": 768, "attention_head_dim": 8}"#;
        let config = ModelConfig {
            // SD1.5's U-Net, diffusers' default but for this.
            unet: UnetConfig::from_json("unet", unet).expect("a U-Net"),
            vae: vae(),
            scheduler: SchedulerConfig::from_json("scheduler", b"{}").expect("a scheduler"),
            text,
        };
        let call = UnetCall {
            branches: 3,
            ..UnetCall::GUIDED
        };
        let run = CountedRun::start(&config, Counted::Gpu, DType::F16, 1 << 30, call);
        // Keys and values: blocks of 320, 640 and 1280 channels have five transformers each, and
        // the deepest point has one of 1280.
        let kv = 2 * 3 * 77 * (5 * (320 + 640 + 1280) + 1280) * 2;
        let prompts = 3 * 77 * 768 * 2;
        let [rows, columns] = run.times.dims();
        assert_eq!(rows, TIMESTEPS);
        let held = kv + prompts + rows * columns * 2;
        assert_eq!(run.pools().in_use(), held as u64);
    }
}
