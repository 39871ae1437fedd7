//% if GELU
// x·Φ(x). Φ by the error function's approximation 7.1.26 of Abramowitz and Stegun, off by 1.5e-7 at most.
fn gelu(x: vec4<f32>) -> vec4<f32> {
    let z = abs(x) * 0.70710678;
    let t = 1.0 / (1.0 + 0.3275911 * z);
    let series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    let tail = 0.5 * series * exp(-z * z);
    return x * select(tail, 1.0 - tail, x > vec4<f32>());
}
//% end
