//! What MPI carries. Every wait but those of a transfer that both ends have begun can time out.

use std::cell::Cell;
use std::fmt::{self, Debug, Formatter};
use std::time::{Duration, Instant};

use mpi::Count;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::request::{Request, Scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Destination, Source};

use crate::{Error, Result};

/// The most that one message holds, in bytes.
const BUCKET: usize = 25_000_000;

/// How often a wait asks again at once, before it sleeps in between.
const EAGER: usize = 1000;
const NAP: Duration = Duration::from_micros(100);

/// One process of several that MPI connects.
pub struct Mpi {
    communicator: SimpleCommunicator,
    timeout: Cell<Option<Duration>>,
    /// Dropped last: MPI ends with it.
    _universe: Universe,
}

impl Debug for Mpi {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank(), self.size())
    }
}

impl Mpi {
    /// None if MPI has begun already.
    pub(crate) fn connect() -> Option<Self> {
        // rayon's and the loader's threads never call it.
        let (universe, _) = mpi::initialize_with_threading(mpi::Threading::Funneled)?;
        Some(Self { communicator: universe.world(), timeout: Cell::new(None), _universe: universe })
    }

    pub(crate) fn set_timeout(&self, timeout: Duration) {
        self.timeout.set(Some(timeout));
    }

    pub(crate) fn rank(&self) -> usize {
        self.communicator.rank() as usize
    }

    pub(crate) fn size(&self) -> usize {
        self.communicator.size() as usize
    }

    pub(crate) fn abort(&self, status: u8) -> ! {
        self.communicator.abort(status.into())
    }

    /// Every rank's bytes, in the order of the ranks.
    pub(crate) fn gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>> {
        let lengths = self.meet(mine.len())?;
        let mut all: Vec<Vec<u8>> = lengths.iter().map(|&length| Vec::with_capacity(length)).collect();
        // MPI counts in i32, over all ranks.
        let bucket = BUCKET.min(i32::MAX as usize / self.size());
        for start in (0..lengths.iter().copied().max().unwrap_or(0)).step_by(bucket) {
            let part = |length: usize| start.min(length)..(start + bucket).min(length);
            let counts: Vec<Count> = lengths.iter().map(|&length| part(length).len() as Count).collect();
            let offsets: Vec<Count> = counts
                .iter()
                .scan(0, |end, count| {
                    *end += count;
                    Some(*end - count)
                })
                .collect();
            let mut received = vec![0_u8; counts.iter().map(|&count| count as usize).sum()];
            {
                let mut parts = PartitionMut::new(&mut received[..], &counts[..], &offsets[..]);
                let mine = &mine[part(mine.len())];
                mpi::request::scope(|scope| {
                    self.complete(self.communicator.immediate_all_gather_varcount_into(scope, mine, &mut parts));
                });
            }
            let mut rest = &received[..];
            for (bytes, &count) in all.iter_mut().zip(&counts) {
                let (theirs, others) = rest.split_at(count as usize);
                bytes.extend_from_slice(theirs);
                rest = others;
            }
        }
        Ok(all)
    }

    /// Waits for every rank to come here, each with a number; gives them in the order of the ranks.
    fn meet(&self, mine: usize) -> Result<Vec<usize>> {
        let (rank, size) = (self.rank(), self.size());
        let process = |rank: usize| self.communicator.process_at_rank(rank as i32);
        for other in (0..size).filter(|&other| other != rank) {
            // Eight bytes are on their way at once, whether the other waits for them or not.
            process(other).send(&(mine as u64));
        }
        let mut numbers = vec![mine; size];
        let mut missing: Vec<usize> = (0..size).filter(|&other| other != rank).collect();
        let mut wait = Wait::new(self.timeout.get());
        while !missing.is_empty() {
            missing.retain(|&other| {
                if process(other).immediate_probe().is_none() {
                    return true;
                }
                numbers[other] = process(other).receive::<u64>().0 as usize;
                false
            });
            if let Some(seconds) = wait.pause_for(missing.is_empty()) {
                return Err(Error::Silent { ranks: missing, seconds });
            }
        }
        Ok(numbers)
    }

    /// Puts the sum of all ranks' values, as many on each, in the place of this one's: recursive doubling, each exchange by buckets.
    pub(crate) fn add_up(&self, values: &mut [f32]) {
        let bucket = BUCKET / size_of::<f32>();
        let mut theirs = vec![0_f32; bucket.min(values.len())];
        let mut distance = 1;
        while distance < self.size() {
            let partner = self.communicator.process_at_rank((self.rank() ^ distance) as i32);
            for mine in values.chunks_mut(bucket) {
                let theirs = &mut theirs[..mine.len()];
                mpi::request::scope(|scope| {
                    let sent = partner.immediate_send(scope, &*mine);
                    self.complete(partner.immediate_receive_into(scope, theirs));
                    self.complete(sent);
                });
                for (sum, other) in mine.iter_mut().zip(theirs.iter()) {
                    *sum += *other;
                }
            }
            distance *= 2;
        }
    }

    /// Waits for a transfer to end. All ranks were here a moment ago: who isn't any more takes the buffers with it, so that there is no
    /// way back.
    fn complete<'a, D: ?Sized, S: Scope<'a>>(&self, mut request: Request<'a, D, S>) {
        let mut wait = Wait::new(self.timeout.get());
        while let Err(unfinished) = request.test() {
            request = unfinished;
            if let Some(seconds) = wait.pause_for(false) {
                tracing::error!(
                    "rank {}: another rank stopped in the middle of a transfer: nothing came for {seconds} s",
                    self.rank()
                );
                self.abort(1);
            }
        }
    }
}

/// A wait for others, which leaves the processor to whoever computes.
struct Wait {
    begun: Instant,
    timeout: Option<Duration>,
    asked: usize,
}

impl Wait {
    fn new(timeout: Option<Duration>) -> Self {
        Self { begun: Instant::now(), timeout, asked: 0 }
    }

    /// A pause before asking again, none if it is `over`; gives the seconds waited if they are too many.
    fn pause_for(&mut self, over: bool) -> Option<u64> {
        if over {
            return None;
        }
        if self.timeout.is_some_and(|timeout| self.begun.elapsed() >= timeout) {
            return Some(self.begun.elapsed().as_secs());
        }
        self.asked += 1;
        if self.asked < EAGER {
            std::thread::yield_now();
        } else {
            std::thread::sleep(NAP);
        }
        None
    }
}
