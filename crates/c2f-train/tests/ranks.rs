//! Several processes that train together make the weights of one, bit for bit, and end together.

mod common;

#[test]
fn variables_of_a_launcher_alone_make_no_world() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let arguments = common::train(&run, &[]);
    let expected = if cfg!(feature = "mpi") { "MPI connects 1" } else { "--features mpi" };
    for (variables, named) in [
        (&[("OMPI_COMM_WORLD_SIZE", "2")][..], "OMPI_COMM_WORLD_SIZE = 2"),
        (&[("SLURM_NTASKS", "3"), ("SLURM_STEP_ID", "0")], "SLURM_NTASKS = 3"),
        (&[("WORLD_SIZE", "4")], "WORLD_SIZE = 4"),
    ] {
        let output = common::program().args(&arguments).envs(variables.iter().copied()).output().unwrap();
        let line = common::one_line(&arguments, &String::from_utf8_lossy(&output.stderr));
        assert!(line.contains(named) && line.contains(expected), "{line}");
        assert_eq!(output.status.code(), Some(2));
    }
    assert!(!run.exists());
}

#[cfg(feature = "mpi")]
mod mpi {
    use std::path::Path;
    use std::process::{Child, Command, Output, Stdio};

    use serde_json::Value;

    use super::common::{json, metrics, program, succeed, tensors, text, train};

    /// 48 pictures in batches of 4 make 12 batches: one step of 8 and one of 4, in which half of the ranks have nothing to do. Three epochs.
    const TOGETHER: [&str; 6] =
        ["epochs=3", "optimizer.grad_accum_steps=8", "ema.decay=0.9", "loader.threads=1", "attention.maps=3", "seed=3"];
    const DATA: &str = "synthetic?classes=3&size=48";
    const CENTRES: &[&str] = &["loss.center_weight=1"];

