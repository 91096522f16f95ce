//! The processes that work together.

use std::time::Duration;

use candle_core::Tensor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::launcher;
use crate::{Error, Result};

/// The processes that train one network together, as one of them sees them. Each calls the same functions in the same order.
#[derive(Clone, Debug, Default)]
pub enum World {
    /// One process: nothing is exchanged.
    #[default]
    Single,
    /// Several that MPI connects. Only the thread that made it may use it.
    #[cfg(feature = "mpi")]
    Mpi(std::rc::Rc<crate::mpi::Mpi>),
}

impl World {
    /// The world that the launcher made: of one process where none started several. Call it once in a program, on its main thread.
    ///
    /// # Errors
    /// If a launcher started several processes and this program was built without a feature to connect them, or MPI doesn't
    /// connect those that it started.
    pub fn from_environment() -> Result<Self> {
        let Some((variable, size)) = launcher::started() else { return Ok(Self::Single) };
        #[cfg(feature = "mpi")]
        {
            let mpi = crate::mpi::Mpi::connect();
            let connected = mpi.as_ref().map_or(1, crate::mpi::Mpi::size);
            match mpi {
                Some(mpi) if connected == size => Ok(Self::Mpi(mpi.into())),
                _ => Err(Error::NotConnected { variable, size, connected }),
            }
        }
        #[cfg(not(feature = "mpi"))]
        Err(Error::NotBuilt { variable, size })
    }

    /// From now on this process waits no longer than that for another one; before, for as long as it takes.
    #[cfg_attr(not(feature = "mpi"), expect(unused_variables, reason = "one process waits for nobody"))]
    pub fn set_timeout(&self, timeout: Duration) {
        match self {
            Self::Single => {}
            #[cfg(feature = "mpi")]
            Self::Mpi(mpi) => mpi.set_timeout(timeout),
        }
    }

    /// The number of this process, from 0.
    pub fn rank(&self) -> usize {
        match self {
            Self::Single => 0,
            #[cfg(feature = "mpi")]
            Self::Mpi(mpi) => mpi.rank(),
        }
    }

    /// How many processes there are.
    pub fn size(&self) -> usize {
        match self {
            Self::Single => 1,
            #[cfg(feature = "mpi")]
            Self::Mpi(mpi) => mpi.size(),
        }
    }

    /// Whether this is rank 0, which alone writes files and tells how it goes.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// Every rank's bytes, in the order of the ranks.
    ///
    /// # Errors
    /// If a rank doesn't come in time.
    pub fn gather_bytes(&self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        match self {
            Self::Single => Ok(vec![mine]),
            #[cfg(feature = "mpi")]
            Self::Mpi(mpi) => mpi.gather(&mine),
        }
    }

    /// Every rank's value, in the order of the ranks; between processes it travels as JSON.
    ///
    /// # Errors
    /// If a rank doesn't come in time, or says something else than a `T`.
    pub fn gather<T: Serialize + DeserializeOwned>(&self, mine: T) -> Result<Vec<T>> {
        if self.size() == 1 {
            return Ok(vec![mine]);
        }
        let unreadable = |rank| move |e: serde_json::Error| Error::Message { rank, message: e.to_string() };
        let bytes = serde_json::to_vec(&mine).map_err(unreadable(self.rank()))?;
        let all = self.gather_bytes(bytes)?.into_iter().enumerate();
        all.map(|(rank, bytes)| serde_json::from_slice(&bytes).map_err(unreadable(rank))).collect()
    }

    /// What rank 0 has; the others' bytes aren't looked at.
    ///
    /// # Errors
    /// If a rank doesn't come in time.
    pub fn broadcast(&self, mine: Vec<u8>) -> Result<Vec<u8>> {
        let mut all = self.gather_bytes(if self.is_first() { mine } else { Vec::new() })?;
        Ok(all.swap_remove(0))
    }

    /// Whether it is so on any rank.
    ///
    /// # Errors
    /// If a rank doesn't come in time.
    pub fn any(&self, mine: bool) -> Result<bool> {
        Ok(self.gather_bytes(vec![u8::from(mine)])?.iter().any(|theirs| theirs[..] == [1]))
    }

    /// Waits until every rank is here.
    ///
    /// # Errors
    /// If one doesn't come in time.
    pub fn barrier(&self) -> Result<()> {
        self.gather_bytes(Vec::new()).map(drop)
    }

    /// An outcome that is the same on every rank. If it is an error, the first rank has it and is to end all; the others wait for that, so that it is told
    /// once.
    ///
    /// # Errors
    /// That of the outcome, and if the first rank doesn't end the others in time.
    pub fn told_once<T, E: From<Error>>(&self, outcome: std::result::Result<T, E>) -> std::result::Result<T, E> {
        if outcome.is_err() && !self.is_first() {
            self.barrier()?;
        }
        outcome
    }

    /// The sum of the ranks' tensors, f32 and of the same shapes on each, as a balanced binary tree of the ranks says: the same bits on each. What a
    /// rank has nothing to add to is -0.0, which changes no number that it is added to.
    ///
    /// # Errors
    /// If the tensors aren't f32, a rank doesn't come in time, or candle fails.
    pub fn tree_sum(&self, tensors: Vec<Tensor>) -> Result<Vec<Tensor>> {
        if self.size() == 1 {
            return Ok(tensors);
        }
        let mut values = Vec::with_capacity(tensors.iter().map(Tensor::elem_count).sum());
        for tensor in &tensors {
            values.extend(tensor.flatten_all()?.to_vec1::<f32>()?);
        }
        match self {
            Self::Single => {}
            #[cfg(feature = "mpi")]
            Self::Mpi(mpi) => mpi.add_up(&mut values),
        }
        let mut rest = &values[..];
        let sums = tensors.iter().map(|like| {
            let (own, others) = rest.split_at(like.elem_count());
            rest = others;
            Ok(Tensor::from_slice(own, like.shape(), like.device())?)
        });
        sums.collect()
    }

    /// Ends every process of the world at once, with this exit status.
    pub fn abort(&self, status: u8) -> ! {
        match self {
            Self::Single => std::process::exit(status.into()),
            #[cfg(feature = "mpi")]
            Self::Mpi(mpi) => mpi.abort(status),
        }
    }
}
