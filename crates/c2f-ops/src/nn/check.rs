//! What is asked of a layer's settings when it is made, so that a mistake is found where it is and not in the first pass.

use crate::{Error, Result};

/// That none of these is zero.
pub(super) fn positive(layer: &'static str, sizes: &[(&str, usize)]) -> Result<()> {
    match sizes.iter().find(|(_, size)| *size == 0) {
        Some((what, _)) => Err(Error::Config { op: layer, message: format!("{what}: 0, expected 1 or more") }),
        None => Ok(()),
    }
}

/// That what is added to a variance can be: a number from 0.
pub(super) fn eps(layer: &'static str, eps: f64) -> Result<()> {
    if eps.is_finite() && eps >= 0.0 {
        return Ok(());
    }
    Err(Error::Config { op: layer, message: format!("eps is {eps}, which isn't a number from 0") })
}
