// Mean and reciprocal standard deviation of every group of GroupNorm. One workgroup a group.

//% if HALF
enable f16;
//% end

struct Params {
    positions: u32,         // of one image
    x_channels: u32,
    skip_channels: u32,
    groups: u32,
    eps: f32,
}

//% for s in SOURCES
@group(0) @binding($SLOT) var<storage, read> $s: array<$T>;
//% end
@group(0) @binding($SLOT) var<storage, read_write> statistics: array<vec2<f32>>;
@group(0) @binding($SLOT) var<uniform> p: Params;

var<workgroup> sums: array<vec2<f32>, $LANES>;

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let image = id.y;
    let group = id.x;
    let size = (p.x_channels + p.skip_channels) / p.groups;
    let first = group * size;
    let end = first + size;

    // Sums are of differences from one of the group's values: E[x²] − E[x]² of values far from zero loses all digits.
    var pivot = 0.0;
    if (first < p.x_channels) {
        pivot = f32(x[image * p.positions * p.x_channels + first]);
    }
//% if SKIP
    else {
        pivot = f32(skip[image * p.positions * p.skip_channels + first - p.x_channels]);
    }
//% end

    var total = vec2<f32>();
    for (var position = lane; position < p.positions; position += $LANES) {
        var here = vec2<f32>();
        let x_start = (image * p.positions + position) * p.x_channels;
        for (var c = first; c < min(end, p.x_channels); c++) {
            let d = f32(x[x_start + c]) - pivot;
            here += vec2<f32>(d, d * d);
        }
//% if SKIP
        let skip_start = (image * p.positions + position) * p.skip_channels;
        for (var c = max(first, p.x_channels); c < end; c++) {
            let d = f32(skip[skip_start + c - p.x_channels]) - pivot;
            here += vec2<f32>(d, d * d);
        }
//% end
        total += here;
    }

    sums[lane] = total;
    workgroupBarrier();
    for (var reach = $LANES / 2u; reach > 0; reach /= 2) {
        if (lane < reach) {
            sums[lane] += sums[lane + reach];
        }
        workgroupBarrier();
    }
    if (lane == 0) {
        let mean = sums[0] / f32(p.positions * size);
        let variance = max(mean.y - mean.x * mean.x, 0.0);
        statistics[image * p.groups + group] = vec2<f32>(pivot + mean.x, 1.0 / sqrt(variance + p.eps));
    }
}
