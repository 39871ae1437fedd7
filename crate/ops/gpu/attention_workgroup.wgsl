// Attention for GPUs.
//
// A workgroup computes ROWS queries of one head, with SIDE × STACK invocations of QUERIES queries
// each. For a block of keys, four for each invocation, it computes scores as a matrix product does,
// DEPTH vectors of the head at a time; rescales by a running maximum; and adds the shares of the
// values to its VECTORS vectors of each result. One pass over the keys, and no score is stored in a
// buffer (Milakov and Gimelshein 2018; FlashAttention). Everything that several invocations read is
// read from workgroup memory, in f32. The elements of an invocation are SIDE or STACK apart, so
// that neighbours read neighbouring memory, and rows there begin in different banks.

//% if HALF
enable f16;
//% end

struct Params {
    queries: u32,           // in one image
    keys: u32,
    heads: u32,
    causal: u32,            // 1: a query sees the keys up to its own place only
    scale: f32,             // log2(e)/√d: softmax is computed in powers of two
//% if NAG
    images: u32,            // the guided ones are computed a second time behind them
    first: u32,             // of the guided images
    negative: u32,          // the prompt of the second time
//% end
//% if IDENTITY
    last: u32,              // the image with the identity as attention
//% end
}

@group(0) @binding($SLOT) var<storage, read> q: array<vec4<$T>>;
@group(0) @binding($SLOT) var<storage, read> k: array<vec4<$T>>;
@group(0) @binding($SLOT) var<storage, read> v: array<vec4<$T>>;
@group(0) @binding($SLOT) var<storage, read_write> result: array<vec4<$T>>;
@group(0) @binding($SLOT) var<uniform> p: Params;

const LOWEST = -3.0e38;
// Queries of a workgroup, and keys of a block.
const ROWS = $STACKu * $QUERIES;
const KEYS = $SIDEu * 4;

// The tile holds, one after the other, a part of the queries and keys of a block; then the shares
// of the block's keys, four keys to a vector, and behind them values or the results that
// invocations exchange.
var<workgroup> tile: array<vec4<f32>, $TILE>;
const FIRST_KEY = ROWS * $PITCH;
const BEHIND = ROWS * $SHARES;

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let side = lane % $SIDE;
    let level = lane / $SIDE;
//% if NAG
    let again = group.z >= p.images;
    let image = select(group.z, group.z - p.images + p.first, again);
    let prompt = select(group.z, p.negative, again);
//% else
    let image = group.z;
    let prompt = group.z;
//% end
//% if IDENTITY
    let alone = image == p.last;            // each of its queries sees its own key only
//% end
    let row = p.heads * $HEAD;              // of q, k, v and result, in vectors
    let shift = (group.z - image) * p.queries * row;    // of the result behind its queries
    let first_query = group.x * ROWS;
    let query_start = image * p.queries * row + group.y * $HEAD;
    let key_start = prompt * p.keys * row + group.y * $HEAD;

//% for i in 0..VECTORS
    let column$i = min(side + $i * $SIDE, $HEAD - 1);
//% end
//% for r in 0..QUERIES
    let query$r = first_query + level + $r * $STACK;
    let seen$r = select(p.keys, min(p.keys, query$r + 1), p.causal == 1);
//% for i in 0..VECTORS
    var sum$r_$i = vec4<f32>();
