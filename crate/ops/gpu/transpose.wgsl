// Moves some rows of a matrix of weights to their columns: [outputs, inputs, taps], the layout of
// files, becomes [taps, inputs, outputs].
//
// Elements of 16 bits are in pairs in words, and a pair of the result comes from two rows of the
// file. They are moved as bits, so no adapter needs shader-f16 for it.

// Eight words that describe the rows, then the rows. (A uniform with other values for each of
// hundreds of chunks would only fill the cache of uniforms.)
@group(0) @binding($SLOT) var<storage, read> chunk: array<u32>;
@group(0) @binding($SLOT) var<storage, read_write> result: array<u32>;

const HEAD = 8u;

fn element(index: u32) -> u32 {
//% if PAIRS
    return (chunk[HEAD + index / 2] >> (index % 2 * 16)) & 0xffff;
//% else
    return chunk[HEAD + index];
//% end
}

// Neighbours write neighbouring words, and each reads along its row.
@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let words = chunk[0];       // of a column of the chunk
    let first = chunk[1];       // where that column begins in a row of the result
    let width = chunk[2];       // words of a row of the result
    let inputs = chunk[3];
    let taps = chunk[4];
    let columns = inputs * taps;
    let word = group.y * $LANES + lane;
    if (word >= words) {
        return;
    }
    let begin = (group.x + group.z * 65535) * $COLUMNS;
    for (var column = begin; column < min(begin + $COLUMNS, columns); column++) {
        let row = column % taps * inputs + column / taps;
//% if PAIRS
        let low = element(2 * word * columns + column);
        let high = element((2 * word + 1) * columns + column);
        result[row * width + first + word] = low | (high << 16);
//% else
        result[row * width + first + word] = element(word * columns + column);
//% end
    }
}
