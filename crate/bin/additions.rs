//! Additions to a model: LoRAs, learned words and another VAE.

use std::rc::Rc;
use std::str::FromStr;

use darkroom::pipeline::requested_loras;
use darkroom::text::embedding::Embedding;
use darkroom::weights::Source;
use darkroom::weights::lora::{AppliedLora, Lora};
use darkroom::weights::source::hub::OnHubEvent;
use darkroom::weights::source::locate;
use darkroom::{Pipeline, Result};
use serde_json::{Value, json};

use crate::args::Generate;

/// A LoRA with its weights: `PATH_OR_NAME:WEIGHT` or `PATH_OR_NAME:UNET,TEXT`.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraArg {
    place: String,
    unet: f32,
    text_encoder: f32,
}

impl FromStr for LoraArg {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let number = |text: &str| {
            text.trim()
                .parse()
                .ok()
                .filter(|weight: &f32| weight.is_finite())
        };
        let weights = |text: &str| match text.split_once(',') {
            Some((unet, text)) => Some((number(unet)?, number(text)?)),
            None => number(text).map(|weight| (weight, weight)),
        };
        let (place, weights) = match text.rsplit_once(':') {
            Some((place, end)) => match weights(end) {
                Some(weights) => (place, weights),
                None => (text, (1.0, 1.0)),
            },
            None => (text, (1.0, 1.0)),
        };
        if place.is_empty() {
            return Err("names no file, expected PATH_OR_NAME or PATH_OR_NAME:WEIGHT".into());
        }
        Ok(LoraArg {
            place: place.into(),
            unet: weights.0,
            text_encoder: weights.1,
        })
    }
}

impl LoraArg {
    /// Opens the file. Prompts call it by the file's name without its ending.
    ///
    /// # Errors
    /// Those of the place, and of a file that is no LoRA.
    pub async fn open(&self, on_event: OnHubEvent) -> Result<AppliedLora> {
        let source: Rc<dyn Source> = Rc::from(locate::open_with(&self.place, None, on_event)?);
        Ok(AppliedLora {
            lora: Rc::new(Lora::open(stem(&self.place), source).await?),
            unet: self.unet,
            text_encoder: self.text_encoder,
        })
    }
}

/// The last part of a path or address, without its ending.
fn stem(place: &str) -> &str {
    let path = place.split(['?', '#']).next().unwrap_or(place);
    let name = path
        .trim_end_matches('/')
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or(path);
    name.strip_suffix(".safetensors").unwrap_or(name)
}

/// A learned word: `PATH` or `NAME=PATH`.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingArg {
    name: Option<String>,
    place: String,
}

impl FromStr for EmbeddingArg {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let named = text.split_once('=');
        let (name, place) = match named.filter(|(name, _)| !name.contains(['/', '\\'])) {
            Some((name, place)) => (Some(name.to_string()), place),
            None => (None, text),
        };
        if place.is_empty() || name.as_deref() == Some("") {
            return Err("expected PATH or NAME=PATH".into());
        }
        Ok(EmbeddingArg {
            name,
            place: place.into(),
        })
    }
}

/// Opens learned words.
///
/// # Errors
/// Those of the places, and of files that hold no learned word.
pub async fn open_embeddings(list: &[EmbeddingArg]) -> Result<Vec<Rc<Embedding>>> {
    let mut embeddings = Vec::new();
    for EmbeddingArg { name, place } in list {
        let source = locate::open(place, None)?;
        embeddings.push(Rc::new(Embedding::open(name.as_deref(), &*source).await?));
    }
    Ok(embeddings)
}

/// The additions that a command names.
pub struct Additions {
    /// The VAE in place of the model's own.
    pub vae: Option<Box<dyn Source>>,
    /// LoRAs with the weights for the request.
    pub loras: Vec<AppliedLora>,
    /// Learned words.
    pub words: Vec<Rc<Embedding>>,
    /// Warnings about their files.
    pub warnings: Vec<String>,
}

impl Additions {
    /// Opens what `args` name.
    ///
    /// # Errors
    /// Those of the places and of the files there.
    pub async fn open(args: &Generate, on_event: &dyn Fn() -> OnHubEvent) -> Result<Self> {
        let open_vae = |place: &str| locate::open_with(place, None, on_event());
        let vae = args.vae.as_deref().map(open_vae).transpose()?;
        let mut loras = Vec::new();
        for lora in &args.lora {
            loras.push(lora.open(on_event()).await?);
        }
        let warnings = loras.iter().flat_map(|applied| applied.lora.warnings());
        Ok(Additions {
            vae,
            warnings: warnings.cloned().collect(),
            loras: requested_loras(&args.prompt, args.prompt_syntax, &loras),
            words: open_embeddings(&args.embedding).await?,
        })
    }
}

/// The LoRAs merged into the model, for the report.
pub fn loras(pipeline: &Pipeline) -> Value {
    let lora = |applied: &AppliedLora| {
        json!({
            "name": applied.lora.name(),
            "unet": applied.unet,
            "text_encoder": applied.text_encoder,
        })
    };
    pipeline.loras().iter().map(lora).collect()
}

/// The learned words, for the report.
pub fn embeddings(pipeline: &Pipeline) -> Value {
    let word = |word: &Rc<Embedding>| json!({ "names": word.names(), "vectors": word.vectors() });
    pipeline.embeddings().iter().map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::{EmbeddingArg, LoraArg, stem};

    #[test]
    fn weights_follow_the_last_colon() {
        let of = |text: &str| {
            let arg: LoraArg = text.parse().expect("a LoRA");
            (arg.place, arg.unet, arg.text_encoder)
        };
        assert_eq!(of("a.safetensors"), ("a.safetensors".into(), 1.0, 1.0));
        assert_eq!(
            of("a/b.safetensors:-0.5"),
            ("a/b.safetensors".into(), -0.5, -0.5)
        );
        assert_eq!(of("owner/name:0.8,0"), ("owner/name".into(), 0.8, 0.0));
        let address = "https://example.org/a.safetensors";
        assert_eq!(of(address), (address.into(), 1.0, 1.0));
        assert_eq!(of(&format!("{address}:2")), (address.into(), 2.0, 2.0));
        assert!(":1".parse::<LoraArg>().is_err());
    }

    #[test]
    fn names_of_words_stand_before_the_path() {
        let of = |text: &str| {
            let arg: EmbeddingArg = text.parse().expect("a word");
            (arg.name, arg.place)
        };
        assert_eq!(of("a/b.pt"), (None, "a/b.pt".into()));
        assert_eq!(of("bad=a/b=c.pt"), (Some("bad".into()), "a/b=c.pt".into()));
        assert_eq!(of("./a=b.pt"), (None, "./a=b.pt".into()));
        assert!("=a.pt".parse::<EmbeddingArg>().is_err());
    }

    #[test]
    fn loras_are_called_by_their_files() {
        assert_eq!(stem("a/pencil sketch.safetensors"), "pencil sketch");
        assert_eq!(stem("owner/lcm-lora"), "lcm-lora");
        assert_eq!(stem("https://example.org/x.safetensors?token=1"), "x");
    }
}