//% end
//% end
    // Totals by query, of this invocation's keys only.
    var highest = vec4<f32>(LOWEST);
    var total = vec4<f32>();

    // Number of keys that any of the queries sees.
    let end = select(p.keys, min(p.keys, first_query + ROWS), p.causal == 1);
    for (var block = 0u; block < end; block += KEYS) {
//% for r in 0..QUERIES
//% for j in 0..4
        var score$r_$j = 0.0;
//% end
//% end
        for (var first = 0u; first < $HEAD; first += $DEPTH) {
            workgroupBarrier();             // all have read the previous contents
            for (var i = lane; i < ROWS * $DEPTH; i += $LANES) {
                let query = min(first_query + i / $DEPTH, p.queries - 1);
//% if RAGGED
                let at = first + i % $DEPTH;
                let inside = at < $HEAD;
                let value = vec4<f32>(q[query_start + query * row + min(at, $HEAD - 1)]) * p.scale;
                tile[i / $DEPTH * $PITCH + i % $DEPTH] = select(vec4<f32>(), value, inside);
//% else
                let value = vec4<f32>(q[query_start + query * row + first + i % $DEPTH]) * p.scale;
                tile[i / $DEPTH * $PITCH + i % $DEPTH] = value;
//% end
            }
            for (var i = lane; i < KEYS * $DEPTH; i += $LANES) {
                let key = min(block + i / $DEPTH, p.keys - 1);
//% if RAGGED
                let at = min(first + i % $DEPTH, $HEAD - 1);
//% else
                let at = first + i % $DEPTH;
//% end
                tile[FIRST_KEY + i / $DEPTH * $PITCH + i % $DEPTH] =
                    vec4<f32>(k[key_start + key * row + at]);
            }
            workgroupBarrier();
            for (var i = 0u; i < $DEPTH; i++) {
//% for r in 0..QUERIES
                let q$r = tile[(level + $r * $STACK) * $PITCH + i];
//% end
//% for j in 0..4
                let k$j = tile[FIRST_KEY + (side + $j * $SIDE) * $PITCH + i];
//% for r in 0..QUERIES
//% for l in 0..4
                score$r_$j = fma(q$r[$l], k$j[$l], score$r_$j);
//% end
//% end
//% end
            }
        }

        var peaks = vec4<f32>(LOWEST);
//% for j in 0..4
        let key$j = block + side + $j * $SIDE;
//% for r in 0..QUERIES
//% if IDENTITY
        let own$r_$j = !alone || key$j == query$r;
        score$r_$j = select(LOWEST, score$r_$j, key$j < seen$r && own$r_$j);
//% else
        score$r_$j = select(LOWEST, score$r_$j, key$j < seen$r);
//% end
        peaks[$r] = max(peaks[$r], score$r_$j);
//% end
//% end
        workgroupBarrier();                 // all have read queries and keys
        tile[BEHIND + lane] = peaks;
        workgroupBarrier();
        peaks = highest;
        for (var i = 0u; i < $SIDE; i++) {
            peaks = max(peaks, tile[BEHIND + level * $SIDE + i]);
        }
        let fade = exp2(highest - peaks);
        highest = peaks;
        total *= fade;
//% for r in 0..QUERIES
        let share$r = exp2(vec4<f32>(score$r_0, score$r_1, score$r_2, score$r_3) - peaks[$r]);
        total[$r] += dot(share$r, vec4<f32>(1.0));
        tile[(level + $r * $STACK) * $SHARES + side] = share$r;
//% for i in 0..VECTORS
        sum$r_$i *= fade[$r];
//% end
//% end

        // Four times SLAB keys at a time: those with shares in SLAB vectors.
        for (var first = 0u; first < $SIDE; first += $SLAB) {
            // Shares are written, and the memory behind them is free.
            workgroupBarrier();
            for (var i = lane; i < $SLABu * 4 * $HEAD; i += $LANES) {
                let slot = i / $HEAD;
                let key = min(block + first + slot / 4 + slot % 4 * $SIDE, p.keys - 1);
                tile[BEHIND + i] = vec4<f32>(v[key_start + key * row + i % $HEAD]);
            }
            workgroupBarrier();
            for (var i = 0u; i < min($SLAB, $SIDE - first); i++) {
//% for r in 0..QUERIES
                let part$r = tile[(level + $r * $STACK) * $SHARES + first + i];
//% end
//% for j in 0..4
//% for c in 0..VECTORS
                let v$j_$c = tile[BEHIND + (i * 4 + $j) * $HEAD + column$c];
//% for r in 0..QUERIES
                sum$r_$c = fma(vec4<f32>(part$r[$j]), v$j_$c, sum$r_$c);
//% end
//% end
//% end
            }
        }
    }

    workgroupBarrier();
    tile[BEHIND + lane] = total;
    workgroupBarrier();
    total = vec4<f32>();
    for (var i = 0u; i < $SIDE; i++) {
        total += tile[BEHIND + level * $SIDE + i];
    }
//% for r in 0..QUERIES
    if (query$r < p.queries) {
        let norm = 1.0 / total[$r];
        let start = query_start + shift + query$r * row;
//% for i in 0..VECTORS
        if (side + $i * $SIDE < $HEAD) {
            result[start + column$i] = vec4<$T>(sum$r_$i * norm);
        }
//% end
    }
//% end
}
