//! A whole model's configuration, the check that its parts fit, and the list of tensors that its
//! networks require.

use darkroom::config::{ModelConfig, SchedulerConfig, TextConfig, UnetConfig, VaeConfig};
use darkroom::sampling::OwnSampler;
use darkroom::text::encoder::TextEncoder;
use darkroom::unet::Unet;
use darkroom::vae::decoder::VaeDecoder;
use darkroom::weights::params::RequiredTensor;
use darkroom::weights::{VarBuilder, VarStore};
use darkroom::{Error, Precision, Runtime};

use super::changed;
use super::config::{FILES, SCHEDULER, TEXT, UNET, VAE, seeds};
use crate::grow::Words;
use crate::run::{Bound, Input, Target};
use crate::support::random::Random;

pub struct Plans {
    seeds: Vec<Input>,
    words: Words,
}

impl Plans {
    pub fn new() -> Self {
        let [unets, vaes, texts, schedulers] = FILES.map(seeds);
        let model = |i: usize| {
            let files = [&unets, &vaes, &texts, &schedulers].map(|files| files[i].clone());
            Input(FILES.into_iter().zip(files).collect())
        };
        let seeds: Vec<Input> = (0..unets.len()).map(model).collect();
        // Only words of these files, so that few changes make the parts contradict each other.
        let words = Words::of(
            seeds
                .iter()
                .flat_map(|seed| seed.0.iter().map(|(_, bytes)| &bytes[..])),
        );
        Plans { seeds, words }
    }
}

/// The names and shapes that the three networks of `config` require.
pub fn plan(config: &ModelConfig) -> Result<[Vec<RequiredTensor>; 3], Error> {
    thread_local! {
        static CPU: Runtime = Runtime::cpu(Precision::F32, false).expect("the CPU");
    }
    let ops = CPU.with(|runtime| runtime.ops.clone());
    let plan = |build: &dyn Fn(VarBuilder) -> Result<(), Error>| {
        let mut params = VarStore::recording(ops.clone());
        build(params.root())?;
        Ok::<_, Error>(params.into_required())
    };
    Ok([
        plan(&|vb| TextEncoder::new(vb, &config.text).map(drop))?,
        plan(&|vb| Unet::new(vb, &config.unet).map(drop))?,
        plan(&|vb| VaeDecoder::new(vb, &config.vae).map(drop))?,
    ])
}

impl Target for Plans {
    fn name(&self) -> &'static str {
        "plan"
    }

    fn bound(&self) -> Bound {
        // The tensors of the largest networks that a configuration may ask for.
        Bound {
            factor: 140,
            constant: 10_000_000,
        }
    }

    fn names(&self) -> &'static [&'static str] {
        &FILES
    }

    fn input(&self, random: &mut Random) -> Input {
        changed(&self.seeds, &self.words, random)
    }

    fn run(&self, input: &Input) -> Result<(), Error> {
        let read = |name| {
            input
                .get(name)
                .ok_or_else(|| Error::file(name, "no such file"))
        };
        let config = ModelConfig {
            unet: UnetConfig::from_json(UNET, read(UNET)?)?,
            vae: VaeConfig::from_json(VAE, read(VAE)?)?,
            text: TextConfig::from_json(TEXT, read(TEXT)?)?,
            scheduler: SchedulerConfig::from_json(SCHEDULER, read(SCHEDULER)?)?,
        };
        config.check()?;
        let own = OwnSampler::of(&config.scheduler);
        assert!(
            own.warning
                .is_none_or(|text| text.contains(own.kind.name()))
        );
        let size = config.default_size();
        assert!(
            size.iter().all(|side| (1..=1 << 20).contains(side)),
            "{size:?}"
        );
        for required in plan(&config)?.iter().flatten() {
            assert!(required.shape.iter().all(|&n| n > 0), "{required:?}");
        }
        Ok(())
    }
}