    /// The arguments of a new run.
    fn arguments<'a>(run: &'a Path, settings: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = train(run, &[]);
        arguments[2] = DATA;
        arguments.extend(TOGETHER.iter().chain(settings).flat_map(|setting| ["--set", *setting]));
        arguments
    }

    /// OpenMPI's launcher; none, and a line that says so, where it isn't installed.
    fn launcher() -> Option<Command> {
        let mut command = Command::new("mpirun");
        let there = Command::new("mpirun").arg("--version").output().is_ok_and(|output| output.status.success());
        if !there {
            println!("skipped: there is no mpirun");
            return None;
        }
        command.args(["--oversubscribe", "--allow-run-as-root", "--bind-to", "none"]);
        command.env_remove("RUST_LOG").env("RAYON_NUM_THREADS", "1");
        Some(command)
    }

    fn launch(ranks: usize, arguments: &[&str]) -> Command {
        let mut command = launcher().unwrap();
        command.args(["-n", &ranks.to_string()]).arg(program().get_program()).args(arguments);
        command
    }

    fn together(ranks: usize, arguments: &[&str]) -> Output {
        let output = launch(ranks, arguments).output().unwrap();
        assert!(output.status.success(), "{ranks} ranks: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Same weights, statistics, centres, averages and optimiser's state; same numbers in each epoch's line, but for the time.
    fn assert_same(run: &Path, one: &Path, what: &str) {
        let (ours, theirs) = (tensors(run), tensors(one));
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{what}");
        for (name, values) in &theirs {
            assert!(ours[name] == *values, "{what}: {name} differs");
        }
        let lines = |run: &Path| {
            let mut lines = metrics(run);
            for line in &mut lines {
                for time in ["images_per_s", "seconds"] {
                    line.as_object_mut().unwrap().remove(time);
                }
            }
            lines
        };
        assert_eq!(lines(run), lines(one), "{what}");
    }

    #[test]
    fn two_and_four_make_the_weights_of_one() {
        let Some(_) = launcher() else { return };
        let folder = tempfile::tempdir().unwrap();
        let recipes: [(&str, &[&str]); 4] = [
            ("centres", CENTRES),
            ("mixed", &["loss.center_weight=0", "augment.mixup=0.2", "augment.cutmix=1.0", "inverse.probe=on"]),
            ("whitened", &["attention.whitened=true", "inverse.gradient_budget=0.3", "epochs=2"]),
            ("ws-dan", &["method=ws-dan", "loss.center_weight=1", "epochs=1"]),
        ];
        for (name, settings) in recipes {
            let run = |ranks: usize| folder.path().join(format!("{name}-{ranks}"));
            succeed(&arguments(&run(1), settings));
            for ranks in [2, 4] {
                let output = together(ranks, &arguments(&run(ranks), settings));
                assert_same(&run(ranks), &run(1), &format!("{name} on {ranks}"));
                // One process tells how it goes, and one what came of it.
                let (stdout, stderr) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
                assert_eq!(stdout.unwrap().matches("checkpoint  ").count(), 1);
                assert_eq!(stderr.unwrap().matches("epoch 1/").count(), 1);
            }
        }
        // So does an evaluation.
        let run = folder.path().join("centres-1");
        let eval = ["eval", "--checkpoint", text(&run), "--data", DATA, "--json"];
        let two: Value = serde_json::from_slice(&together(2, &eval).stdout).unwrap();
        assert_eq!(two, json(&eval));
    }

    /// The processes below `launcher` that do this rank's work.
    fn find_rank(run: &Path, rank: usize) -> Option<String> {
        let variable = format!("OMPI_COMM_WORLD_RANK={rank}");
        let is_it = |process: &Path| {
            let read = |file: &str| std::fs::read(process.join(file)).unwrap_or_default();
            let has = |bytes: &[u8], text: &str| bytes.split(|byte| *byte == 0).any(|part| part == text.as_bytes());
            has(&read("cmdline"), text(run)) && has(&read("environ"), &variable)
        };
        let processes = std::fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path());
        processes.filter(|process| is_it(process)).find_map(|p| Some(p.file_name()?.to_str()?.to_owned()))
    }

    fn signal(process: &str, signal: &str) {
        assert!(Command::new("kill").args([signal, process]).status().unwrap().success());
    }

    /// Starts a run and waits for its first checkpoint.
    fn started(ranks: usize, run: &Path, arguments: &[&str]) -> Child {
        let mut child = launch(ranks, arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        while !run.join("checkpoints/last.safetensors").exists() {
            assert!(child.try_wait().unwrap().is_none(), "the run ended before its first save");
            std::thread::yield_now();
        }
        child
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_killed_rank_ends_all_and_another_number_goes_on() {
        let Some(_) = launcher() else { return };
        let folder = tempfile::tempdir().unwrap();
        let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
        succeed(&arguments(&whole, CENTRES));

        // Long enough that it can't end before the kill.
        let endless = [CENTRES, &["checkpoint.every_batches=1", "epochs=1000"]].concat();
        let child = started(4, &killed, &arguments(&killed, &endless));
        signal(&find_rank(&killed, 2).unwrap(), "-KILL");
        let output = child.wait_with_output().unwrap();
        assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(tensors(&killed).len() > 10);

        // The recipe says how long the schedule is, so a run that is to end as the whole one begins anew: by two, by four, by one.
        let parts = folder.path().join("parts");
        let saves = [CENTRES, &["checkpoint.every_batches=1"]].concat();
        let first = started(2, &parts, &arguments(&parts, &saves));
        // Wherever it is by now: in an epoch or at its end.
        if let Some(process) = find_rank(&parts, 1) {
            let _ = Command::new("kill").args(["-KILL", &process]).status();
        }
        first.wait_with_output().unwrap();
        let resume = ["train", "--resume", "--output", text(&parts)];
        let mut second = launch(4, &resume).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while !second_epoch(&parts) && second.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        if let Some(process) = find_rank(&parts, 3) {
            let _ = Command::new("kill").args(["-KILL", &process]).status();
        }
        second.wait_with_output().unwrap();
        succeed(&resume);
        assert_same(&parts, &whole, "2, then 4, then 1");
    }

    /// Whether the run has come to its second epoch.
    fn second_epoch(run: &Path) -> bool {
        std::fs::read_to_string(run.join("metrics.jsonl")).is_ok_and(|text| text.lines().count() > 0)
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_rank_that_hangs_is_noticed() {
        let Some(_) = launcher() else { return };
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let settings = [CENTRES, &["checkpoint.every_batches=1", "epochs=1000"]].concat();
        let child = started(2, &run, &[&arguments(&run, &settings)[..], &["--timeout", "5"]].concat());
        signal(&find_rank(&run, 1).unwrap(), "-STOP");
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        // Steps are so short here that it may have stopped between two halves of a transfer.
        let named = ["no word from rank 1 for 5 s", "in the middle of a transfer: nothing came for 5 s"];
        assert!(!output.status.success() && named.iter().any(|text| stderr.contains(text)), "{stderr}");
        assert!(tensors(&run).len() > 10);
    }

    #[test]
    fn what_goes_wrong_on_one_ends_all_with_its_message() {
        let Some(mut command) = launcher() else { return };
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let arguments = arguments(&run, CENTRES);
        let program = program().get_program().to_owned();
        command.args(["-n", "1"]).arg(&program).args(&arguments);
        command.args([":", "-n", "1"]).arg(&program).args(&arguments).args(["--device", "gpu"]);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("error: rank 1 of 2: --device gpu") && !stderr.contains("error: rank 0"), "{stderr}");
        assert_eq!(output.status.code(), Some(2), "{stderr}");

        let mut command = launcher().unwrap();
        command.args(["-n", "1"]).arg(&program).args(&arguments);
        command.args([":", "-n", "1", "-x", "C2F_SIMD=portable"]).arg(&program).args(&arguments);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        if c2f_ops::instruction_set() != "portable" {
            assert!(stderr.contains("error: rank 0 of 2: rank 1 has another instruction set"), "{stderr}");
            assert_eq!((output.status.code(), stderr.matches("error: rank").count()), (Some(2), 1), "{stderr}");
        }
        assert!(!run.join("config.toml").exists());
    }

    #[test]
    fn so_many_ranks_as_make_branches() {
        let Some(_) = launcher() else { return };
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let mut settings = arguments(&run, CENTRES);
        let wrong =
            [(2, "optimizer.grad_accum_steps=1", "2 processes"), (3, "optimizer.grad_accum_steps=6", "3 processes")];
        for (ranks, assignment, named) in wrong {
            settings.extend(["--set", assignment]);
            let output = launch(ranks, &settings).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(stderr.contains(named) && stderr.contains("a power of two that divides"), "{stderr}");
            assert_eq!((output.status.code(), stderr.matches("error: rank").count()), (Some(2), 1), "{stderr}");
        }
        let full = ["eval", "--checkpoint", text(&run), "--data", DATA, "--full"];
        let output = launch(2, &full).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stderr).contains("--full"));
        assert!(!run.exists(), "a run that didn't begin leaves no folder");
    }
}
