//! The JSON files of a model's four parts, one at a time.

use darkroom::Error;
use darkroom::config::{SchedulerConfig, TextConfig, UnetConfig, VaeConfig};

use super::{MODELS, changed, file};
use crate::grow::{self, Words};
use crate::run::{Bound, Input, Target};
use crate::support::random::Random;

pub const UNET: &str = "unet/config.json";
pub const VAE: &str = "vae/config.json";
pub const TEXT: &str = "text_encoder/config.json";
pub const SCHEDULER: &str = "scheduler/scheduler_config.json";
pub const FILES: [&str; 4] = [UNET, VAE, TEXT, SCHEDULER];

pub struct Configs {
    seeds: Vec<Input>,
    words: Words,
}

/// The file `name` of all models that have it.
pub fn seeds(name: &'static str) -> Vec<Vec<u8>> {
    MODELS
        .iter()
        .filter_map(|model| file(&format!("{model}/{name}")))
        .collect()
}

impl Configs {
    pub fn new() -> Self {
        let files = FILES
            .iter()
            .flat_map(|&name| seeds(name).into_iter().map(move |bytes| (name, bytes)));
        let seeds: Vec<Input> = files.map(|file| Input(vec![file])).collect();
        Configs {
            words: Words::of(seeds.iter().map(|input| &input.0[0].1[..])),
            seeds,
        }
    }
}

impl Target for Configs {
    fn name(&self) -> &'static str {
        "config"
    }

    fn bound(&self) -> Bound {
        // Objects in objects: four bytes each, and a tree's node of 632.
        Bound {
            factor: 140,
            constant: 4_000,
        }
    }

    fn names(&self) -> &'static [&'static str] {
        &FILES
    }

    fn input(&self, random: &mut Random) -> Input {
        let name = *random.element(&FILES);
        match random.below(16) {
            0 => Input(vec![(name, grow::bytes(random, 300))]),
            1..=3 => {
                let mut json = Vec::new();
                self.words.object(random, 3, &mut json);
                Input(vec![(name, json)])
            }
            _ => changed(&self.seeds, &self.words, random),
        }
    }

    fn run(&self, input: &Input) -> Result<(), Error> {
        if let Some(json) = input.get(UNET) {
            let config = UnetConfig::from_json(UNET, json)?;
            for block in &config.blocks {
                assert!(
                    block.channels.is_multiple_of(config.norm_num_groups),
                    "{config:?}"
                );
            }
            assert!(
                config.norm_eps >= 0.0 && config.norm_eps.is_finite(),
                "{config:?}"
            );
            assert!(config.freq_shift.abs() < 1e6, "{config:?}");
        }
        if let Some(json) = input.get(VAE) {
            let config = VaeConfig::from_json(VAE, json)?;
            assert!(config.scaling_factor > 0.0, "{config:?}");
        }
        if let Some(json) = input.get(TEXT) {
            let config = TextConfig::from_json(TEXT, json)?;
            assert!(
                config
                    .hidden_size
                    .is_multiple_of(config.num_attention_heads),
                "{config:?}"
            );
            assert!(
                config.layer_norm_eps >= 0.0 && config.layer_norm_eps.is_finite(),
                "{config:?}"
            );
        }
        if let Some(json) = input.get(SCHEDULER) {
            let config = SchedulerConfig::from_json(SCHEDULER, json)?;
            assert!(config.num_train_timesteps >= 1, "{config:?}");
        }
        Ok(())
    }
}
