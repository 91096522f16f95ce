//! Checkpoints: one safetensors file that is enough to resume, evaluate and predict.
//!
//! Variables have their full names; the optimiser's state is under `optimizer.`, the averages under `ema.`, the digests of
//! the training pictures are `trained_on.pictures`, those of networks that it began with `trained_on.earlier`. The metadata hold the format's version, the recipe and the progress as
//! TOML, the classes and what held-out pictures say as JSON, and the data set's digest. (Not the progress as JSON: serde_json reads a number to within its
//! last bit, and a resumed run compares accuracies.)

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use c2f_ops::nn::Params;
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, View};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Error, HeldOut, Network, Progress, Recipe, Result, Taxonomy, TrainedOn};

const FORMAT: &str = "c2f-checkpoint";
const VERSION: &str = "1";
const OPTIMIZER: &str = "optimizer.";
const EMA: &str = "ema.";
const PICTURES: &str = "trained_on.pictures";
const EARLIER: &str = "trained_on.earlier";
/// The longest header that the format allows, in bytes.
pub(crate) const MAX_HEADER: usize = 100_000_000;

/// What a checkpoint holds.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The recipe of the run.
    pub recipe: Recipe,
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// How far the run was.
    pub progress: Progress,
    /// Which pictures it was trained on.
    pub trained_on: TrainedOn,
    /// What the classes belong to.
    pub taxonomy: Option<Taxonomy>,
    /// What held-out pictures say of it.
    pub held_out: Option<HeldOut>,
    /// Variables by full name.
    pub weights: BTreeMap<String, Tensor>,
    /// State of the optimiser; empty in a checkpoint for evaluation only.
    pub optimizer: BTreeMap<String, Tensor>,
    /// Averages of the variables; empty without a moving average.
    pub ema: BTreeMap<String, Tensor>,
}

/// `checkpoints/last.safetensors` of a run's folder: what `--resume` goes on from.
pub fn last_path(run: &Path) -> PathBuf {
    run.join("checkpoints/last.safetensors")
}

/// `checkpoints/best.safetensors` of a run's folder: what evaluation takes.
pub fn best_path(run: &Path) -> PathBuf {
    run.join("checkpoints/best.safetensors")
}

/// Whether a file is a checkpoint of c2f rather than another file of weights. Reads its header alone.
pub fn is_checkpoint(path: &Path) -> bool {
    let header = || {
        let mut file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|there| there.is_file()))?;
        let mut head = vec![0; 8];
        file.read_exact(&mut head).ok()?;
        let length = u64::from_le_bytes(head.as_slice().try_into().ok()?);
        file.take(length.min(MAX_HEADER as u64)).read_to_end(&mut head).ok()?;
        serde_json::from_slice::<Header>(&head[8..]).ok()?.metadata
    };
    header().is_some_and(|metadata| metadata.get("format").map(String::as_str) == Some(FORMAT))
}

/// The part of a safetensors header that says whose file it is.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    metadata: Option<HashMap<String, String>>,
}

/// Reads a network from a checkpoint, or from the best one of a run's folder. Where the checkpoint has averages of the
/// weights, they are what is read.
///
/// # Errors
/// If there is no such file, it is cut off, is no checkpoint of c2f, or its tensors don't fit its recipe and classes.
pub fn load_network(path: &Path, device: &Device) -> Result<Network> {
    let file = if path.is_dir() { best_path(path) } else { path.to_owned() };
    if path.is_dir() && !file.exists() {
        return Err(Error::checkpoint(&file, "the run's folder has none yet: no epoch was finished"));
    }
    Checkpoint::read(&file)?.into_network(&file, device)
}

