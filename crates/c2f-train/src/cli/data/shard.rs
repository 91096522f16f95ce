//! `c2f-train data shard`.

use std::path::PathBuf;

use anyhow::Result;
use c2f_engine::Error;
use tracing::{info, warn};

use crate::bars;
use crate::cli::data_spec::data_spec;
use crate::cli::{path, print};

#[derive(clap::Args)]
pub struct Args {
    /// The data set, `kind:path` or `hub:ORG/NAME`
    spec: String,
    /// The folder to make
    #[arg(long, value_name = "DIR", value_parser = path())]
    to: PathBuf,
    /// The size of a shard, about
    #[arg(long, value_name = "BYTES", default_value_t = 256_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    shard_bytes: u64,
}

pub fn run(args: &Args) -> Result<()> {
    let dataset = c2f_data::open(&data_spec(&args.spec)?).map_err(Error::from)?;
    if !dataset.skipped.is_empty() {
        warn!("{}", dataset.skipped);
    }
    if dataset.splits.values().flatten().any(|sample| sample.bounding_box.is_some() || !sample.parts.is_empty()) {
        info!("Shards hold pictures and labels: the boxes and parts of this data set are left behind");
    }
    let bar = bars::bar("shard", dataset.splits.values().map(Vec::len).sum());
    let written =
        c2f_data::write_shards(&dataset, &args.to, args.shard_bytes, &mut |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    written.map_err(Error::from)?;
    print(&format!("webdataset:{}", args.to.display()))
}
