//! A LoRA's file: its header is read when it is opened, its tensors when they are merged.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::delta::{Change, Delta, Factors, Kronecker};
use super::keys::{Leaf, Network, Side, parse};
use super::merge::shape;
use crate::error::{Error, Result, brief};
use crate::weights::file::{WeightFile, read_header};
use crate::weights::safetensors::TensorInfo;
use crate::weights::source::{Source, locate_file, read_text};
use crate::weights::storage::to_f32;

/// Names that LoRA files have in folders: diffusers' and PEFT's.
const FILES: [&str; 2] = [
    "pytorch_lora_weights.safetensors",
    "adapter_model.safetensors",
];
/// PEFT's settings beside its file.
const ADAPTER_CONFIG: &str = "adapter_config.json";
/// Parts of names, and the kind of file that has such a tensor.
const UNSUPPORTED: [(&str, &str); 11] = [
    ("lora_te1_", SDXL),
    ("lora_te2_", SDXL),
    ("text_encoder_2.", SDXL),
    ("lora_te3_", "Stable Diffusion 3 or Flux"),
    ("double_blocks", "Flux"),
    ("single_transformer_blocks", "Flux"),
    (
        "transformer.transformer_blocks",
        "Stable Diffusion 3 or Flux",
    ),
    ("diffusion_model.layers.", "a diffusion transformer"),
    ("diffusion_model.blocks.", "a diffusion transformer"),
    ("lora_transformer_", "a diffusion transformer"),
    ("lora_prior_", "Stable Cascade"),
];
const SDXL: &str = "Stable Diffusion XL";
/// Ends of names that belong to kinds of change that Darkroom does not have.
const METHODS: [(&str, &str); 9] = [
    (
        ".dora_scale",
        "DoRA (weights divided into direction and magnitude)",
    ),
    (
        ".lora_magnitude_vector",
        "DoRA (weights divided into direction and magnitude)",
    ),
    (".hada_t1", "LoHa with Tucker decomposition"),
    (".hada_t2", "LoHa with Tucker decomposition"),
    (".lokr_t2", "LoKr with Tucker decomposition"),
    (".diff_b", "changed biases"),
    (".w_norm", "changed norms"),
    (".b_norm", "changed norms"),
    (".oft_blocks", "OFT"),
];
/// Maximum number of tensors that a warning names.
const MAX_NAMES: usize = 3;

/// The tensors of a module, by their part in its change.
pub(super) type Module = BTreeMap<Leaf, TensorInfo>;

/// A LoRA file with its header read.
pub struct Lora {
    name: String,
    source: Rc<dyn Source>,
    file: WeightFile,
    modules: BTreeMap<(Network, String), Module>,
    adapter: Map<String, Value>,
    warnings: Vec<String>,
}

/// A LoRA and the weights that it is merged with.
#[derive(Clone)]
pub struct AppliedLora {
    /// The LoRA.
    pub lora: Rc<Lora>,
    /// Weight in the U-Net.
    pub unet: f32,
    /// Weight in the text encoder.
    pub text_encoder: f32,
}

impl AppliedLora {
    /// The weight in `network`.
    pub(super) fn weight(&self, network: Network) -> f32 {
        match network {
            Network::Unet => self.unet,
            Network::Text => self.text_encoder,
        }
    }
}

impl PartialEq for AppliedLora {
    fn eq(&self, other: &Self) -> bool {
        let weights = |applied: &Self| [applied.unet, applied.text_encoder];
        Rc::ptr_eq(&self.lora, &other.lora) && weights(self) == weights(other)
    }
}

impl Lora {
    /// Reads the header of the LoRA `source`: a single file, or a folder with diffusers' or PEFT's
    /// file. `name` is what prompts call it.
    ///
    /// # Errors
    /// [`Error::File`] where there is no such file, where it is no LoRA, or where its kind is not
    /// supported; errors of `source`.
    pub async fn open(name: &str, source: Rc<dyn Source>) -> Result<Self> {
        let (path, size) = locate_file(&*source, &FILES, "a LoRA").await?;
        let shown = source.describe(&path);
        let file = read_header(&*source, path, size).await?;
        let (modules, unknown) = modules(&shown, &file)?;
        let adapter = adapter(&*source, &file).await?;
        Ok(Lora {
            name: name.to_string(),
            warnings: warning(&shown, &unknown).into_iter().collect(),
            source,
            file,
            modules,
            adapter,
        })
    }

    /// The name in prompts.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file's path or address.
    pub fn shown(&self) -> String {
        self.source.describe(&self.file.path)
    }

    /// Warnings about the file.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Bytes of the tensors that are merged.
    pub fn bytes(&self) -> u64 {
        let tensors = self.modules.values().flat_map(BTreeMap::values);
        tensors.map(|info| info.range.end - info.range.start).sum()
    }