impl Checkpoint {
    /// Writes a network, its progress and, for resuming, the states of the optimiser and the moving average. The old
    /// file, if any, stays until the new one is complete on the disk.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn write(
        path: &Path,
        network: &Network,
        progress: &Progress,
        optimizer: &BTreeMap<String, Tensor>,
        ema: &BTreeMap<String, Tensor>,
    ) -> Result<()> {
        let bytes = Self::to_bytes(path, network, progress, optimizer, ema)?;
        Ok(c2f_files::atomic::write(path, &bytes)?)
    }

    /// What [`write`](Self::write) writes to `path`.
    pub(crate) fn to_bytes(
        path: &Path,
        network: &Network,
        progress: &Progress,
        optimizer: &BTreeMap<String, Tensor>,
        ema: &BTreeMap<String, Tensor>,
    ) -> Result<Vec<u8>> {
        let mut tensors = Vec::new();
        for entry in network.params.entries() {
            tensors.push((entry.name, Stored::floats(entry.var.as_tensor())?));
        }
        for (prefix, group) in [(OPTIMIZER, optimizer), (EMA, ema)] {
            for (name, tensor) in group {
                tensors.push((format!("{prefix}{name}"), Stored::floats(tensor)?));
            }
        }
        tensors.push((PICTURES.to_owned(), Stored::digests(&network.trained_on.pictures)));
        if !network.trained_on.earlier.is_empty() {
            tensors.push((EARLIER.to_owned(), Stored::digests(&network.trained_on.earlier)));
        }
        let mut metadata = HashMap::from([
            ("format".to_owned(), FORMAT.to_owned()),
            ("version".to_owned(), VERSION.to_owned()),
            ("recipe".to_owned(), network.recipe.to_toml()),
            ("classes".to_owned(), serde_json::Value::from(network.classes.clone()).to_string()),
            ("progress".to_owned(), toml::to_string(progress).map_err(|e| Error::checkpoint(path, e.to_string()))?),
        ]);
        if let Some(dataset) = network.trained_on.dataset {
            metadata.insert("dataset".to_owned(), format!("{dataset:016x}"));
        }
        let known = [
            ("taxonomy", network.taxonomy.as_ref().map(serde_json::to_string)),
            ("held_out", network.held_out.as_ref().map(serde_json::to_string)),
        ];
        for (name, text) in known {
            if let Some(text) = text.transpose().map_err(|e| Error::checkpoint(path, e.to_string()))? {
                metadata.insert(name.to_owned(), text);
            }
        }
        safetensors::serialize(tensors, Some(metadata)).map_err(|e| Error::checkpoint(path, e.to_string()))
    }

    /// The network of the checkpoint that `path` holds: see [`load_network`].
    pub(crate) fn into_network(self, path: &Path, device: &Device) -> Result<Network> {
        // No initial values: all are replaced.
        let params = Params::zeros(device, DType::F32);
        let mut network = Network::with_params(&self.recipe, self.classes, &params)?;
        let weights = if self.ema.is_empty() { &self.weights } else { &self.ema };
        restore(path, weights, &network.params)?;
        network.stage = self.progress.stage(network.coarse_epochs());
        network.trained_on = self.trained_on;
        network.taxonomy = self.taxonomy;
        network.held_out = self.held_out;
        Ok(network)
    }

    /// Reads a checkpoint, on the CPU.
    ///
    /// # Errors
    /// If there is no such file, it is cut off, or is no checkpoint of c2f.
    pub fn read(path: &Path) -> Result<Self> {
        // As long as it may be: what isn't there isn't allocated for.
        Self::from_bytes(path, &c2f_files::bytes(path, u64::MAX)?)
    }

    /// The checkpoint that the file `path` holds, or is to hold, as these bytes.
    pub(crate) fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        let broken = |e: safetensors::SafeTensorError| {
            Error::checkpoint(path, format!("cut off, damaged or no safetensors file ({e})"))
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        if metadata.get("format").map(String::as_str) != Some(FORMAT) {
            return Err(Error::checkpoint(path, "a safetensors file, but no checkpoint of c2f-train"));
        }
        let version = metadata.get("version").map_or("none", String::as_str);
        if version != VERSION {
            return Err(Error::checkpoint(path, format!("format version {version}, expected {VERSION}")));
        }
        let field =
            |name: &str| metadata.get(name).ok_or_else(|| Error::checkpoint(path, format!("its metadata lack {name}")));
        let recipe = Recipe::from_toml(&path.display().to_string(), field("recipe")?)?;
        let unreadable =
            |name: &str, e: &dyn std::fmt::Display| Error::checkpoint(path, format!("its {name} can't be read: {e}"));
        let classes: Vec<String> = serde_json::from_str(field("classes")?).map_err(|e| unreadable("classes", &e))?;
        let progress =
            toml::from_str(field("progress")?).map_err(|e: toml::de::Error| unreadable("progress", &e.message()))?;
        let dataset = metadata.get("dataset").map(|digest| u64::from_str_radix(digest, 16)).transpose();
        let dataset = dataset.map_err(|e| unreadable("dataset", &e))?;
        let taxonomy: Option<Taxonomy> = known(&metadata, "taxonomy").map_err(|e| unreadable("taxonomy", &e))?;
        if taxonomy.as_ref().is_some_and(|taxonomy| !taxonomy.fits(classes.len())) {
            return Err(unreadable("taxonomy", &format!("it isn't of {} classes", classes.len())));
        }
        let held_out: Option<HeldOut> = known(&metadata, "held_out").map_err(|e| unreadable("held_out", &e))?;
        if held_out.as_ref().is_some_and(|held_out| !held_out.is_whole()) {
            return Err(unreadable("held_out", &"a number is out of its range"));
        }
        let mut trained_on = TrainedOn { dataset, ..TrainedOn::default() };
        let (mut weights, mut optimizer, mut ema) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (name, view) in SafeTensors::deserialize(bytes).map_err(broken)?.tensors() {
            if [PICTURES, EARLIER].contains(&name.as_str()) && view.dtype() == Dtype::I64 {
                let digests = view.data().as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b)).collect();
                if name == PICTURES {
                    trained_on.pictures = digests;
                } else {
                    trained_on.earlier = digests;
                }
                continue;
            }
            if view.dtype() != Dtype::F32 {
                return Err(Error::checkpoint(path, format!("{name} is {:?}, expected F32", view.dtype())));
            }
            let tensor = floats(&view)?;
            if let Some(name) = name.strip_prefix(OPTIMIZER) {
                optimizer.insert(name.to_owned(), tensor);
            } else if let Some(name) = name.strip_prefix(EMA) {
                ema.insert(name.to_owned(), tensor);
            } else {
                weights.insert(name, tensor);
            }
        }
        Ok(Self { recipe, classes, progress, trained_on, taxonomy, held_out, weights, optimizer, ema })
    }
}

