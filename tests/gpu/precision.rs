//! Models that compute values beyond the range of f16, on an adapter that computes in f16: nobody gets a black picture.
//!
//! The models are those of `tests/golden/models`, with some parameters of norms multiplied. What follows each of these
//! norms is normalised again, so that in f32 hardly anything comes of it.

mod support;

use std::ops::Range;
use std::rc::Rc;

use burn::tensor::DType;
use darkroom::weights::safetensors::{Dtype, Header};
use darkroom::weights::source::SourceFuture;
use darkroom::weights::source::folder::Folder;
use darkroom::weights::{Source, Storage};
use darkroom::{LoadOptions, Pipeline, Precision, Request, Runtime};
use half::f16;
use pollster::block_on;
use support::models::Model;

/// A model folder with some of its tensors, all in f16, multiplied.
struct Scaled {
    folder: Folder,
    path: &'static str,
    /// Their bytes in the file at `path`.
    ranges: Vec<Range<u64>>,
    factor: f32,
}

/// The largest value of a tensor that was multiplied as far as f16 allows.
const LARGEST: f32 = 60000.0;

impl Scaled {
    /// Multiplies all tensors of the file at `path` whose names end with one of `names`, so that their largest value is
    /// `largest`.
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
                assert_eq!(header.tensors[name].dtype, Some(Dtype::F16), "{name}");
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
            folder: Folder::open(model.path()).expect("a model folder"),
            path,
            ranges,
            factor: largest / largest_now,
        }
    }

    fn load(&self, runtime: &Runtime) -> Rc<Pipeline> {
        block_on(Pipeline::load(self, runtime, LoadOptions::default())).expect("a model")
    }
}

impl Source for Scaled {
    fn size<'a>(&'a self, path: &'a str) -> SourceFuture<'a, Option<u64>> {
        Source::size(&self.folder, path)
    }

    fn read<'a>(&'a self, path: &'a str, range: Range<u64>) -> SourceFuture<'a, Vec<u8>> {
        Box::pin(async move {
            let mut bytes = Source::read(&self.folder, path, range.clone()).await?;
            let scaled =
                |scaled: &Range<u64>| scaled.start <= range.start && range.end <= scaled.end;
            if path == self.path && self.ranges.iter().any(scaled) {
                for value in bytes.as_chunks_mut::<2>().0 {
                    let scaled = f16::from_le_bytes(*value).to_f32() * self.factor;
                    *value = f16::from_f32(scaled).to_le_bytes();
                }
            }
            Ok(bytes)
        })
    }

    fn describe(&self, path: &str) -> String {
        self.folder.describe(path)
    }
}

/// What came of a run.
struct Made {
    latent: Vec<f32>,
    rgba: Vec<u8>,
    /// The calls that the steps reported, and at which of them the run began anew.
    calls: Vec<usize>,
    restarts: Vec<usize>,
    warnings: Vec<String>,
}

fn make(pipeline: &Rc<Pipeline>, request: &Request) -> Made {
    block_on(async {
        let mut generation = pipeline.start(request).await?;
        let (mut calls, mut restarts) = (Vec::new(), Vec::new());
        while !generation.is_done() {
            let progress = generation.step().await?;
            if progress.restarted {
                restarts.push(calls.len());
            }
            calls.push(progress.call);
        }
        let rgba = generation.finish().await?.rgba;
        Ok::<_, darkroom::Error>(Made {
            latent: generation.latent().to_vec(),
            rgba,
            calls,
            restarts,
            warnings: generation.warnings().to_vec(),
        })
    })
    .expect("a picture")
}

/// In dB; of pictures that are the same, infinite.
fn likeness(a: &[u8], b: &[u8]) -> f64 {
    let squares = a
        .iter()
        .zip(b)
        .map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    10.0 * (255f64.powi(2) * a.len() as f64 / squares.sum::<f64>()).log10()
}

/// The adapter in f16 and in f32, with weights stored in f16 for both.
fn runtimes() -> Option<(Runtime, Runtime)> {
    if std::env::var("DARKROOM_NO_GPU_TESTS").is_ok_and(|value| value == "1") {
        println!("NOT RUN: overflow of f16 (DARKROOM_NO_GPU_TESTS=1)");
        return None;
    }
    let half = match block_on(Runtime::gpu(Precision::F16, false)) {
        Err(error) if error.to_string().contains("shader-f16") => {
            println!("NOT RUN: overflow of f16 ({error})");
            return None;
        }
        result => result.expect("a GPU adapter (lavapipe will do), or DARKROOM_NO_GPU_TESTS=1"),
    };
    let single = Runtime {
        dtype: DType::F32,
        ..half.clone()
    };
    Some((half, single))
}

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
const TEXT: &str = "text_encoder/model.safetensors";
const VAE: &str = "vae/diffusion_pytorch_model.safetensors";

