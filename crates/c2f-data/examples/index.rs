//! Measures how long it takes to find out which pictures a data set has, and how much memory that needs.
//!
//! `cargo run --release -p c2f-data --example index -- SPEC` prints a JSON object. `cargo xtask bench --only index` runs it on
//! half a million files.

use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let spec = std::env::args().nth(1).ok_or("expected SPEC, such as folder:/data/birds")?;
    let start = Instant::now();
    let dataset = c2f_data::open(&spec.parse()?)?;
    let seconds = start.elapsed().as_secs_f64();
    let pictures: usize = dataset.splits.values().map(Vec::len).sum();
    let peak_rss_mb = peak_rss_mb().map_or("null".to_owned(), |mb| mb.to_string());
    println!(r#"{{"pictures": {pictures}, "seconds": {seconds}, "peak_rss_mb": {peak_rss_mb}}}"#);
    Ok(())
}

/// The most memory that this process ever had resident, as Linux counts it.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}
