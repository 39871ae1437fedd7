//! The dtype of weights in memory. It is independent of the dtypes of files and activations.

use burn::tensor::DType;
use half::{bf16, f16};

use super::safetensors::Dtype;

/// Storage of weight matrices, which are nearly all of a model's bytes. Kernels widen f16 as they
/// read it, so activations may have another dtype, and an adapter needs no support for f16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// f16 for weights that the files have in f16 or fp8, f32 for all others: nothing is lost. (f64
    /// is rounded to f32, in which all operations compute.)
    Lossless,
    /// f16: half of f32's memory.
    Half,
    /// f32.
    Single,
    /// f32 if all weights together then take at most so many bytes, f16 otherwise.
    SingleWithin(u64),
}

impl Storage {
    /// Resolves [`Storage::SingleWithin`] for a model of `elements` weights.
    pub fn of(self, elements: u64) -> Self {
        match self {
            Storage::SingleWithin(max) if elements.saturating_mul(4) > max => Storage::Half,
            Storage::SingleWithin(_) => Storage::Single,
            other => other,
        }
    }

    /// The dtype, f16 or f32, of a matrix `[inputs, outputs]` that a file has in `from`. A number
    /// of outputs that does not divide by four stays in f32, because kernels read four at once.
    /// Only the VAE's last convolution has such a number.
    pub fn matrix(self, from: Dtype, outputs: usize) -> DType {
        match self {
            Storage::Half if outputs.is_multiple_of(4) => DType::F16,
            Storage::Lossless if outputs.is_multiple_of(4) && fits_f16(from) => DType::F16,
            _ => DType::F32,
        }
    }

    /// The dtype of a table on the host. Its rows are widened one by one.
    pub fn table(self, from: Dtype) -> Dtype {
        match (self, from) {
            (Storage::Half, Dtype::F32 | Dtype::F64) => Dtype::F16,
            (_, Dtype::F64) => Dtype::F32,
            _ => from,
        }
    }
}

/// True if f16 holds every value of `from` exactly.
fn fits_f16(from: Dtype) -> bool {
    matches!(from, Dtype::F16 | Dtype::F8E4m3 | Dtype::F8E5m2)
}

/// Converts the little-endian elements of `bytes`. Returns `None` if one of them is beyond f16's
/// range.
pub(super) fn convert(bytes: Vec<u8>, from: Dtype, to: Dtype) -> Option<Vec<u8>> {
    if from == to {
        return Some(bytes);
    }
    let mut converted = Vec::with_capacity(bytes.len() / from.size() * to.size());
    let mut fits = true;
    match to {
        Dtype::F32 => each(&bytes, from, |value| {
            converted.extend_from_slice(&value.to_le_bytes());
        }),
        Dtype::F16 => each(&bytes, from, |value| {
            let half = f16::from_f32(value);
            fits &= half.is_finite() || !value.is_finite();
            converted.extend_from_slice(&half.to_le_bytes());
        }),
        Dtype::Bf16 => each(&bytes, from, |value| {
            converted.extend_from_slice(&bf16::from_f32(value).to_le_bytes());
        }),
        // No tensor is stored in these types unless its file has them.
        Dtype::F64 | Dtype::F8E4m3 | Dtype::F8E5m2 => return None,
    }
    fits.then_some(converted)
}

/// Converts little-endian elements of type `from` to f32.
pub(crate) fn to_f32(bytes: &[u8], from: Dtype) -> Vec<f32> {
    let mut values = Vec::with_capacity(bytes.len() / from.size());
    each(bytes, from, |value| values.push(value));
    values
}

/// Calls `act` with every element of `bytes`, in f32.
fn each(bytes: &[u8], from: Dtype, mut act: impl FnMut(f32)) {
    match from {
        Dtype::F32 => elements(bytes, |b| act(f32::from_le_bytes(b))),
        Dtype::F16 => elements(bytes, |b| act(f16::from_le_bytes(b).to_f32())),
        Dtype::Bf16 => elements(bytes, |b| act(bf16::from_le_bytes(b).to_f32())),
        Dtype::F64 => elements(bytes, |b| act(f64::from_le_bytes(b) as f32)),
        Dtype::F8E4m3 => elements(bytes, |b| act(f8_e4m3(b))),
        // The upper byte of an f16.
        Dtype::F8E5m2 => elements(bytes, |[b]| act(f16::from_le_bytes([0, b]).to_f32())),
    }
}

