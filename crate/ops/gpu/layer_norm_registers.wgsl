// LayerNorm for software adapters, where workgroup memory is no faster than any other: one
// invocation for each token.

//% if HALF
enable f16;
//% end

struct Params {
    tokens: u32,
    channels: u32,
    eps: f32,
}

@group(0) @binding($SLOT) var<storage, read> x: array<$DATA>;
@group(0) @binding($SLOT) var<storage, read> weight: array<$WIDE>;
@group(0) @binding($SLOT) var<storage, read> bias: array<$WIDE>;
@group(0) @binding($SLOT) var<storage, read_write> result: array<$DATA>;
@group(0) @binding($SLOT) var<uniform> p: Params;

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let token = (id.x + id.y * 65535) * $LANES + lane;
    if (token >= p.tokens) {
        return;
    }
    let width = p.channels / $WIDTH;
    let start = token * width;

    // Sums are of differences from one of the values: E[x²] − E[x]² of values far from zero loses
    // all digits.
    let pivot = $WIDE(x[start]);
//% if WIDTH == 4
    let origin = vec4<f32>(pivot.x);
//% else
    let origin = pivot;
//% end
    var sum = $WIDE();
    var squares = $WIDE();
    for (var i = 0u; i < width; i++) {
        let d = $WIDE(x[start + i]) - origin;
        sum += d;
        squares = fma(d, d, squares);
    }
//% if WIDTH == 4
    let offset = dot(sum, vec4<f32>(1.0)) / f32(p.channels);
    let square = dot(squares, vec4<f32>(1.0)) / f32(p.channels);
//% else
    let offset = sum / f32(p.channels);
    let square = squares / f32(p.channels);
//% end
    let mean = origin + offset;
    let scale = 1.0 / sqrt(max(square - offset * offset, 0.0) + p.eps);

    for (var i = 0u; i < width; i++) {
        let value = ($WIDE(x[start + i]) - mean) * scale;
        result[start + i] = $DATA(fma(value, weight[i], bias[i]));
    }
}
