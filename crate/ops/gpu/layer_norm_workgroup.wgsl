// LayerNorm for GPUs: a team of TEAM invocations for each token, and TEAMS teams in a workgroup.

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

var<workgroup> sums: array<vec2<f32>, $LANES>;

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let token = (id.x + id.y * 65535) * $TEAMS + lane / $TEAM;
    let member = lane % $TEAM;
    let width = p.channels / $WIDTH;
    let start = min(token, p.tokens - 1) * width;

    // Sums are of differences from one of the values: E[x²] − E[x]² of values far from zero loses
    // all digits.
//% if WIDTH == 4
    let pivot = vec4<f32>(f32(x[start].x));
//% else
    let pivot = f32(x[start]);
//% end
    var sum = $WIDE();
    var squares = $WIDE();
    for (var i = member; i < width; i += $TEAM) {
        let d = $WIDE(x[start + i]) - pivot;
        sum += d;
        squares = fma(d, d, squares);
    }
//% if WIDTH == 4
    sums[lane] = vec2<f32>(dot(sum, vec4<f32>(1.0)), dot(squares, vec4<f32>(1.0)));
//% else
    sums[lane] = vec2<f32>(sum, squares);
//% end
    workgroupBarrier();
    for (var reach = $TEAM / 2u; reach > 0; reach /= 2) {
        if (member < reach) {
            sums[lane] += sums[lane + reach];
        }
        workgroupBarrier();
    }
    let total = sums[lane - member] / f32(p.channels);
    let mean = pivot + total.x;
    let scale = 1.0 / sqrt(max(total.y - total.x * total.x, 0.0) + p.eps);

    if (token < p.tokens) {
        for (var i = member; i < width; i += $TEAM) {
            let value = ($WIDE(x[start + i]) - mean) * scale;
            result[start + i] = $DATA(fma(value, weight[i], bias[i]));
        }
    }
}
