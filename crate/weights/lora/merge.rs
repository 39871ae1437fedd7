//! Matching of LoRAs with the tensors of a model, before any of them is changed.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::delta::Delta;
use super::file::{AppliedLora, Module};
use super::keys::{Leaf, Network, Side, module_of};
use crate::error::{Error, Result};
use crate::weights::file::Found;
use crate::weights::params::Layout;

/// Maximum number of modules that an error names.
const MAX_NAMES: usize = 3;
/// Layers of OpenCLIP's text encoder. The last of them is not run, so a LoRA's change of it has no
/// effect.
const OPEN_CLIP_LAYERS: usize = 24;

/// A tensor: its network and its name.
type Tensor = (Network, String);

/// The changes of all tensors that LoRAs touch.
#[derive(Default)]
pub(crate) struct Merges {
    by_tensor: HashMap<Tensor, Vec<Merge>>,
    loras: Vec<AppliedLora>,
}

/// One LoRA's change of one tensor.
struct Merge {
    applied: AppliedLora,
    key: (Network, String),
}

impl Merges {
    /// Matches `loras` with the tensors `found` of a model.
    ///
    /// # Errors
    /// [`Error::File`] that names the first LoRA that does not fit, and what does not.
    pub fn new(loras: &[AppliedLora], found: &[Found]) -> Result<Self> {
        let targets = targets(found);
        let mut merges = Merges {
            by_tensor: HashMap::new(),
            loras: loras.to_vec(),
        };
        for applied in loras {
            check(applied, &targets)?;
            for key in applied.lora.modules().keys() {
                let Some(target) = targets.get(key) else {
                    continue;
                };
                if applied.weight(key.0) != 0.0 {
                    let tensor = (key.0, target.required.name.clone());
                    merges.by_tensor.entry(tensor).or_default().push(Merge {
                        applied: applied.clone(),
                        key: key.clone(),
                    });
                }
            }
        }
        Ok(merges)
    }

    /// Announces to the LoRAs' sources what will be read.
    ///
    /// # Errors
    /// Errors of the LoRAs' sources.
    pub async fn announce(&self) -> Result<()> {
        for applied in &self.loras {
            applied.lora.announce().await?;
        }
        Ok(())
    }

    /// True if a LoRA changes the tensor `found`.
    pub fn touches(&self, found: &Found) -> bool {
        tensor(found).is_some_and(|tensor| self.by_tensor.contains_key(&tensor))
    }

    /// Reads the changes of the tensor `found`.
    ///
    /// # Errors
    /// Errors of the LoRAs' sources.
    pub async fn deltas(&self, found: &Found) -> Result<Vec<Delta>> {
        let merges = tensor(found).and_then(|tensor| self.by_tensor.get(&tensor));
        let mut deltas = Vec::new();
        for Merge { applied, key } in merges.into_iter().flatten() {
            let weight = applied.weight(key.0);
            if let Some(module) = applied.lora.modules().get(key) {
                deltas.push(applied.lora.delta(key, module, weight).await?);
            }
        }
        Ok(deltas)
    }
}

/// The network of the tensor `found`, if LoRAs may change it.
fn network(found: &Found) -> Option<Network> {
    let networks = [Network::Text, Network::Unet];
    let of = |network: &Network| network.folder() == found.folder;
    networks.into_iter().find(of)
}

fn tensor(found: &Found) -> Option<Tensor> {
    Some((network(found)?, found.required.name.clone()))
}

/// The weights that LoRAs may change, by module.
fn targets(found: &[Found]) -> BTreeMap<Tensor, &Found> {
    found
        .iter()
        .filter_map(|found| Some((target(found)?, found)))
        .collect()
}

/// The module of the tensor `found`, if LoRAs may change it.
fn target(found: &Found) -> Option<Tensor> {
    let matrix = matches!(found.required.layout, Layout::Matrix | Layout::Conv3x3);
    let module = module_of(&found.required.name).filter(|_| matrix)?;
    Some((network(found)?, module))
}