/// Value of an element of type F8_E4M3, "FN" in PyTorch: exponent bias 7, NaN where all bits after
/// the sign are set, no infinity.
fn f8_e4m3([bits]: [u8; 1]) -> f32 {
    let (exponent, mantissa) = (i32::from(bits >> 3 & 15), f32::from(bits & 7));
    let size = match (exponent, bits & 7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa / 8.0 * 2f32.powi(-6),
        _ => (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
    };
    if bits >= 128 { -size } else { size }
}

fn elements<const N: usize>(bytes: &[u8], act: impl FnMut([u8; N])) {
    bytes.as_chunks::<N>().0.iter().copied().for_each(act);
}

#[cfg(test)]
mod tests {
    use super::{Storage, convert, to_f32};
    use crate::weights::safetensors::Dtype;
    use burn::tensor::DType;

    #[test]
    fn matrices_have_the_dtype_of_their_storage() {
        let of = |storage: Storage, from| storage.matrix(from, 8);
        assert_eq!(of(Storage::Lossless, Dtype::F16), DType::F16);
        assert_eq!(of(Storage::Lossless, Dtype::Bf16), DType::F32);
        assert_eq!(of(Storage::Half, Dtype::F32), DType::F16);
        assert_eq!(of(Storage::Single, Dtype::F16), DType::F32);
        assert_eq!(Storage::Half.matrix(Dtype::F16, 3), DType::F32);
        let within = Storage::SingleWithin(4000);
        assert_eq!(within.of(1000), Storage::Single);
        assert_eq!(within.of(1001), Storage::Half);
        assert_eq!(within.of(u64::MAX), Storage::Half);
    }

    #[test]
    fn conversions_keep_values_within_the_dtypes_precision() {
        let values = [0.0f32, -1.5, 65504.0, 1e-7, 3.140625];
        let bytes = values.map(f32::to_le_bytes).concat();
        for to in [Dtype::F16, Dtype::Bf16] {
            let there = convert(bytes.clone(), Dtype::F32, to).expect("all within range");
            assert_eq!(there.len(), values.len() * to.size());
            for (got, value) in to_f32(&there, to).iter().zip(values) {
                let step = if to == Dtype::F16 {
                    2f32.powi(-11)
                } else {
                    2f32.powi(-8)
                };
                assert!(
                    (got - value).abs() <= value.abs() * step + 1e-7,
                    "{to:?} {value}: {got}"
                );
            }
            let back = convert(there.clone(), to, Dtype::F32).expect("f32 holds all");
            assert_eq!(to_f32(&back, Dtype::F32), to_f32(&there, to));
        }
        assert_eq!(convert(bytes.clone(), Dtype::F32, Dtype::F32), Some(bytes));
    }

    #[test]
    fn fp8_is_widened_exactly() {
        // Zero, the smallest and largest subnormal, one, the largest value, and negative ones.
        let e4m3 = [0x00, 0x01, 0x07, 0x38, 0x7e, 0xb8, 0xfe];
        let values = [
            0.0,
            2f32.powi(-9),
            7.0 * 2f32.powi(-9),
            1.0,
            448.0,
            -1.0,
            -448.0,
        ];
        assert_eq!(to_f32(&e4m3, Dtype::F8E4m3), values);
        assert!(to_f32(&[0x7f], Dtype::F8E4m3)[0].is_nan());
        let e5m2 = [0x00, 0x01, 0x3c, 0x7b, 0xbc, 0x7c];
        let values = [0.0, 2f32.powi(-16), 1.0, 57344.0, -1.0, f32::INFINITY];
        assert_eq!(to_f32(&e5m2, Dtype::F8E5m2), values);
        for from in [Dtype::F8E4m3, Dtype::F8E5m2] {
            let all: Vec<u8> = (0..=255).collect();
            let half = convert(all.clone(), from, Dtype::F16).expect("f16 holds all");
            let [there, back] = [to_f32(&all, from), to_f32(&half, Dtype::F16)];
            let same = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan());
            assert!(there.iter().zip(&back).all(same), "{from:?}");
            assert_eq!(Storage::Lossless.matrix(from, 8), DType::F16);
            assert_eq!(Storage::Half.table(from), from);
        }
    }

    #[test]
    fn f64_is_rounded_to_f32() {
        let bytes = 0.1f64.to_le_bytes().to_vec();
        assert_eq!(to_f32(&bytes, Dtype::F64), [0.1f32]);
        assert_eq!(Storage::Single.table(Dtype::F64), Dtype::F32);
        assert_eq!(Storage::Lossless.matrix(Dtype::F64, 8), DType::F32);
    }

    #[test]
    fn values_beyond_f16_are_refused() {
        let bytes = |value: f32| value.to_le_bytes().to_vec();
        assert_eq!(convert(bytes(65520.0), Dtype::F32, Dtype::F16), None);
        // An infinity in the file is no loss; the check of the first prediction finds it.
        assert!(convert(bytes(f32::INFINITY), Dtype::F32, Dtype::F16).is_some());
    }
}
