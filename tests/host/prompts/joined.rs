//! Prompts joined by `AND` in whole runs, on the CPU.

use darkroom::Request;
use darkroom::sampling::SamplerKind;

use super::pictures::{
    assert_apart, assert_near, embed, latent, pipeline, reference_of, request, run,
};

#[test]
fn prompts_joined_by_and_guide_with_their_weights() {
    let pipeline = pipeline();
    let texts = ["mustache", "a man", "a woman", "red hair"].map(|text| embed(&pipeline, text));
    let weights = [1.0, 0.6, -0.4];
    let joined = "a man AND [a woman:red hair:2] :0.6 AND red hair :-0.4";
    for scale in [5.0, 1.0] {
        let request = Request {
            guidance_scale: scale,
            ..request(joined)
        };
        let prompts = |step: usize| {
            let [negative, man, woman, hair] = texts.clone();
            let second = if step <= 2 { woman } else { hair.clone() };
            vec![negative, man, second, hair]
        };
        let combine = |branches: &[&[f32]]| {
            let mut sum = branches[0].to_vec();
            for (positive, weight) in branches[1..].iter().zip(weights) {
                let moved = sum.iter_mut().zip(branches[0]).zip(*positive);
                moved.for_each(|((sum, n), p)| *sum += (scale * weight) as f32 * (p - n));
            }
            sum
        };
        let expected = reference_of(&pipeline, &request, SamplerKind::Pndm, prompts, combine);
        let (actual, warnings) = run(&pipeline, &request);
        assert_near(&actual, &expected, &format!("AND at scale {scale}"));
        assert_eq!(warnings, [""; 0]);
        let first = Request {
            prompt: "a man".into(),
            ..request
        };
        assert_apart(&actual, &latent(&pipeline, &first), "AND");
    }
}

#[test]
fn a_weight_of_the_whole_prompt_is_one_of_its_guidance() {
    let pipeline = pipeline();
    let guided = |prompt: &str, guidance_scale| {
        let request = Request {
            guidance_scale,
            ..request(prompt)
        };
        latent(&pipeline, &request)
    };
    let expected = guided("a man", 4.0);
    assert_near(&guided("a man :0.5", 8.0), &expected, "half the weight");
    assert!(guided("a man :1", 8.0) == guided("a man", 8.0));
    let nothing = guided("a man AND a woman :0", 8.0);
    assert_near(&nothing, &guided("a man", 8.0), "a weight of 0");
}
