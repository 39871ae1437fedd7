//! A model with a U-Net of any configuration and random weights, which the engine loads and runs
//! like any other.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use burn::tensor::{Device, Tensor};
use darkroom::config::{Activation, UnetConfig};
use darkroom::ops::gpu::DryRun;
use darkroom::ops::{Attention, Conv3x3, Gpu, GroupNorm, Linear, NagImages, Ops};
use darkroom::sampling::{Noise, Rng, SamplerKind};
use darkroom::unet::Unet;
use darkroom::weights::params::Layout;
use darkroom::weights::source::folder::Folder;
use darkroom::weights::source::{Source, SourceFuture};
use darkroom::weights::{VarBuilder, VarStore};
use darkroom::{Generation, Pipeline, Request, Result, Runtime};
use pollster::block_on;

use crate::support::generate::load;
use crate::support::models::Model;
use crate::support::safetensors;

const UNET_CONFIG: &str = "unet/config.json";
const UNET_WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";

/// Width of the text embeddings of the golden models.
const CROSS_ATTENTION_DIM: usize = 32;

/// The configuration of SD1.5's U-Net, with all widths but that of a head divided by `thin`: the
/// same blocks, layers and norms. Its text embeddings are `cross_attention_dim` wide.
fn sd15_json(thin: usize, cross_attention_dim: usize) -> String {
    let channels = [320, 640, 1280, 1280].map(|c| c / thin);
    let heads = if thin == 1 { 8 } else { 2 };
    format!(
        r#"{{
            "_class_name": "UNet2DConditionModel", "act_fn": "silu", "attention_head_dim": {heads},
            "block_out_channels": {channels:?}, "center_input_sample": false,
            "cross_attention_dim": {cross_attention_dim}, "downsample_padding": 1,
            "flip_sin_to_cos": true, "freq_shift": 0, "in_channels": 4, "layers_per_block": 2,
            "mid_block_scale_factor": 1, "norm_eps": 1e-05, "norm_num_groups": {},
            "out_channels": 4, "sample_size": 64,
            "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D",
                "CrossAttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D",
                "CrossAttnUpBlock2D"]
        }}"#,
        32 / thin,
    )
}

/// The configuration of SD1.5's U-Net.
pub fn sd15_unet() -> UnetConfig {
    UnetConfig::from_json(UNET_CONFIG, sd15_json(1, 768).as_bytes()).expect("a configuration")
}

/// A golden model's folder with another U-Net.
pub struct RandomModel {
    folder: Folder,
    files: HashMap<&'static str, Vec<u8>>,
}

impl RandomModel {
    /// SD1.5's U-Net, narrower by the factor `thin` so that a software adapter can run it.
    pub fn thin_sd15(thin: usize) -> Self {
        Self::new(
            "sd1-pndm",
            sd15_json(thin, CROSS_ATTENTION_DIM).into_bytes(),
        )
    }

    /// The U-Net of the golden model `name`.
    pub fn named(name: &'static str) -> Self {
        let json = std::fs::read(Model::read(name).path().join(UNET_CONFIG));
        Self::new(name, json.expect("a configuration"))
    }

    fn new(model: &'static str, unet: Vec<u8>) -> Self {
        let config = UnetConfig::from_json(UNET_CONFIG, &unet).expect("a configuration");
        let weights = random_weights(|vb| Unet::new(vb, &config).map(drop));
        RandomModel {
            folder: Model::read(model).folder(),
            files: [(UNET_CONFIG, unet), (UNET_WEIGHTS, weights)].into(),
        }
    }

    pub fn load(&self, runtime: &Runtime) -> Rc<Pipeline> {
        load(self, runtime)
    }
}

/// A file of random weights for `network`.
fn random_weights(network: impl Fn(VarBuilder) -> Result<()>) -> Vec<u8> {
    let mut store = VarStore::recording(Rc::new(Gpu::new(true)));
    network(store.root()).expect("a network");
    // A prime number of values, so that no two layers begin with the same ones.
    let noise = Noise::new(Rng::Torch, 0).normal(100_003);
    let mut noise = noise.into_iter().cycle();
    let required = store.into_required();
    let bytes = required.iter().map(|required| {
        let outputs = required.shape[0];
        let inputs: usize = required.shape[1..].iter().product();
        let (scale, mean) = match required.layout {
            Layout::Vector => {
                let ones = required.name.contains("norm") && required.name.ends_with("weight");
                (0.1, f32::from(ones))
            }
            _ => ((inputs as f32).powf(-0.5), 0.0),
        };
        let values = noise.by_ref().take(inputs * outputs);
        values
            .flat_map(|x| (x * scale + mean).to_le_bytes())
            .collect()
    });
    let bytes: Vec<Vec<u8>> = bytes.collect();
    let infos = required.iter().map(|r| (&*r.name, "F32", &r.shape[..]));
    safetensors::file(infos.zip(bytes))
}