/// What the metadata have in JSON under this name, if it is known.
fn known<T: DeserializeOwned>(metadata: &HashMap<String, String>, name: &str) -> serde_json::Result<Option<T>> {
    metadata.get(name).map(|text| serde_json::from_str(text)).transpose()
}

/// Puts saved tensors into the variables of their names.
///
/// # Errors
/// If the names or shapes aren't exactly those of the variables, or a tensor holds NaN or infinity; names the first difference.
pub fn restore(path: &Path, weights: &BTreeMap<String, Tensor>, params: &Params) -> Result<()> {
    if let Some(message) = c2f_backbone::find_not_finite(weights)? {
        return Err(Error::checkpoint(path, message));
    }
    let entries = params.entries();
    for entry in &entries {
        let tensor = weights
            .get(&entry.name)
            .ok_or_else(|| Error::checkpoint(path, format!("it lacks the tensor {}", entry.name)))?;
        if tensor.dims() != entry.var.dims() {
            return Err(Error::checkpoint(
                path,
                format!(
                    "{} has shape {:?}, but its recipe and classes need {:?}",
                    entry.name,
                    tensor.dims(),
                    entry.var.dims()
                ),
            ));
        }
    }
    if let Some(name) = weights.keys().find(|name| params.get(name).is_none()) {
        return Err(Error::checkpoint(path, format!("its recipe has no use for the tensor {name}")));
    }
    for entry in &entries {
        entry.var.set(&weights[&entry.name].to_device(params.device())?)?;
    }
    Ok(())
}

/// The tensor of stored f32 values, on the CPU.
pub(crate) fn floats(view: &TensorView<'_>) -> Result<Tensor> {
    let values = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    Ok(Tensor::from_vec(values, view.shape(), &Device::Cpu)?)
}

/// A tensor's values, little-endian.
pub(crate) struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    /// As f32.
    pub(crate) fn floats(tensor: &Tensor) -> Result<Self> {
        let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Ok(Self { dtype: Dtype::F32, shape: tensor.dims().to_vec(), bytes })
    }

    /// As signed numbers of the same bits: candle can't read unsigned ones of 64.
    fn digests(digests: &[u64]) -> Self {
        let bytes = digests.iter().flat_map(|digest| digest.to_le_bytes()).collect();
        Self { dtype: Dtype::I64, shape: vec![digests.len()], bytes }
    }
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        (&self.bytes).into()
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
