//! The text of the GPU kernels' shaders.

use std::io::Write;
use std::process::{Command, Stdio};

use burn::tensor::wgpu::wgpu::naga::{front::wgsl, valid};
use darkroom::ops::gpu::every_shader;

/// Browsers have two WGSL compilers: naga (Firefox), a library, and tint (Chromium), which is used
/// where it is installed.
#[test]
fn every_shader_is_valid() {
    let shaders = every_shader();
    validate_with_naga(&shaders);
    println!("naga accepts all {} shaders", shaders.len());
    if Command::new("tint").arg("--version").output().is_err() {
        println!("NOT RUN: tint is not installed");
        return;
    }
    validate_with_tint(&shaders);
    println!("tint accepts all {} shaders", shaders.len());
}

fn validate_with_naga(shaders: &[(String, String)]) {
    for (name, text) in shaders {
        let module = wgsl::parse_str(text)
            .unwrap_or_else(|e| panic!("{name}\n{text}\n{}", e.emit_to_string(text)));
        valid::Validator::new(
            valid::ValidationFlags::all(),
            // `unpack2x16float` is core WGSL, but naga demands a capability for it.
            valid::Capabilities::SHADER_FLOAT16 | valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32,
        )
        .validate(&module)
        .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(text)));
    }
}

fn validate_with_tint(shaders: &[(String, String)]) {
    let file = std::env::temp_dir().join(format!("darkroom-shader-{}.wgsl", std::process::id()));
    for (name, text) in shaders {
        let mut writer = std::fs::File::create(&file).expect("a temporary file");
        writer.write_all(text.as_bytes()).expect("a temporary file");
        let output = Command::new("tint")
            .arg("--format")
            .arg("wgsl")
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .expect("tint");
        assert!(
            output.status.success(),
            "{name}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let _ = std::fs::remove_file(&file);
}
