// Common part of matrix products and 3×3 convolutions, for every division of their work. A
// convolution is nine products, one for each tap of its kernel, with the rows of channels at that
// tap.

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
    // From one image's timestep embedding to the next one's, in pieces; 0 if there is only one.
    add_step: u32,
//% end
}

//% for s in SOURCES
@group(0) @binding($SLOT) var<storage, read> $s: array<$INPUT>;
//% end
@group(0) @binding($SLOT) var<storage, read> weight: array<$WEIGHT>;
//% if BIAS
@group(0) @binding($SLOT) var<storage, read> bias: array<$VECTOR>;
//% end
//% for a in ADDENDS
@group(0) @binding($SLOT) var<storage, read> $a: array<$OUTPUT>;
//% end
@group(0) @binding($SLOT) var<storage, read_write> result: array<$OUTPUT>;
@group(0) @binding($SLOT) var<uniform> p: Params;

// Outputs and columns are counted in pieces of UNIT: in vectors where their number divides by four,
// else one by one.

// Element `i` of each buffer, in f32: UNIT neighbours.
//% if PACKED
fn weight_element(i: u32) -> $VECTOR {
//% if UNIT == 4
    return vec4<f32>(unpack2x16float(weight[i].x), unpack2x16float(weight[i].y));
//% else
    return unpack2x16float(weight[i / 2])[i % 2];
//% end
}
//% else
fn weight_element(i: u32) -> $VECTOR {
    return $VECTOR(weight[i]);
}
//% end
//% if BIAS
fn bias_element(i: u32) -> $VECTOR {
    return bias[i];
}
//% end
//% for a in ADDENDS
fn $a_element(i: u32) -> $VECTOR {
    return $VECTOR($a[i]);
}
//% end

// Four elements, from `column` on, of the row that begins at `start`. Those beyond the last column
// are undefined and never stored.
//% for m in MATRICES
fn $m_at(start: u32, column: u32) -> vec4<f32> {
//% if UNIT == 4
    return $m_element(start + column);
//% else
    let last = p.outputs - 1;
    return vec4<f32>(
        $m_element(start + min(column, last)),
        $m_element(start + min(column + 1, last)),
        $m_element(start + min(column + 2, last)),
        $m_element(start + min(column + 3, last)),
    );
//% end
}
//% end

// Stores the results for the sums of four columns. For GEGLU, `gates` are the sums of the columns
// that gate them.
fn finish(row: u32, column: u32, sums: vec4<f32>, gates: vec4<f32>) {
    let width = p.outputs / $UNIT;
    if (row >= p.rows || column >= width) {
        return;
    }
    var y = sums;
//% if BIAS
    y += bias_at(0, column);
//% end
//% if GELU
    y *= gelu(gates + bias_at(width, column));
//% end
//% if ADD
    y += add_at(row / (p.output.x * p.output.y) * p.add_step, column);
//% end
//% if RESIDUAL
    y += residual_at(row * width, column);
//% end
//% if UNIT == 4
    result[row * width + column] = vec4<$T>(y);
//% else
    for (var i = 0u; i < min(4, width - column); i++) {
        result[row * width + column + i] = $T(y[i]);
    }
//% end
}

// Marks a position beyond the map's edge.
const OUTSIDE = 0xffffffffu;

//% if CONV
// Image, row and column of position `index` of the result.
fn place(index: u32) -> vec3<u32> {
    let row = index / p.output.y;
    return vec3<u32>(row / p.output.x, row % p.output.x, index % p.output.y);
}

// The position in the input of kernel tap `tap` around `centre`.
fn met(centre: vec3<u32>, tap: vec2<u32>) -> u32 {
    let beyond = centre.yz * p.stride + tap;    // one more than the position: the padding is 1
    if (any(beyond == vec2<u32>()) || any(beyond > p.enlarged)) {
        return OUTSIDE;
    }
    let at = (beyond - 1) * p.input / p.enlarged;
    return (centre.x * p.input.x + at.x) * p.input.y + at.y;
}
//% end
