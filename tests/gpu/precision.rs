//! Models that compute values beyond the range of f16, on an adapter that computes in f16. The
//! picture must not be black.
//!
//! The models are those of `tests/golden/models` with some parameters of norms multiplied. A later
//! norm cancels the factor, so in f32 the picture hardly changes.

use std::ops::Range;
use std::rc::Rc;

use burn::tensor::DType;
use darkroom::text::prompt::PromptSyntax;
use darkroom::weights::Source;
use darkroom::weights::safetensors::{Dtype, Header};
use darkroom::weights::source::SourceFuture;
use darkroom::weights::source::folder::Folder;
use darkroom::{Pipeline, Precision, Request, Runtime};
use half::f16;

use crate::support::command::Scratch;
use crate::support::generate::{generate, load};
use crate::support::gpu::Gpu;
use crate::support::models::Model;
use crate::support::{psnr, say};

/// A model folder with some of its f16 tensors multiplied.
struct Scaled {
    folder: Folder,
    path: &'static str,
    /// The bytes of these tensors in the file at `path`.
    ranges: Vec<Range<u64>>,
    factor: f32,
}

/// The largest value of a tensor that is multiplied as far as f16 allows.
const LARGEST: f32 = 60000.0;

impl Scaled {
    /// Multiplies all tensors of the file at `path` with names that end with one of `names`, so
    /// that their largest value is `largest`.
    fn new(model: &Model, path: &'static str, names: &[&str], largest: f32) -> Self {
        let bytes = std::fs::read(model.path().join(path)).expect("a file of weights");
        let length = u64::from_le_bytes(*bytes.first_chunk().expect("a header's length"));
        let json = &bytes[8..8 + length as usize];
        let header = Header::parse(path, json, bytes.len() as u64).expect("a header");
        let fits = |name: &&String| names.iter().any(|end| name.ends_with(end));
        let found: Vec<_> = header.tensors.keys().filter(fits).collect();
        assert_eq!(found.len(), names.len(), "{names:?} in {path}: {found:?}");
        let ranges: Vec<_> = found
            .into_iter()
            .map(|name| {
                assert_eq!(
                    header.tensors[name].dtype.weight(),
                    Some(Dtype::F16),
                    "{name}"
                );
                header.tensors[name].range.clone()
            })
            .collect();
        let values = ranges.iter().flat_map(|range| {
            bytes[range.start as usize..range.end as usize]
                .as_chunks::<2>()
                .0
        });
        let largest_now = values
            .map(|value| f16::from_le_bytes(*value).to_f32().abs())
            .fold(0.0, f32::max);
        Scaled {
            folder: model.folder(),
            path,
            ranges,
            factor: largest / largest_now,
        }
    }

    fn load(&self, runtime: &Runtime) -> Rc<Pipeline> {
        load(self, runtime)
    }

    /// Multiplies the tensors among `bytes`, which begin at `start` in the file.
    fn scale(&self, bytes: &mut [u8], start: u64) {
        let end = start + bytes.len() as u64;
        for range in &self.ranges {
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from >= to {
                continue;
            }
            let scaled = &mut bytes[(from - start) as usize..(to - start) as usize];
            for value in scaled.as_chunks_mut::<2>().0 {
                let scaled = f16::from_le_bytes(*value).to_f32() * self.factor;
                *value = f16::from_f32(scaled).to_le_bytes();
            }
        }
    }
}

impl Source for Scaled {
    fn size<'a>(&'a self, path: &'a str) -> SourceFuture<'a, Option<u64>> {
        Source::size(&self.folder, path)
    }

    fn read<'a>(&'a self, path: &'a str, range: Range<u64>) -> SourceFuture<'a, Vec<u8>> {
        Box::pin(async move {
            let mut bytes = Source::read(&self.folder, path, range.clone()).await?;
            if path == self.path {
                self.scale(&mut bytes, range.start);
            }
            Ok(bytes)
        })
    }

    fn describe(&self, path: &str) -> String {
        self.folder.describe(path)
    }
}

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
const TEXT: &str = "text_encoder/model.safetensors";
const VAE: &str = "vae/diffusion_pytorch_model.safetensors";

/// The adapter in f16 and in f32, with weights stored in f16 for both. `None` where it has no f16.
fn runtimes(gpu: &Gpu) -> Option<(Runtime, Runtime)> {
    if !gpu.has_f16() {
        say("NOT RUN: overflow of f16 (the adapter has no shader-f16)");
        return None;
    }
    let half = gpu.runtime(Precision::F16);
    let single = Runtime {
        dtype: DType::F32,
        ..half.clone()
    };
    Some((half, single))
}

