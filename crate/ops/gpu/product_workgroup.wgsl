
// Matrix product and 3×3 convolution for GPUs.
//
// A workgroup of SIDE × SIDE invocations computes a tile of SIDE·ROWS rows by SIDE·TILES vectors of
// columns (for GEGLU, of values and of as many gates). For DEPTH vectors of channels at a time it
// brings the factors into workgroup memory, in f32, where each is read SIDE times. The rows and
// columns of an invocation are SIDE apart, so that neighbours read neighbouring memory.

const SIDE = $SIDE;
// Vectors of channels in a block.
const BLOCK = $DEPTH;
// Vectors from one row of inputs to the next: one more than a block, because half of the reads
// would be from one bank otherwise.
const INPUT_PITCH = BLOCK + 1;
const WEIGHT_PITCH = SIDE * $TILES * $PARTS;
// Rows of a block's inputs, and of its weights, that all invocations together bring at once.
const INPUT_ROWS = $LANES / BLOCK;
const WEIGHT_ROWS = $LANES / WEIGHT_PITCH;

var<workgroup> inputs: array<vec4<f32>, SIDE * $ROWS * INPUT_PITCH>;
var<workgroup> weights: array<vec4<f32>, BLOCK * 4 * WEIGHT_PITCH>;

// The i-th vector of the channels at position `at`, zero where there are none.
//% for s in SOURCES
fn $s_at(at: u32, i: u32) -> vec4<f32> {
//% if STEP == 4
    let length = p.$s_channels / 4;
    if (i >= length || at == OUTSIDE) {
        return vec4<f32>();
    }
    return vec4<f32>($s[at * length + i]);
//% else
    var value = vec4<f32>();
    if (at != OUTSIDE) {
        for (var c = 4 * i; c < min(4 * i + 4, p.$s_channels); c++) {
            value[c % 4] = f32($s[at * p.$s_channels + c]);
        }
    }
    return value;
//% end
}
//% end

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_row = (group.x + group.z * 65535) * (SIDE * $ROWS);
    let width = p.outputs / $UNIT;
    let depth = (p.x_channels + p.skip_channels) * $TAPS;
    let mine = vec2<u32>(lane % SIDE, lane / SIDE);       // column and row in the tile

    // This invocation brings, of a block, the same vector of channels of some rows …
    let input_vector = lane % BLOCK;
    let input_row = lane / BLOCK;
//% for i in 0..INPUTLOADS
    let row$i = min(first_row + input_row + $i * INPUT_ROWS, p.rows - 1);
//% if CONV
    let centre$i = place(row$i);
//% end
//% end
    // … and the same column of weights.
    let weight_row = lane / WEIGHT_PITCH;
    let weight_column = lane % WEIGHT_PITCH;
    let weight_tile = weight_column / (SIDE * $PARTS);
    let weight_part = weight_column / SIDE % $PARTS * width;
    let column = min(
        ((group.y * $TILES + weight_tile) * SIDE + weight_column % SIDE) * (4 / $UNIT), width - 1);

//% for r in 0..ROWS
//% for t in 0..VECTORS
    var sum$r_$t = vec4<f32>();
//% end
//% end

    var first_weight = 0u;
    for (var tap = 0u; tap < $TAPS; tap++) {
//% for i in 0..INPUTLOADS
//% if CONV
        let at$i = met(centre$i, vec2<u32>(tap / 3, tap % 3));
//% else
        let at$i = row$i;
//% end
//% end
//% for s in SOURCES
        for (var c = 0u; c < p.$s_channels; c += BLOCK * 4) {
//% for i in 0..INPUTLOADS
            let input$i = $s_at(at$i, c / 4 + input_vector);
//% end
//% for i in 0..WEIGHTLOADS
            let weight_row$i = min(first_weight + c + weight_row + $i * WEIGHT_ROWS, depth - 1);
            let weight$i = weight_at(weight_row$i * $PARTS * width + weight_part, column);
//% end
            workgroupBarrier();     // all have read the block before
//% for i in 0..INPUTLOADS
            inputs[(input_row + $i * INPUT_ROWS) * INPUT_PITCH + input_vector] = input$i;
//% end
//% for i in 0..WEIGHTLOADS
            weights[lane + $i * $LANES] = weight$i;
//% end
            workgroupBarrier();
            for (var k = 0u; k < BLOCK; k++) {
//% for r in 0..ROWS
                let a$r = inputs[(mine.y + $r * SIDE) * INPUT_PITCH + k];
//% end
//% for l in 0..4
//% for t in 0..VECTORS
                let w$l_$t = weights[(k * 4 + $l) * WEIGHT_PITCH + $t * SIDE + mine.x];
//% for r in 0..ROWS
                sum$r_$t = fma(vec4<f32>(a$r[$l]), w$l_$t, sum$r_$t);
//% end
//% end
//% end
            }
        }
        first_weight += p.$s_channels;
//% end
    }

//% for r in 0..ROWS
//% if GELU
    finish(first_row + mine.y + $r * SIDE, (group.y * SIDE + mine.x) * (4 / $UNIT),
        sum$r_0, sum$r_1);
//% else
//% for t in 0..TILES
    finish(first_row + mine.y + $r * SIDE, ((group.y * $TILES + $t) * SIDE + mine.x) * (4 / $UNIT),
        sum$r_$t, vec4<f32>());
//% end
//% end
//% end
}
