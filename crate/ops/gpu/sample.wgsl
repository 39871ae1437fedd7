// Guidance, the sampler's step, and the U-Net's next input, element by element. A sampler is a set
// of weights for sums over the latent, the prediction, the denoised latent, noise, and the history.

//% if HALF
enable f16;
//% end

// One prediction for each branch: what guidance moves away from, then the prompts; or the prompts
// alone.
@group(0) @binding($SLOT) var<storage, read> prediction: array<$T>;
@group(0) @binding($SLOT) var<storage, read> given: array<f32>;
@group(0) @binding($SLOT) var<storage, read> noise: array<f32>;
//% if MEASURED
// Factors of the base, of the prompts' difference to it, and of another vector; a cosine.
@group(0) @binding($SLOT) var<storage, read> measured: array<f32>;
//% end
//% if VECTOR == average
@group(0) @binding($SLOT) var<storage, read> average: array<f32>;
//% end
// Rows: prediction, denoised latent, latent, the cosine if it is wanted, history.
@group(0) @binding($SLOT) var<storage, read_write> arrays: array<f32>;
// Input of the next call, the same for every branch.
@group(0) @binding($SLOT) var<storage, read_write> input: array<$T>;
// x: elements of an array; y: branches; z: the first prompt's; w: branches of the input.
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
//% if WEIGHTED
    var difference = 0.0;
    for (var branch = p.z; branch < branches; branch++) {
        let weight = given[$GUIDANCE + 8 + branch];
        difference += weight * (f32(prediction[branch * length + i]) - predicted);
    }
//% if MEASURED
    let base = predicted;
    predicted = measured[0] * base + measured[1] * difference;
//% if VECTOR == average
    predicted += measured[2] * average[i];
//% end
//% if VECTOR == branch
    predicted += measured[2] * (f32(prediction[length + i]) - base);
//% end
//% else
    predicted += guidance * difference;
//% end
//% else
    if (branches == 2) {
        predicted += guidance * (f32(prediction[length + i]) - predicted);
    }
//% end
    var terms: array<f32, $TERMS>;
    terms[0] = arrays[2 * length + i];
    terms[1] = predicted;
    terms[2] = clamp(given[0] * terms[0] + given[1] * terms[1], -limit, limit);
    terms[3] = noise[i];
    for (var k = 0u; k < $HISTORY; k++) {
        terms[4 + k] = arrays[($READ + k) * length + i];
    }
    arrays[i] = predicted;
    arrays[length + i] = terms[2];
//% if MEASURED
//% if READ == 4
    if (i == 0) {
        arrays[3 * length] = measured[3];
    }
//% end
//% end
    for (var row = 0u; row <= $HISTORY; row++) {
        var sum = 0.0;
        for (var t = 0u; t < $TERMS; t++) {
            sum += given[8 + row * $TERMS + t] * terms[t];
        }
        let place = select($READ - 1 + row, 2u, row == 0);
        arrays[place * length + i] = sum;
        if (row == 0) {
            for (var branch = 0u; branch < p.w; branch++) {
                input[branch * length + i] = $T(input_scale * sum);
            }
        }
    }
}
