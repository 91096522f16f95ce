//! Loading a file into a backbone: everything fits, or nothing is changed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use c2f_ops::nn::{Entry, Params};
use candle_core::{DType, Device, Tensor};

use super::finite::{is_finite, not_finite};
use super::naming::{Role, recognise};
use super::read_weights;
use crate::{Error, FeatureConfig, Result, registry};

/// The tensors of a weight file, compared with those of a backbone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// How many tensors of the file the backbone took.
    pub loaded: usize,
    /// Names in the file that the backbone doesn't want: ImageNet's classifier, BatchNorm's counters, and what lies behind
    /// the endpoint.
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

/// Loads a weight file (see [`read_weights`]) into `params`, the view that [`build`](crate::build) made `backbone`, or a
/// part of it, in.
///
/// Names may be timm's, torchvision's or those of EfficientNet-PyTorch, with what training scripts put before them
/// (`module.`, `model.`, `backbone.`, `_orig_mod.` and others); what lies beside the network is ignored. Values are converted to the type and device of
/// `params`. A second set of running statistics starts as a copy of the first. Either all of the file fits the whole
/// backbone and what was made of it is loaded, or nothing is changed.
///
/// # Errors
/// - [`Error::UnknownBackbone`] if no backbone has that name;
/// - [`Error::NotBuilt`] if `params` doesn't hold that backbone's variables;
/// - those of [`read_weights`];
/// - [`Error::Malformed`], with the tensor's name, if values that are wanted are no floats, or not finite;
/// - [`Error::UnknownNaming`] if the names in the file follow no known scheme;
/// - [`Error::OtherBackbone`] if the weights are another backbone's;
/// - [`Error::DoNotFit`], with every difference, if they are no registered backbone's.
pub fn load_weights(backbone: &str, params: &Params, file: &Path) -> Result<LoadReport> {
    let whole = shapes_of(backbone)?;
    let targets = targets(params);
    if targets.is_empty() || targets.iter().any(|target| !whole.contains_key(&target.source)) {
        let prefix = params.prefix().to_owned();
        return Err(Error::NotBuilt { backbone: backbone.to_owned(), prefix });
    }
    let Features { mut tensors, ignored, .. } = features(read_weights(file)?, file)?;
    let shapes = shapes(&tensors);
    let report = LoadReport { ignored, ..compare(&whole, &shapes) };
    if !report.fits() {
        let fits = backbones_that_fit(&shapes)?;
        let (path, backbone) = (file.to_owned(), backbone.to_owned());
        return Err(if fits.is_empty() {
            Error::DoNotFit { path, backbone, report: Box::new(report) }
        } else {
            Error::OtherBackbone { path, backbone, fits }
        });
    }

    let mut values = Vec::with_capacity(targets.len());
    for target in &targets {
        let value = &tensors[&target.source];
        if !matches!(value.dtype(), DType::F32 | DType::F64 | DType::F16 | DType::BF16) {
            let message = format!("{} has type {}, not a floating-point one", target.source, value.dtype().as_str());
            return Err(Error::Malformed { path: file.to_owned(), message });
        }
        let value = value.to_dtype(params.dtype())?;
        if !is_finite(&value)? {
            return Err(Error::Malformed { path: file.to_owned(), message: not_finite(&target.source) });
        }
        values.push(value.to_device(params.device())?);
    }
    for (target, value) in targets.iter().zip(&values) {
        target.entry.var.set(value)?;
        tensors.remove(&target.source);
    }
    let mut report = report;
    report.loaded -= tensors.len();
    report.ignored.extend(tensors.into_keys());
    Ok(report)
}

/// What a weight file holds.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Name, as the file has it, type and shape of every tensor.
    pub tensors: Vec<(String, DType, Vec<usize>)>,
    /// Whose names they are, if that is known.
    pub naming: Option<&'static str>,
    /// Names of the tensors that hold NaN or infinity. Nothing can be done with such weights.
    pub not_finite: Vec<String>,
    /// The registered backbones that the file fits.
    pub fits: Vec<&'static str>,
    /// The comparison with the backbone that was asked for.
    pub report: Option<LoadReport>,
}

