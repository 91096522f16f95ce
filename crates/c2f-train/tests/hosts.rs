//! Two processes on two hosts, which are network namespaces of the test's own with a link of 1 Gbit/s between them: they make the weights of
//! one process, and both notice when the link is cut.

#![cfg(all(feature = "mpi", target_os = "linux"))]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::ranks::{CENTRES, arguments, assert_same, find_rank, launcher};
use common::{program, succeed, tensors, text};

/// Far longer than these runs and their `--timeout`: what is still there then hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Two namespaces, gone with the value.
struct Hosts {
    names: [String; 2],
    folder: tempfile::TempDir,
}

impl Hosts {
    const ADDRESSES: [&str; 2] = ["10.9.0.1", "10.9.0.2"];

    /// None, and a line that says so, where there is no launcher, or a process may not make namespaces.
    fn new() -> Option<Self> {
        static PAIRS: AtomicUsize = AtomicUsize::new(0);
        launcher()?;
        let pair = PAIRS.fetch_add(1, Ordering::Relaxed);
        let names = ["a", "b"].map(|host| format!("c2f-{}-{pair}-{host}", std::process::id()));
        let hosts = Self { names, folder: tempfile::tempdir().unwrap() };
        if !hosts.connect() {
            println!("skipped: no network namespaces can be made here");
            return None;
        }
        std::fs::write(hosts.agent(), hosts.agent_script()).unwrap();
        assert!(Command::new("chmod").arg("+x").arg(hosts.agent()).status().unwrap().success());
        Some(hosts)
    }

    /// Makes both, and the link; whether that may be done here.
    fn connect(&self) -> bool {
        let [a, b] = &self.names;
        let link = ["link", "add", "link-a", "type", "veth", "peer", "name", "link-b", "netns", b];
        let made = ip(&["netns", "add", a]) && ip(&["netns", "add", b]) && ip(&[&["-n", a], &link[..]].concat());
        let set_up = |(name, (device, address)): (&String, (&str, &str))| {
            let address = format!("{address}/24");
            let limit = ["root", "tbf", "rate", "1gbit", "burst", "256kb", "latency", "50ms"];
            ip(&["-n", name, "addr", "add", &address, "dev", device])
                && ip(&["-n", name, "link", "set", "lo", "up"])
                && ip(&["-n", name, "link", "set", device, "up"])
                && is_done(on(name, "tc").args(["qdisc", "add", "dev", device]).args(limit))
        };
        made && self.names.iter().zip(["link-a", "link-b"].into_iter().zip(Self::ADDRESSES)).all(set_up)
    }

    fn agent(&self) -> PathBuf {
        self.folder.path().join("agent")
    }

    /// What stands in for ssh: a host, then a command, which sees another host's name.
    fn agent_script(&self) -> String {
        let [a, b] = &self.names;
        format!(
            "#!/bin/sh\nhost=$1; shift\ncase $host in {}) name={a};; *) name={b};; esac\n\
             exec ip netns exec $name unshare --uts sh -c \"hostname $name; $*\"\n",
            Self::ADDRESSES[0]
        )
    }

    /// Starts the program on both, by OpenMPI's launcher on the first.
    fn start(&self, arguments: &[&str]) -> Child {
        let [a, _] = &self.names;
        let mut command = on(a, "unshare");
        command.args(["--uts", "sh", "-c", "hostname $0; exec mpirun \"$@\"", a, "--allow-run-as-root"]);
        command.args(["--mca", "plm_rsh_agent", text(&self.agent()), "--mca", "btl", "tcp,self"]);
        for network in ["btl_tcp_if_include", "oob_tcp_if_include"] {
            command.args(["--mca", network, "10.9.0.0/24"]);
        }
        let hosts = Self::ADDRESSES.map(|address| format!("{address}:1")).join(",");
        command.args(["--host", &hosts, "--bind-to", "none", "-n", "2", "-x", "RAYON_NUM_THREADS"]);
        command.arg(program().get_program()).args(arguments).env_remove("RUST_LOG").env("RAYON_NUM_THREADS", "1");
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.names {
            // A launcher's part on a host that it has lost stays there.
            let left = Command::new("ip").args(["netns", "pids", name]).output();
            let left = left.map(|left| String::from_utf8_lossy(&left.stdout).into_owned()).unwrap_or_default();
            for process in left.split_whitespace() {
                let _ = Command::new("kill").args(["-KILL", process]).status();
            }
            ip(&["netns", "del", name]);
        }
    }
}

/// A program on a host.
fn on(host: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", host, program]);
    command
}

fn ip(arguments: &[&str]) -> bool {
    is_done(Command::new("ip").args(arguments))
}

fn is_done(command: &mut Command) -> bool {
    command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn wait_until(what: &str, is_so: &mut dyn FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn two_hosts_make_the_weights_of_one_process() {
    let Some(hosts) = Hosts::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str| folder.path().join(name);
    succeed(&arguments(&run("one"), CENTRES));
    let output = hosts.start(&arguments(&run("two"), CENTRES)).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_same(&run("two"), &run("one"), "two hosts");
}

#[test]
fn a_cut_link_is_noticed_and_the_run_goes_on() {
    let Some(hosts) = Hosts::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
    let settings = [CENTRES, &["checkpoint.every_batches=1"]].concat();
    succeed(&arguments(&whole, &settings));
    let mut child = hosts.start(&[&arguments(&cut, &settings)[..], &["--timeout", "3"]].concat());
    wait_until("the first save", &mut || is_saved(&cut) || child.try_wait().unwrap().is_some());
    assert!(ip(&["-n", &hosts.names[0], "link", "set", "link-a", "down"]));
    // The launcher has lost the other host, too: it may wait for it longer than the processes do.
    for rank in [0, 1] {
        wait_until("the end of a rank", &mut || find_rank(&cut, rank).is_none());
    }
    let _ = child.kill();
    child.wait().unwrap();
    assert!(tensors(&cut).len() > 10);
    succeed(&["train", "--resume", "--output", text(&cut)]);
    assert_same(&cut, &whole, "cut, then one process");
}

fn is_saved(run: &Path) -> bool {
    run.join("checkpoints/last.safetensors").exists()
}
