//! Files of the table's folder: read as JSON, written whole or not at all.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

/// What is in a JSON file; none where there is no file.
///
/// # Errors
/// If it can't be read, or holds something else.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(Some(serde_json::from_str(&text).with_context(|| path.display().to_string())?))
}

/// Replaces a file so that a kill leaves the old one or the new one.
///
/// # Errors
/// If it can't be written.
pub fn write_whole(path: &Path, text: &str) -> Result<()> {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, text).with_context(|| temporary.display().to_string())?;
    fs::rename(&temporary, path).with_context(|| path.display().to_string())
}
