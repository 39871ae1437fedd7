// Matrix product and 3×3 convolution where workgroup memory is no faster than any other: on software adapters.
//
// A convolution is nine products, one for each tap of its kernel, of the rows of channels that the tap meets. Every
// invocation keeps ROWS × TILES vectors of sums in registers (twice that for GEGLU) and reads its factors straight from
// the buffers. All invocations of a workgroup have the same rows; neighbours have neighbouring columns.

//% if HALF
enable f16;
//% end

struct Params {
    rows: u32,              // of the result: tokens, or positions of a map
    outputs: u32,           // width of the result
    x_channels: u32,
    skip_channels: u32,
//% if CONV
    input: vec2<u32>,       // height and width as stored
    enlarged: vec2<u32>,    // height and width that the convolution sees
    output: vec2<u32>,      // height and width of the result
    stride: u32,
    add_step: u32,          // from one image's timestep embedding to the next one's, in pieces; 0 if there is but one
//% end
}

//% for s in SOURCES
@group(0) @binding($SLOT) var<storage, read> $s: array<$INPUT>;
//% end
@group(0) @binding($SLOT) var<storage, read> weight: array<$OUTPUT>;
//% if BIAS
@group(0) @binding($SLOT) var<storage, read> bias: array<$VECTOR>;
//% end
//% for a in ADDENDS
@group(0) @binding($SLOT) var<storage, read> $a: array<$OUTPUT>;
//% end
@group(0) @binding($SLOT) var<storage, read_write> result: array<$OUTPUT>;
@group(0) @binding($SLOT) var<uniform> p: Params;

// Inputs are counted in pieces of STEP channels, outputs and columns in pieces of UNIT: vectors where channels divide by
// four, single elements elsewhere.

//% for s in SOURCES
fn $s_at(i: u32) -> vec4<f32> {
//% if STEP == 4
    return vec4<f32>($s[i]);
//% else
    return vec4<f32>(f32($s[i]), 0.0, 0.0, 0.0);
//% end
}
//% end

// Four elements, from `column` on, of the row that begins at `start`. Those beyond the last column are never stored and
// may be anything.
//% for m in MATRICES
fn $m_at(start: u32, column: u32) -> vec4<f32> {
//% if UNIT == 4
    return vec4<f32>($m[start + column]);
//% else
    let last = p.outputs - 1;
    return vec4<f32>(
        f32($m[start + min(column, last)]),
        f32($m[start + min(column + 1, last)]),
        f32($m[start + min(column + 2, last)]),
        f32($m[start + min(column + 3, last)]),
    );
//% end
}
//% end

fn store(row: u32, column: u32, value: vec4<f32>) {
    let width = p.outputs / $UNIT;
    if (row >= p.rows || column >= width) {
        return;
    }
//% if UNIT == 4
    result[row * width + column] = vec4<$T>(value);
//% else
    for (var i = 0u; i < min(4, width - column); i++) {
        result[row * width + column + i] = $T(value[i]);
    }
//% end
}

//% if CONV
// Image, row and column of position `index` of the result.
fn place(index: u32) -> vec3<u32> {
    let row = index / p.output.y;
    return vec3<u32>(row / p.output.x, row % p.output.x, index % p.output.y);
}

// The position in the input that kernel tap `tap` meets around `centre`.
const OUTSIDE = 0xffffffffu;
fn met(centre: vec3<u32>, tap: vec2<u32>) -> u32 {
    let beyond = centre.yz * p.stride + tap;    // one more than the position: the padding is 1
    if (any(beyond == vec2<u32>()) || any(beyond > p.enlarged)) {
        return OUTSIDE;
    }
    let at = (beyond - 1) * p.input / p.enlarged;
    return (centre.x * p.input.x + at.x) * p.input.y + at.y;
}
//% end

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Tiles of the same columns follow each other: their weights stay in the cache, which whole rows of tiles do not.
    let first_row = (group.x + group.z * 65535) * $ROWS;
    if (first_row >= p.rows) {
        return;
    }
    let width = p.outputs / $UNIT;
//% for r in 0..ROWS
    let row$r = min(first_row + $r, p.rows - 1);
//% if CONV
    let centre$r = place(row$r);
//% end
//% for t in 0..TILES
//% for h in 0..PARTS
    var sum$r_$t_$h = vec4<f32>();
//% end
//% end
//% end
//% for t in 0..TILES
    let column$t = ((group.y * $TILES + $t) * $LANES + lane) * (4 / $UNIT);
    let kept$t = min(column$t, width - 1);
//% end

    var weight_row = 0u;
//% if CONV
    for (var tap = 0u; tap < 9; tap++) {
//% for r in 0..ROWS
        let at$r = met(centre$r, vec2<u32>(tap / 3, tap % 3));
//% end
//% else
    {
//% for r in 0..ROWS
        let at$r = row$r;
//% end
//% end
//% for s in SOURCES
        {
            let length = p.$s_channels / $STEP;
//% for r in 0..ROWS
//% if CONV
            let inside$r = at$r != OUTSIDE;
            let start$r = select(0, at$r * length, inside$r);
//% else
            let start$r = at$r * length;
//% end
//% end
            for (var i = 0u; i < length; i++) {
//% for r in 0..ROWS
//% if CONV
                let a$r = select(vec4<f32>(), $s_at(start$r + i), inside$r);
//% else
                let a$r = $s_at(start$r + i);
//% end
//% end
//% for k in 0..STEP
//% for t in 0..TILES
//% for h in 0..PARTS
                let w$k_$t_$h = weight_at(weight_row + $h * width, kept$t);
//% for r in 0..ROWS
                sum$r_$t_$h = fma(vec4<f32>(a$r[$k]), w$k_$t_$h, sum$r_$t_$h);
//% end
//% end
//% end
                weight_row += width * $PARTS;
//% end
            }
        }
//% end
    }

//% for t in 0..TILES
//% for r in 0..ROWS
    {
//% for h in 0..PARTS
        var y$h = sum$r_$t_$h;
//% if BIAS
        y$h += bias_at($h * width, kept$t);
//% end
//% end
//% if GELU
        y0 *= gelu(y1);
//% end
//% if ADD
        y0 += add_at(centre$r.x * p.add_step, kept$t);
//% end
//% if RESIDUAL
        y0 += residual_at(row$r * width, kept$t);
//% end
        store(first_row + $r, column$t, y0);
    }
//% end
//% end
}
