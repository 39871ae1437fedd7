// Normalized attention guidance of the last images, in place: their attention to their own prompts
// is moved away from that to the negative prompt, which lies behind the attentions of all images.
// TEAM invocations for each token, and TEAMS teams in a workgroup.

//% if HALF
enable f16;
//% end

struct Params {
    tokens: u32,            // of the guided images
    vectors: u32,           // of a token
    positive: u32,          // first token of the guided images
    negative: u32,          // first of their tokens with the negative prompt
    scale: f32,
    tau: f32,
    alpha: f32,
}

@group(0) @binding($SLOT) var<storage, read_write> z: array<vec4<$T>>;
@group(0) @binding($SLOT) var<uniform> p: Params;

//% if SHARED
// L1 norms: of the attention to the prompt, and of that away from the negative prompt.
var<workgroup> norms: array<vec2<f32>, $LANES>;
//% end

fn away(positive: vec4<f32>, negative: vec4<f32>) -> vec4<f32> {
    return p.scale * positive - (p.scale - 1.0) * negative;
}

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let token = (id.x + id.y * 65535) * $TEAMS + lane / $TEAM;
    let member = lane % $TEAM;
    let inside = min(token, p.tokens - 1);
    let positive = (p.positive + inside) * p.vectors;
    let negative = (p.negative + inside) * p.vectors;

    var norm = vec2<f32>();
    for (var i = member; i < p.vectors; i += $TEAM) {
        let own = vec4<f32>(z[positive + i]);
        let moved = away(own, vec4<f32>(z[negative + i]));
        norm += vec2<f32>(dot(abs(own), vec4<f32>(1.0)), dot(abs(moved), vec4<f32>(1.0)));
    }
//% if SHARED
    norms[lane] = norm;
    workgroupBarrier();
    for (var reach = $TEAM / 2u; reach > 0; reach /= 2) {
        if (member < reach) {
            norms[lane] += norms[lane + reach];
        }
        workgroupBarrier();
    }
    norm = norms[lane - member];
//% end
    let limit = p.tau * norm.x;
    var share = p.alpha;
    if (norm.y > limit) {
        share *= limit / norm.y;
    }

    if (token < p.tokens) {
        for (var i = member; i < p.vectors; i += $TEAM) {
            let own = vec4<f32>(z[positive + i]);
            let moved = away(own, vec4<f32>(z[negative + i]));
            z[positive + i] = vec4<$T>(share * moved + (1.0 - p.alpha) * own);
        }
    }
}
