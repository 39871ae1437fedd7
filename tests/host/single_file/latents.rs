//! `--latents-out`: a safetensors file as other programs read it.

use safetensors::{Dtype, SafeTensors};

use crate::support::command::Scratch;
use crate::support::command::generate;
use crate::support::golden;

#[test]
fn latents_are_a_safetensors_file_with_one_tensor() {
    let scratch = Scratch::new();
    let model = golden().join("models/sd1-pndm/model");
    let model = model.to_str().expect("UTF-8");
    let path = scratch.0.join("latents.safetensors");
    let latents = ["--latents-out", path.to_str().expect("UTF-8")];
    let size = ["--steps", "2", "--width", "64", "--height", "96"];
    let outcome = generate(
        model,
        &scratch.0.join("picture.png"),
        &[&size[..], &latents].concat(),
    );
    assert_eq!(outcome.output.status.code(), Some(0));

    let bytes = std::fs::read(&path).expect("a file");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    assert_eq!(file.names(), ["latents"]);
    let latents = file.tensor("latents").expect("the latent");
    assert_eq!(latents.dtype(), Dtype::F32);
    assert_eq!(latents.shape(), [1, 4, 12, 8]);
    let (values, rest) = latents.data().as_chunks::<4>();
    assert!(rest.is_empty());
    let values: Vec<f32> = values.iter().map(|&b| f32::from_le_bytes(b)).collect();
    assert!(values.iter().all(|v| v.is_finite()));
    // Noise of variance 1 and more at the beginning; constant or empty is no latent.
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / values.len() as f32;
    assert!(variance > 0.01, "{variance}");
    // Readers map the tensors: they begin at a multiple of eight.
    let header = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
    assert_eq!(header % 8, 0);
}
