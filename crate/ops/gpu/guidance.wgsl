// Guidance that depends on the whole latent: sums over its elements, and from them the factors with
// which the step's kernel combines the predictions. One workgroup. The formulas are those of
// crate/sampling/guidance/, for the vectors
//     b   the first branch's prediction
//     d   the prompts' difference to it, Σ weight · (prompt − b)
//     v   a third one: the second branch's difference to b, or the running average of d

//% if HALF
enable f16;
//% end

@group(0) @binding($SLOT) var<storage, read> prediction: array<$T>;
@group(0) @binding($SLOT) var<storage, read> given: array<f32>;
// Factors of b, d and v; the cosine of the predictions for prompt and negative prompt.
@group(0) @binding($SLOT) var<storage, read_write> measured: array<f32>;
//% if VECTOR == average
@group(0) @binding($SLOT) var<storage, read_write> average: array<f32>;
//% end
// x: elements of an array; y: branches; z: the first prompt's.
@group(0) @binding($SLOT) var<uniform> p: vec4<u32>;

// b, d and v: their sums, their squares, the products b·d, b·v and d·v.
var<workgroup> sums: array<vec3<f32>, $LANES>;
var<workgroup> squares: array<vec3<f32>, $LANES>;
var<workgroup> products: array<vec3<f32>, $LANES>;

@compute @workgroup_size($LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
    let length = p.x;
    var sum = vec3<f32>();
    var square = vec3<f32>();
    var product = vec3<f32>();
    for (var i = lane; i < length; i += $LANES) {
        let b = f32(prediction[i]);
        var d = 0.0;
        for (var branch = p.z; branch < p.y; branch++) {
            let weight = given[$GUIDANCE + 8 + branch];
            d += weight * (f32(prediction[branch * length + i]) - b);
        }
//% if VECTOR == average
        let v = d + given[$GUIDANCE + 2] * average[i];
        average[i] = v;
//% else
//% if VECTOR == branch
        let v = f32(prediction[length + i]) - b;
//% else
        let v = 0.0;
//% end
//% end
        let vectors = vec3<f32>(b, d, v);
        sum += vectors;
        square += vectors * vectors;
        product += vec3<f32>(b * d, b * v, d * v);
    }
    sums[lane] = sum;
    squares[lane] = square;
    products[lane] = product;
    workgroupBarrier();
    for (var left = $LANESu / 2; left > 0; left /= 2) {
        if (lane < left) {
            sums[lane] += sums[lane + left];
            squares[lane] += squares[lane + left];
            products[lane] += products[lane + left];
        }
        workgroupBarrier();
    }
    if (lane > 0) {
        return;
    }

    let scale = given[3];
    let bb = squares[0].x;
    let dd = squares[0].y;
    let vv = squares[0].z;
    let bd = products[0].x;
    let bv = products[0].y;
    let dv = products[0].z;
    let pp = bb + 2 * bd + dd;          // the prompt's prediction is b + d
    var k = vec3<f32>(1, scale, 0);
//% if METHOD == cfg_zero
    // α · b + s · (b + d − α · b)
    let alpha_less_1 = (bd - 1e-8) / (bb + 1e-8);
    k.x = select(1 + alpha_less_1 * (1 - scale), 0.0, given[$GUIDANCE] != 0);
    k.y = select(scale, 0.0, given[$GUIDANCE] != 0);
//% end
//% if METHOD == apg
    let eta = given[$GUIDANCE + 1];
    let threshold = given[$GUIDANCE + 3];
    let limit = select(1.0, min(1.0, threshold / sqrt(vv)), threshold > 0);
    let parallel = (bv + dv) / pp;      // of v, in units of the prompt's prediction
    let taken = scale * limit * (1 - eta) * parallel;
    k = vec3<f32>(1 - taken, -taken, scale * limit);
//% end
//% if METHOD == perp_neg
    let weight = given[$GUIDANCE + 4];
    k.y = scale * (1 + weight * dv / dd);
    k.z = -scale * weight;
//% end
//% if METHOD == tangential
    // n' = sin · (cos · p + sin · n), where the angle is that of the first left singular vector.
    let angle = 0.5 * atan2(2 * (bb + bd), 2 * bd + dd);
    let c = cos(angle);
    let s = sin(angle);
    k.x = (1 - scale) * s * (c + s) + scale;
    k.y = (1 - scale) * s * c + scale;
//% end
    let rescale = given[$GUIDANCE + 5];
    if (rescale > 0) {
        let prompts = pp - (sums[0].x + sums[0].y) * (sums[0].x + sums[0].y) / f32(length);
        let mean = dot(k, sums[0]);
        let all = dot(k * k, squares[0])
            + 2 * (k.x * k.y * bd + k.x * k.z * bv + k.y * k.z * dv)
            - mean * mean / f32(length);
        if (all > 0) {
            k *= rescale * sqrt(prompts / all) + 1 - rescale;
        }
    }
    measured[0] = k.x;
    measured[1] = k.y;
    measured[2] = k.z;
//% if VECTOR == branch
    // v is the negative prompt's difference to the empty prompt's prediction.
    let nn = bb + 2 * bv + vv;
    measured[3] = (bb + bd + bv + dv) / sqrt(pp * nn);
//% else
    measured[3] = (bb + bd) / sqrt(pp * bb);
//% end
}
