//! The networks' allocations, in the order of their operations: what `text`, `unet`, `vae` and `ops::resnet` do with
//! tensors, with tensors that have no values. Tests lay what comes out beside what a device says.

use super::pools::{Ghost, Trace};
use crate::config::{TextConfig, UnetConfig, VaeConfig};

/// A feature map `[n, h, w, c]`, or tokens `[n, h·w, c]`.
#[derive(Clone)]
struct Map {
    _memory: Ghost,
    shape: Shape,
    channels: usize,
}

#[derive(Clone, Copy)]
struct Shape {
    n: usize,
    h: usize,
    w: usize,
}

impl Shape {
    fn positions(self) -> usize {
        self.n * self.h * self.w
    }
}

impl Trace {
    fn map(&self, shape: Shape, channels: usize) -> Map {
        Map {
            _memory: self.tensor(shape.positions() * channels),
            shape,
            channels,
        }
    }

    /// Any operation that makes a map of as many positions.
    fn like(&self, x: &Map, channels: usize) -> Map {
        self.map(x.shape, channels)
    }

    fn group_norm(&self, x: Map, skip: Option<Map>) -> Map {
        // Sums of 32 groups; how many parts they are made in does not matter beside the maps.
        let statistics = self.single(x.shape.n * 64);
        let channels = x.channels + skip.as_ref().map_or(0, |skip| skip.channels);
        let y = self.like(&x, channels);
        statistics.used();
        y
    }

    fn resnet(&self, x: Map, skip: Option<Map>, outputs: usize, time: bool) -> Map {
        let add = time.then(|| self.tensor(x.shape.n * outputs));
        let inputs = x.channels + skip.as_ref().map_or(0, |skip| skip.channels);
        let h = self.group_norm(x.clone(), skip.clone());
        let h = self.owned(h, outputs);
        drop(add);
        let h = self.group_norm(h, None);
        let residual = if inputs != outputs {
            let y = self.like(&x, outputs);
            drop((x, skip));
            y
        } else {
            x
        };
        let y = self.owned(h, outputs);
        drop(residual);
        y
    }

    /// An operation that makes a map of `x` and is the last to need it.
    fn owned(&self, x: Map, channels: usize) -> Map {
        self.like(&x, channels)
    }

    /// Self-attention, or cross-attention to `context` tokens; `x` is the norm's output, the residual is the caller's.
    fn attention(&self, x: Map, context: Option<usize>) -> Map {
        let q = self.like(&x, x.channels);
        let keys = context.map_or(x.shape, |tokens| Shape {
            n: x.shape.n,
            h: 1,
            w: tokens,
        });
        // The norm's output stays until the last of q, k and v is made.
        let own = context.is_none().then_some(x);
        let (k, v) = (self.map(keys, q.channels), self.map(keys, q.channels));
        drop(own);
        let h = self.like(&q, q.channels);
        drop((q, k, v));
        let channels = h.channels;
        self.owned(h, channels)
    }

    fn transformer(&self, x: Map, layers: usize, prompt: usize) -> Map {
        let c = x.channels;
        let h = self.group_norm(x.clone(), None);
        let mut h = self.owned(h, c);
        for _ in 0..layers {
            for context in [None, Some(prompt)] {
                let norm = self.like(&h, c);
                h = self.attention(norm, context);
            }
            let norm = self.like(&h, c);
            let inner = self.owned(norm, 4 * c);
            h = self.owned(inner, c);
        }
        let y = self.owned(h, c);
        drop(x);
        y
    }
}

/// One call of the text encoder with `chunks` of prompts.
pub fn text(trace: &Trace, config: &TextConfig, chunks: usize) {
    let width = config.hidden_size;
    let shape = Shape {
        n: chunks,
        h: 1,
        w: config.max_position_embeddings,
    };
    let embedded = trace.single(shape.positions() * width);
    let mut x = trace.map(shape, width);
    embedded.used();
    for _ in 0..config.num_hidden_layers {
        let norm = trace.like(&x, width);
        x = trace.attention(norm, None);
        let norm = trace.like(&x, width);
        let inner = trace.owned(norm, config.intermediate_size);
        let inner = trace.owned(inner, config.intermediate_size);
        x = trace.owned(inner, width);
    }
    trace.owned(x, width);
}

