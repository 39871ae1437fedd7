//! Maps of where each token of the prompts acted, by cross-attention.
//!
//! The recorded latents go through the U-Net a second time, with the probabilities of the
//! cross-attentions computed beside the attention itself. The maps are those of DAAM (Tang et al.,
//! arXiv 2210.04885): each layer and head has a map of its own, summed over the calls and enlarged
//! to the latent's size by bicubic interpolation, with values below 0 set to 0; a token's map is
//! the mean over heads and layers. Layers are those of the down and up blocks.

use std::collections::BTreeMap;
use std::ops::Range;

use super::enlarge::{Enlargement, enlarge};
use super::generation::Generation;
use crate::device::read;
use crate::error::{Error, Result};
use crate::sampling::guidance::Role;
use crate::text::prompt::locate::{TokenPlace, locate};
use crate::text::prompt::plan::Reading;
use crate::unet::attention_maps::AttentionMaps;

/// Maps of the tokens of both prompts.
#[derive(Debug, Clone)]
pub struct TokenMaps {
    /// Width of a map: the latent's.
    pub width: usize,
    /// Height of a map: the latent's.
    pub height: usize,
    /// The negative prompt, if a call had it; then the prompt.
    pub branches: Vec<BranchMaps>,
}

/// Maps of the tokens of a prompt.
#[derive(Debug, Clone)]
pub struct BranchMaps {
    /// True for the negative prompt.
    pub negative: bool,
    /// The prompt.
    pub prompt: String,
    /// The tokens, in the order of the prompt.
    pub tokens: Vec<TokenMap>,
}

/// Map of a token.
#[derive(Debug, Clone)]
pub struct TokenMap {
    /// The token as it was typed.
    pub text: String,
    /// Bytes of the prompt that the token was typed as.
    pub span: Range<usize>,
    /// Mean attention probability at each latent position, `[height, width]`.
    pub values: Vec<f32>,
}

/// A token's bytes, and a number among the tokens with the same bytes.
type Key = (usize, usize, usize);

/// Calls with the same tokens in force.
struct Group {
    /// The text of each branch, and its tokens.
    branches: Vec<(Role, Vec<TokenPlace>)>,
    calls: Vec<usize>,
}

/// Probabilities of a layer, summed over calls.
struct LayerSum {
    /// Height and width of the layer's map.
    size: [usize; 2],
    /// Number of tokens.
    tokens: usize,
    /// `[heads, height·width, tokens]`
    values: Vec<f32>,
}

/// Sums by layer and branch.
type Sums = BTreeMap<(usize, usize), LayerSum>;

impl Generation {
    /// Maps of the tokens of both prompts, as the mean over some recorded calls. Each costs a U-Net
    /// call or a little more.
    ///
    /// # Errors
    /// [`Error::Request`] without calls and for a call that is not recorded, [`Error::Device`]
    /// where the device fails.
    pub async fn token_maps(&self, calls: &[usize]) -> Result<TokenMaps> {
        if calls.is_empty() {
            return Err(Error::request("calls", "none", "recorded calls"));
        }
        let [_, height, width] = self.denoiser.shape();
        // For the negative prompt, and for the prompts.
        let mut maps: [BTreeMap<Key, (f64, Vec<f64>)>; 2] = Default::default();
        for group in self.groups(calls)? {
            let sums = self.attention_sums(&group).await?;
            let weight = group.calls.len() as f64;
            for (branch, (role, places)) in group.branches.iter().enumerate() {
                let means = means(&sums, branch, places, [height, width]);
                let maps = &mut maps[usize::from(*role != Role::Negative)];
                for (key, mean) in keys(places).zip(means) {
                    let zeros = || (0.0, vec![0.0; height * width]);
                    let (weights, sum) = maps.entry(key).or_insert_with(zeros);
                    *weights += weight;
                    sum.iter_mut().zip(mean).for_each(|(sum, v)| *sum += v);
                }
            }
        }
        let branches = maps.into_iter().zip([true, false]);
        let branches = branches.filter(|(maps, negative)| !negative || !maps.is_empty());
        let branches = branches.map(|(maps, negative)| {
            let prompt = self.prompt_of(negative);
            let tokens = maps
                .into_iter()
                .map(|((start, end, _), (weight, sum))| TokenMap {
                    text: prompt[start..end].to_string(),
                    span: start..end,
                    values: sum.into_iter().map(|v| (v / weight) as f32).collect(),
                });
            BranchMaps {
                negative,
                prompt: prompt.into(),
                tokens: tokens.collect(),
            }
        });
        Ok(TokenMaps {
            width,
            height,
            branches: branches.collect(),
        })
    }

