//! `www/catalogue.json`, the list of models that the page offers: its shape, and its numbers
//! against the architecture and the files.

use std::collections::HashSet;
use std::path::Path;

use darkroom::Error;
use darkroom::config::{ModelConfig, ModelKind, PredictionType};
use darkroom::text::encoder::TextEncoder;
use darkroom::unet::Unet;
use darkroom::vae::decoder::VaeDecoder;
use darkroom::weights::checkpoint::Checkpoint;
use darkroom::weights::{VarBuilder, VarStore};
use pollster::block_on;
use serde::Deserialize;
use serde_json::Value;

use crate::single_file::HeaderOnly;
use crate::support::checkpoint::Kind;
use crate::support::generate::load;
use crate::support::safetensors::header;
use crate::support::{cpu, read_json, repository};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    version: u32,
    models: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    /// Text for the Model field or `--model`.
    address: String,
    name: String,
    kind: String,
    architecture: String,
    weights: Weights,
    /// Bytes on a GPU in f16, with the working memory of a picture of the default size.
    memory: u64,
    licence: Licence,
    good_at: Texts,
    defaults: Defaults,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Weights {
    bytes: u64,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Licence {
    name: String,
    link: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Texts {
    en: String,
    de: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    steps: usize,
    guidance_scale: f64,
    width: usize,
    height: usize,
    clip_skip: usize,
}

fn catalogue() -> Catalogue {
    read_json(&repository("www/catalogue.json"))
}

#[test]
fn every_entry_is_complete() {
    let catalogue = catalogue();
    assert_eq!(catalogue.version, 1);
    let ids: HashSet<&str> = catalogue.models.iter().map(|m| &*m.id).collect();
    assert_eq!(ids.len(), catalogue.models.len(), "ids are unique");
    let addresses: HashSet<&str> = catalogue.models.iter().map(|m| &*m.address).collect();
    assert_eq!(
        addresses.len(),
        catalogue.models.len(),
        "addresses are unique"
    );
    assert_eq!(
        catalogue.models[0].id, "portraits",
        "the demo model comes first"
    );
    for model in &catalogue.models {
        let id = &model.id;
        assert!(
            !model.name.is_empty() && !model.licence.name.is_empty(),
            "{id}"
        );
        let texts = [&model.good_at.en, &model.good_at.de];
        assert!(texts.iter().all(|text| text.ends_with('.')), "{id}");
        assert_ne!(texts[0], texts[1], "{id}");
        assert!(model.memory > model.weights.bytes, "{id}");
        let local = model.address == "models/portraits";
        let words: Vec<&str> = model.address.split('/').collect();
        assert_eq!(
            words.len(),
            2,
            "{id}: owner/name, or the demo model's folder"
        );
        assert!(local || model.licence.link.starts_with("https://"), "{id}");
        let defaults = &model.defaults;
        assert!((1..=50).contains(&defaults.steps), "{id}");
        assert!((1.0..=20.0).contains(&defaults.guidance_scale), "{id}");
        assert!(
            defaults.width % 64 == 0 && defaults.height % 64 == 0,
            "{id}"
        );
    }
}

/// The configuration of a published architecture, and bytes of all its weights in f16.
fn published(architecture: &str) -> (ModelConfig, u64) {
    let (kind, more) = match architecture {
        "sd1" => ("sd1", None),
        "sd1-lcm" => (
            "sd1",
            Some("model.diffusion_model.time_embed.cond_proj.weight"),
        ),
        "sd2" => ("sd2", None),
        other => panic!("no architecture {other}"),
    };
    let kind = Kind::read(kind);
    let tensors = kind.full.iter().map(|(n, s)| (n.as_str(), "F16", &s[..]));
    let more = more.map(|name| (name, "F16", &[320, 256][..]));
    let (bytes, size) = header(tensors.chain(more), &Value::Null);
    let source = HeaderOnly { bytes, size };
    let config = block_on(Checkpoint::open(&source, "model.safetensors"))
        .and_then(|checkpoint| checkpoint.config(PredictionType::Epsilon))
        .unwrap_or_else(|e| panic!("{e}"));
    let elements = |build: &dyn Fn(VarBuilder) -> Result<(), Error>| {
        let mut params = VarStore::recording(cpu().ops);
        build(params.root()).expect("a network");
        let required = params.into_required();
        let sizes = required.iter().map(|r| r.shape.iter().product::<usize>());
        sizes.sum::<usize>() as u64
    };
    let all = elements(&|vb| TextEncoder::new(vb, &config.text).map(drop))
        + elements(&|vb| Unet::new(vb, &config.unet).map(drop))
        + elements(&|vb| VaeDecoder::new(vb, &config.vae).map(drop));
    (config, 2 * all)
}

#[test]
fn computed_sizes_follow_from_the_architecture() {
    for model in catalogue().models.iter().filter(|m| m.id != "portraits") {
        let id = &model.id;
        assert_eq!(model.weights.source, "computed for f16", "{id}");
        let (config, bytes) = published(&model.architecture);
        assert_eq!(model.weights.bytes, bytes, "{id}");
        assert_eq!(
            model.defaults.clip_skip,
            config.text.own_clip_skip(),
            "{id}"
        );
        let kind = match model.kind.as_str() {
            "standard" => ModelKind::Standard,
            "lcm" => ModelKind::Lcm,
            // SD-Turbo has the shapes of SD2; only its scheduler tells.
            "turbo" => ModelKind::Turbo,
            other => panic!("{id}: kind {other}"),
        };
        if kind != ModelKind::Turbo {
            assert_eq!(ModelKind::of(&config), kind, "{id}");
        }
        if kind != ModelKind::Standard {
            assert_eq!(model.defaults.steps, kind.default_steps(), "{id}");
            let scale = kind.default_guidance_scale();
            assert_eq!(model.defaults.guidance_scale, scale, "{id}");
        }
    }
}

#[test]
fn the_demo_models_entry_is_that_of_its_folder() {
    let catalogue = catalogue();
    let demo = &catalogue.models[0];
    let folder = repository("www").join(&demo.address);
    assert!(repository("www").join(&demo.licence.link).is_file());
    assert_eq!(demo.weights.source, "files");
    assert_eq!(demo.weights.bytes, weight_files(&folder));
    let source = darkroom::weights::source::folder::Folder::open(&folder).expect("the demo model");
    let info = load(&source, &cpu()).info().expect("a summary");
    let defaults = &demo.defaults;
    assert_eq!(
        [defaults.width, defaults.height],
        [info.default_width, info.default_height]
    );
    assert_eq!(
        (&*demo.kind, defaults.clip_skip),
        (info.kind, info.default_clip_skip)
    );
}

fn weight_files(folder: &Path) -> u64 {
    let parts = ["unet", "vae", "text_encoder"];
    let files = parts.map(|part| {
        let entries = std::fs::read_dir(folder.join(part)).expect("a folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let weights = paths.filter(|path| path.extension().is_some_and(|e| e == "safetensors"));
        let sizes = weights.map(|path| std::fs::metadata(path).expect("a file").len());
        sizes.sum::<u64>()
    });
    files.iter().sum()
}
