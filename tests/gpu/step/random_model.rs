//! A U-Net with random weights, and a sampler that walks over it.

use std::collections::HashMap;

use burn::tensor::{DType, Tensor, TensorData};
use darkroom::Runtime;
use darkroom::config::UnetConfig;
use darkroom::pipeline::denoise::{Denoiser, DenoiserInput};
use darkroom::sampling::update::Step;
use darkroom::sampling::{Noise, Rng, Sampler, SamplerKind};
use darkroom::unet::Unet;
use darkroom::weights::VarStore;
use darkroom::weights::params::{Layout, Loaded};
use pollster::block_on;

use super::support::models::Model;

/// The U-Net of SD1.5, or one that is narrower by the factor `thin` but for the width of its heads: the same blocks, layers
/// and norms.
pub fn sd15_unet(thin: usize) -> UnetConfig {
    let channels = [320, 640, 1280, 1280].map(|c| c / thin);
    let heads = if thin == 1 { 8 } else { 2 };
    let json = format!(
        r#"{{
            "_class_name": "UNet2DConditionModel", "act_fn": "silu", "attention_head_dim": {heads},
            "block_out_channels": {channels:?}, "center_input_sample": false, "cross_attention_dim": {},
            "downsample_padding": 1, "flip_sin_to_cos": true, "freq_shift": 0, "in_channels": 4, "layers_per_block": 2,
            "mid_block_scale_factor": 1, "norm_eps": 1e-05, "norm_num_groups": {}, "out_channels": 4, "sample_size": 64,
            "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]
        }}"#,
        768 / thin,
        32 / thin,
    );
    UnetConfig::from_json("unet/config.json", json.as_bytes()).expect("SD1.5's configuration")
}

/// A U-Net with random weights.
pub fn random_unet(config: &UnetConfig, runtime: &Runtime) -> Unet {
    let mut plan = VarStore::recording(runtime.ops.clone());
    Unet::new(plan.root(), config).expect("a U-Net");
    // Enough of it that no two layers begin alike.
    let noise = Noise::new(Rng::Torch, 0).normal(100_003);
    let mut noise = noise.into_iter().cycle();
    let mut random = |length: usize, scale: f32| -> Vec<f32> {
        noise.by_ref().take(length).map(|x| x * scale).collect()
    };
    let options = |dtype| (&runtime.device, dtype);
    let loaded: HashMap<String, Loaded> = plan
        .into_required()
        .into_iter()
        .map(|required| {
            let outputs = required.shape[0];
            let inputs: usize = required.shape[1..].iter().product();
            let tensor = match required.layout {
                Layout::Vector => {
                    let ones = required.name.contains("norm") && required.name.ends_with("weight");
                    let values = random(outputs, 0.1).into_iter();
                    let values = values.map(|x| x + f32::from(ones)).collect::<Vec<_>>();
                    let data = TensorData::new(values, [outputs]);
                    Loaded::Vector(Tensor::from_data(data, options(DType::F32)))
                }
                _ => {
                    let values = random(inputs * outputs, (inputs as f32).powf(-0.5));
                    let data = TensorData::new(values, [inputs, outputs]);
                    let data = data.convert_dtype(runtime.dtype);
                    Loaded::Matrix(Tensor::from_data(data, options(runtime.dtype)))
                }
            };
            (required.name, tensor)
        })
        .collect();
    Unet::new(VarStore::loaded(loaded, runtime.ops.clone()).root(), config).expect("a U-Net")
}

/// A run of `unet` with random prompts, and the sampler that leads it.
pub struct Walk<'a> {
    unet: &'a Unet,
    pub run: Denoiser,
    sampler: Sampler,
    noise: Noise,
}

impl<'a> Walk<'a> {
    pub fn new(unet: &'a Unet, prompts: &Tensor<3>, kind: SamplerKind, steps: usize) -> Self {
        Walk::start(unet, prompts, kind, steps, Denoiser::new)
    }

    pub fn start(
        unet: &'a Unet,
        prompts: &Tensor<3>,
        kind: SamplerKind,
        steps: usize,
        start: fn(&Unet, DenoiserInput) -> Denoiser,
    ) -> Self {
        let scheduler = Model::read("sd1-pndm").config().scheduler;
        let sampler = Sampler::new(kind, &scheduler, steps).expect("a sampler");
        let mut noise = Noise::new(Rng::Torch, 5);
        let sigma = sampler.init_noise_sigma() as f32;
        let latent = noise.normal(4 * 8 * 8).into_iter().map(|x| x * sigma);
        let start = start(
            unet,
            DenoiserInput {
                prompts: prompts.clone(),
                latent: latent.collect(),
                shape: [4, 8, 8],
                input_scale: sampler.input_scale(),
                timesteps: sampler.schedule().timesteps.clone(),
            },
        );
        Walk {
            unet,
            run: start,
            sampler,
            noise,
        }
    }

    pub fn step(&mut self) {
        let call = self.sampler.call();
        let update = self.sampler.advance();
        let noise = match update.is_noisy() {
            true => self.noise.normal(self.run.latent().len()),
            false => Vec::new(),
        };
        let step = Step {
            update,
            noise,
            guidance: 7.5,
            next_input_scale: self.sampler.input_scale(),
        };
        block_on(self.run.step(self.unet, call, &step)).expect("a step");
    }

    /// The final latent.
    pub fn end(mut self) -> Vec<f32> {
        while !self.sampler.is_done() {
            self.step();
        }
        self.run.latent().to_vec()
    }
}
