// GELU, CLIP's approximation of it, or SiLU, element by element.

//% if HALF
enable f16;
//% end

@group(0) @binding($SLOT) var<storage, read> x: array<$DATA>;
@group(0) @binding($SLOT) var<storage, read_write> result: array<$DATA>;
@group(0) @binding($SLOT) var<uniform> length: vec4<u32>; // x: elements of the arrays

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (id.x + id.y * 65535) * $LANES + lane;
    if (i >= length.x) {
        return;
    }
//% if WIDTH == 4
    let value = vec4<f32>(x[i]);
//% else
    let value = vec4<f32>(f32(x[i]));
//% end
//% if GELU
    let y = gelu(value);
//% else
//% if QUICK
    let y = value / (1.0 + exp(-1.702 * value));
//% else
    let y = value / (1.0 + exp(-value));
//% end
//% end
//% if WIDTH == 4
    result[i] = $DATA(y);
//% else
    result[i] = $DATA(y.x);
//% end
}