/// Checks that every module of a LoRA has a weight of its shape in the model.
fn check(applied: &AppliedLora, targets: &BTreeMap<Tensor, &Found>) -> Result<()> {
    let lora = &applied.lora;
    let layers: HashSet<_> = targets.keys().filter_map(text_layer).collect();
    let ignored = |key: &Tensor| {
        layers.len() + 1 == OPEN_CLIP_LAYERS && text_layer(key) == Some(OPEN_CLIP_LAYERS - 1)
    };
    let mut wrong = Vec::new();
    for (key, module) in lora.modules() {
        let name = || format!("{} {}", key.0.folder(), key.1);
        match (targets.get(key), shape(module)) {
            (_, Err(what)) => wrong.push(format!("{} {what}", name())),
            (None, _) if ignored(key) => (),
            (None, _) => wrong.push(format!("the model has no {}", name())),
            (Some(target), Ok(found)) => {
                let expected = [
                    target.required.shape[0],
                    target.required.shape[1..].iter().product(),
                ];
                if found != expected {
                    let what = format!("{} is {found:?}, expected {expected:?}", name());
                    wrong.push(what);
                }
            }
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let mut list = wrong[..wrong.len().min(MAX_NAMES)].join("; ");
    if wrong.len() > MAX_NAMES {
        list += &format!("; and {} more", wrong.len() - MAX_NAMES);
    }
    let made_for = made_for(applied).map_or(String::new(), |kind| format!("; it is for {kind}"));
    let what = format!(
        "this LoRA does not fit the model{made_for}: {} of {} modules: {list}",
        wrong.len(),
        lora.modules().len()
    );
    Err(Error::file(lora.shown(), what))
}

/// The number of the text encoder's layer that a module is in.
fn text_layer((network, module): &Tensor) -> Option<usize> {
    let rest = module.strip_prefix("encoder_layers_")?;
    let number = rest.split('_').next()?.parse().ok()?;
    (*network == Network::Text).then_some(number)
}

/// The models that a LoRA with keys of this width is for: the width of their prompts' embeddings.
fn made_for(applied: &AppliedLora) -> Option<&'static str> {
    let mut modules = applied.lora.modules().iter();
    let (_, keys) = modules.find(|((_, name), _)| name.ends_with("attn2_to_k"))?;
    match shape(keys).ok()?[1] {
        768 => Some("Stable Diffusion 1.x"),
        1024 => Some("Stable Diffusion 2.x"),
        2048 => Some("Stable Diffusion XL"),
        _ => None,
    }
}

/// Rows and columns of a module's change.
///
/// # Errors
/// A description of tensors that do not belong together.
pub(super) fn shape(module: &Module) -> std::result::Result<[usize; 2], String> {
    let product = |shape: &[usize]| {
        let product = shape
            .iter()
            .try_fold(1, |product: usize, &n| product.checked_mul(n));
        product.ok_or_else(|| format!("has the impossible shape {shape:?}"))
    };
    // Rows, and the number of elements in each.
    let matrix = |leaf| match module.get(&leaf).map(|info| &info.shape[..]) {
        Some([rows, rest @ ..]) if *rows > 0 => Ok(Some([*rows, product(rest)?])),
        Some(shape) => Err(format!("has a tensor of shape {shape:?}")),
        None => Ok(None),
    };
    let factors = |up, down| match (matrix(up)?, matrix(down)?) {
        (Some([rows, rank]), Some([inner, columns])) if rank == inner => Ok(Some([rows, columns])),
        (None, None) => Ok(None),
        (up, down) => Err(format!(
            "has factors that do not match: {up:?} and {down:?}"
        )),
    };
    let hada = |side| factors(Leaf::Hada(side, Side::A), Leaf::Hada(side, Side::B));
    let lokr = |side| match matrix(Leaf::Lokr(side))? {
        Some(shape) => Ok(Some(shape)),
        None => factors(
            Leaf::LokrFactor(side, Side::A),
            Leaf::LokrFactor(side, Side::B),
        ),
    };
    if let Some(shape) = matrix(Leaf::Diff)? {
        return Ok(shape);
    }
    if let Some(mid) = module.get(&Leaf::Mid) {
        return with_kernel(matrix(Leaf::Up)?, &mid.shape, matrix(Leaf::Down)?);
    }
    if let Some(shape) = factors(Leaf::Up, Leaf::Down)? {
        return Ok(shape);
    }
    match [hada(Side::A)?, hada(Side::B)?] {
        [Some(a), Some(b)] if a == b => return Ok(a),
        [None, None] => (),
        other => return Err(format!("has factors of different shapes: {other:?}")),
    }
    match [lokr(Side::A)?, lokr(Side::B)?] {
        [Some([a, b]), Some([c, d])] => Ok([product(&[a, c])?, product(&[b, d])?]),
        _ => Err("has not all tensors of a change".into()),
    }
}

/// Shape of a convolution's change in three factors.
fn with_kernel(
    up: Option<[usize; 2]>,
    mid: &[usize],
    down: Option<[usize; 2]>,
) -> std::result::Result<[usize; 2], String> {
    match (up, mid, down) {
        (Some([rows, outer]), &[a, b, h @ 1..=3, w @ 1..=3], Some([inner, inputs]))
            if outer == a && inner == b =>
        {
            let columns = inputs.checked_mul(h * w);
            let columns = columns.ok_or("has an impossible shape")?;
            Ok([rows, columns])
        }
        _ => Err(format!(
            "has a kernel {mid:?} that does not match {up:?} and {down:?}"
        )),
    }
}
