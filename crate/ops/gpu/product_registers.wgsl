
// Matrix product and 3×3 convolution for software adapters, where workgroup memory is no faster
// than any other.
//
// Every invocation keeps ROWS × TILES vectors of sums in registers (twice that for GEGLU) and reads
// its factors straight from the buffers. All invocations of a workgroup have the same rows, and
// neighbours have neighbouring columns. Where there is only one vector of columns (NARROW),
// neighbours have neighbouring rows instead.

// STEP channels, from channel STEP·i on.
//% for s in SOURCES
fn $s_at(i: u32) -> vec4<f32> {
//% if STEP == 4
    return vec4<f32>($s[i]);
//% else
    return vec4<f32>(f32($s[i]), 0.0, 0.0, 0.0);
//% end
}
//% end

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Tiles of the same columns follow each other, so that their weights stay in the cache, in
    // which whole rows of tiles do not fit.
//% if NARROW
    let first_row = ((group.x + group.z * 65535) * $LANES + lane) * $ROWS;
    let side = 0u;
//% else
    let first_row = (group.x + group.z * 65535) * $ROWS;
    let side = lane;
//% end
    if (first_row >= p.rows) {
        return;
    }
    let width = p.outputs / $UNIT;
//% for r in 0..ROWS
    let row$r = min(first_row + $r, p.rows - 1);
//% if CONV
    let centre$r = place(row$r);
//% end
//% for t in 0..TILES
//% for h in 0..PARTS
    var sum$r_$t_$h = vec4<f32>();
//% end
//% end
//% end
//% for t in 0..TILES
    let column$t = ((group.y * $TILES + $t) * $LANES + side) * (4 / $UNIT);
    let kept$t = min(column$t, width - 1);
//% end

    var weight_row = 0u;
//% if CONV
    for (var tap = 0u; tap < 9; tap++) {
//% for r in 0..ROWS
        let at$r = met(centre$r, vec2<u32>(tap / 3, tap % 3));
//% end
//% else
    {
//% for r in 0..ROWS
        let at$r = row$r;
//% end
//% end
//% for s in SOURCES
        {
            let length = p.$s_channels / $STEP;
//% for r in 0..ROWS
//% if CONV
            let inside$r = at$r != OUTSIDE;
            let start$r = select(0, at$r * length, inside$r);
//% else
            let start$r = at$r * length;
//% end
//% end
            for (var i = 0u; i < length; i++) {
//% for r in 0..ROWS
//% if CONV
                let a$r = select(vec4<f32>(), $s_at(start$r + i), inside$r);
//% else
                let a$r = $s_at(start$r + i);
//% end
//% end
//% for k in 0..STEP
//% for t in 0..TILES
//% for h in 0..PARTS
                let w$k_$t_$h = weight_at(weight_row + $h * width, kept$t);
//% for r in 0..ROWS
                sum$r_$t_$h = fma(vec4<f32>(a$r[$k]), w$k_$t_$h, sum$r_$t_$h);
//% end
//% end
//% end
                weight_row += width * $PARTS;
//% end
            }
        }
//% end
    }

//% for t in 0..TILES
//% for r in 0..ROWS
//% if GELU
    finish(first_row + $r, column$t, sum$r_$t_0, sum$r_$t_1);
//% else
    finish(first_row + $r, column$t, sum$r_$t_0, vec4<f32>());
//% end
//% end
//% end
}
