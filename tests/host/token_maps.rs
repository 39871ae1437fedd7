//! Token maps against a transcription of DAAM over diffusers, and the places of tokens in prompts.

use darkroom::pipeline::token_maps::{BranchMaps, TokenMaps};
use darkroom::text::prompt::PromptSyntax;
use darkroom::{Generation, Request};
use pollster::block_on;

use crate::inspect::{cases, recorded};
use crate::support::{relative_error, say};

fn maps(generation: &Generation, calls: &[usize]) -> TokenMaps {
    block_on(generation.token_maps(calls)).unwrap_or_else(|e| panic!("{calls:?}: {e}"))
}

fn texts(branch: &BranchMaps) -> Vec<&str> {
    branch.tokens.iter().map(|token| &token.text[..]).collect()
}

#[test]
fn token_maps_match_diffusers() {
    let (cases, expected) = cases();
    let mapped = cases.iter().filter(|(case, _)| case["tokens"].is_array());
    let mut compared = 0;
    for (case, request) in mapped {
        let name = case["name"].as_str().expect("a name");
        let generation = recorded(case["model"].as_str().expect("a model"), request);
        let calls: Vec<usize> = serde_json::from_value(case["mapped_calls"].clone()).unwrap();
        let maps = maps(&generation, &calls);
        let [_, height, width] = generation.latent_shape();
        assert_eq!([maps.height, maps.width], [height, width]);
        assert_eq!(maps.branches.len(), 2);
        for (index, branch) in maps.branches.iter().enumerate() {
            assert_eq!(branch.negative, index == 0);
            let tokens: Vec<String> =
                serde_json::from_value(case["tokens"][index].clone()).expect("tokens");
            let typed = tokens.iter().map(|token| token.replace("</w>", ""));
            let found = texts(branch).into_iter().map(str::to_lowercase);
            assert_eq!(Vec::from_iter(found), Vec::from_iter(typed));
            let (shape, expected) = expected.f32(&format!("{name}.maps.{index}"));
            assert_eq!(shape, [branch.tokens.len(), height, width]);
            let each = branch.tokens.iter().zip(expected.chunks(height * width));
            let errors = each.map(|(token, map)| relative_error(&token.values, map));
            let worst = errors.fold(0.0, f64::max);
            say(format_args!(
                "{name}, branch {index}: maps within {worst:.1e}"
            ));
            assert!(worst < 1e-3, "{name}, branch {index}: off by {worst:.1e}");
            compared += 1;
        }
    }
    assert_eq!(compared, 6);
}

/// The sum over all tokens of a prompt, those of start, end and padding included, would be 1.
#[test]
fn token_maps_are_probabilities() {
    let (cases, _) = cases();
    let generation = recorded("sd1-pndm", &cases[0].1);
    let maps = maps(&generation, &[0]);
    for position in 0..maps.width * maps.height {
        let tokens = maps.branches[1].tokens.iter();
        let sum: f32 = tokens.map(|token| token.values[position]).sum();
        assert!(sum > 0.0 && sum < 1.0, "{sum}");
    }
}

#[test]
fn tokens_say_where_they_were_typed() {
    let (cases, _) = cases();
    let request = Request {
        prompt: "<lora:x:1>a (Red\\(ish\\) hat:1.3), [night:day:0.5] \u{1f600}".into(),
        negative_prompt: "((blurry)) AND sad".into(),
        prompt_syntax: PromptSyntax::A1111,
        ..cases[0].1.clone()
    };
    let generation = recorded("sd1-pndm", &request);
    let first = maps(&generation, &[0]);
    let [negative, positive] = &first.branches[..] else {
        panic!("{} branches", first.branches.len());
    };
    assert_eq!(texts(negative).concat(), "blurryANDsad");
    let typed = texts(positive).concat();
    assert!(typed.starts_with("aRed(ish)hat,night"), "{typed}");
    for (prompt, branch) in [
        (&request.prompt, positive),
        (&request.negative_prompt, negative),
    ] {
        for token in &branch.tokens {
            assert_eq!(prompt[token.span.clone()], token.text);
        }
    }
    // The tokens of the emoji share its bytes.
    let emoji = positive.tokens.iter().filter(|t| t.text == "\u{1f600}");
    assert!(emoji.count() >= 1, "{typed}");
    let last = maps(&generation, &[generation.calls() - 1]);
    assert!(texts(&last.branches[1]).contains(&"day"));
    assert!(!texts(&last.branches[1]).contains(&"night"));
    // Over all calls there are the tokens of both.
    let calls = Vec::from_iter(0..generation.calls());
    let all = maps(&generation, &calls);
    let words = texts(&all.branches[1]);
    assert!(
        words.contains(&"day") && words.contains(&"night"),
        "{words:?}"
    );
}

#[test]
fn token_maps_need_recorded_calls() {
    let (cases, _) = cases();
    let generation = recorded("sd1-pndm", &cases[0].1);
    let refused = block_on(generation.token_maps(&[])).expect_err("no calls");
    assert!(refused.to_string().contains("recorded calls"), "{refused}");
    let refused = block_on(generation.token_maps(&[99])).expect_err("no such call");
    assert!(refused.to_string().contains("99"), "{refused}");
}
