//! Commands that several processes may do together.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Result;
use c2f_engine::World;
use signal_hook::consts::SIGTERM;

use super::{exit_status, one_line};
use crate::terminal;

/// How long the other ranks wait with an error of theirs for the first one to say the same: what is wrong
/// everywhere, as a data set that isn't there, is best told once.
const GRACE: Duration = Duration::from_millis(500);

#[derive(clap::Args, Default)]
pub struct Options {
    /// Where several processes work together (mpirun, srun): the seconds after which one that waits for the others gives up [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: Option<u64>,
}

impl Options {
    /// The longest that a process waits for the others.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.unwrap_or(60))
    }
}

/// Does `work` in the world that the launcher made. What goes wrong on one rank of several ends all of them, with that rank's message
/// and status.
pub fn in_world<T>(work: impl FnOnce(&World) -> Result<T>) -> Result<T> {
    let world = World::from_environment().map_err(c2f_engine::Error::from)?;
    let guard = EndWithAll(&world);
    let done = work(guard.0);
    match done {
        Err(error) if world.size() > 1 => {
            if !world.is_first() {
                // The launcher's SIGTERM to a world that ends, after which there is nothing to say.
                signal_hook::flag::register_conditional_shutdown(SIGTERM, 1, Arc::new(AtomicBool::new(true)))?;
                std::thread::sleep(GRACE);
            }
            terminal::say(&format!("error: rank {} of {}: {}", world.rank(), world.size(), one_line(&error)));
            world.abort(exit_status(&error))
        }
        done => done,
    }
}

/// A rank that panics would wait for the others before it ends.
struct EndWithAll<'a>(&'a World);

impl Drop for EndWithAll<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() && self.0.size() > 1 {
            self.0.abort(101);
        }
    }
}
