//! What a micro-batch leaves beside its gradient, for every rank.

use std::collections::{BTreeSet, HashMap};

use c2f_dist::World;
use c2f_ops::nn::BufferUpdate;
use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{Stored, floats};
use crate::{Error, Network, Result};

/// What one micro-batch leaves.
#[derive(Default)]
pub(super) struct Outcome {
    /// The moves of the running statistics.
    pub updates: Vec<BufferUpdate>,
    /// The part features (B, M*C) that centres are to follow, and the labels of their pictures.
    pub centers: Option<(Tensor, Vec<u32>)>,
}

impl Outcome {
    /// Moves the network's running statistics and centres.
    pub fn apply(&self, network: &Network) -> Result<()> {
        network.params.apply(&self.updates)?;
        if let (Some(center), Some((parts, labels))) = (&network.center, &self.centers) {
            center.update(parts, &Tensor::from_slice(labels, labels.len(), parts.device())?)?;
        }
        Ok(())
    }
}

/// What the micro-batches of a step leave: a rank's, or all ranks' in their order.
pub(super) struct Outcomes {
    /// Of each micro-batch that had pictures.
    pub all: Vec<Outcome>,
    /// Whether every loss was finite.
    pub finite: bool,
    /// The variables that have a gradient.
    pub trained: BTreeSet<String>,
}

/// All of [`Outcomes`] but the tensors, which have the names that are made of its numbers.
#[derive(Serialize, Deserialize)]
struct Header {
    finite: bool,
    trained: BTreeSet<String>,
    all: Vec<OutcomeHeader>,
}

#[derive(Serialize, Deserialize)]
struct OutcomeHeader {
    /// Name and share of what stays of each buffer that moves.
    updates: Vec<(String, f64)>,
    /// Where centres follow.
    labels: Option<Vec<u32>>,
}

const HEADER: &str = "outcomes";

fn update_name(outcome: usize, update: usize) -> String {
    format!("{outcome}.update.{update}")
}

fn parts_name(outcome: usize) -> String {
    format!("{outcome}.parts")
}

impl Outcomes {
    /// All ranks' outcomes, in the order of their micro-batches, on each.
    pub fn gather(self, world: &World, device: &Device) -> Result<Self> {
        if world.size() == 1 {
            return Ok(self);
        }
        let unreadable = |rank: usize, e: &dyn std::fmt::Display| {
            Error::World(c2f_dist::Error::Message { rank, message: e.to_string() })
        };
        let mine = self.to_bytes().map_err(|e| unreadable(world.rank(), &e))?;
        let mut together = Self { all: Vec::new(), finite: true, trained: BTreeSet::new() };
        for (rank, bytes) in world.gather_bytes(mine)?.into_iter().enumerate() {
            let theirs = Self::from_bytes(&bytes, device).map_err(|e| unreadable(rank, &e))?;
            together.all.extend(theirs.all);
            together.finite &= theirs.finite;
            together.trained.extend(theirs.trained);
        }
        Ok(together)
    }

    /// A file of safetensors.
    fn to_bytes(&self) -> Readable<Vec<u8>> {
        let (mut tensors, mut headers) = (Vec::new(), Vec::new());
        for (index, outcome) in self.all.iter().enumerate() {
            for (number, update) in outcome.updates.iter().enumerate() {
                tensors.push((update_name(index, number), Stored::floats(&update.share)?));
            }
            if let Some((parts, _)) = &outcome.centers {
                tensors.push((parts_name(index), Stored::floats(parts)?));
            }
            headers.push(OutcomeHeader {
                updates: outcome.updates.iter().map(|update| (update.name.clone(), update.kept)).collect(),
                labels: outcome.centers.as_ref().map(|(_, labels)| labels.clone()),
            });
        }
        let header = Header { finite: self.finite, trained: self.trained.clone(), all: headers };
        let metadata = HashMap::from([(HEADER.to_owned(), serde_json::to_string(&header)?)]);
        Ok(safetensors::serialize(tensors, Some(metadata))?)
    }

    fn from_bytes(bytes: &[u8], device: &Device) -> Readable<Self> {
        let (_, metadata) = SafeTensors::read_metadata(bytes)?;
        let header = metadata.metadata().as_ref().and_then(|metadata| metadata.get(HEADER)).ok_or("no header")?;
        let Header { finite, trained, all: headers } = serde_json::from_str(header)?;
        let file = SafeTensors::deserialize(bytes)?;
        let tensor = |name: String| -> Readable<Tensor> { Ok(floats(&file.tensor(&name)?)?.to_device(device)?) };
        let mut all = Vec::new();
        for (index, header) in headers.into_iter().enumerate() {
            let updates = header.updates.into_iter().enumerate();
            let updates = updates.map(|(number, (name, kept))| {
                Ok(BufferUpdate { name, kept, share: tensor(update_name(index, number))? })
            });
            let updates = updates.collect::<Readable<_>>()?;
            let centers = match header.labels {
                Some(labels) => Some((tensor(parts_name(index))?, labels)),
                None => None,
            };
            all.push(Outcome { updates, centers });
        }
        Ok(Self { all, finite, trained })
    }
}

/// What goes wrong has one message, whatever it was: the bytes are of another version of this program.
type Readable<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_survive_the_way_between_ranks() {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        let update =
            |name: &str, share: &[f32]| BufferUpdate { name: name.to_owned(), kept: 0.9, share: tensor(share) };
        let parts = tensor(&[0.1, -0.0, 3.0, f32::MIN_POSITIVE]).reshape((2, 2)).unwrap();
        let outcomes = Outcomes {
            all: vec![
                Outcome { updates: vec![update("bn.running_mean", &[0.3, 1e-30])], centers: Some((parts, vec![2, 0])) },
                Outcome::default(),
                Outcome { updates: vec![update("b", &[1.0]), update("b", &[2.0])], centers: None },
            ],
            finite: false,
            trained: ["w", "v"].map(str::to_owned).into(),
        };
        let back = Outcomes::from_bytes(&outcomes.to_bytes().unwrap(), &Device::Cpu).unwrap();
        assert_eq!((back.finite, &back.trained, back.all.len()), (false, &outcomes.trained, 3));
        let bits = |t: &Tensor| -> Vec<u32> {
            t.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().map(|v| v.to_bits()).collect()
        };
        for (a, b) in back.all.iter().zip(&outcomes.all) {
            let updates = |outcome: &Outcome| -> Vec<(String, u64, Vec<u32>)> {
                outcome.updates.iter().map(|u| (u.name.clone(), u.kept.to_bits(), bits(&u.share))).collect()
            };
            let centers =
                |outcome: &Outcome| outcome.centers.as_ref().map(|(p, l)| (p.dims().to_vec(), bits(p), l.clone()));
            assert_eq!((updates(a), centers(a)), (updates(b), centers(b)));
        }
        assert!(Outcomes::from_bytes(b"something else", &Device::Cpu).is_err());
    }
}
