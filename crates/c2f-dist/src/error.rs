//! The error of this crate.

/// What can go wrong between processes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A launcher started several processes of a program that was built for one.
    #[error(
        "{variable} = {size}, but this program was built for one process: build it with --features mpi, or start it once"
    )]
    NotBuilt {
        /// The launcher's variable.
        variable: &'static str,
        /// How many processes it says there are.
        size: usize,
    },
    /// A launcher started several processes that MPI doesn't know as one world.
    #[error(
        "{variable} = {size}, but MPI connects {connected}: start it with mpirun, or with srun and an MPI that knows it (--mpi=pmix)"
    )]
    NotConnected {
        /// The launcher's variable.
        variable: &'static str,
        /// How many processes it says there are.
        size: usize,
        /// How many MPI sees.
        connected: usize,
    },
    /// The number of processes doesn't cut a step's tree into whole branches.
    #[error("{ranks} processes: expected a power of two that divides {leaves}, the micro-batches of a step")]
    Ranks {
        /// The processes.
        ranks: usize,
        /// Micro-batches of a step.
        leaves: usize,
    },
    /// More was added to a tree than it has leaves.
    #[error("more than {0} micro-batches in a step")]
    TooManyLeaves(usize),
    /// Ranks didn't come to where this one waits.
    #[error("no word from rank {} for {seconds} s", join(.ranks))]
    Silent {
        /// Those ranks.
        ranks: Vec<usize>,
        /// How long it was waited for them, in seconds.
        seconds: u64,
    },
    /// A rank said something that can't be read, as one of another version of the program does.
    #[error("rank {rank} said what this one can't read: {message}")]
    Message {
        /// That rank.
        rank: usize,
        /// What is wrong with it.
        message: String,
    },
    /// candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

fn join(ranks: &[usize]) -> String {
    ranks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
