// Guidance, the sampler's step, and the U-Net's next input, element by element. A sampler is a set
// of weights for sums over the latent, the prediction, the denoised latent, noise, and the history.

//% if HALF
enable f16;
//% end

// Negative, then positive; or positive alone.
@group(0) @binding($SLOT) var<storage, read> prediction: array<$T>;
@group(0) @binding($SLOT) var<storage, read> given: array<f32>;
@group(0) @binding($SLOT) var<storage, read> noise: array<f32>;
// Prediction, denoised latent, latent, history.
@group(0) @binding($SLOT) var<storage, read_write> arrays: array<f32>;
// Input of the next call, the same for every branch.
@group(0) @binding($SLOT) var<storage, read_write> input: array<$T>;
// x: elements of an array; y: branches.
@group(0) @binding($SLOT) var<uniform> p: vec4<u32>;

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let length = p.x;
    let branches = p.y;
    let i = id.x * $LANES + lane;
    if (i >= length) {
        return;
    }
    let limit = given[2];
    let guidance = given[3];
    let input_scale = given[4];

    var predicted = f32(prediction[i]);
    if (branches == 2) {
        predicted += guidance * (f32(prediction[length + i]) - predicted);
    }
    var terms: array<f32, $TERMS>;
    terms[0] = arrays[2 * length + i];
    terms[1] = predicted;
    terms[2] = clamp(given[0] * terms[0] + given[1] * terms[1], -limit, limit);
    terms[3] = noise[i];
    for (var k = 0u; k < $HISTORY; k++) {
        terms[4 + k] = arrays[(3 + k) * length + i];
    }
    arrays[i] = predicted;
    arrays[length + i] = terms[2];
    for (var row = 0u; row <= $HISTORY; row++) {
        var sum = 0.0;
        for (var t = 0u; t < $TERMS; t++) {
            sum += given[8 + row * $TERMS + t] * terms[t];
        }
        arrays[(2 + row) * length + i] = sum;
        if (row == 0) {
            for (var branch = 0u; branch < branches; branch++) {
                input[branch * length + i] = $T(input_scale * sum);
            }
        }
    }
}