    /// Announces the ranges of all tensors to the source, so that it can fetch them together.
    ///
    /// # Errors
    /// Errors of the source.
    pub(super) async fn announce(&self) -> Result<()> {
        let tensors = self.modules.values().flat_map(BTreeMap::values);
        let mut ranges: Vec<_> = tensors.map(|info| info.range.clone()).collect();
        ranges.sort_by_key(|range| range.start);
        let path = self.file.path.as_str();
        let ranges: Vec<_> = ranges.into_iter().map(|range| (path, range)).collect();
        self.source.announce(&ranges).await
    }

    /// The modules that it changes.
    pub(super) fn modules(&self) -> &BTreeMap<(Network, String), Module> {
        &self.modules
    }

    /// Reads the change of a module; `weight` is its factor.
    ///
    /// # Errors
    /// Errors of the source.
    pub(super) async fn delta(
        &self,
        key: &(Network, String),
        module: &Module,
        weight: f32,
    ) -> Result<Delta> {
        let change = self.change(module).await?;
        let scale = match rank(module) {
            Some(rank) => self.alpha(key, module, rank).await?,
            None => 1.0,
        };
        Ok(Delta {
            change,
            scale: (f64::from(weight) * scale) as f32,
        })
    }

    async fn change(&self, module: &Module) -> Result<Change> {
        if module.contains_key(&Leaf::Diff) {
            return Ok(Change::Full(self.read(module, Leaf::Diff).await?));
        }
        if module.contains_key(&Leaf::Hada(Side::A, Side::A)) {
            let factors = async |side| {
                let [up, down] = [Leaf::Hada(side, Side::A), Leaf::Hada(side, Side::B)];
                self.factors(module, up, down).await
            };
            let both = [factors(Side::A).await?, factors(Side::B).await?];
            return Ok(Change::Hadamard(both));
        }
        if module.contains_key(&Leaf::Down) {
            let mut factors = self.factors(module, Leaf::Up, Leaf::Down).await?;
            if let Some(mid) = module.get(&Leaf::Mid) {
                let taps = mid.shape[2..].iter().product();
                let kernel = self.read(module, Leaf::Mid).await?;
                factors.down = through_kernel(&kernel, &factors, taps);
            }
            return Ok(Change::Product(factors));
        }
        let (first, first_columns) = self.kronecker_matrix(module, Side::A).await?;
        let (second, second_columns) = self.kronecker_matrix(module, Side::B).await?;
        Ok(Change::Kronecker(Kronecker {
            first,
            first_columns,
            second,
            second_columns,
        }))
    }

    async fn factors(&self, module: &Module, up: Leaf, down: Leaf) -> Result<Factors> {
        Ok(Factors {
            up: self.read(module, up).await?,
            down: self.read(module, down).await?,
            rank: module.get(&down).map_or(1, |info| info.shape[0]),
        })
    }

    /// One of LoKr's matrices, and its number of columns.
    async fn kronecker_matrix(&self, module: &Module, side: Side) -> Result<(Vec<f32>, usize)> {
        if let Some(info) = module.get(&Leaf::Lokr(side)) {
            let columns = info.shape[1..].iter().product();
            return Ok((self.read(module, Leaf::Lokr(side)).await?, columns));
        }
        let [up, down] = [Side::A, Side::B].map(|factor| Leaf::LokrFactor(side, factor));
        let factors = self.factors(module, up, down).await?;
        let columns = factors.down.len() / factors.rank;
        Ok((factors.product(), columns))
    }

    /// Alpha over rank: from the module's own tensor, from PEFT's settings, or 1.
    async fn alpha(&self, key: &(Network, String), module: &Module, rank: usize) -> Result<f64> {
        let rank = rank as f64;
        if module.contains_key(&Leaf::Alpha) {
            let alpha = self.read(module, Leaf::Alpha).await?;
            return Ok(f64::from(alpha.first().copied().unwrap_or(1.0)) / rank);
        }
        let setting = |name: &str| {
            let full = format!("{}.{name}", key.0.folder());
            self.adapter.get(&full).or_else(|| self.adapter.get(name))
        };
        let pattern = setting("alpha_pattern").and_then(Value::as_object);
        let special = pattern.into_iter().flatten().find_map(|(name, alpha)| {
            let name = name.replace('.', "_");
            key.1.ends_with(&name).then(|| alpha.as_f64())?
        });
        let alpha = special.or_else(|| setting("lora_alpha")?.as_f64());
        let stabilized = setting("use_rslora").and_then(Value::as_bool);
        Ok(match (alpha, stabilized) {
            (Some(alpha), Some(true)) => alpha / rank.sqrt(),
            (Some(alpha), _) => alpha / rank,
            (None, _) => 1.0,
        })
    }

