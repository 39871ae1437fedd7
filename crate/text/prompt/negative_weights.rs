//! Negative weights: `(mustache:-1)`.
//!
//! A token of negative weight is encoded and weighted as if its weight were positive. Then the
//! U-Net's cross-attentions find it by its key, as any other token, and take its value away instead
//! of adding it: only the value is negated. This is the rule of NegPiP, on which the extension for
//! the web UI and its port for ComfyUI agree. They differ in where such tokens are: the extension
//! takes them out of the prompt and appends them in chunks of their own. Here, as in the port, they
//! stay where they were typed, among the words that they belong to. The web UI without the
//! extension multiplies the embedding by the negative weight, which negates the key too.

use super::chunks::Chunk;

/// Rows, one for each token id of `chunks`, with a negative weight.
pub fn negated_rows(chunks: &[Chunk]) -> Vec<usize> {
    let weights = chunks.iter().flat_map(|chunk| &chunk.weights);
    let negative = weights.enumerate().filter(|(_, weight)| **weight < 0.0);
    negative.map(|(row, _)| row).collect()
}

/// Negates `rows` of `embeddings`, which are `width` wide.
pub fn negate(embeddings: &mut [f32], rows: &[usize], width: usize) {
    for &row in rows {
        for value in &mut embeddings[row * width..][..width] {
            *value = -*value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Chunk, negate, negated_rows};

    #[test]
    fn rows_of_negative_weight_are_counted_over_all_chunks() {
        let chunk = |weights: &[f64]| Chunk {
            ids: vec![0; weights.len()],
            weights: weights.to_vec(),
            start: None,
            spans: Vec::new(),
        };
        let chunks = [chunk(&[1.0, -1.0, 0.0]), chunk(&[-0.5, -0.0, 2.0])];
        assert_eq!(negated_rows(&chunks), [1, 3]);
    }

    #[test]
    fn only_the_rows_named_are_negated() {
        let mut values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        negate(&mut values, &[0, 2], 2);
        assert_eq!(values, [-1.0, -2.0, 3.0, 4.0, -5.0, -6.0]);
    }
}
