//! Folders without weights that can be read: the error says what is there, and what to do.

use super::{TEXT, UNET, VAE};
use crate::support::command::{FAILURE, Scratch, generate};
use crate::support::server::{Server, not_found, ranges};

/// A model of which the weights of all networks are replaced by files of other names.
fn with_other_weights(names: [&str; 3], bytes: &[u8]) -> Scratch {
    let scratch = Scratch::with_model("sd1-pndm");
    for (file, name) in [UNET, VAE, TEXT].into_iter().zip(names) {
        let folder = file.split('/').next().expect("a folder");
        std::fs::remove_file(scratch.file(file)).expect("a file to remove");
        std::fs::write(scratch.file(&format!("{folder}/{name}")), bytes).expect("a file");
    }
    scratch
}

const PICKLES: [&str; 3] = [
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
];

#[test]
fn folders_of_pickles_are_named_with_what_to_do() {
    let words = [
        "pickles",
        ".bin",
        "refs/pr/1",
        "diffusers",
        "save_pretrained",
    ];
    with_other_weights(PICKLES, b"PK\x03\x04")
        .generate(&[])
        .fails(FAILURE, &words);
    let fp16 = PICKLES.map(|name| name.replace(".bin", ".fp16.bin"));
    let fp16 = [&*fp16[0], &*fp16[1], &*fp16[2]];
    with_other_weights(fp16, b"PK\x03\x04")
        .generate(&[])
        .fails(FAILURE, &words);
    // A server cannot list its files.
    let scratch = with_other_weights(PICKLES, b"PK\x03\x04");
    let folder = scratch.model();
    let server = Server::start(move |request| {
        let path = request.path.trim_start_matches("/model/");
        match std::fs::read(folder.join(path)) {
            Ok(bytes) if path != "/model" => ranges(request, &bytes),
            _ => not_found(),
        }
    });
    let address = format!("{}/model", server.address);
    generate(&address, &scratch.picture(), &[]).fails(FAILURE, &words);
}

#[test]
fn folders_of_other_frameworks_are_named() {
    let flax = [
        "diffusion_flax_model.msgpack",
        "diffusion_flax_model.msgpack",
        "flax_model.msgpack",
    ];
    let words = ["Flax", "edition for PyTorch", "msgpack"];
    with_other_weights(flax, b"\x81")
        .generate(&[])
        .fails(FAILURE, &words);
    let words = ["ONNX", "model.onnx"];
    with_other_weights(["model.onnx"; 3], b"\x08")
        .generate(&[])
        .fails(FAILURE, &words);
    let words = ["OpenVINO", "openvino_model.xml"];
    with_other_weights(["openvino_model.xml"; 3], b"<net>")
        .generate(&[])
        .fails(FAILURE, &words);
}
