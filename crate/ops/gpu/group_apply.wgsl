// Second pass of GroupNorm: (x − mean)·weight/deviation + bias, followed by SiLU where asked.
//
// A workgroup first combines the statistics of the parts of its groups. Its invocations then form
// rows of `columns`, each with one vector of channels at POSITIONS positions.

//% if HALF
enable f16;
//% end

struct Params {
    images: u32,
    positions: u32,         // of one image
    x_channels: u32,
    skip_channels: u32,
    groups: u32,
    parts: u32,             // of a group
    columns: u32,           // vectors of channels of a workgroup
    blocks: u32,            // of positions, in an image
    eps: f32,
}

//% for s in SOURCES
@group(0) @binding($SLOT) var<storage, read> $s: array<$DATA>;
//% end
@group(0) @binding($SLOT) var<storage, read> weight: array<$WIDE>;
@group(0) @binding($SLOT) var<storage, read> bias: array<$WIDE>;
@group(0) @binding($SLOT) var<storage, read> statistics: array<vec4<f32>>;
@group(0) @binding($SLOT) var<storage, read_write> result: array<$DATA>;
@group(0) @binding($SLOT) var<uniform> p: Params;

// Mean and reciprocal standard deviation of the groups of the workgroup's channels.
var<workgroup> known: array<vec2<f32>, $COLUMNS * $WIDTH + 1>;

fn finish(value: $WIDE) -> $DATA {
//% if SILU
    return $DATA(value / (1.0 + exp(-value)));
//% else
    return $DATA(value);
//% end
}

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = id.y + id.z * 65535;
    if (index >= p.images * p.blocks) {
        return;
    }
    let image = index / p.blocks;
    let block = index % p.blocks;
    let channels = p.x_channels + p.skip_channels;
    let width = channels / $WIDTH;
    let size = channels / p.groups;
    let first = id.x * p.columns;           // in vectors
    let first_group = first * $WIDTH / size;
    let last_group = (min(first + p.columns, width) * $WIDTH - 1) / size;
    for (var group = first_group + lane; group <= last_group; group += $LANES) {
        let start = (image * p.groups + group) * p.parts;
        var count = 0.0;
        var mean = 0.0;
        for (var i = start; i < start + p.parts; i++) {
            count += statistics[i].x;
            mean += statistics[i].x * statistics[i].y;
        }
        mean /= count;
        var deviations = 0.0;
        for (var i = start; i < start + p.parts; i++) {
            let d = statistics[i].y - mean;
            deviations += statistics[i].z + statistics[i].x * d * d;
        }
        known[group - first_group] = vec2<f32>(mean, 1.0 / sqrt(deviations / count + p.eps));
    }
    workgroupBarrier();

    let rows = $LANES / p.columns;
    let row = lane / p.columns;
    let at = first + lane % p.columns;
    if (row >= rows || at >= width) {
        return;
    }
//% for k in 0..WIDTH
    let group$k = known[(at * $WIDTH + $k) / size - first_group];
//% end
//% if WIDTH == 4
    let mean = vec4<f32>(group0.x, group1.x, group2.x, group3.x);
    let scale = vec4<f32>(group0.y, group1.y, group2.y, group3.y) * weight[at];
//% else
    let mean = group0.x;
    let scale = group0.y * weight[at];
//% end
    let shift = bias[at];
    let begin = image * p.positions + block * rows * $POSITIONS + row;
    let end = image * p.positions + min(p.positions, (block + 1) * rows * $POSITIONS);
    let x_width = p.x_channels / $WIDTH;
//% for s in SOURCES
//% if s == x
    if (at < x_width) {
        let source_width = x_width;
        let source_at = at;
//% else
    else {
        let source_width = p.skip_channels / $WIDTH;
        let source_at = at - x_width;
//% end
        for (var position = begin; position < end; position += rows) {
            let value = $WIDE($s[position * source_width + source_at]);
            result[position * width + at] = finish((value - mean) * scale + shift);
        }
    }
//% end
}
