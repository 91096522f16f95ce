//! Runs side by side, on this machine or as the tasks of a batch system's array.

use std::io::Read;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::process::{ERROR_LINES, last_lines};

/// How often a run is asked whether it has ended.
const NAP: Duration = Duration::from_millis(50);

/// How many runs there are at a time, and whether they are to end.
pub struct Jobs {
    count: usize,
    /// Set by the first Ctrl-C, SIGTERM or SIGHUP, which every run is told once: it saves, and ends.
    told: Arc<AtomicBool>,
    /// Set by a run that failed: those beside it end as they would, and none is begun.
    failed: AtomicBool,
}

impl Jobs {
    /// `count` at a time. Listens to signals from now on; a second one ends this process at once.
    ///
    /// # Errors
    /// If the signals can't be listened to.
    pub fn listen(count: usize) -> Result<Self> {
        let jobs = Self { count, told: Arc::default(), failed: AtomicBool::new(false) };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&jobs.told))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&jobs.told)))
                .context("signal handler")?;
        }
        Ok(jobs)
    }

    /// The threads of each run, which its results don't depend on.
    pub fn threads(&self) -> usize {
        (std::thread::available_parallelism().map_or(1, usize::from) / self.count).max(1)
    }

    /// Does `work` for each task, in their order.
    ///
    /// # Errors
    /// What went wrong with those that failed, or that it was told to stop.
    pub fn each<T: Sync>(&self, tasks: &[T], work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
        let next = AtomicUsize::new(0);
        let errors = Mutex::new(Vec::new());
        let worker = || {
            while !self.told.load(Ordering::Relaxed) && !self.failed.load(Ordering::Relaxed) {
                let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                if let Err(error) = work(task) {
                    self.failed.store(true, Ordering::Relaxed);
                    errors.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.count {
                scope.spawn(worker);
            }
            worker();
        });
        if self.told.load(Ordering::Relaxed) {
            bail!("stopped; what is done is kept, and the same call goes on");
        }
        let mut errors = errors.into_inner().unwrap_or_else(PoisonError::into_inner);
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => {
                let errors: Vec<String> = errors.iter().map(|error| format!("{error:#}")).collect();
                Err(anyhow!("{}", errors.join("\n")))
            }
        }
    }

    /// Gives a program its share of the processor.
    pub fn share(&self, command: &mut Command) {
        if self.count > 1 && std::env::var_os("RAYON_NUM_THREADS").is_none() {
            command.env("RAYON_NUM_THREADS", self.threads().to_string());
        }
    }

    /// Runs a program that ends in good order when it is told to. One alone shows how it goes; of several only what went wrong is told.
    ///
    /// # Errors
    /// If it fails.
    pub fn run(&self, mut command: Command) -> Result<()> {
        self.share(&mut command);
        eprintln!("> {command:?}");
        if self.count > 1 {
            command.stderr(Stdio::piped());
        }
        // A terminal's Ctrl-C would reach it, too, and a second signal is none to end in good order by.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().with_context(|| format!("{command:?} could not be started"))?;
        let stderr = child.stderr.take();
        let said = std::thread::spawn(move || {
            let mut said = Vec::new();
            // What it has said until then is told, if its end can't be read.
            let _ = stderr.map(|mut stderr| stderr.read_to_end(&mut said));
            said
        });
        let mut is_told = false;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if self.told.load(Ordering::Relaxed) && !is_told {
                Command::new("kill").args(["-TERM", &child.id().to_string()]).status().context("kill")?;
                is_told = true;
            }
            std::thread::sleep(NAP);
        };
        let said = said.join().unwrap_or_default();
        let end = last_lines(&String::from_utf8_lossy(&said), ERROR_LINES);
        ensure!(status.success(), "{command:?} failed: {status}\n{end}");
        Ok(())
    }
}

