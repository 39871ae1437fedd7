//! Files that the command writes.

use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};

use darkroom::{Error, Generation, Picture, Result};

/// Writes `bytes` to `path`.
///
/// # Errors
/// [`Error::File`] with the system's reason.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(|e| Error::file(path.display(), e))
}

/// Encodes the final latent as a safetensors file with the one tensor `latents`, as diffusers
/// returns it; `path` names the file in errors.
///
/// # Shapes
/// `latents` `[1, 4, h/8, w/8]` in f32
///
/// # Errors
/// [`Error::File`] where the latent cannot be encoded.
pub fn latents_file(generation: &Generation, path: &Path) -> Result<Vec<u8>> {
    let [channels, height, width] = generation.latent_shape();
    let latent = generation.latent();
    let bytes: Vec<u8> = latent.iter().flat_map(|v| v.to_le_bytes()).collect();
    let shape = vec![1, channels, height, width];
    TensorView::new(Dtype::F32, shape, &bytes)
        .and_then(|view| safetensors::serialize([("latents", view)], None))
        .map_err(|e| Error::file(path.display(), e))
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
