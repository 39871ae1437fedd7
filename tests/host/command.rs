//! Warnings of the native command.

use serde_json::json;

use crate::support::command::Scratch;

/// `tests/gpu/precision.rs` has the warnings that come with the steps and the decoding.
#[test]
fn the_command_shows_each_warning_once() {
    let scratch = Scratch::with_model("sd1-pndm");
    let steps = ["--steps", "1", "--json"];
    scratch.generate(&steps).warns(&[]);

    scratch.edit_header("unet/diffusion_pytorch_model.safetensors", |header| {
        header["lora_up.weight"] = json!({ "dtype": "F16", "shape": [0], "data_offsets": [0, 0] });
    });
    let prompt = "a portrait of a man, ".repeat(30);
    let more = [
        ["--guidance-scale", "1"],
        ["--prompt", &prompt],
        ["--long-prompt", "truncate"],
    ];
    let outcome = scratch.generate(&[&steps[..], more.as_flattened()].concat());
    outcome.warns(&["lora_up.weight", "cut off", "guidance scale 1"]);
}