/// One task of several that do a table's runs between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrayTask {
    /// Which one, from 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl ArrayTask {
    /// Every `of`-th of `all`. All tasks have to be given the same.
    pub fn own<T>(self, all: Vec<T>) -> Vec<T> {
        all.into_iter().skip(self.number - 1).step_by(self.of).collect()
    }
}

impl FromStr for ArrayTask {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        let task = numbers.map(|(number, of)| Self { number, of });
        task.filter(|task| (1..=task.of).contains(&task.number))
            .ok_or_else(|| "expected 1/8 to 8/8, for example".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(count: usize) -> Jobs {
        Jobs { count, told: Arc::default(), failed: AtomicBool::new(false) }
    }

    #[test]
    fn every_task_is_done_once() {
        for count in [1, 3] {
            let done = Mutex::new(Vec::new());
            let work = |task: &usize| {
                done.lock().unwrap().push(*task);
                Ok(())
            };
            jobs(count).each(&[0, 1, 2, 3, 4, 5, 6], work).unwrap();
            let mut done = done.into_inner().unwrap();
            done.sort_unstable();
            assert_eq!(done, [0, 1, 2, 3, 4, 5, 6]);
        }
    }

    #[test]
    fn after_a_failure_none_is_begun() {
        let begun = AtomicUsize::new(0);
        let work = |task: &usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            ensure!(*task != 1, "task 1 is wrong");
            Ok(())
        };
        let error = jobs(1).each(&[0, 1, 2, 3], work).unwrap_err();
        assert_eq!((error.to_string().as_str(), begun.into_inner()), ("task 1 is wrong", 2));
        // Two at a time that both fail are both told.
        let wait = std::sync::Barrier::new(2);
        let both = |task: &usize| {
            wait.wait();
            bail!("task {task} is wrong")
        };
        let error = jobs(2).each(&[0, 1, 2, 3], both).unwrap_err().to_string();
        assert!(error.contains("task 0") && error.contains("task 1") && error.lines().count() == 2, "{error}");
    }

    #[test]
    #[cfg(unix)]
    fn runs_are_told_to_stop_once_and_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let jobs = jobs(2);
        // Two runs that save when they are told; a third isn't begun.
        let script = "trap 'echo saved >> \"$1\"; exit 143' TERM; echo begun >> \"$1\"; while :; do sleep 0.01; done";
        let work = |name: &&str| {
            let file = folder.path().join(name);
            let mut command = Command::new("sh");
            command.args(["-c", script, "sh"]).arg(&file);
            jobs.run(command)
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let has_begun = |name: &str| folder.path().join(name).exists();
                while !(has_begun("a") && has_begun("b")) {
                    std::thread::sleep(NAP);
                }
                jobs.told.store(true, Ordering::Relaxed);
            });
            let error = jobs.each(&["a", "b", "c"], work).unwrap_err().to_string();
            assert!(error.contains("stopped"), "{error}");
        });
        for name in ["a", "b"] {
            assert_eq!(std::fs::read_to_string(folder.path().join(name)).unwrap(), "begun\nsaved\n");
        }
        assert!(!folder.path().join("c").exists());
    }

    #[test]
    #[cfg(unix)]
    fn of_several_the_end_of_what_a_failed_one_said_is_told() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo broken >&2; exit 3"]);
        let error = jobs(2).run(command).unwrap_err().to_string();
        assert!(error.contains("broken") && error.contains('3'), "{error}");
    }

    #[test]
    fn tasks_share_all_and_nothing_twice() {
        let task = |text: &str| text.parse::<ArrayTask>().unwrap();
        let mut all: Vec<usize> =
            ["1/3", "2/3", "3/3"].iter().flat_map(|text| task(text).own((0..8).collect())).collect();
        assert_eq!(all[..3], [0, 3, 6]);
        all.sort_unstable();
        assert_eq!(all, (0..8).collect::<Vec<_>>());
        for wrong in ["0/3", "4/3", "3", "a/b", "1/0"] {
            assert!(wrong.parse::<ArrayTask>().is_err(), "{wrong}");
        }
    }
}
