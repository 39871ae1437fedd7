//! `Request::from_json`.

use darkroom::{Error, Request};

use super::changed;
use crate::grow::{self, Words};
use crate::run::{Bound, Input, Target};
use crate::support::random::Random;

const JSON: &str = "request.json";

pub struct Requests {
    seeds: Vec<Input>,
    words: Words,
}

impl Requests {
    pub fn new() -> Self {
        let seeds = [
            r#"{"prompt":"photo of a man","negative_prompt":"mustache","seed":19,"steps":20,
                "guidance_scale":7.5,"sampler":"dpm++2m","width":128,"height":128,"rng":"torch",
                "long_prompt":"chunk"}"#,
            r#"{"seed":"18446744073709551615","sampler":null,"width":null,"rng":"philox",
                "long_prompt":"truncate"}"#,
            r#"{"steps":1,"guidance_scale":1,"sampler":"euler-a"}"#,
        ];
        Requests {
            words: Words::of(seeds.map(str::as_bytes)),
            seeds: seeds.map(|json| Input(vec![(JSON, json.into())])).to_vec(),
        }
    }
}

impl Target for Requests {
    fn name(&self) -> &'static str {
        "request"
    }

    fn bound(&self) -> Bound {
        // The same as a header.
        Bound {
            factor: 40,
            constant: 2_000,
        }
    }

    fn names(&self) -> &'static [&'static str] {
        &["request"]
    }

    fn input(&self, random: &mut Random) -> Input {
        match random.below(8) {
            0 => Input(vec![(JSON, grow::bytes(random, 300))]),
            1 => {
                let mut json = Vec::new();
                self.words.object(random, 3, &mut json);
                Input(vec![(JSON, json)])
            }
            _ => changed(&self.seeds, &self.words, random),
        }
    }

    fn run(&self, input: &Input) -> Result<(), Error> {
        // JavaScript and the command line pass text.
        let text = String::from_utf8_lossy(input.get(JSON).unwrap_or_default());
        let request = Request::from_json(&text)?;
        assert!(!request.guidance_scale.is_nan());
        Ok(())
    }
}
