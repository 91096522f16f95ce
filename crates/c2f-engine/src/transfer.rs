//! Going on from a network of one's own: what another checkpoint has that fits.

use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::{Error, Network, Result};

/// Variables that belong to classes by their order: the classifier and the centres of the centre loss.
const OF_CLASSES: [&str; 2] = ["classifier.", "center."];

/// How much of a network came from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Variables that were taken over.
    pub taken: usize,
    /// Those that start anew.
    pub new: Vec<String>,
    /// Tensors of the checkpoint that have no place in this network.
    pub unused: Vec<String>,
    /// How many classes the checkpoint and the network have, where they aren't the same in the same order.
    pub classes: Option<(usize, usize)>,
}

impl Transfer {
    /// What didn't fit, in one line; none where everything did.
    pub fn warning(&self, path: &Path) -> Option<String> {
        if self.new.is_empty() && self.unused.is_empty() && self.classes.is_none() {
            return None;
        }
        let mut parts = vec![format!("{} tensors are taken over", self.taken)];
        if let Some((theirs, ours)) = self.classes {
            parts.push(format!("the {theirs} classes there aren't the {ours} here, so the classifier is a new one"));
        }
        for (tensors, what) in [(&self.new, "start anew"), (&self.unused, "aren't used")] {
            if let Some(first) = tensors.first() {
                let more = if tensors.len() > 1 { ", ..." } else { "" };
                parts.push(format!("{} {what} ({first}{more})", tensors.len()));
            }
        }
        Some(format!("{}: {}", path.display(), parts.join("; ")))
    }
}

/// Takes from a checkpoint every tensor that the network has by the same name and shape: its averages, where it has them.
/// The classifier and the centres are taken only if the classes are the same in the same order. The network then knows which
/// pictures trained the checkpoint's.
///
/// # Errors
/// If the checkpoint can't be read, is of another backbone, or holds NaN or infinity.
pub fn transfer(network: &mut Network, path: &Path) -> Result<Transfer> {
    let checkpoint = Checkpoint::read(path)?;
    let (theirs, ours) = (&checkpoint.recipe.backbone, &network.recipe.backbone);
    if theirs != ours {
        return Err(Error::checkpoint(path, format!("its backbone is {theirs}, but the recipe's is {ours}")));
    }
    let mut weights = if checkpoint.ema.is_empty() { checkpoint.weights } else { checkpoint.ema };
    if let Some(message) = c2f_backbone::find_not_finite(&weights)? {
        return Err(Error::checkpoint(path, message));
    }
    network.trained_on.extend(&checkpoint.trained_on);
    let same_classes = checkpoint.classes == network.classes;
    let fits = |name: &str| same_classes || !OF_CLASSES.iter().any(|prefix| name.starts_with(prefix));
    let (mut taken, mut new) = (0, Vec::new());
    for entry in network.params.entries() {
        let tensor = weights.remove(&entry.name);
        match tensor.filter(|tensor| tensor.dims() == entry.var.dims() && fits(&entry.name)) {
            Some(tensor) => {
                entry.var.set(&tensor.to_device(network.params.device())?)?;
                taken += 1;
            }
            None => new.push(entry.name),
        }
    }
    let unused = weights.into_keys().collect();
    let classes = (!same_classes).then_some((checkpoint.classes.len(), network.classes.len()));
    Ok(Transfer { taken, new, unused, classes })
}
