// Attention for heads that are too wide for the registers of one invocation, such as the VAE's 512
// channels.
//
// A team of PARTS invocations shares a head. Each has VECTORS vectors of QUERIES queries and of
// their results. For KEYS keys at a time they compute their parts of the scores, add them up
// through workgroup memory, and go on as if each had computed the whole. One pass over the keys
// with a running maximum and a running sum: no score is stored in a buffer (Milakov and Gimelshein
// 2018; FlashAttention). A workgroup has TEAMS teams.

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
// Scores of a team for one block of keys.
const SCORES = $KEYSu * $QUERIES;

var<workgroup> part_scores: array<f32, SCORES * $LANES>;
var<workgroup> scores: array<f32, SCORES * $TEAMS>;

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let part = lane % $PARTS;
    let team = lane / $PARTS;
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
    let first_key = prompt * p.keys * row + group.y * $HEAD;
    let first_query = (group.x * $TEAMS + team) * $QUERIES;

    // The last part of a head may be narrower: vectors beyond it are multiplied by zero and not
    // stored.
//% for i in 0..VECTORS
    let at$i = min(part * $VECTORS + $i, $HEAD - 1);
    let inside$i = part * $VECTORS + $i < $HEAD;
//% end
//% for r in 0..QUERIES
    let start$r = (image * p.queries + min(first_query + $r, p.queries - 1)) * row
        + group.y * $HEAD;
    var highest$r = LOWEST;
    var total$r = 0.0;
//% for i in 0..VECTORS
    var sum$r_$i = vec4<f32>();
    let q$r_$i = select(vec4<f32>(), vec4<f32>(q[start$r + at$i]) * p.scale, inside$i);
//% end
//% end

    for (var block = 0u; block < p.keys; block += $KEYS) {
//% for j in 0..KEYS
        let key$j = first_key + min(block + $j, p.keys - 1) * row;
//% for r in 0..QUERIES
        var dot$r_$j = vec4<f32>();
//% end
//% for i in 0..VECTORS
        let k$i_$j = vec4<f32>(k[key$j + at$i]);
//% for r in 0..QUERIES
        dot$r_$j = fma(q$r_$i, k$i_$j, dot$r_$j);
//% end
//% end
//% for r in 0..QUERIES
        part_scores[((team * $KEYS + $j) * $QUERIES + $r) * $PARTS + part] =
            dot(dot$r_$j, vec4<f32>(1.0));
//% end
//% end
        workgroupBarrier();
        for (var i = part; i < SCORES; i += $PARTS) {
            var score = 0.0;
            for (var other = 0u; other < $PARTS; other++) {
                score += part_scores[(team * SCORES + i) * $PARTS + other];
            }
            let key = block + i / $QUERIES;
            let seen = select(p.keys, min(p.keys, first_query + i % $QUERIES + 1), p.causal == 1);
//% if IDENTITY
            let own = !alone || key == first_query + i % $QUERIES;
            scores[team * SCORES + i] = select(LOWEST, score, key < seen && own);
//% else
            scores[team * SCORES + i] = select(LOWEST, score, key < seen);
//% end
        }
        workgroupBarrier();
//% for r in 0..QUERIES
        var peak$r = highest$r;
//% for j in 0..KEYS
        let score$r_$j = scores[(team * $KEYS + $j) * $QUERIES + $r];
        peak$r = max(peak$r, score$r_$j);
//% end
        let fade$r = exp2(highest$r - peak$r);
        highest$r = peak$r;
        total$r *= fade$r;
//% for j in 0..KEYS
        let share$r_$j = exp2(score$r_$j - peak$r);
        total$r += share$r_$j;
//% end
//% for i in 0..VECTORS
        sum$r_$i *= fade$r;
//% end
//% end
//% for i in 0..VECTORS
//% for j in 0..KEYS
        let v$i_$j = vec4<f32>(v[key$j + at$i]);
//% for r in 0..QUERIES
        sum$r_$i = fma(vec4<f32>(share$r_$j), v$i_$j, sum$r_$i);
//% end
//% end
//% end
    }

//% for r in 0..QUERIES
    if (first_query + $r < p.queries) {
        let norm = 1.0 / total$r;
//% for i in 0..VECTORS
        if (inside$i) {
            result[shift + start$r + at$i] = vec4<$T>(sum$r_$i * norm);
        }
//% end
    }
//% end
}