#[test]
fn a_run_that_overflows_f16_starts_again_in_f32() {
    let Some(gpu) = Gpu::new("overflow of f16 in the U-Net") else {
        return;
    };
    let Some((half, single)) = runtimes(&gpu) else {
        return;
    };
    let model = Model::read("sd1-pndm");
    let request = Request {
        steps: 3,
        ..model.expected.cases[0].request()
    };

    let plain = generate(&model.load(&half), &request);
    assert!(plain.warnings.is_empty() && plain.restarts.is_empty());
    let in_f32 = generate(&model.load(&single), &request);
    assert_ne!(plain.latent, in_f32.latent, "f16 and f32 are not the same");

    for (path, norm) in [
        (UNET, "down_blocks.0.resnets.0.norm1."),
        (TEXT, "encoder.layers.0.layer_norm1."),
    ] {
        let names = ["weight", "bias"].map(|leaf| format!("{norm}{leaf}"));
        let names = names.each_ref().map(String::as_str);
        let scaled = Scaled::new(&model, path, &names, LARGEST);
        let expected = generate(&scaled.load(&single), &request);
        assert!(expected.warnings.is_empty());
        let pipeline = scaled.load(&half);
        let got = generate(&pipeline, &request);
        assert_eq!(got.restarts, [0], "{path}: the first step overflows");
        assert_eq!(got.calls, expected.calls, "{path}");
        assert_eq!(got.warnings.len(), 1, "{path}: {:?}", got.warnings);
        assert!(
            got.warnings[0].contains("beyond the range of f16"),
            "{:?}",
            got.warnings
        );
        let equal = got.latent == expected.latent && got.picture.rgba == expected.picture.rgba;
        assert!(equal, "{path}");
        // The pipeline stays in f32.
        let again = generate(&pipeline, &request);
        assert!(
            again.restarts.is_empty() && again.warnings.is_empty(),
            "{path}"
        );
        let equal = again.latent == expected.latent && again.picture.rgba == expected.picture.rgba;
        assert!(equal, "{path}");
    }
}

#[test]
fn a_run_that_starts_again_in_f32_keeps_weights_and_schedule() {
    let Some(gpu) = Gpu::new("overflow of f16 with a schedule") else {
        return;
    };
    let Some((half, single)) = runtimes(&gpu) else {
        return;
    };
    let model = Model::read("sd1-pndm");
    let request = |prompt: &str| Request {
        prompt: prompt.into(),
        steps: 4,
        prompt_syntax: PromptSyntax::A1111,
        ..model.expected.cases[0].request()
    };
    let names = ["weight", "bias"].map(|leaf| format!("down_blocks.0.resnets.0.norm1.{leaf}"));
    let scaled = Scaled::new(&model, UNET, &names.each_ref().map(String::as_str), LARGEST);
    let scheduled = request("a (man:1.3) [with a hat:bald:1]");
    let got = generate(&scaled.load(&half), &scheduled);
    assert_eq!(got.restarts, [0], "the first step overflows");
    let in_f32 = scaled.load(&single);
    assert!(got.latent == generate(&in_f32, &scheduled).latent);
    let other = generate(&in_f32, &request("a man with a hat"));
    assert!(got.latent != other.latent);
}

/// A norm of the decoder that is scaled as far as loading allows. Previews are fitted to a small
/// picture, which does not overflow; a larger one does.
fn decoder_that_overflows_on_large_pictures(model: &Model, half: &Runtime) -> (Scaled, f32) {
    let norm = "decoder.mid_block.resnets.0.norm1.weight";
    let at = |largest| Scaled::new(model, VAE, &[norm], largest);
    let (mut works, mut fails) = (1.0f32, LARGEST);
    assert!(at(works).load(half).warnings().is_empty());
    let warnings = at(fails).load(half).warnings().to_vec();
    assert!(
        warnings.len() == 1 && warnings[0].contains("pictures are decoded in f32"),
        "{warnings:?}"
    );
    while fails / works > 1.02 {
        let largest = (works * fails).sqrt();
        match at(largest).load(half).warnings() {
            [] => works = largest,
            _ => fails = largest,
        }
    }
    (at(works), works)
}

#[test]
fn a_picture_that_overflows_f16_is_decoded_again_in_f32() {
    let Some(gpu) = Gpu::new("overflow of f16 in the decoder") else {
        return;
    };
    let Some((half, single)) = runtimes(&gpu) else {
        return;
    };
    let model = Model::read("sd1-pndm");
    let request = Request {
        steps: 3,
        width: Some(192),
        height: Some(192),
        ..model.expected.cases[0].request()
    };
    let plain = generate(&model.load(&half), &request);
    let (scaled, largest) = decoder_that_overflows_on_large_pictures(&model, &half);
    let got = generate(&scaled.load(&half), &request);
    assert!(got.restarts.is_empty(), "the latent does not overflow");
    assert_eq!(got.latent, plain.latent);
    assert!(
        got.warnings.len() == 1 && got.warnings[0].contains("decoded again"),
        "{:?}",
        got.warnings
    );
    let expected = generate(&scaled.load(&single), &request);
    let psnr = psnr(&got.picture.rgba, &expected.picture.rgba);
    println!("decoded in f32, with a norm's weight of {largest:.0}: {psnr:.1} dB to all in f32");
    assert!(psnr > 40.0);

    // The command shows that warning, which comes after the steps, once.
    let scratch = Scratch::with_model(model.name);
    scratch.change(VAE, |bytes| scaled.scale(bytes, 0));
    let size = ["--width", "192", "--height", "192", "--steps", "3"];
    let outcome = scratch.generate_on("gpu", &[&size[..], &["--dtype", "f16", "--json"]].concat());
    outcome.warns(&["decoded again"]);
}
