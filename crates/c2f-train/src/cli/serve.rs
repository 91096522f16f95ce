//! `c2f-train serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use c2f_serve::{Config, Model, Server};
use candle_core::Device;
use signal_hook::consts::SIGTERM;

use super::signals::Signals;
use super::{checkpoint_file, device, path, print};

/// The most bytes of a token's file.
const MAX_TOKEN: u64 = 4096;

#[derive(clap::Args)]
pub struct Args {
    /// Runs' folders (of each its best checkpoint), by whose names they are served, checkpoints, or `hub:ORG/NAME`
    #[arg(value_name = "RUN", required = true, value_parser = path())]
    runs: Vec<PathBuf>,
    /// Where to listen; only this machine can reach the default
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// 0 for one that is free
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
    /// A file with a token, which every request then has to bring (Authorization: Bearer TOKEN)
    #[arg(long, value_name = "FILE", value_parser = path())]
    token_file: Option<PathBuf>,
    /// The most MiB of a request
    #[arg(long, value_name = "MIB", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    max_body_mb: u32,
    /// The most requests that are worked on at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65536))]
    max_requests: u32,
    /// The most pictures that wait for a network
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65536))]
    queue: u32,
    /// The most pictures that go through a network together
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=65536))]
    max_batch: u32,
    /// How many milliseconds the first picture of a batch waits for others
    #[arg(long, value_name = "MS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(..=60_000))]
    gather: u64,
    /// How many seconds a request may take to arrive, and its answer to be made
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
}

/// Serves until a signal comes, then finishes what has begun. Gives the exit status: 0 after SIGTERM, by which services are
/// stopped, and 128 + N after another.
pub fn run(args: &Args) -> Result<u8> {
    let device = device(&args.device)?;
    let config = Config {
        address: SocketAddr::new(args.host, args.port),
        token: args.token_file.as_deref().map(token).transpose()?,
        max_body: (args.max_body_mb as usize) << 20,
        max_requests: args.max_requests as usize,
        queue: args.queue as usize,
        max_batch: args.max_batch as usize,
        gather: Duration::from_millis(args.gather),
        timeout: Duration::from_secs(args.timeout),
    };
    let models = args.runs.iter().map(|run| model(run, &device)).collect::<Result<_>>()?;
    let signals = Signals::listen()?;
    let server = Server::start(models, &config)?;
    if !args.host.is_loopback() && config.token.is_none() {
        tracing::warn!("whoever reaches {} is served: --token-file asks for a token", server.address());
    }
    print(&format!("http://{}", server.address()))?;
    while !signals.came() {
        anyhow::ensure!(server.is_running(), "the server has ended by itself");
        std::thread::sleep(Duration::from_millis(50));
    }
    tracing::info!("finishing what has begun; a second signal ends it at once");
    server.stop();
    Ok(match signals.exit_status() {
        status if i32::from(status) == 128 + SIGTERM => 0,
        status => status,
    })
}

/// The network of a run, by its folder's name or that of its repository.
fn model(run: &Path, device: &Device) -> Result<Model> {
    let Some(hub) = checkpoint_file::of_hub(run)? else { return Ok(Model::load(run, device)?) };
    let name = hub.repo.rsplit('/').next().unwrap_or(&hub.repo).to_owned();
    Ok(Model { name, network: checkpoint_file::network(run, device)? })
}

/// The token of a file, without the white space around it.
fn token(file: &Path) -> Result<String> {
    let text = c2f_files::text(file, MAX_TOKEN).context("--token-file")?;
    Ok(text.trim().to_owned())
}
