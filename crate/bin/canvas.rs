//! Drawing for the files that show what the prompts did: heat maps, enlargements, letters.

use darkroom::Picture;
use font8x8::legacy::{BASIC_LEGACY, LATIN_LEGACY};

/// Side of a letter before it is enlarged.
pub const LETTER: usize = 8;

/// Colours of a heat map from 0 to the largest value: black, violet, red, yellow, white.
const HEAT: [[f32; 3]; 5] = [
    [0.0, 0.0, 0.0],
    [87.0, 16.0, 110.0],
    [212.0, 72.0, 66.0],
    [250.0, 193.0, 39.0],
    [255.0, 255.0, 240.0],
];

/// A map as colours, where `largest` is the brightest.
pub fn heat(map: &[f32], width: usize, height: usize, largest: f32) -> Picture {
    let colour = |&value: &f32| {
        let share = if largest > 0.0 { value / largest } else { 0.0 };
        let at = share.clamp(0.0, 1.0) * (HEAT.len() - 1) as f32;
        let below = (at as usize).min(HEAT.len() - 2);
        let part = at - below as f32;
        let mix = |c: usize| HEAT[below][c] + part * (HEAT[below + 1][c] - HEAT[below][c]);
        [mix(0) as u8, mix(1) as u8, mix(2) as u8, 255]
    };
    Picture {
        width,
        height,
        rgba: map.iter().flat_map(colour).collect(),
    }
}

/// `picture` at another size, by bilinear interpolation.
pub fn enlarged(picture: &Picture, width: usize, height: usize) -> Picture {
    let along = |position: usize, from: usize, to: usize| {
        let at = (position as f32 + 0.5) * from as f32 / to as f32 - 0.5;
        let at = at.clamp(0.0, (from - 1) as f32);
        let below = at as usize;
        (below, (below + 1).min(from - 1), at - below as f32)
    };
    let mut rgba = Vec::with_capacity(4 * width * height);
    for y in 0..height {
        let (top, bottom, down) = along(y, picture.height, height);
        for x in 0..width {
            let (left, right, across) = along(x, picture.width, width);
            for channel in 0..4 {
                let at = |y: usize, x: usize| {
                    f32::from(picture.rgba[4 * (y * picture.width + x) + channel])
                };
                let row = |y| at(y, left) + across * (at(y, right) - at(y, left));
                rgba.push((row(top) + down * (row(bottom) - row(top))).round() as u8);
            }
        }
    }
    Picture {
        width,
        height,
        rgba,
    }
}

/// The mean of a grey version of `picture` and a map of the same size.
pub fn blended(picture: &Picture, map: &Picture) -> Picture {
    let pixels = picture.rgba.chunks(4).zip(map.rgba.chunks(4));
    let blend = |(a, b): (&[u8], &[u8])| {
        let grey = a[..3].iter().map(|&v| u16::from(v)).sum::<u16>() / 3;
        let mix = |channel: usize| ((grey + u16::from(b[channel])) / 2) as u8;
        [mix(0), mix(1), mix(2), 255]
    };
    Picture {
        width: picture.width,
        height: picture.height,
        rgba: pixels.flat_map(blend).collect(),
    }
}

/// A white picture.
pub fn blank(width: usize, height: usize) -> Picture {
    Picture {
        width,
        height,
        rgba: vec![255; 4 * width * height],
    }
}

/// Copies `part` into `picture` with its upper left corner at `left` and `top`.
pub fn place(picture: &mut Picture, part: &Picture, left: usize, top: usize) {
    for (y, row) in part.rgba.chunks(4 * part.width).enumerate() {
        let start = 4 * ((top + y) * picture.width + left);
        picture.rgba[start..start + row.len()].copy_from_slice(row);
    }
}

/// Writes `text` in black, letters `scale` times as large as [`LETTER`]. Letters beyond Latin-1 are
/// shown as `?`, and what is beyond the picture's border is cut off.
pub fn write(picture: &mut Picture, text: &str, left: usize, top: usize, scale: usize) {
    for (number, letter) in text.chars().enumerate() {
        let bits = shape(letter);
        for y in 0..LETTER * scale {
            for x in 0..LETTER * scale {
                let column = left + number * LETTER * scale + x;
                let inside = column < picture.width && top + y < picture.height;
                if inside && bits[y / scale] >> (x / scale) & 1 == 1 {
                    let start = 4 * ((top + y) * picture.width + column);
                    picture.rgba[start..start + 3].fill(0);
                }
            }
        }
    }
}

fn shape(letter: char) -> [u8; 8] {
    let code = letter as usize;
    let basic = BASIC_LEGACY.get(code);
    let latin = code.checked_sub(0xA0).and_then(|i| LATIN_LEGACY.get(i));
    *basic.or(latin).unwrap_or(&BASIC_LEGACY['?' as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heat_map_is_brightest_at_its_largest_value() {
        let map = heat(&[0.0, 0.5, 1.0], 3, 1, 1.0);
        assert_eq!(map.rgba[..4], [0, 0, 0, 255]);
        assert_eq!(map.rgba[8..], [255, 255, 240, 255]);
        let none = heat(&[0.0], 1, 1, 0.0);
        assert_eq!(none.rgba, [0, 0, 0, 255]);
    }

    #[test]
    fn an_enlargement_keeps_the_corners_and_the_mean() {
        let small = heat(&[0.0, 1.0, 1.0, 0.0], 2, 2, 1.0);
        let large = enlarged(&small, 8, 6);
        assert_eq!((large.width, large.height), (8, 6));
        assert_eq!(large.rgba[..4], small.rgba[..4]);
        let same = enlarged(&small, 2, 2);
        assert_eq!(same.rgba, small.rgba);
    }

    #[test]
    fn letters_are_drawn_within_the_border() {
        let mut picture = blank(20, 8);
        write(&mut picture, "I?ü漢", 4, 0, 1);
        let black = picture.rgba.chunks(4).filter(|pixel| pixel[0] == 0).count();
        assert!(black > 10, "{black} black pixels");
        assert!(
            picture
                .rgba
                .chunks(20 * 4)
                .all(|row| row[..16] == [255; 16])
        );
    }
}