/// Says what is in a weight file (see [`read_weights`]), and how it compares with a backbone.
///
/// # Errors
/// [`Error::UnknownBackbone`], and those of [`read_weights`].
pub fn inspect_weights(file: &Path, backbone: Option<&str>) -> Result<Inspection> {
    let whole = backbone.map(shapes_of).transpose()?;
    let tensors = read_weights(file)?;
    let mut not_finite = Vec::new();
    for (name, tensor) in &tensors {
        if !is_finite(&tensor.to_dtype(DType::F32)?)? {
            not_finite.push(name.clone());
        }
    }
    let listed = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.dtype(), tensor.dims().to_vec())).collect();
    let (naming, found, ignored) = match features(tensors, file) {
        Ok(Features { scheme, tensors, ignored }) => (Some(scheme), shapes(&tensors), ignored),
        Err(Error::UnknownNaming { .. }) => (None, Shapes::new(), Vec::new()),
        Err(other) => return Err(other),
    };
    let report = whole.map(|whole| LoadReport { ignored, ..compare(&whole, &found) });
    let fits = if found.is_empty() { Vec::new() } else { backbones_that_fit(&found)? };
    Ok(Inspection { tensors: listed, naming, not_finite, fits, report })
}

type Shapes = BTreeMap<String, Vec<usize>>;

fn shapes(tensors: &BTreeMap<String, Tensor>) -> Shapes {
    tensors.iter().map(|(name, tensor)| (name.clone(), tensor.dims().to_vec())).collect()
}

/// A file's tensors that are a backbone's, by this crate's names; and the names of those that aren't.
struct Features {
    scheme: &'static str,
    tensors: BTreeMap<String, Tensor>,
    ignored: Vec<String>,
}

fn features(tensors: BTreeMap<String, Tensor>, file: &Path) -> Result<Features> {
    let names: Vec<&str> = tensors.keys().map(String::as_str).collect();
    let (wrapper, scheme) = recognise(&names).ok_or_else(|| Error::UnknownNaming {
        path: file.to_owned(),
        names: tensors.keys().take(5).cloned().collect(),
    })?;
    let mut features = Features { scheme: scheme.name, tensors: BTreeMap::new(), ignored: Vec::new() };
    // What lies beside the network is no part of it.
    let (tensors, beside): (Vec<_>, Vec<_>) = tensors.into_iter().partition(|(name, _)| name.starts_with(&wrapper));
    features.ignored.extend(beside.into_iter().map(|(name, _)| name));
    let names: Vec<&str> = tensors.iter().map(|(name, _)| &name[wrapper.len()..]).collect();
    let roles = scheme.roles(&names);
    for ((name, tensor), role) in tensors.into_iter().zip(roles) {
        match role {
            // torchvision has (C, 1, 1) for timm's (C).
            Role::Feature(ours) if ours.rsplit('.').next() == Some("gamma") => {
                features.tensors.insert(ours, tensor.flatten_all()?);
            }
            Role::Feature(ours) => drop(features.tensors.insert(ours, tensor)),
            Role::Ignored => features.ignored.push(name),
        }
    }
    Ok(features)
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

/// The names and shapes of a whole backbone's variables.
fn shapes_of(backbone: &str) -> Result<Shapes> {
    let params = Params::zeros(&Device::Cpu, DType::F32);
    registry::build(backbone, &params, &FeatureConfig::default())?;
    Ok(params.entries().into_iter().map(|entry| (entry.name, entry.var.dims().to_vec())).collect())
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

/// The registered backbones, whose tensors have just these names and shapes.
fn backbones_that_fit(found: &Shapes) -> Result<Vec<&'static str>> {
    let mut fits = Vec::new();
    for name in registry::names() {
        if compare(&shapes_of(name)?, found).fits() {
            fits.push(name);
        }
    }
    Ok(fits)
}