#[test]
fn what_overflows_in_f16_is_done_again_in_f32() {
    let Some((half, single)) = runtimes() else {
        return;
    };
    let model = Model::read("sd1-pndm");
    let request = Request {
        steps: 3,
        ..model.expected.cases[0].request()
    };

    let plain = make(&model.load(&half), &request);
    assert!(plain.warnings.is_empty() && plain.restarts.is_empty());
    let in_f32 = make(&model.load(&single), &request);
    assert_ne!(plain.latent, in_f32.latent, "f16 and f32 are not the same");

    for (path, norm) in [
        (UNET, "down_blocks.0.resnets.0.norm1."),
        (TEXT, "encoder.layers.0.layer_norm1."),
    ] {
        let names = ["weight", "bias"].map(|leaf| format!("{norm}{leaf}"));
        let names = names.each_ref().map(String::as_str);
        let scaled = Scaled::new(&model, path, &names, LARGEST);
        let expected = make(&scaled.load(&single), &request);
        assert!(expected.warnings.is_empty());
        let pipeline = scaled.load(&half);
        let got = make(&pipeline, &request);
        assert_eq!(got.restarts, [0], "{path}: the first step shows it");
        assert_eq!(got.calls, expected.calls, "{path}");
        assert_eq!(got.warnings.len(), 1, "{path}: {:?}", got.warnings);
        assert!(
            got.warnings[0].contains("beyond the range of f16"),
            "{:?}",
            got.warnings
        );
        assert!(
            got.latent == expected.latent && got.rgba == expected.rgba,
            "{path}"
        );
        // The pipeline has learnt.
        let again = make(&pipeline, &request);
        assert!(
            again.restarts.is_empty() && again.warnings.is_empty(),
            "{path}"
        );
        assert!(
            again.latent == expected.latent && again.rgba == expected.rgba,
            "{path}"
        );
    }

    // A decoder that is right for the small picture that previews are fitted on, and overflows on a larger one.
    let request = Request {
        width: Some(192),
        height: Some(192),
        ..request
    };
    let plain = make(&model.load(&half), &request);
    let norm = "decoder.mid_block.resnets.0.norm1.weight";
    let at = |largest| Scaled::new(&model, VAE, &[norm], largest);
    let (mut works, mut fails) = (1.0f32, LARGEST);
    assert!(at(works).load(&half).warnings().is_empty());
    let warnings = at(fails).load(&half).warnings().to_vec();
    assert!(
        warnings.len() == 1 && warnings[0].contains("pictures are decoded in f32"),
        "{warnings:?}"
    );
    while fails / works > 1.02 {
        let largest = (works * fails).sqrt();
        match at(largest).load(&half).warnings() {
            [] => works = largest,
            _ => fails = largest,
        }
    }
    let scaled = at(works);
    let got = make(&scaled.load(&half), &request);
    assert!(got.restarts.is_empty(), "the latent is as good as ever");
    assert_eq!(got.latent, plain.latent);
    assert!(
        got.warnings.len() == 1 && got.warnings[0].contains("decoded again"),
        "{:?}",
        got.warnings
    );
    let expected = make(&scaled.load(&single), &request);
    let likeness = likeness(&got.rgba, &expected.rgba);
    println!("decoded in f32, with a norm's weight of {works:.0}: {likeness:.1} dB to all in f32");
    assert!(likeness > 40.0);
}

/// Weights in f16 are widened before anything is computed with them: of a model that has them in f16, nothing changes.
#[test]
fn the_cpu_makes_the_same_of_weights_in_f16() {
    let single = Runtime::cpu(Precision::F32, false).expect("the CPU");
    assert_eq!(single.storage, Storage::Single);
    let half = Runtime {
        storage: Storage::Half,
        ..single.clone()
    };
    let model = Model::read("sd1-plain-first");
    let request = Request {
        steps: 2,
        ..model.expected.cases[0].request()
    };
    let [got, expected] = [half, single].map(|runtime| make(&model.load(&runtime), &request));
    assert!(got.latent == expected.latent && got.rgba == expected.rgba);
}
