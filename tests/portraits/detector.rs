//! The detector of `training/detector.py`: four convolutions 3×3 of stride 2 with ReLU, and one
//! linear layer.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::safetensors::Tensors;

/// Height and width of its pictures.
const SIZE: usize = 128;
/// Heads that a removal must not change: `KEPT` of evaluate.py, and the skin.
const KEPT: [&str; 7] = [
    "gender",
    "hair_style",
    "hair_colour",
    "background",
    "clothes",
    "clothes_colour",
    "skin",
];

pub struct Detector {
    /// Names of the heads, and of each head's classes, in order.
    heads: Vec<(String, Vec<String>)>,
    convolutions: Vec<Layer>,
    linear: Layer,
}

struct Layer {
    /// `[out, …]`
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// The class that each head chose.
#[derive(Clone, PartialEq, Debug)]
pub struct Reading(BTreeMap<String, String>);

impl Reading {
    fn class(&self, head: &str) -> &str {
        let found = self.0.get(head);
        found.unwrap_or_else(|| panic!("the detector has no head {head}"))
    }

    pub fn man(&self) -> bool {
        self.class("gender") == "man"
    }

    pub fn has(&self, head: &str) -> bool {
        self.class(head) == "yes"
    }

    /// True for the same person in the same clothes before the same background.
    pub fn same_person(&self, other: &Self) -> bool {
        KEPT.iter()
            .all(|head| self.class(head) == other.class(head))
    }
}

impl Detector {
    pub fn read(path: &Path) -> Self {
        let tensors = Tensors::read(path);
        let layer = |name: &str| Layer {
            weight: tensors.f32(&format!("{name}.weight")).1,
            bias: tensors.f32(&format!("{name}.bias")).1,
        };
        let detector = Detector {
            heads: tensors.metadata("heads"),
            convolutions: (0..4).map(|i| layer(&format!("conv.{i}"))).collect(),
            linear: layer("linear"),
        };
        let classes: usize = detector.heads.iter().map(|(_, own)| own.len()).sum();
        assert_eq!(detector.linear.bias.len(), classes, "{}", path.display());
        detector
    }

    /// Reads a picture of 128×128.
    pub fn look(&self, rgba: &[u8]) -> Reading {
        assert_eq!(rgba.len(), 4 * SIZE * SIZE);
        let value = |channel: usize, at: usize| f32::from(rgba[4 * at + channel]) / 127.5 - 1.0;
        let mut values: Vec<f32> = (0..3)
            .flat_map(|channel| (0..SIZE * SIZE).map(move |at| value(channel, at)))
            .collect();
        let mut size = SIZE;
        for layer in &self.convolutions {
            values = convolved(&values, size, layer);
            size /= 2;
        }
        let scores: Vec<f32> = (0..self.linear.bias.len())
            .map(|class| {
                let row = &self.linear.weight[class * values.len()..][..values.len()];
                let product: f32 = row.iter().zip(&values).map(|(a, b)| a * b).sum();
                self.linear.bias[class] + product
            })
            .collect();
        let mut rest = &scores[..];
        let class = |(head, classes): &(String, Vec<String>)| {
            let (own, others) = rest.split_at(classes.len());
            rest = others;
            let best = (0..own.len()).max_by(|&a, &b| own[a].total_cmp(&own[b]));
            (head.clone(), classes[best.expect("classes")].clone())
        };
        Reading(self.heads.iter().map(class).collect())
    }
}

/// A convolution 3×3 with stride 2, padding 1 and ReLU of `[channels, size, size]`.
fn convolved(input: &[f32], size: usize, layer: &Layer) -> Vec<f32> {
    let (channels, half) = (input.len() / (size * size), size / 2);
    let mut output = Vec::with_capacity(layer.bias.len() * half * half);
    for (out, bias) in layer.bias.iter().enumerate() {
        for (y, x) in (0..half).flat_map(|y| (0..half).map(move |x| (y, x))) {
            let mut sum = *bias;
            for channel in 0..channels {
                for (dy, dx) in (0..3).flat_map(|dy| (0..3).map(move |dx| (dy, dx))) {
                    let (row, column) = (2 * y + dy, 2 * x + dx);
                    if (1..=size).contains(&row) && (1..=size).contains(&column) {
                        let weight = layer.weight[((out * channels + channel) * 3 + dy) * 3 + dx];
                        sum += weight * input[(channel * size + row - 1) * size + column - 1];
                    }
                }
            }
            output.push(sum.max(0.0));
        }
    }
    output
}
