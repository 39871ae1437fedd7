//! The same weights as a checkpoint and as a model folder: both give the same latents, and they are
//! diffusers'. The folder is cut out of the checkpoint as diffusers' own conversion does it, so
//! that our map of names is compared with theirs.

use std::path::Path;
use std::rc::Rc;

use darkroom::config::SchedulerConfig;
use darkroom::sampling::{Sampler, SamplerKind, ScheduleKind};
use darkroom::weights::source::folder::Folder;
use darkroom::weights::source::locate;
use darkroom::{Pipeline, PredictionSetting};
use pollster::block_on;

use crate::support::checkpoint::{KINDS, Kind};
use crate::support::command::Scratch;
use crate::support::generate::{generate, load, load_as};
use crate::support::models::{MODELS, Model};
use crate::support::safetensors::{split, with_length};
use crate::support::{cpu, golden, psnr, relative_error, repository, rgb, say};

/// Writes `bytes` to a file and loads it.
fn load_file(
    file: &Path,
    bytes: &[u8],
    vocab: Option<&Path>,
    prediction: PredictionSetting,
) -> Rc<Pipeline> {
    std::fs::write(file, bytes).expect("a file");
    let source = locate::open(file.to_str().expect("UTF-8"), vocab).expect("a file");
    load_as(&*source, &cpu(), prediction)
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
            let folder = load(&Folder::open(folder).expect("a folder"), &cpu());

            let from_file = generate(&single, &case.request());
            let from_folder = generate(&folder, &case.request());
            let what = format!("{name} {}: file and folder", case.latent);
            assert_eq!(from_file.latent, from_folder.latent, "{what}");
            assert_eq!(from_file.picture.rgba, from_folder.picture.rgba, "{what}");

            let error = relative_error(&from_file.latent, &expected.f32(&case.latent).1);
            let decibels = psnr(&rgb(&from_file.picture.rgba), expected.u8(&case.picture).1);
            say(format_args!(
                "{what} equal; against diffusers {error:.1e}, picture {decibels:.0} dB"
            ));
            assert!(error < 1e-3, "relative error {error:.1e}");
            assert!(decibels > 40.0, "{decibels:.1} dB");
        }
    }
}

/// The spacing of the timesteps is the sampler's own where the scheduler file says none.
#[test]
fn file_and_folder_have_the_same_schedule_in_every_sampler() {
    for name in KINDS {
        let kind = Kind::reduced(name, 862);
        for (prediction, case) in [
            ("epsilon", PredictionSetting::Epsilon),
            ("v_prediction", PredictionSetting::V),
        ] {
            if !kind.cases.iter().any(|case| case.prediction == prediction) {
                continue;
            }
            let scratch = Scratch::new();
            let vocab = golden().join("models/tokenizer");
            let file = scratch.0.join("model.safetensors");
            let single = load_file(&file, &kind.file(), Some(&vocab), case);
            let folder = scratch.0.join(prediction);
            kind.write_folder(&folder, prediction);
            let text = std::fs::read(folder.join(SchedulerConfig::FILE)).expect("a file");
            let folder = SchedulerConfig::from_json("", &text).expect("a scheduler");
            for kind in SamplerKind::ALL {
                let [file, folder] = [&single.config().scheduler, &folder].map(|config| {
                    let sampler = Sampler::new(kind, ScheduleKind::Model, config, 6);
                    sampler.expect("a sampler").schedule().clone()
                });
                let what = format!("{name} {prediction} {kind}");
                assert_eq!(file.timesteps, folder.timesteps, "{what}");
                assert_eq!(file.sigmas, folder.sigmas, "{what}");
                if matches!(kind, SamplerKind::Euler | SamplerKind::EulerA) {
                    assert_eq!(
                        (file.timesteps[0], file.timesteps[5]),
                        (999.0, 0.0),
                        "{what}"
                    );
                }
            }
        }
    }
}

/// Files made by merging programs of 2022 lack `text_model.`. Files made of diffusers' folders lack
/// the layer that SD2 does not run.
#[test]
fn other_names_and_a_missing_last_layer_change_nothing() {
    let scratch = Scratch::new();
    let latent = |kind: &Kind, bytes: &[u8]| {
        let vocab = golden().join("models/tokenizer");
        let file = scratch.0.join("model.safetensors");
        let pipeline = load_file(&file, bytes, Some(&vocab), PredictionSetting::Epsilon);
        generate(&pipeline, &kind.cases[0].request()).latent
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
    let (json, data) = split(file);
    let json = std::str::from_utf8(json).expect("JSON");
    assert!(json.contains(from));
    [&with_length(json.replace(from, to).as_bytes()), data].concat()
}

/// The tiny models are only fitted, to all timesteps at once. The demo model is trained.
#[test]
fn an_epsilon_model_returns_pure_noise_at_the_last_timestep() {
    let runtime = cpu();
    let correlate = |name: &str, pipeline: &Pipeline| {
        let predicts = pipeline.info().expect("a model").prediction_type;
        let correlation = block_on(pipeline.noise_correlation()).expect("a correlation");
        say(format_args!(
            "{name}: {predicts}, noise correlation {correlation:.3}"
        ));
        (predicts == "epsilon", correlation)
    };
    for name in MODELS {
        let (epsilon, correlation) = correlate(name, &Model::read(name).load(&runtime));
        assert_eq!(epsilon, correlation > 0.65, "{name}");
    }
    let demo = Folder::open(repository("www/models/portraits")).expect("the demo model");
    let demo = load(&demo, &runtime);
    let (epsilon, correlation) = correlate("portraits", &demo);
    assert!(epsilon && correlation > 0.95);
}