/// One call of the U-Net for `n` latents of `[h, w]` and prompts of `prompt` tokens.
pub fn unet(trace: &Trace, config: &UnetConfig, n: usize, [h, w]: [usize; 2], prompt: usize) {
    let first = config.blocks[0].channels;
    let uploaded = trace.single(n * h * w * config.in_channels);
    let latent = trace.map(Shape { n, h, w }, config.in_channels);
    uploaded.used();
    let time = trace.tensor(n * config.time_embed_dim());
    let mut x = trace.owned(latent, first);
    let mut skips = vec![x.clone()];
    let last = config.blocks.len() - 1;
    for (level, block) in config.blocks.iter().enumerate() {
        for _ in 0..block.layers {
            x = trace.resnet(x, None, block.channels, true);
            if block.down_attention {
                x = trace.transformer(x, block.transformer_layers, prompt);
            }
            skips.push(x.clone());
        }
        if level != last {
            let shape = Shape {
                h: x.shape.h.div_ceil(2),
                w: x.shape.w.div_ceil(2),
                ..x.shape
            };
            x = trace.map(shape, block.channels);
            skips.push(x.clone());
        }
    }
    let deepest = config.blocks[last];
    x = trace.resnet(x, None, deepest.channels, true);
    if config.mid_attention {
        x = trace.transformer(x, deepest.transformer_layers, prompt);
        x = trace.resnet(x, None, deepest.channels, true);
    }
    for (level, block) in config.blocks.iter().enumerate().rev() {
        for _ in 0..=block.layers {
            x = trace.resnet(x, skips.pop(), block.channels, true);
            if block.up_attention {
                x = trace.transformer(x, block.transformer_layers, prompt);
            }
        }
        if level > 0 {
            let shape = skips.last().map_or(x.shape, |skip| skip.shape);
            let large = trace.map(shape, block.channels);
            x = large;
        }
    }
    let x = trace.group_norm(x, None);
    let y = trace.owned(x, config.out_channels);
    read_back(trace, y);
    drop(time);
}

/// One call of the decoder for a latent of `[h, w]`.
pub fn decoder(trace: &Trace, config: &VaeConfig, [h, w]: [usize; 2]) {
    let latent = config.latent_channels;
    let shape = Shape { n: 1, h, w };
    let uploaded = trace.single(h * w * latent);
    let mut x = trace.map(shape, latent);
    uploaded.used();
    x = trace.owned(x, latent);
    if config.use_post_quant_conv {
        x = trace.owned(x, latent);
    }
    let levels = &config.block_out_channels;
    let deepest = levels[levels.len() - 1];
    x = trace.owned(x, deepest);
    x = trace.resnet(x, None, deepest, false);
    if config.mid_block_add_attention {
        let norm = trace.group_norm(x.clone(), None);
        x = trace.attention(norm, None);
    }
    x = trace.resnet(x, None, deepest, false);
    for (level, &channels) in levels.iter().enumerate().rev() {
        for _ in 0..=config.layers_per_block {
            x = trace.resnet(x, None, channels, false);
        }
        if level > 0 {
            let shape = Shape {
                h: 2 * x.shape.h,
                w: 2 * x.shape.w,
                ..x.shape
            };
            let large = trace.map(shape, channels);
            x = large;
        }
    }
    let x = trace.group_norm(x, None);
    let y = trace.owned(x, config.out_channels);
    read_back(trace, y);
}

/// A network's result is cast to f32 and copied to a buffer that the host can read.
fn read_back(trace: &Trace, y: Map) {
    let elements = y.shape.positions() * y.channels;
    let cast = trace.single(elements);
    drop(y);
    let copy = trace.readable(elements);
    drop((cast, copy));
}
