// First pass of GroupNorm: number, mean and squared deviations of a part of every group.
//
// A workgroup takes BAND groups side by side over a part of the positions, so that channels are
// read in whole vectors, whatever the size of one group. Its invocations form rows of `columns`;
// those of a column add up the same channels at different positions. Sums are of differences from
// the channel's first value in the part, and parts are combined by their means: E[x²] − E[x]² of
// values far from zero loses all digits.

//% if HALF
enable f16;
//% end

struct Params {
    images: u32,
    positions: u32,         // of one image
    x_channels: u32,
    skip_channels: u32,
    groups: u32,
    parts: u32,             // of a group: of the positions, times slabs
    // Of the channels of BAND groups, where they are too many for one workgroup.
    slabs: u32,
    part_positions: u32,
    columns: u32,           // vectors of channels of a workgroup
}

//% for s in SOURCES
@group(0) @binding($SLOT) var<storage, read> $s: array<$DATA>;
//% end
@group(0) @binding($SLOT) var<storage, read_write> statistics: array<vec4<f32>>;
@group(0) @binding($SLOT) var<uniform> p: Params;

// Values by invocation; in the end, means and squared deviations by channel.
var<workgroup> sums: array<$WIDE, $LANES>;
var<workgroup> squares: array<$WIDE, $LANES>;

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let image = id.y + id.z * 65535;
    if (image >= p.images) {
        return;
    }
    let size = (p.x_channels + p.skip_channels) / p.groups;
    let bands = (p.groups + $BAND - 1) / $BAND;
    let first_group = id.x % bands * $BAND;
    let band = min($BAND, p.groups - first_group);
    let part = id.x / bands;
    let slab = part % p.slabs * p.columns;              // its first vector
    let first_position = part / p.slabs * p.part_positions;
    let count = min(p.part_positions, p.positions - first_position);

    let rows = $LANES / p.columns;
    let row = lane / p.columns;
    let inside = slab + lane % p.columns;               // vector within the band
    var pivot = $WIDE();
    var sum = $WIDE();
    var square = $WIDE();
    if (row < rows && inside < band * size / $WIDTH) {
        let at = first_group * size / $WIDTH + inside;
        let x_width = p.x_channels / $WIDTH;
//% for s in SOURCES
//% if s == x
        if (at < x_width) {
            let width = x_width;
            let start = (image * p.positions + first_position) * width + at;
//% else
        else {
            let width = p.skip_channels / $WIDTH;
            let start = (image * p.positions + first_position) * width + at - x_width;
//% end
            pivot = $WIDE($s[start]);
            for (var position = row; position < count; position += rows) {
                let d = $WIDE($s[start + position * width]) - pivot;
                sum += d;
                square = fma(d, d, square);
            }
        }
//% end
    }

    sums[lane] = sum;
    squares[lane] = square;
    workgroupBarrier();
    for (var left = rows; left > 1; left = (left + 1) / 2) {
        let half = (left + 1) / 2;
        if (row + half < left) {
            sums[lane] += sums[lane + half * p.columns];
            squares[lane] += squares[lane + half * p.columns];
        }
        workgroupBarrier();
    }
    if (row == 0) {
        let offset = sums[lane] / f32(count);
        squares[lane] = max(squares[lane] - sums[lane] * offset, $WIDE());
        sums[lane] = pivot + offset;
    }
    workgroupBarrier();

    // One invocation for each group combines its channels, which all have the same number of
    // values.
    if (lane < band) {
        let first = max(lane * size, slab * $WIDTH);
        let end = min((lane + 1) * size, (slab + p.columns) * $WIDTH);
        var channels = 0.0;
        var mean = 0.0;
        var deviations = 0.0;
        if (first < end) {
            channels = f32(end - first);
            for (var c = first; c < end; c++) {
                mean += sums[c / $WIDTH - slab]$LANE;
            }
            mean /= channels;
            for (var c = first; c < end; c++) {
                let d = sums[c / $WIDTH - slab]$LANE - mean;
                deviations += squares[c / $WIDTH - slab]$LANE + f32(count) * d * d;
            }
        }
        let place = (image * p.groups + first_group + lane) * p.parts + part;
        statistics[place] = vec4<f32>(channels * f32(count), mean, deviations, 0.0);
    }
}
