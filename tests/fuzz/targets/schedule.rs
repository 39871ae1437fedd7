//! A scheduler's configuration, and a whole run of a sampler with it.

use darkroom::Error;
use darkroom::config::SchedulerConfig;
use darkroom::sampling::update::Arrays;
use darkroom::sampling::{Noise, OwnSampler, Rng, Sampler, SamplerKind, ScheduleKind};

use super::changed;
use super::config::{SCHEDULER, seeds};
use crate::grow::Words;
use crate::run::{Bound, Input, Target};
use crate::support::random::Random;
use crate::support::sampling::advance;

/// Sampler and steps, one byte each.
const REQUEST: &str = "request";

pub struct Schedules {
    seeds: Vec<Input>,
    words: Words,
}

impl Schedules {
    pub fn new() -> Self {
        let keys = br#""trained_betas" "final_sigmas_type" "sigma_min" "zero" "solver_order"
            "solver_type" "bh1" "heun" "euler_at_final" "lower_order_final" "timestep_spacing"
            "linspace" "trailing" "leading" "beta_schedule" "linear" "squaredcos_cap_v2"
            "rescale_betas_zero_snr" "use_karras_sigmas" "clip_sample_range" "skip_prk_steps"
            "steps_offset" "prediction_type" "epsilon" "v_prediction" "algorithm_type"
            "dpmsolver++" "use_exponential_sigmas" "use_beta_sigmas" "use_lu_lambdas" "sigma_max"
            "lambda_min_clipped" "thresholding" "original_inference_steps" "timestep_scaling"
            "variance_type" "fixed_large""#;
        let files = seeds(SCHEDULER);
        Schedules {
            words: Words::of(files.iter().map(|bytes| &bytes[..]).chain([&keys[..]])),
            seeds: files
                .into_iter()
                .map(|bytes| Input(vec![(SCHEDULER, bytes)]))
                .collect(),
        }
    }
}

impl Target for Schedules {
    fn name(&self) -> &'static str {
        "schedule"
    }

    fn bound(&self) -> Bound {
        // Tables of up to 10,000 timesteps.
        Bound {
            factor: 140,
            constant: 400_000,
        }
    }

    fn names(&self) -> &'static [&'static str] {
        &[SCHEDULER, "steps"]
    }

    fn input(&self, random: &mut Random) -> Input {
        let mut input = changed(&self.seeds, &self.words, random);
        let steps = random.length(100) as u8;
        input.0.push((REQUEST, vec![random.byte(), steps]));
        input
    }

    fn run(&self, input: &Input) -> Result<(), Error> {
        let json = input
            .get(SCHEDULER)
            .ok_or_else(|| Error::file(SCHEDULER, "no such file"))?;
        let &[kind, steps] = input
            .get(REQUEST)
            .and_then(|bytes| bytes.first_chunk())
            .unwrap_or(&[0, 20]);
        let config = SchedulerConfig::from_json(SCHEDULER, json)?;
        let choice = usize::from(kind);
        let own = OwnSampler::of(&config).kind;
        let kind = SamplerKind::ALL.into_iter().nth(choice % 20).unwrap_or(own);
        let schedule = ScheduleKind::ALL[choice / 20 % ScheduleKind::ALL.len()];
        let mut sampler = Sampler::new(kind, schedule, &config, steps.into())?;
        let schedule = sampler.schedule();
        let last = config.num_train_timesteps as f64;
        assert!(
            schedule.timesteps.iter().all(|t| (0.0..=last).contains(t)),
            "{kind}: {schedule:?}"
        );
        // Samplers that count in timesteps can begin at pure noise. Others cannot.
        let finite =
            |sigma: f64| sigma.is_finite() || (!kind.has_schedules() && sigma == f64::INFINITY);
        let (last, sigmas) = schedule.sigmas.split_last().expect("the final sigma");
        assert!(
            sigmas.iter().all(|&sigma| finite(sigma) && sigma > 0.0),
            "{kind}: {schedule:?}"
        );
        assert!(last.is_finite() && *last >= 0.0, "{kind}: {schedule:?}");
        assert!(sampler.init_noise_sigma().is_finite());
        let mut noise = Noise::new(Rng::Philox, 1);
        let mut arrays = Arrays::new(noise.normal(4));
        while !sampler.is_done() {
            let predict = |input: &[f32], _| input.to_vec();
            advance(&mut sampler, &mut arrays, &mut noise, predict);
        }
        assert_eq!(arrays.latent.len(), 4);
        Ok(())
    }
}
