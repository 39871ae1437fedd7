//% if GELU
// Computes x·Φ(x), with Φ by approximation 7.1.26 of the error function in Abramowitz and Stegun,
// which is off by at most 1.5e-7.
fn gelu(x: vec4<f32>) -> vec4<f32> {
    let z = abs(x) * 0.70710678;
    let t = 1.0 / (1.0 + 0.3275911 * z);
    let series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t
        + 0.254829592) * t;
    let tail = 0.5 * series * exp(-z * z);
    return x * select(tail, 1.0 - tail, x > vec4<f32>());
}
//% end
