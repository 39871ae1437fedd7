//! Division of work in kernels, and the tilings among which an adapter's is
//! [chosen](crate::device::tuning).

/// Memory in which a kernel keeps the tile it computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TileMemory {
    /// Registers: every invocation works by itself. For adapters that run on a CPU, where workgroup
    /// memory is not fast and barriers are slow.
    Registers,
    /// Workgroup memory: the invocations of a workgroup share what they read. For GPUs.
    Workgroup,
}

/// Tile of the result that a workgroup of the workgroup kernel for matrix products computes.
///
/// Larger tiles read less for each multiplication, and need more registers and workgroup memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Invocations along each side of a workgroup.
    pub side: u32,
    /// Rows of the result that an invocation computes.
    pub rows: u32,
    /// Vectors of four columns that an invocation computes.
    pub vectors: u32,
    /// Vectors of four channels between two barriers.
    pub depth: u32,
}

impl Block {
    /// Rows and vectors of columns of the tile.
    pub const fn tile(self) -> [u32; 2] {
        [self.side * self.rows, self.side * self.vectors]
    }

    /// Number of tiles in a result of `rows` × `columns`.
    fn tiles(self, rows: usize, columns: usize) -> usize {
        let [tile_rows, vectors] = self.tile().map(|n| n as usize);
        rows.div_ceil(tile_rows) * columns.div_ceil(4 * vectors)
    }
}

/// Tiles of 64 × 64 by 64 invocations, each with 64 sums.
const LARGE: Block = Block {
    side: 8,
    rows: 8,
    vectors: 2,
    depth: 4,
};
/// Tiles of 32 × 32 by 64 invocations, each with 16 sums, where larger tiles would be too few to
/// keep a GPU busy, or registers are few.
const SMALL: Block = Block {
    side: 8,
    rows: 4,
    vectors: 1,
    depth: 4,
};
/// Tiles of 64 × 64 by 256 invocations, each with 16 sums.
const DENSE: Block = Block {
    side: 16,
    rows: 4,
    vectors: 1,
    depth: 4,
};
/// Tiles of 128 × 128 by 256 invocations, each with 64 sums.
const HUGE: Block = Block {
    side: 16,
    rows: 8,
    vectors: 2,
    depth: 2,
};

/// Tiling of all kernels, which can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelTiling {
    /// Name in the tuning cache.
    pub name: &'static str,
    /// Memory of tiles in all kernels.
    pub memory: TileMemory,
    /// Tile of large matrix products with [`TileMemory::Workgroup`].
    pub block: Block,
    /// Minimum number of tiles that keep a GPU busy. Where there would be fewer, smaller tiles are
    /// used.
    pub min_tiles: usize,
}

const MIN_TILES: usize = 128;

impl KernelTiling {
    const fn workgroup(name: &'static str, block: Block) -> Self {
        KernelTiling {
            name,
            memory: TileMemory::Workgroup,
            block,
            min_tiles: MIN_TILES,
        }
    }

    /// Tiling for adapters that run on a CPU.
    pub const REGISTERS: KernelTiling = KernelTiling {
        name: "registers",
        memory: TileMemory::Registers,
        block: LARGE,
        min_tiles: MIN_TILES,
    };

    /// Tiling for GPUs that nothing is known of.
    pub const WORKGROUP: KernelTiling = KernelTiling::workgroup("64x64", LARGE);

    /// All tilings that can be chosen.
    pub const ALL: [KernelTiling; 5] = [
        KernelTiling::WORKGROUP,
        KernelTiling::workgroup("32x32", SMALL),
        KernelTiling::workgroup("64x64-crowded", DENSE),
        KernelTiling::workgroup("128x128", HUGE),
        KernelTiling::REGISTERS,
    ];

    /// The tiling of this name.
    pub fn named(name: &str) -> Option<KernelTiling> {
        KernelTiling::ALL
            .into_iter()
            .find(|tiling| tiling.name == name)
    }

    /// The tile for a result of `rows` × `columns`: the largest of which there are enough.
    pub(super) fn block_for(self, rows: usize, columns: usize) -> Block {
        [self.block, LARGE]
            .into_iter()
            .find(|block| block.tiles(rows, columns) >= self.min_tiles)
            .unwrap_or(SMALL)
    }
}

/// Tiles that a tiling with this memory may use, the default's first.
#[cfg(feature = "testing")]
pub(super) fn blocks(memory: TileMemory) -> Vec<Block> {
    match memory {
        TileMemory::Registers => vec![LARGE],
        TileMemory::Workgroup => vec![LARGE, SMALL, DENSE, HUGE],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of workgroup memory that WebGPU guarantees.
    const MEMORY: u32 = 1024;

    #[test]
    fn every_tile_fits_the_limits_and_its_loads_divide() {
        for tiling in KernelTiling::ALL {
            assert_eq!(KernelTiling::named(tiling.name), Some(tiling));
            assert!(
                blocks(TileMemory::Workgroup).contains(&tiling.block),
                "{tiling:?}"
            );
        }
        for block in blocks(TileMemory::Workgroup) {
            let lanes = block.side * block.side;
            assert!(lanes <= 256, "{block:?}");
            let [rows, _] = block.tile();
            // GEGLU has as many gates as values, and at least one vector of each.
            for vectors in [block.vectors, block.vectors.max(2)] {
                let pitch = block.side * vectors;
                let inputs = rows * (block.depth + 1);
                let weights = 4 * block.depth * pitch;
                assert!(inputs + weights <= MEMORY, "{block:?} {vectors}");
                assert_eq!(rows * block.depth % lanes, 0, "{block:?}");
                assert_eq!(weights % lanes, 0, "{block:?} {vectors}");
                assert_eq!(lanes % pitch, 0, "{block:?} {vectors}");
            }
        }
    }

    #[test]
    fn small_results_get_small_tiles() {
        let huge = KernelTiling::named("128x128").unwrap();
        assert_eq!(huge.block_for(8192, 1280), HUGE);
        assert_eq!(huge.block_for(8192, 320), HUGE);
        assert_eq!(huge.block_for(2048, 640), LARGE);
        assert_eq!(huge.block_for(128, 1280), SMALL);
        assert_eq!(
            KernelTiling::named("32x32").unwrap().block_for(8192, 1280),
            SMALL
        );
    }
}
