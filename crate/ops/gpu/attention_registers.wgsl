// Attention for software adapters, where workgroup memory is no faster than any other.
//
// Every invocation goes once over all keys for QUERIES queries of one head, KEYS at a time, with a
// running maximum and a running sum, so no score is stored (Milakov and Gimelshein 2018;
// FlashAttention). Its queries are LANES apart; keys and values are the same for a whole workgroup.

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

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
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
//% for r in 0..QUERIES
    let query$r = (group.x * $QUERIES + $r) * $LANES + lane;
    let start$r = (image * p.queries + min(query$r, p.queries - 1)) * row + group.y * $HEAD;
    let seen$r = select(p.keys, min(p.keys, query$r + 1), p.causal == 1);
    var highest$r = LOWEST;
    var total$r = 0.0;
//% for i in 0..HEAD
    var sum$r_$i = vec4<f32>();
    let q$r_$i = vec4<f32>(q[start$r + $i]) * p.scale;
//% end
//% end

    for (var block = 0u; block < p.keys; block += $KEYS) {
//% for j in 0..KEYS
        let key$j = first_key + min(block + $j, p.keys - 1) * row;
//% for r in 0..QUERIES
        var dot$r_$j = vec4<f32>();
//% end
//% end
//% for i in 0..HEAD
//% for j in 0..KEYS
        let k$i_$j = vec4<f32>(k[key$j + $i]);
//% for r in 0..QUERIES
        dot$r_$j = fma(q$r_$i, k$i_$j, dot$r_$j);
//% end
//% end
//% end
//% for r in 0..QUERIES
        var peak$r = highest$r;
//% for j in 0..KEYS
//% if IDENTITY
        let own$r_$j = !alone || block + $j == query$r;
        let score$r_$j =
            select(LOWEST, dot(dot$r_$j, vec4<f32>(1.0)), block + $j < seen$r && own$r_$j);
//% else
        let score$r_$j = select(LOWEST, dot(dot$r_$j, vec4<f32>(1.0)), block + $j < seen$r);
//% end
        peak$r = max(peak$r, score$r_$j);
//% end
        let fade$r = exp2(highest$r - peak$r);
        highest$r = peak$r;
        total$r *= fade$r;
//% for j in 0..KEYS
        let share$r_$j = exp2(score$r_$j - peak$r);
        total$r += share$r_$j;
//% end
//% for i in 0..HEAD
        sum$r_$i *= fade$r;
//% end
//% end
//% for i in 0..HEAD
//% for j in 0..KEYS
        let v$i_$j = vec4<f32>(v[key$j + $i]);
//% for r in 0..QUERIES
        sum$r_$i = fma(vec4<f32>(share$r_$j), v$i_$j, sum$r_$i);
//% end
//% end
//% end
    }

//% for r in 0..QUERIES
    if (query$r < p.queries) {
        let norm$r = 1.0 / total$r;
//% for i in 0..HEAD
        result[shift + start$r + $i] = vec4<$T>(sum$r_$i * norm$r);
//% end
    }
//% end
}
