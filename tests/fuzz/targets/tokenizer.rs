//! The files of a tokenizer, and a prompt for it.

use darkroom::Error;
use darkroom::text::tokenizer::{Tokenizer, TokenizerFiles};

use super::{MODELS, changed, file, text};
use crate::grow::{self, Words};
use crate::run::{Bound, Input, Target};
use crate::support::random::Random;

const VOCAB: &str = "tokenizer/vocab.json";
const MERGES: &str = "tokenizer/merges.txt";
const JSON: &str = "tokenizer/tokenizer.json";
const CONFIG: &str = "tokenizer/tokenizer_config.json";
const MAP: &str = "tokenizer/special_tokens_map.json";
const ADDED: &str = "tokenizer/added_tokens.json";
const PROMPT: &str = "prompt";

pub struct Files {
    /// Tiny tokenizers, which are read fast.
    small: Vec<Input>,
    /// The tokenizers of the models.
    models: Vec<Input>,
    words: Words,
}

impl Files {
    pub fn new() -> Self {
        let models = MODELS.map(|model| {
            let files = [VOCAB, MERGES, JSON, CONFIG, MAP, ADDED];
            let there = files.map(|name| Some((name, file(&format!("{model}/{name}"))?)));
            Input(there.into_iter().flatten().collect())
        });
        let vocab = r#"{"a":0,"b":1,"c":2,"a</w>":3,"b</w>":4,"c</w>":5,"ab":6,"abc</w>":7,"!":8,
            "!</w>":9,"<|startoftext|>":10,"<|endoftext|>":11}"#;
        let config = r#"{"add_prefix_space":false,"bos_token":{"__type":"AddedToken","content":
            "<|startoftext|>","lstrip":false,"normalized":true,"rstrip":false,"single_word":false},
            "model_max_length":77,"pad_token":"<|endoftext|>","unk_token":"<|endoftext|>",
            "added_tokens_decoder":{"10":{"content":"<|startoftext|>","lstrip":false,
            "normalized":false,"rstrip":false,"single_word":false,"special":true},
            "12":{"content":"<toy>","lstrip":true,"normalized":false,"rstrip":true,
            "single_word":true,"special":false}}}"#;
        let map = r#"{"bos_token":"<|startoftext|>","eos_token":{"content":"<|endoftext|>",
            "lstrip":false,"normalized":true,"rstrip":false,"single_word":false},"pad_token":"!",
            "unk_token":"<|endoftext|>"}"#;
        let json = format!(
            r#"{{"version":"1.0","truncation":null,"padding":{{"pad_token":"<|endoftext|>"}},
            "added_tokens":[{{"id":10,"content":"<|startoftext|>","single_word":false,
            "lstrip":false,"rstrip":false,"normalized":false,"special":true}}],
            "model":{{"type":"BPE","end_of_word_suffix":"</w>","vocab":{vocab},
            "merges":[["a","b"],"ab c</w>"]}}}}"#
        );
        let added = r#"{"<toy>":12,"<|endoftext|>":11}"#;
        let merges = "#version: 0.2\na b\nab c</w>\n";
        let input = |files: &[(&'static str, &str)]| {
            Input(
                files
                    .iter()
                    .map(|&(name, text)| (name, text.as_bytes().to_vec()))
                    .collect(),
            )
        };
        let small = vec![
            input(&[(VOCAB, vocab), (MERGES, merges), (CONFIG, config)]),
            input(&[(VOCAB, vocab), (MERGES, merges), (MAP, map)]),
            input(&[(VOCAB, vocab), (MERGES, merges), (MAP, map), (ADDED, added)]),
            input(&[(JSON, &json)]),
            input(&[(JSON, &json), (CONFIG, config), (MAP, map)]),
        ];
        let words = small
            .iter()
            .flat_map(|input| input.0.iter().map(|(_, bytes)| &bytes[..]));
        let words = Words::of(words.chain([br#"" a" "a " "A" "\ufdfa" "\n" "#.as_slice()]));
        Files {
            small,
            models: models.to_vec(),
            words,
        }
    }
}

/// A tokenizer with many tokens: short ones, long ones, of few or many different letters.
fn crowded(random: &mut Random) -> Input {
    let count = random.length(400);
    let length = random.length(140);
    let letters = *random.element(&[0x80_usize, 0x800, 0x1_0000]);
    let content = |random: &mut Random| {
        let signs = (0..random.below(length) + 1)
            .filter_map(|_| char::from_u32(random.below(letters) as u32));
        serde_json::Value::String(signs.collect()).to_string()
    };
    let mut vocab = String::from("{\"a\":0,\"a</w>\":1,\"<|startoftext|>\":2,\"<|endoftext|>\":3");
    let mut added = String::from("{");
    let in_vocab = random.once_in(2);
    for i in 0..count {
        let token = content(random);
        if in_vocab {
            vocab += &format!(",{token}:{}", i + 4);
        }
        if random.once_in(2) || !in_vocab {
            let normalized = random.once_in(2);
            added += &format!(
                "\"{}\":{{\"content\":{token},\"normalized\":{normalized}}},",
                i + 4
            );
        }
    }
    added.pop();
    vocab.push('}');
    let config = match added.is_empty() {
        true => "{}".into(),
        false => format!("{{\"added_tokens_decoder\":{added}}}}}"),
    };
    let merges = b"#version: 0.2\n".to_vec();
    Input(vec![
        (VOCAB, vocab.into_bytes()),
        (MERGES, merges),
        (CONFIG, config.into_bytes()),
    ])
}

impl Target for Files {
    fn name(&self) -> &'static str {
        "tokenizer"
    }

    fn bound(&self) -> Bound {
        // The search for added tokens has a table of a kilobyte for each of their bytes. The
        // regular expressions for words keep up to 2 MB each.
        Bound {
            factor: 900,
            constant: 8_000_000,
        }
    }

    fn names(&self) -> &'static [&'static str] {
        &["tokenizer/"]
    }

    fn input(&self, random: &mut Random) -> Input {
        let mut input = match random.below(32) {
            0 => changed(&self.models, &self.words, random),
            1 => crowded(random),
            2 => {
                let mut vocab = Vec::new();
                self.words.object(random, 2, &mut vocab);
                let mut input = random.element(&self.small).clone();
                input.0[0].1 = vocab;
                input
            }
            _ => changed(&self.small, &self.words, random),
        };
        let mut prompt = grow::text(random, 40);
        prompt += random.pick(&["", "abc", "<toy> a  <toy>", "<|endoftext|>  b"]);
        input.0.push((PROMPT, prompt.into_bytes()));
        input
    }

    fn run(&self, input: &Input) -> Result<(), Error> {
        let tokenizer = Tokenizer::from_files(&TokenizerFiles {
            vocab: input.get(VOCAB),
            merges: input.get(MERGES),
            tokenizer_json: input.get(JSON),
            tokenizer_config: input.get(CONFIG),
            special_tokens_map: input.get(MAP),
            added_tokens: input.get(ADDED),
        })?;
        let prompt = String::from_utf8_lossy(input.get(PROMPT).unwrap_or_default());
        text::check(&tokenizer, &prompt, false)
    }
}
