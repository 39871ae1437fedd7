//! Files that the command writes.

use std::path::Path;

use darkroom::{Error, Generation, Picture, Result};

/// Writes `bytes` to `path`.
///
/// # Errors
/// [`Error::File`] with the system's reason.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(|e| Error::file(path.display(), e))
}

/// Encodes the final latent as a safetensors file with the one tensor `latents`, as diffusers
/// returns it.
///
/// # Shapes
/// `latents` `[1, 4, h/8, w/8]` in f32
pub fn latents_file(generation: &Generation) -> Vec<u8> {
    let [channels, height, width] = generation.latent_shape();
    let latent = generation.latent();
    let header = serde_json::json!({
        "latents": {
            "dtype": "F32",
            "shape": [1, channels, height, width],
            "data_offsets": [0, 4 * latent.len()],
        }
    })
    .to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    bytes.extend(latent.iter().flat_map(|v| v.to_le_bytes()));
    bytes
}

/// Encodes `picture` as PNG; `path` names the file in errors.
///
/// # Errors
/// [`Error::File`] where the picture cannot be encoded.
pub fn png(picture: &Picture, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width as u32, picture.height as u32);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&picture.rgba))
        .map_err(|e| Error::file(path.display(), e))?;
    Ok(bytes)
}
