//! Bicubic enlargement of small maps. Matches PyTorch's `interpolate` with `mode="bicubic"`.

/// Parameter of the cubic, PyTorch's.
const A: f64 = -0.75;

/// Enlargement along one side: for each new position, four old ones and their weights.
pub struct Enlargement {
    from: usize,
    taps: Vec<([usize; 4], [f64; 4])>,
}

impl Enlargement {
    /// An enlargement of `from` positions to `to`.
    pub fn new(from: usize, to: usize) -> Self {
        let tap = |position: usize| {
            let at = (position as f64 + 0.5) * from as f64 / to as f64 - 0.5;
            let first = at.floor() - 1.0;
            // Positions beyond the border are those at it.
            let last = (from - 1) as f64;
            let old = |k: usize| (first + k as f64).clamp(0.0, last) as usize;
            let weight = |k: usize| cubic((at - first - k as f64).abs());
            (std::array::from_fn(old), std::array::from_fn(weight))
        };
        Enlargement {
            from,
            taps: (0..to).map(tap).collect(),
        }
    }
}

/// Weight of a position at this distance, below 2.
fn cubic(d: f64) -> f64 {
    match d {
        ..=1.0 => ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0,
        _ => ((d - 5.0) * d + 8.0) * d * A - 4.0 * A,
    }
}

/// Enlarges a map.
///
/// # Shapes
/// `[rows.from, columns.from]` → `[rows.to, columns.to]`
pub fn enlarge(map: &[f64], rows: &Enlargement, columns: &Enlargement) -> Vec<f64> {
    let wide: Vec<f64> = map
        .chunks(columns.from)
        .flat_map(|row| {
            let each = columns.taps.iter();
            each.map(|(old, weights)| (0..4).map(|k| weights[k] * row[old[k]]).sum::<f64>())
        })
        .collect();
    let width = columns.taps.len();
    debug_assert_eq!(wide.len(), rows.from * width);
    let each = rows.taps.iter().flat_map(|(old, weights)| {
        let wide = &wide;
        (0..width).map(move |x| (0..4).map(|k| weights[k] * wide[old[k] * width + x]).sum())
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::{Enlargement, enlarge};

    #[test]
    fn a_map_of_the_same_size_stays_as_it_is() {
        let map: Vec<f64> = (0..12).map(|v| f64::from(v * v % 7)).collect();
        let same = enlarge(&map, &Enlargement::new(3, 3), &Enlargement::new(4, 4));
        assert_eq!(same, map);
    }

    /// The values are those of `torch.nn.functional.interpolate`.
    #[test]
    fn a_step_is_enlarged_as_pytorch_does() {
        let rows = Enlargement::new(1, 1);
        let got = enlarge(&[0.0, 1.0], &rows, &Enlargement::new(2, 4));
        let expected = [-0.10546875, 0.2265625, 0.7734375, 1.10546875];
        let off = got.iter().zip(expected).map(|(a, b)| (a - b).abs());
        assert!(off.fold(0.0, f64::max) < 1e-12, "{got:?}");
    }
}
