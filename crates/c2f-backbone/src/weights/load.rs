//! Loading a file into a backbone: everything fits, or nothing is changed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use c2f_ops::nn::{Entry, Params};
use candle_core::{DType, Device, Tensor};

use super::naming::{Role, recognise};
use super::read_weights;
use crate::{Error, Result, registry};

/// The tensors of a weight file, compared with those of a backbone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// How many tensors of the file the backbone took.
    pub loaded: usize,
    /// Names in the file that no backbone wants: ImageNet's classifier and BatchNorm's counters.
    pub ignored: Vec<String>,
    /// What the backbone has and the file hasn't.
    pub missing: Vec<NamedShape>,
    /// What the file has, by this crate's names, and the backbone hasn't.
    pub unexpected: Vec<NamedShape>,
    /// What both have, with different shapes.
    pub mismatched: Vec<Mismatch>,
}

/// A tensor's name and shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedShape {
    /// Name, without the prefix of the store.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// A tensor whose shape in the file isn't the backbone's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Name, without the prefix of the store.
    pub name: String,
    /// Shape in the backbone.
    pub expected: Vec<usize>,
    /// Shape in the file.
    pub found: Vec<usize>,
}

impl LoadReport {
    /// Whether every tensor has its counterpart.
    pub fn fits(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.mismatched.is_empty()
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} loaded, {} ignored", self.loaded, self.ignored.len())?;
        for (what, tensors) in [("missing", &self.missing), ("unexpected", &self.unexpected)] {
            for NamedShape { name, shape } in tensors {
                write!(f, "; {what} {name} {shape:?}")?;
            }
        }
        for Mismatch { name, expected, found } in &self.mismatched {
            write!(f, "; {name} is {found:?} in the file and {expected:?} in the backbone")?;
        }
        Ok(())
    }
}

/// Loads a weight file (see [`read_weights`]) into `params`, the view that [`build`](crate::build) made `backbone` in.
///
/// Names may be timm's, torchvision's or those of EfficientNet-PyTorch. Values are converted to the type and device of
/// `params`. A second set of running statistics starts as a copy of the first. Either every tensor of the file fits and
/// all of the backbone is loaded, or nothing is changed.
///
/// # Errors
/// - [`Error::UnknownBackbone`] if no backbone has that name;
/// - those of [`read_weights`];
/// - [`Error::UnknownNaming`] if the names in the file follow no known scheme;
/// - [`Error::OtherBackbone`] if the weights are another backbone's;
/// - [`Error::DoNotFit`], with every difference, if they are no registered backbone's.
pub fn load_weights(backbone: &str, params: &Params, file: &Path) -> Result<LoadReport> {
    registry::info(backbone)?;
    let (found, ignored) = features(read_weights(file)?, file)?;
    let shapes = found.iter().map(|(name, tensor)| (name.clone(), tensor.dims().to_vec())).collect();
    let targets = targets(params);
    let report = LoadReport { ignored, ..compare(&expected(&targets), &shapes) };
    if !report.fits() {
        let fits = others_that_fit(backbone, &shapes)?;
        let (path, backbone) = (file.to_owned(), backbone.to_owned());
        return Err(if fits.is_empty() {
            Error::DoNotFit { path, backbone, report: Box::new(report) }
        } else {
            Error::OtherBackbone { path, backbone, fits }
        });
    }

    let mut values = Vec::with_capacity(targets.len());
    for target in &targets {
        let value = &found[&target.source];
        if !matches!(value.dtype(), DType::F32 | DType::F64 | DType::F16 | DType::BF16) {
            let message = format!("{} has type {}, not a floating-point one", target.source, value.dtype().as_str());
            return Err(Error::Malformed { path: file.to_owned(), message });
        }
        values.push(value.to_dtype(params.dtype())?.to_device(params.device())?);
    }
    for (target, value) in targets.iter().zip(&values) {
        target.entry.var.set(value)?;
    }
    Ok(report)
}

type Shapes = BTreeMap<String, Vec<usize>>;

/// The file's tensors that are a backbone's, by this crate's names; and the names of those that aren't.
fn features(tensors: BTreeMap<String, Tensor>, file: &Path) -> Result<(BTreeMap<String, Tensor>, Vec<String>)> {
    let scheme = recognise(tensors.keys().map(String::as_str)).ok_or_else(|| Error::UnknownNaming {
        path: file.to_owned(),
        names: tensors.keys().take(3).cloned().collect(),
    })?;
    let (mut features, mut ignored) = (BTreeMap::new(), Vec::new());
    for (name, tensor) in tensors {
        match scheme.role(&name) {
            Role::Feature(ours) => drop(features.insert(ours, tensor)),
            Role::Ignored => ignored.push(name),
        }
    }
    Ok((features, ignored))
}

/// A variable of the backbone, and the name of the tensor in the file that it takes.
struct Target {
    entry: Entry,
    source: String,
}

fn targets(params: &Params) -> Vec<Target> {
    let inside = |name: &str| match params.prefix() {
        "" => name.to_owned(),
        prefix => name[prefix.len() + 1..].to_owned(),
    };
    let entries = params.entries().into_iter();
    // `fine_running_mean` is of the same layer as `running_mean`, and starts as it.
    entries.map(|entry| Target { source: inside(&entry.name).replace(".fine_running_", ".running_"), entry }).collect()
}

fn expected(targets: &[Target]) -> Shapes {
    targets.iter().map(|target| (target.source.clone(), target.entry.var.dims().to_vec())).collect()
}

fn compare(expected: &Shapes, found: &Shapes) -> LoadReport {
    let without = |a: &Shapes, b: &Shapes| {
        let only = a.iter().filter(|(name, _)| !b.contains_key(*name));
        only.map(|(name, shape)| NamedShape { name: name.clone(), shape: shape.clone() }).collect()
    };
    let both = expected.iter().filter_map(|(name, shape)| Some((name, shape, found.get(name)?)));
    let mismatched: Vec<_> = both
        .clone()
        .filter(|(_, expected, found)| expected != found)
        .map(|(name, expected, found)| Mismatch {
            name: name.clone(),
            expected: expected.clone(),
            found: found.clone(),
        })
        .collect();
    LoadReport {
        loaded: both.count() - mismatched.len(),
        ignored: Vec::new(),
        missing: without(expected, found),
        unexpected: without(found, expected),
        mismatched,
    }
}

/// The other registered backbones, whose tensors have just these names and shapes. Only asked once weights don't fit,
/// so that building each of them is cheap enough.
fn others_that_fit(backbone: &str, found: &Shapes) -> Result<Vec<&'static str>> {
    let mut fits = Vec::new();
    for name in registry::names().into_iter().filter(|&name| name != backbone) {
        let params = Params::new(&Device::Cpu, DType::F32, 0);
        registry::build(name, &params)?;
        if compare(&expected(&targets(&params)), found).fits() {
            fits.push(name);
        }
    }
    Ok(fits)
}
