//! Another VAE in place of a model's own, and checkpoints that have none.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use burn::tensor::{DType, Tensor, TensorData};
use darkroom::device::read;
use darkroom::weights::Source;
use darkroom::weights::source::locate;
use darkroom::{LoadOptions, Pipeline, Result};
use pollster::block_on;

use crate::support::checkpoint::{Entry, Kind};
use crate::support::command::Scratch;
use crate::support::generate::generate;
use crate::support::models::Model;
use crate::support::{
    assert_contains, channels_first, channels_last, cpu, four, golden, relative_error, safetensors,
};

fn open(path: &Path) -> Box<dyn Source> {
    locate::open(path.to_str().expect("UTF-8"), None).expect("a place")
}

fn load(model: &Path, vae: Option<&Path>) -> Result<Rc<Pipeline>> {
    let source = locate::open(
        model.to_str().expect("UTF-8"),
        model
            .is_file()
            .then(|| golden().join("models/tokenizer"))
            .as_deref(),
    )?;
    let vae = vae.map(open);
    let options = LoadOptions {
        vae: vae.as_deref(),
        ..LoadOptions::default()
    };
    block_on(Pipeline::load(&*source, &cpu(), options))
}

fn set_vae(pipeline: &mut Rc<Pipeline>, model: &Model, vae: Option<&Path>) -> Result<()> {
    let vae = vae.map(open);
    block_on(pipeline.set_vae(&model.folder(), vae.as_deref(), &mut |_| ())).map(drop)
}

/// Relative errors of the pipeline's decoder to the decodings that diffusers made with `model`.
fn errors(pipeline: &Pipeline, model: &Model) -> Vec<f64> {
    let of = |decode: &crate::support::models::Decode| {
        let (shape, latent) = model.tensors.f32(&decode.latent);
        let [n, c, h, w] = four(shape);
        let data = TensorData::new(channels_last(&latent, [n, c, h, w]), [n, h, w, c]);
        let device = &pipeline.runtime().device;
        let picture = pipeline
            .vae()
            .forward(Tensor::from_data(data, (device, DType::F32)));
        let shape = picture.dims();
        let picture = channels_first(&block_on(read(picture)).expect("a picture"), shape);
        relative_error(&picture, &model.tensors.f32(&decode.tensor).1)
    };
    model.expected.decodes.iter().map(of).collect()
}

#[test]
fn another_models_vae_decodes_as_in_that_model_and_gives_way_again() {
    let (model, other) = (Model::named("sd1-pndm"), Model::named("sd1-all-cross"));
    let own = model.load(&cpu());
    assert!(
        errors(&own, &other).iter().all(|error| *error > 0.1),
        "one VAE like the other"
    );
    // A model folder, and the folder of its VAE alone.
    for vae in [other.path(), other.path().join("vae")] {
        let mut pipeline = load(&model.path(), Some(&vae)).expect("a pipeline");
        assert!(errors(&pipeline, &other).iter().all(|error| *error < 1e-4));
        let scale = pipeline.config().vae.scaling_factor;
        assert_eq!(scale, other.config().vae.scaling_factor);
        set_vae(&mut pipeline, &model, None).expect("the model's own VAE");
        assert!(errors(&pipeline, &model).iter().all(|error| *error < 1e-4));
        set_vae(&mut pipeline, &model, Some(&vae)).expect("the other VAE");
        assert!(errors(&pipeline, &other).iter().all(|error| *error < 1e-4));
    }
}

/// Writes the tensors of `kind` for which `name` gives a name.
fn write(path: PathBuf, kind: &Kind, name: impl Fn(&str) -> Option<String>) -> PathBuf {
    let tensors: Vec<(String, &Entry)> = kind
        .tensors
        .iter()
        .filter_map(|entry| Some((name(&entry.0)?, entry)))
        .collect();
    let tensors = tensors.iter().map(|(name, entry)| {
        let info: safetensors::Info = (name, &entry.1, &entry.2);
        (info, entry.bytes())
    });
    std::fs::write(&path, safetensors::file(tensors)).expect("a file");
    path
}

#[test]
fn a_checkpoint_without_vae_works_with_one_in_every_naming() {
    let scratch = Scratch::new();
    let kind = Kind::reduced("sd1", 862);
    let file = |name: &str| scratch.0.join(name);
    let whole = write(file("whole.safetensors"), &kind, |name| Some(name.into()));
    let vae = "first_stage_model.";
    let bare = write(file("bare.safetensors"), &kind, |name| {
        (!name.starts_with(vae)).then(|| name.into())
    });
    let request = kind.cases[0].request();
    let expected = generate(&load(&whole, None).expect("a model"), &request);

    let message = load(&bare, None).map(drop).expect_err("no VAE").to_string();
    assert_contains(&message, &["bare.safetensors", "has no VAE", "--vae"]);

    // The original names without their prefix, as in vae-ft-mse-840000-ema-pruned.
    let original = write(file("original.safetensors"), &kind, |name| {
        name.strip_prefix(vae).map(str::to_string)
    });
    kind.write_folder(&file("folder"), "epsilon");
    let diffusers = file("folder/vae/diffusion_pytorch_model.safetensors");
    for vae in [
        &whole,
        &original,
        &diffusers,
        &file("folder/vae"),
        &file("folder"),
    ] {
        let pipeline = load(&bare, Some(vae)).unwrap_or_else(|e| panic!("{}: {e}", vae.display()));
        let got = generate(&pipeline, &request);
        assert!(got.latent == expected.latent, "{}: latent", vae.display());
        assert!(
            got.picture.rgba == expected.picture.rgba,
            "{}: picture",
            vae.display()
        );
        assert_eq!(pipeline.warnings(), [""; 0]);
    }
}

#[test]
fn files_that_are_no_vae_say_so_and_change_nothing() {
    let scratch = Scratch::new();
    let path = scratch.0.join("other.safetensors");
    let model = Model::named("sd1-pndm");
    let mut pipeline = model.load(&cpu());
    let infos: [(&str, &[&str]); 2] = [
        (
            "lora_unet_conv_in.lora_up.weight",
            &["not a VAE", "lora_unet_conv_in"],
        ),
        ("decoder.up.0.block.0.conv1.weight", &["residual blocks"]),
    ];
    for (name, words) in infos {
        let info: safetensors::Info = (name, "F16", &[1]);
        std::fs::write(&path, safetensors::file([(info, vec![0; 2])])).expect("a file");
        let message = load(&model.path(), Some(&path))
            .map(drop)
            .expect_err(name)
            .to_string();
        assert_contains(&message, &["other.safetensors"]);
        assert_contains(&message, words);
        let error = set_vae(&mut pipeline, &model, Some(&path)).expect_err(name);
        assert_contains(&error.to_string(), words);
        assert!(errors(&pipeline, &model).iter().all(|error| *error < 1e-4));
    }
    let missing = load(&model.path(), Some(&scratch.0))
        .map(drop)
        .expect_err("an empty folder");
    assert_contains(&missing.to_string(), &["config.json", "vae/config.json"]);
}
