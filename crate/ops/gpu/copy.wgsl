// Copies a matrix into columns of a larger one, or one row of a matrix, given by a number in a
// buffer.

//% if HALF
enable f16;
//% end

@group(0) @binding($SLOT) var<storage, read> x: array<$T>;
//% if INDEXED
@group(0) @binding($SLOT) var<storage, read> given: array<f32>;
//% end
@group(0) @binding($SLOT) var<storage, read_write> result: array<$T>;
@group(0) @binding($SLOT) var<uniform> p: array<vec4<u32>, 2>;

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let rows = p[0].x;
    let columns = p[0].y;
    let width = p[0].z;      // of the larger matrix
    let place = p[0].w;      // its first column there
//% if INDEXED
    let first = u32(given[p[1].x]) * columns;
//% else
    let first = 0u;
//% end
    let column = id.x * $LANES + lane;
    let row = id.y;
    if (column >= columns || row >= rows) {
        return;
    }
    result[row * width + place + column] = x[first + row * columns + column];
}