    /// Reads a tensor of `module` in f32.
    async fn read(&self, module: &Module, leaf: Leaf) -> Result<Vec<f32>> {
        let Some((info, dtype)) = module
            .get(&leaf)
            .and_then(|info| Some((info, info.dtype.weight()?)))
        else {
            return Ok(Vec::new());
        };
        let bytes = self
            .source
            .read(&self.file.path, info.range.clone())
            .await?;
        let expected = info.range.end - info.range.start;
        if bytes.len() as u64 != expected {
            let what = format!("read {} bytes, expected {expected}", bytes.len());
            return Err(Error::file(self.shown(), what));
        }
        Ok(to_f32(&bytes, dtype))
    }
}

/// The rank that alpha is divided by; `None` for changes that alpha does not scale.
fn rank(module: &Module) -> Option<usize> {
    let downs = [
        Leaf::Down,
        Leaf::Hada(Side::A, Side::B),
        Leaf::LokrFactor(Side::B, Side::B),
        Leaf::LokrFactor(Side::A, Side::B),
    ];
    let down = downs.iter().find_map(|down| module.get(down))?;
    down.shape.first().copied()
}

/// `down` of a convolution `[rank, inputs]` with a kernel `[rank, rank, taps]` behind it:
/// `[rank, inputs, taps]`.
fn through_kernel(kernel: &[f32], factors: &Factors, taps: usize) -> Vec<f32> {
    let inner = factors.rank;
    let inputs = factors.down.len() / inner;
    let outer = kernel.len() / (inner * taps);
    let mut down = vec![0.0; outer * inputs * taps];
    for (row, kernels) in kernel.chunks_exact(inner * taps).enumerate() {
        let row = &mut down[row * inputs * taps..][..inputs * taps];
        for (kernel, inputs) in kernels
            .chunks_exact(taps)
            .zip(factors.down.chunks_exact(inputs))
        {
            for (to, input) in row.chunks_exact_mut(taps).zip(inputs) {
                to.iter_mut()
                    .zip(kernel)
                    .for_each(|(to, tap)| *to += input * tap);
            }
        }
    }
    down
}

/// PEFT's settings: in the file's metadata, or in a file beside it.
async fn adapter(source: &dyn Source, file: &WeightFile) -> Result<Map<String, Value>> {
    let of_text = |text: &[u8]| serde_json::from_slice(text).ok();
    if let Some(text) = file.header.metadata.get("lora_adapter_metadata") {
        return Ok(of_text(text.as_bytes()).unwrap_or_default());
    }
    if source.checkpoint().is_some() {
        return Ok(Map::new());
    }
    let text = read_text(source, ADAPTER_CONFIG).await?;
    Ok(text.and_then(|text| of_text(&text)).unwrap_or_default())
}

type Modules = BTreeMap<(Network, String), Module>;

/// Sorts the tensors of a file by module. Returns the names of no known kind beside them.
///
/// # Errors
/// [`Error::File`] for a file that is no LoRA, or of a kind that is not supported.
fn modules(shown: &str, file: &WeightFile) -> Result<(Modules, Vec<String>)> {
    let tensors = &file.header.tensors;
    let has = |part: &str| tensors.keys().any(|name| name.contains(part));
    if let Some((_, kind)) = UNSUPPORTED.iter().find(|(part, _)| has(part)) {
        let what =
            format!("this LoRA is made for {kind}; expected one for Stable Diffusion 1.x or 2.x");
        return Err(Error::file(shown, what));
    }
    let method = |name: &str| METHODS.iter().find(|(end, _)| name.contains(end));
    if let Some((name, (_, method))) = tensors.keys().find_map(|name| Some((name, method(name)?))) {
        let what = format!("this LoRA has {method}, which Darkroom does not support: {name}");
        return Err(Error::file(shown, what));
    }
    let (mut modules, mut unknown) = (Modules::new(), Vec::new());
    for (name, info) in tensors {
        let Some(key) = parse(name) else {
            unknown.push(name.clone());
            continue;
        };
        if info.dtype.weight().is_none() {
            let what = format!("{name} has an element type that weights do not have");
            return Err(Error::file(shown, what));
        }
        let module = modules.entry((key.network, key.module)).or_default();
        module.insert(key.leaf, info.clone());
    }
    if modules.is_empty() {
        let names: Vec<_> = unknown.iter().take(MAX_NAMES).map(brief).collect();
        let what = match names.is_empty() {
            true => "not a LoRA: the file has no tensors".to_string(),
            false => format!("not a LoRA: it has tensors such as {}", names.join(", ")),
        };
        return Err(Error::file(shown, what));
    }
    for ((network, name), module) in &modules {
        if let Err(what) = shape(module) {
            let what = format!("this LoRA is malformed: {} {name} {what}", network.folder());
            return Err(Error::file(shown, what));
        }
    }
    Ok((modules, unknown))
}

fn warning(shown: &str, unknown: &[String]) -> Option<String> {
    let names: Vec<_> = unknown.iter().take(MAX_NAMES).map(brief).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{}: {} tensors belong to no layer of a LoRA and are ignored, such as {}",
            brief(shown),
            unknown.len(),
            names.join(", ")
        )
    })
}
