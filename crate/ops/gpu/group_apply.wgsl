// The second pass of GroupNorm: x ↦ (x − mean)·weight/deviation + bias, with SiLU behind it where asked.
//
// Every invocation does the same WIDTH channels of POSITIONS positions.

//% if HALF
enable f16;
//% end

struct Params {
    positions: u32,         // of one image
    x_channels: u32,
    skip_channels: u32,
    groups: u32,
}

//% for s in SOURCES
@group(0) @binding($SLOT) var<storage, read> $s: array<$DATA>;
//% end
@group(0) @binding($SLOT) var<storage, read> weight: array<$WIDE>;
@group(0) @binding($SLOT) var<storage, read> bias: array<$WIDE>;
@group(0) @binding($SLOT) var<storage, read> statistics: array<vec2<f32>>;
@group(0) @binding($SLOT) var<storage, read_write> result: array<$DATA>;
@group(0) @binding($SLOT) var<uniform> p: Params;

fn finish(value: $WIDE) -> $DATA {
//% if SILU
    return $DATA(value / (1.0 + exp(-value)));
//% else
    return $DATA(value);
//% end
}

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channels = p.x_channels + p.skip_channels;
    let at = id.x * $LANES + lane;          // in vectors
    let width = channels / $WIDTH;
    let image = id.z;
    if (at >= width) {
        return;
    }
    let size = channels / p.groups;
//% for k in 0..WIDTH
    let group$k = statistics[image * p.groups + (at * $WIDTH + $k) / size];
//% end
//% if WIDTH == 4
    let mean = vec4<f32>(group0.x, group1.x, group2.x, group3.x);
    let scale = vec4<f32>(group0.y, group1.y, group2.y, group3.y) * weight[at];
//% else
    let mean = group0.x;
    let scale = group0.y * weight[at];
//% end
    let shift = bias[at];
    let first = image * p.positions + id.y * $POSITIONS;
    let end = image * p.positions + min(p.positions, (id.y + 1) * $POSITIONS);
    let x_width = p.x_channels / $WIDTH;
    if (at < x_width) {
        for (var position = first; position < end; position++) {
            let value = $WIDE(x[position * x_width + at]);
            result[position * width + at] = finish((value - mean) * scale + shift);
        }
    }
//% if SKIP
    else {
        let skip_width = p.skip_channels / $WIDTH;
        for (var position = first; position < end; position++) {
            let value = $WIDE(skip[position * skip_width + at - x_width]);
            result[position * width + at] = finish((value - mean) * scale + shift);
        }
    }
//% end
}
