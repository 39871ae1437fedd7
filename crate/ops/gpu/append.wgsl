// The images of x, followed by one image of another tensor.

//% if HALF
enable f16;
//% end

struct Params {
    length: u32,            // of x, in elements of the arrays
    image: u32,             // of an image
    start: u32,             // of the image that follows, in its tensor
}

@group(0) @binding($SLOT) var<storage, read> x: array<$DATA>;
@group(0) @binding($SLOT) var<storage, read> other: array<$DATA>;
@group(0) @binding($SLOT) var<storage, read_write> result: array<$DATA>;
@group(0) @binding($SLOT) var<uniform> p: Params;

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (id.x + id.y * 65535) * $LANES + lane;
    if (i < p.length) {
        result[i] = x[i];
    } else if (i < p.length + p.image) {
        result[i] = other[p.start + i - p.length];
    }
}