impl Source for RandomModel {
    fn size<'a>(&'a self, path: &'a str) -> SourceFuture<'a, Option<u64>> {
        match self.files.get(path) {
            Some(bytes) => Box::pin(async { Ok(Some(bytes.len() as u64)) }),
            None => Source::size(&self.folder, path),
        }
    }

    fn read<'a>(&'a self, path: &'a str, range: Range<u64>) -> SourceFuture<'a, Vec<u8>> {
        match self.files.get(path) {
            Some(bytes) => {
                Box::pin(
                    async move { Ok(bytes[range.start as usize..range.end as usize].to_vec()) },
                )
            }
            None => Source::read(&self.folder, path, range),
        }
    }

    fn describe(&self, path: &str) -> String {
        self.folder.describe(path)
    }
}

/// A generation of 64×64 pixels.
pub fn start(
    pipeline: &Rc<Pipeline>,
    sampler: SamplerKind,
    steps: usize,
    guidance_scale: f64,
) -> Generation {
    let request = Request {
        prompt: "Portrait photo of a man".into(),
        negative_prompt: if guidance_scale == 1.0 {
            ""
        } else {
            "mustache"
        }
        .into(),
        seed: 5,
        steps,
        guidance_scale,
        sampler: Some(sampler.into()),
        width: Some(64),
        height: Some(64),
        ..Request::default()
    };
    block_on(pipeline.start(&request)).expect("a generation")
}

/// Makes the steps that are left, and returns the final latent.
pub fn finish_steps(mut generation: Generation) -> Vec<f32> {
    while !generation.is_done() {
        block_on(generation.step()).expect("a step");
    }
    generation.latent().to_vec()
}

/// The operations of [`Gpu`] without a latent on the device: the engine then does guidance and the
/// sampler's step on the host.
pub struct HostLatent(pub Gpu);

impl HostLatent {
    /// `runtime` with these operations.
    pub fn runtime(runtime: &Runtime, gpu: Gpu) -> Runtime {
        Runtime {
            ops: Rc::new(HostLatent(gpu)),
            ..runtime.clone()
        }
    }
}

impl Ops for HostLatent {
    fn conv3x3(&self, args: Conv3x3) -> Tensor<4> {
        self.0.conv3x3(args)
    }

    fn linear(&self, args: Linear) -> Tensor<3> {
        self.0.linear(args)
    }

    fn geglu(&self, x: Tensor<3>, weight: &Tensor<2>, bias: &Tensor<1>) -> Tensor<3> {
        self.0.geglu(x, weight, bias)
    }

    fn attention(&self, args: Attention) -> Tensor<3> {
        self.0.attention(args)
    }

    fn attention_with_nag(&self, args: Attention, nag: NagImages) -> Tensor<3> {
        self.0.attention_with_nag(args, nag)
    }

    fn attention_with_identity(&self, args: Attention) -> Tensor<3> {
        self.0.attention_with_identity(args)
    }

    fn append(&self, x: Tensor<3>, from: &Tensor<3>, image: usize) -> Tensor<3> {
        self.0.append(x, from, image)
    }

    fn group_norm(&self, args: GroupNorm) -> Tensor<4> {
        self.0.group_norm(args)
    }

    fn layer_norm(
        &self,
        x: Tensor<3>,
        weight: &Tensor<1>,
        bias: &Tensor<1>,
        eps: f64,
    ) -> Tensor<3> {
        self.0.layer_norm(x, weight, bias, eps)
    }

    fn activation(&self, x: Tensor<3>, activation: Activation) -> Tensor<3> {
        self.0.activation(x, activation)
    }

    fn silu(&self, x: Tensor<3>) -> Tensor<3> {
        self.0.silu(x)
    }

    fn side_by_side(&self, parts: Vec<(Tensor<2>, usize)>, width: usize) -> Tensor<2> {
        self.0.side_by_side(parts, width)
    }

    fn columns(&self, row: &Tensor<2>, columns: Range<usize>) -> Tensor<2> {
        self.0.columns(row, columns)
    }

    fn dry_run(&self, _device: &Device) -> Option<DryRun> {
        // The dry run of a pipeline asks for the latent on the device.
        None
    }
}
