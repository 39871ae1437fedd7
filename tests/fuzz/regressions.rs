//! Inputs that once failed, or would have failed.

use super::run::{Input, check};
use super::targets::{all, checkpoint_of};

/// A part of the error's message; `None` for an input that must be accepted.
type Says = Option<&'static str>;

struct Case {
    what: &'static str,
    target: &'static str,
    input: Input,
    says: Says,
}

fn case(
    what: &'static str,
    target: &'static str,
    files: &[(&'static str, &str)],
    says: Says,
) -> Case {
    let files = files
        .iter()
        .map(|&(name, text)| (name, text.as_bytes().to_vec()));
    Case {
        what,
        target,
        input: Input(files.collect()),
        says,
    }
}

const UNET: &str = "unet/config.json";
const SCHEDULER: &str = "scheduler/scheduler_config.json";
const VOCAB: &str = "tokenizer/vocab.json";
const MERGES: &str = "tokenizer/merges.txt";
const TOKENS: &str = "tokenizer/tokenizer_config.json";

/// A header after its length, of a file that is large enough for any tensor.
fn header(what: &'static str, json: &str, says: Says) -> Case {
    let begin = [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
    Case {
        what,
        target: "header",
        input: Input(vec![
            ("begin", begin),
            ("size", u64::MAX.to_le_bytes().to_vec()),
        ]),
        says,
    }
}

fn headers() -> Vec<Case> {
    let entry = r#"{"dtype":"F16","shape":[2],"data_offsets":[0,4]}"#;
    vec![
        header(
            "a tree of 100 bytes for each byte of the header",
            &format!(r#"{{"a":[{}0]}}"#, r#"{"":{"":0}},"#.repeat(4000)),
            Some("tensor a"),
        ),
        header(
            "a tensor twice",
            &format!(r#"{{"a":{entry},"a":{entry}}}"#),
            Some("listed twice"),
        ),
        header(
            "a shape with a size beyond u64",
            r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}}"#,
            Some("cannot have 0 bytes"),
        ),
        header(
            "offsets that end beyond any file",
            r#"{"a":{"dtype":"F32","shape":[1],
                "data_offsets":[18446744073709551612,18446744073709551615]}}"#,
            Some("impossible offsets"),
        ),
        header(
            "metadata that is not of strings",
            &format!(r#"{{"__metadata__":{{"a":{{"b":[1,null]}},"format":"pt"}},"a":{entry}}}"#),
            None,
        ),
        header(
            "brackets that are not closed",
            &format!(r#"{{"__metadata__":{}"#, "[".repeat(100_000)),
            Some("malformed safetensors header"),
        ),
        header(
            "a name of 100 kB",
            &format!(r#"{{"{}":0}}"#, "n".repeat(100_000)),
            Some("tensor nnn"),
        ),
    ]
}

fn configurations() -> Vec<Case> {
    let scheduler = |what, json: &str, says| case(what, "schedule", &[(SCHEDULER, json)], says);
    let unet = |what, json: &str, says| case(what, "config", &[(UNET, json)], says);
    let many: String = std::iter::repeat_n("64,", 7).chain(["64"]).collect();
    let cross = |name: &str| vec![format!("\"{name}\""); 8].join(",");
    let (down, up) = (cross("CrossAttnDownBlock2D"), cross("CrossAttnUpBlock2D"));
    vec![
        scheduler(
            "a million million timesteps",
            r#"{"_class_name":"DDIMScheduler","num_train_timesteps":1000000000000}"#,
            Some("`num_train_timesteps` is 1000000000000"),
        ),
        scheduler(
            "so many timesteps that no signal is left: sigmas of NaN",
            r#"{"num_train_timesteps":10000,"beta_start":0.02,"beta_end":0.03}"#,
            Some("leaves a trace"),
        ),
        scheduler(
            "betas that f32 rounds to 0",
            r#"{"trained_betas":[1e-12,1e-12,1e-12,1e-12,1e-12,1e-12,1e-12,1e-12,1e-12,1e-12,
                0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1]}"#,
            Some("`trained_betas` is a list of 20"),
        ),
        scheduler(
            "a clipping range that is empty",
            r#"{"clip_sample":true,"clip_sample_range":-1.0}"#,
            Some("`clip_sample_range` is -1"),
        ),
        unet(
            "frequencies divided by zero",
            r#"{"freq_shift":160.0}"#,
            Some("`freq_shift` is 160"),
        ),
        unet(
            "the root of a negative number",
            r#"{"norm_eps":-1.0}"#,
            Some("`norm_eps` is -1"),
        ),
        unet(
            "a few bytes that ask for millions of tensors",
            &format!(
                r#"{{"block_out_channels":[{many}],"down_block_types":[{down}],
                    "up_block_types":[{up}],"layers_per_block":64,
                    "transformer_layers_per_block":64}}"#
            ),
            Some("at most 256"),
        ),
        unet(
            "a value of 10 kB",
            &format!(r#"{{"act_fn":"{}"}}"#, "x".repeat(10_000)),
            Some("`act_fn` is \"xxx"),
        ),
        unet(
            "numbers of Python's JSON",
            r#"{"a": -Infinity, "b": NaN, "c": Infinity}"#,
            None,
        ),
    ]
}

fn tokenizers() -> Vec<Case> {
    let vocab =
        r#"{"a":0,"a</w>":1,"b</w>":2,"<|startoftext|>":3,"<|endoftext|>":4,"!":5,"!</w>":6}"#;
    let files = |what, config: &str, prompt, says| {
        let files = [
            (VOCAB, vocab),
            (MERGES, ""),
            (TOKENS, config),
            ("prompt", prompt),
        ];
        case(what, "tokenizer", &files, says)
    };
    let listed = |tokens: &[String]| {
        let token =
            |(i, token): (usize, &String)| format!(r#""{}":{{"content":"{token}"}}"#, i + 7);
        let tokens: Vec<String> = tokens.iter().enumerate().map(token).collect();
        format!(r#"{{"added_tokens_decoder":{{{}}}}}"#, tokens.join(","))
    };
    let many: Vec<String> = (0..3000).map(|i| format!("<{i}>")).collect();
    vec![
        files("thousands of added tokens", &listed(&many), "<7>", None),
        files(
            "an added token of a page",
            &listed(&["x".repeat(3000)]),
            "x",
            Some("a token of at most 128 bytes"),
        ),
        case(
            "an id beyond every table",
            "tokenizer",
            &[(VOCAB, r#"{"a":4294967295}"#), (MERGES, "")],
            Some("token \"a\" has the id 4294967295, expected a whole number below 16777216"),
        ),
        files(
            "white space that two added tokens strip",
            r#"{"added_tokens_decoder":{"0":{"content":"a","rstrip":true},
                "7":{"content":" ","lstrip":true}}}"#,
            "a  a",
            None,
        ),
    ]
}

#[test]
fn inputs_that_once_failed_are_handled() {
    let targets = all();
    let width = |n: usize| checkpoint_of(&[("model.diffusion_model.out.2.weight", n)]);
    let single_file = Case {
        what: "an error about a single file does not name unet/config.json",
        target: "checkpoint",
        input: width(524_288),
        says: Some("model.safetensors: unet: `out_channels` is 524288"),
    };
    let cases = [headers(), configurations(), tokenizers(), vec![single_file]];
    for Case {
        what,
        target,
        input,
        says,
    } in cases.into_iter().flatten()
    {
        let (_, target) = targets
            .iter()
            .find(|(_, other)| other.name() == target)
            .expect("a target");
        let seen =
            check(target.as_ref(), 0, &input).unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
        let refused = seen.refused.as_deref();
        match says {
            None => assert_eq!(refused, None, "{what}"),
            Some(words) => {
                assert!(
                    refused.is_some_and(|message| message.contains(words)),
                    "{what}: {refused:?}, expected {words}"
                );
            }
        }
    }
}
