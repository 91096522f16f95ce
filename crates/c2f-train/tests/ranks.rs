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
    use std::process::{Command, Stdio};

    use serde_json::Value;

    use super::common::ranks::{
        CENTRES, DATA, arguments, assert_same, find_rank, launch, launcher, signal, started, together,
    };
    use super::common::{json, program, succeed, tensors, text};

    #[test]
    fn two_and_four_make_the_weights_of_one() {
        let Some(_) = launcher() else { return };
        let folder = tempfile::tempdir().unwrap();
        let recipes: [(&str, &[&str]); 7] = [
            ("centres", CENTRES),
            ("mixed", &["loss.center_weight=0", "augment.mixup=0.2", "augment.cutmix=1.0", "inverse.probe=on"]),
            ("whitened", &["attention.whitened=true", "inverse.gradient_budget=0.3", "epochs=2"]),
            ("ws-dan", &["method=ws-dan", "loss.center_weight=1", "epochs=1"]),
            ("cal", &["method=cal", "loss.center_weight=1", "epochs=1"]),
            ("mc-loss", &["method=mc-loss", "epochs=1"]),
            ("api-net", &["method=api-net", "epochs=1"]),
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
