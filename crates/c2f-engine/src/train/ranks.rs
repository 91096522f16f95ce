//! Ranks that begin with the same.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use c2f_data::Dataset;
use c2f_dist::World;

use crate::checkpoint::{Checkpoint, restore};
use crate::{Error, Network, Progress, Recipe, Result};

/// Which of a step's batches this rank does.
///
/// # Errors
/// If the number of ranks doesn't cut the step's tree into whole branches.
pub(super) fn branch(recipe: &Recipe, world: &World) -> Result<Range<usize>> {
    let (batches, ranks) = (recipe.optimizer.grad_accum_steps, world.size());
    let branch = c2f_dist::branch(batches, world.rank(), ranks).map_err(|_| {
        Error::Usage(format!(
            "{ranks} processes with optimizer.grad_accum_steps = {batches}: expected as many processes as a power of two that divides it"
        ))
    });
    world.told_once(branch)
}

/// Fails if a rank isn't as the first: it would compute other bits, or of other pictures.
pub(super) fn check_alike(world: &World, dataset: &Dataset) -> Result<()> {
    if world.size() == 1 {
        return Ok(());
    }
    let mine = [
        ("version of the program", env!("CARGO_PKG_VERSION").to_owned()),
        ("instruction set (C2F_SIMD)", c2f_ops::instruction_set().to_owned()),
        ("pictures, with the digest", format!("{:016x}", dataset.digest())),
    ];
    let all = world.gather(mine.clone().map(|(_, value)| value))?;
    for (rank, theirs) in all.iter().enumerate() {
        if let Some((i, value)) = theirs.iter().enumerate().find(|(i, value)| **value != all[0][*i]) {
            let message = format!("rank {rank} has another {} than rank 0: {value}, not {}", mine[i].0, all[0][i]);
            return world.told_once(Err(Error::Usage(message)));
        }
    }
    Ok(())
}

/// Gives every rank the first one's weights and whatever else it begins with; also whether it `whitens` its attention.
pub(super) fn start_alike(world: &World, network: &mut Network, whitens: bool) -> Result<bool> {
    if world.size() == 1 {
        return Ok(whitens);
    }
    let (path, none) = (Path::new("of rank 0"), BTreeMap::new());
    let mine = if world.is_first() {
        Checkpoint::to_bytes(path, network, &Progress::default(), &none, &none)?
    } else {
        Vec::new()
    };
    let theirs = Checkpoint::from_bytes(path, &world.broadcast(mine)?)?;
    restore(path, &theirs.weights, &network.params)?;
    network.trained_on = theirs.trained_on;
    Ok(world.any(world.is_first() && whitens)?)
}
