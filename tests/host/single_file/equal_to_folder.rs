//! The same weights as a checkpoint and as a model folder give the same latents, and diffusers' latents. The folder is cut
//! out of the checkpoint as diffusers' own conversion does it, so that our map of names meets theirs here.

use std::path::Path;
use std::rc::Rc;

use darkroom::weights::Source;
use darkroom::weights::source::folder::Folder;
use darkroom::weights::source::locate;
use darkroom::{LoadOptions, Picture, Pipeline, Precision, PredictionSetting, Request, Runtime};
use pollster::block_on;

use crate::support::checkpoint::{KINDS, Kind};
use crate::support::command::Scratch;
use crate::support::models::{MODELS, Model};
use crate::support::{golden, psnr, relative_error, say};

fn load(source: &dyn Source, prediction: PredictionSetting) -> Rc<Pipeline> {
    let runtime = Runtime::cpu(Precision::F32, false).expect("the CPU");
    let load = block_on(Pipeline::load(
        source,
        &runtime,
        LoadOptions {
            prediction,
            ..LoadOptions::default()
        },
    ));
    load.unwrap_or_else(|e| panic!("{e}"))
}

/// Writes `bytes` to a file and loads it.
fn load_file(
    file: &Path,
    bytes: &[u8],
    vocab: Option<&Path>,
    prediction: PredictionSetting,
) -> Rc<Pipeline> {
    std::fs::write(file, bytes).expect("a file");
    let source = locate::open(file.to_str().expect("UTF-8"), vocab).expect("a file");
    load(&*source, prediction)
}

fn generate(pipeline: &Rc<Pipeline>, request: &Request) -> (Vec<f32>, Picture) {
    block_on(async {
        let mut generation = pipeline.start(request).await?;
        while !generation.is_done() {
            generation.step().await?;
        }
        Ok::<_, darkroom::Error>((generation.latent().to_vec(), generation.finish().await?))
    })
    .expect("a picture")
}

#[test]
fn file_and_folder_give_the_same_latents() {
    for name in KINDS {
        let kind = Kind::read(name);
        let expected = Kind::expected(name);
        let scratch = Scratch::new();
        let bytes = kind.file();
        for case in &kind.cases {
            let prediction = match case.prediction.as_str() {
                "epsilon" => PredictionSetting::Epsilon,
                _ => PredictionSetting::V,
            };
            let file = scratch.0.join("model.safetensors");
            let single = load_file(&file, &bytes, None, prediction);
            assert_eq!(single.warnings(), [""; 0]);
            let folder = scratch.0.join(&case.prediction);
            kind.write_folder(&folder, &case.prediction);
            let folder = load(
                &Folder::open(folder).expect("a folder"),
                PredictionSetting::Auto,
            );

            let (latent, picture) = generate(&single, &case.request());
            let (other, other_picture) = generate(&folder, &case.request());
            assert_eq!(latent, other, "{name} {}: file and folder", case.latent);
            assert_eq!(picture.rgba, other_picture.rgba, "{name} {}", case.picture);

            let error = relative_error(&latent, &expected.f32(&case.latent).1);
            let (pixels, _) = picture.rgba.as_chunks::<4>();
            let rgb: Vec<u8> = pixels.iter().flat_map(|p| &p[..3]).copied().collect();
            let decibels = psnr(&rgb, expected.u8(&case.picture).1);
            say(format_args!(
                "{name} {}: file and folder equal; against diffusers {error:.1e}, picture {decibels:.0} dB",
                case.latent
            ));
            assert!(error < 1e-3, "relative error {error:.1e}");
            assert!(decibels > 40.0, "{decibels:.1} dB");
        }
    }
}

/// Files made by merging programs of 2022 lack `text_model.`; those made of diffusers' folders lack the layer that SD2 does
/// not run.
#[test]
fn files_with_other_habits() {
    let scratch = Scratch::new();
    let latent = |kind: &Kind, bytes: &[u8]| {
        let vocab = golden().join("models/tokenizer");
        let file = scratch.0.join("model.safetensors");
        let pipeline = load_file(&file, bytes, Some(&vocab), PredictionSetting::Epsilon);
        generate(&pipeline, &kind.cases[0].request()).0
    };
    let sd1 = Kind::reduced("sd1", 862);
    let file = sd1.file();
    let text = "cond_stage_model.transformer.";
    let renamed = rename(&file, &format!("{text}text_model."), text);
    assert_eq!(latent(&sd1, &file), latent(&sd1, &renamed));

    let mut sd2 = Kind::reduced("sd2", 862);
    let whole = latent(&sd2, &sd2.file());
    sd2.tensors
        .retain(|entry| !entry.0.contains("resblocks.23."));
    assert_eq!(whole, latent(&sd2, &sd2.file()));
}

/// The file with `from` replaced in its tensors' names.
fn rename(file: &[u8], from: &str, to: &str) -> Vec<u8> {
    let length = u64::from_le_bytes(file[..8].try_into().expect("eight bytes")) as usize;
    let header = std::str::from_utf8(&file[8..8 + length]).expect("JSON");
    assert!(header.contains(from));
    let header = header.replace(from, to).into_bytes();
    [
        &(header.len() as u64).to_le_bytes(),
        &header[..],
        &file[8 + length..],
    ]
    .concat()
}

/// The tiny models are only fitted, on all timesteps at once; the demo model is trained.
#[test]
fn an_epsilon_model_returns_pure_noise_at_the_last_timestep() {
    let runtime = Runtime::cpu(Precision::F32, false).expect("the CPU");
    let correlate = |name: &str, pipeline: &Pipeline| {
        let predicts = pipeline.info().expect("a model").prediction_type;
        let correlation = block_on(pipeline.noise_correlation()).expect("a trial");
        say(format_args!(
            "{name}: {predicts}, noise correlation {correlation:.3}"
        ));
        (predicts == "epsilon", correlation)
    };
    for name in MODELS {
        let (epsilon, correlation) = correlate(name, &Model::read(name).load(&runtime));
        assert_eq!(epsilon, correlation > 0.65, "{name}");
    }
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/models/portraits");
    let demo = load(
        &Folder::open(demo).expect("the demo model"),
        PredictionSetting::Auto,
    );
    let (epsilon, correlation) = correlate("portraits", &demo);
    assert!(epsilon && correlation > 0.95);
}
