//! The finished picture.

/// A picture in RGBA.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `width·height·4` bytes, row by row: red, green, blue, 255.
    pub rgba: Vec<u8>,
}

/// Converts values to bytes: clamps, then rounds. Matches diffusers 0.42 `VaeImageProcessor`.
///
/// # Shapes
/// `[h, w, 3]` from −1 to 1 → `[h, w, 4]`, the fourth always 255
pub(super) fn to_rgba(values: &[f32]) -> Vec<u8> {
    let byte = |v: f32| ((v / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8;
    values
        .as_chunks::<3>()
        .0
        .iter()
        .flat_map(|&[r, g, b]| [byte(r), byte(g), byte(b), 255])
        .collect()
}