    fn prompt_of(&self, negative: bool) -> &str {
        match negative {
            true => &self.request.negative_prompt,
            false => &self.request.prompt,
        }
    }

    /// `calls` by the tokens that are in force.
    fn groups(&self, calls: &[usize]) -> Result<Vec<Group>> {
        let reading = Reading {
            tokenizer: self.pipeline.tokenizer(),
            syntax: self.request.prompt_syntax,
            steps: self.request.steps,
            long_prompt: self.request.long_prompt,
        };
        let mut groups: Vec<Group> = Vec::new();
        for &call in calls {
            let about = &self.recorded(call)?.about;
            let places = |negative| {
                let prompt = self.prompt_of(negative);
                locate(&reading, prompt, negative, about.prompt_step)
            };
            let mut negative = places(true)?.into_iter();
            let mut positive = places(false)?.into_iter();
            let branches = about.roles.iter().map(|&role| {
                let places = match role {
                    Role::Negative => negative.next(),
                    Role::Positive(_) => positive.next(),
                    Role::Empty | Role::Perturbed(_) => None,
                };
                (role, places.unwrap_or_default())
            });
            let branches: Vec<_> = branches.collect();
            match groups.iter_mut().find(|group| group.branches == branches) {
                Some(group) => group.calls.push(call),
                None => groups.push(Group {
                    branches,
                    calls: vec![call],
                }),
            }
        }
        Ok(groups)
    }

    /// Feeds the recorded latents of `group` to the network again.
    async fn attention_sums(&self, group: &Group) -> Result<Sums> {
        let places = group.branches.iter().flat_map(|(_, places)| places);
        let positions = places.map(|place| place.position);
        let tokens = positions.max().map_or(1, |last| last + 1);
        let unet = self.pipeline.unet();
        let mut sums = Sums::new();
        for &call in &group.calls {
            let recorded = self.recorded(call)?;
            let about = &recorded.about;
            let context = self.prompts.at(about.prompt_step, &about.guidance());
            let context = context.unwrap_or_else(|| self.denoiser.context().clone());
            let input = self.network_input(recorded, about.roles.len());
            let scale = self.request.guidance_scale;
            let time = unet.times(&[about.timestep], scale, &context.embeddings);
            let kv = context.cross_attn_kv(unet);
            let maps = AttentionMaps::new(tokens);
            drop(unet.predict_with_maps(input, &time, &kv, &maps));
            for layer in maps.into_layers() {
                let [_, _, tokens] = layer.probabilities.dims();
                let values = read(layer.probabilities).await?;
                let sum = sums
                    .entry((layer.layer, layer.branch))
                    .or_insert_with(|| LayerSum {
                        size: layer.size,
                        tokens,
                        values: vec![0.0; values.len()],
                    });
                let sum = sum.values.iter_mut();
                sum.zip(values).for_each(|(sum, v)| *sum += v);
            }
        }
        Ok(sums)
    }
}

/// The keys of `places`.
fn keys(places: &[TokenPlace]) -> impl Iterator<Item = Key> + '_ {
    places.iter().enumerate().map(|(index, place)| {
        let before = &places[..index];
        let same = before.iter().filter(|other| other.span == place.span);
        (place.span.start, place.span.end, same.count())
    })
}

/// A map for each of `places`: the mean over layers and heads.
fn means(sums: &Sums, branch: usize, places: &[TokenPlace], size: [usize; 2]) -> Vec<Vec<f64>> {
    let mut means = vec![vec![0.0; size[0] * size[1]]; places.len()];
    let mut maps = 0;
    let layers = sums.iter().filter(|((_, of), _)| *of == branch);
    for (
        _,
        LayerSum {
            size: from,
            tokens,
            values,
        },
    ) in layers
    {
        let rows = Enlargement::new(from[0], size[0]);
        let columns = Enlargement::new(from[1], size[1]);
        for head in values.chunks(from[0] * from[1] * tokens) {
            maps += 1;
            for (place, mean) in places.iter().zip(&mut means) {
                let map = head.iter().skip(place.position).step_by(*tokens);
                let map: Vec<f64> = map.map(|&v| f64::from(v)).collect();
                let map = enlarge(&map, &rows, &columns);
                mean.iter_mut()
                    .zip(map)
                    .for_each(|(sum, v)| *sum += v.max(0.0));
            }
        }
    }
    let scale = 1.0 / f64::from(maps.max(1));
    means.iter_mut().flatten().for_each(|v| *v *= scale);
    means
}
