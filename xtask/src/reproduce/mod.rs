//! `cargo xtask reproduce-table`: every row of the comparison, each seed a training of its own, and what comes of them.

mod compare;
mod cost;
mod curves;
mod figure;
mod files;
mod jobs;
mod lock;
mod overview;
mod page;
mod plan;
mod record;
mod resolved;
mod rows;
mod scale;
mod spec;
mod summary;
mod train;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use crate::process;
use files::{read_json, write_whole};
use jobs::{ArrayTask, Jobs};
use record::{Asked, Made, Record};
use rows::Row;
use scale::{Recipe, Scale};
use spec::{file_name, with_option, without_path};
use summary::Summary;
use train::Run;

#[derive(clap::Args)]
pub struct Args {
    /// A data set, `kind:path`; may be given again [default: the scale's, the pictures being in the folder C2F_TEST_DATA]
    #[arg(long, value_name = "SPEC")]
    data: Vec<String>,
    /// How large the runs are
    #[arg(long, value_enum, default_value = "smoke")]
    scale: Scale,
    /// How many seeds each row is trained with [default: 1 at smoke, else 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// Rows, separated by commas, or their groups: comparison, field, ablations, controls, paths, sizes
    #[arg(long, value_name = "ROWS", default_value = "comparison,field")]
    rows: String,
    /// Instead of the scale's schedule, one of each of so many epochs, separated by commas: accuracy against training time
    #[arg(long, value_name = "N,..", value_delimiter = ',', conflicts_with = "folds")]
    epochs: Vec<usize>,
    /// Cross-validate over the whole data set instead of using its split
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(2..))]
    folds: Option<u64>,
    /// The table's folder; what is there already is not run again, and is shown, whichever rows are asked for
    #[arg(long, value_name = "DIR", default_value = "runs/table")]
    output: PathBuf,
    /// Pretrained weights for photographs, a file or a name
    /// [default: tf_efficientnet_lite0.safetensors in the folder C2F_TEST_WEIGHTS]
    #[arg(long, value_name = "FILE|NAME")]
    weights: Option<String>,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    /// So many runs at a time, each with its share of the processor
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: u64,
    /// Do the I-th of N parts of the runs, and make no table: for an array of a batch system, whose tasks share the folder. A call
    /// without it, after all of them, makes the table
    #[arg(long, value_name = "I/N", conflicts_with_all = ["plan", "tables_only"])]
    array_task: Option<ArrayTask>,
    /// Don't train: print the runs that are missing, and what they cost
    #[arg(long, conflicts_with = "tables_only")]
    plan: bool,
    /// Don't train: make the tables of what is there
    #[arg(long)]
    tables_only: bool,
    /// A built c2f-train [default: target/release/c2f-train, which is built first]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// Trains what isn't trained yet and writes `table.md`, `table.json` and a figure of each data set, and a `table.md` of all.
pub fn run(root: &Path, args: &Args) -> Result<()> {
    let rows = Row::parse(&args.rows)?;
    let data = if args.data.is_empty() {
        args.scale.data(std::env::var_os("C2F_TEST_DATA").as_deref().map(Path::new))?
    } else {
        args.data.clone()
    };
    let program = match &args.program {
        Some(program) => program.clone(),
        None => build(root, &args.device)?,
    };
    let sets = data.iter().map(|spec| Set::new(root, &program, args, spec)).collect::<Result<Vec<_>>>()?;
    if args.plan {
        return plan::print(&sets, &rows);
    }
    let jobs = Jobs::listen(args.jobs as usize)?;
    let made = Made { threads: jobs.threads(), ..made(root)? };
    for set in &sets {
        if !args.tables_only {
            set.train(&program, &made, &jobs, &rows, args.array_task)?;
        }
        if args.array_task.is_some() {
            continue;
        }
        if !args.tables_only {
            set.measure_costs(&program, &made)?;
        }
        set.write_tables()?;
        println!("{}", set.folder.join("table.md").display());
    }
    if args.array_task.is_some() { Ok(()) } else { overview::write(&args.output) }
}

/// A data set of the table.
struct Set {
    /// The data set without its path.
    title: String,
    folder: PathBuf,
    /// Held while its runs are made.
    _locks: Vec<fs::File>,
    /// The runs of every row, asked for or not: a page shows all that are done.
    runs: Vec<Run>,
    /// Those of every row with the schedules that were asked for.
    schedules: Vec<Run>,
}

impl Set {
    fn new(root: &Path, program: &Path, args: &Args, spec: &str) -> Result<Self> {
        let (kind, title) = without_path(spec);
        let file = args.scale.recipe_file(root, kind);
        let name = || file.display().to_string();
        let text = fs::read_to_string(&file).with_context(name)?;
        let resolved = resolved::resolve(program, &file, &[])?;
        let recipe = Recipe::new(&resolved).with_context(name)?;
        let trains = kind != "synthetic" && !args.tables_only && !args.plan;
        let weights = trains.then(|| weights(args)).transpose()?;
        let folder = args.output.join(file_name(&title));
        let run = |row: &Row, seed: u64, fold: Option<&String>, epochs: Option<usize>| {
            let place = fold.map_or(String::new(), |fold| format!("-fold-{}", file_name(fold)));
            let schedule = epochs.map_or(String::new(), |epochs| format!("-epochs-{epochs}"));
            let name = format!("{}{schedule}-seed-{seed}{place}", row.name);
            let mut settings = row.settings(&recipe);
            settings.extend(epochs.map(|epochs| format!("epochs={epochs}")));
            Run {
                data: title.clone(),
                spec: fold.map_or(spec.to_owned(), |fold| with_option(spec, &format!("fold={fold}"))),
                row: row.name.to_owned(),
                seed,
                fold: fold.cloned(),
                recipe: file.clone(),
                weights: weights.clone(),
                device: args.device.clone(),
                asked: Asked { recipe: text.clone(), settings, views: row.views() },
                resolved: resolved.clone(),
                record: folder.join(if epochs.is_some() { "schedules" } else { "runs" }).join(format!("{name}.json")),
                work: folder.join("unfinished").join(name),
            }
        };
        let (mut runs, mut schedules) = (Vec::new(), Vec::new());
        for seed in 1..=args.seeds.unwrap_or(args.scale.seeds()) {
            for fold in folds(args.folds) {
                runs.extend(Row::all().map(|row| run(row, seed, fold.as_ref(), None)));
            }
            for &epochs in &args.epochs {
                schedules.extend(Row::all().map(|row| run(row, seed, None, Some(epochs))));
            }
        }
        let locks = if args.plan {
            Vec::new()
        } else {
            for runs in ["runs", "schedules"] {
                fs::create_dir_all(folder.join(runs)).with_context(|| folder.display().to_string())?;
            }
            match args.array_task {
                _ if args.tables_only => Vec::new(),
                Some(task) => lock::lock_task(&folder, task)?.into(),
                None => vec![lock::lock(&folder)?],
            }
        };
        Ok(Self { title, folder, _locks: locks, runs, schedules })
    }

    /// The file of what the rows cost: [`cost::Costs`].
    fn costs(&self) -> PathBuf {
        self.folder.join("cost.json")
    }

    /// The runs that were asked for: those of the scale's schedule, unless others were named.
    fn asked(&self) -> &[Run] {
        if self.schedules.is_empty() { &self.runs } else { &self.schedules }
    }

    /// Makes the missing runs of `rows`, or a task's part of them, and after each the tables, which no task makes.
    fn train(&self, program: &Path, made: &Made, jobs: &Jobs, rows: &[Row], task: Option<ArrayTask>) -> Result<()> {
        let mut groups = self.groups(program, rows)?;
        if let Some(task) = task {
            groups = task.own(groups);
        }
        for group in &mut groups {
            let done = group.iter().map(|run| Ok(run.done()?.is_some())).collect::<Result<Vec<_>>>()?;
            let mut done = done.into_iter();
            group.retain(|_| done.next() == Some(false));
        }
        groups.retain(|group| !group.is_empty());
        let (count, begun, tables) = (groups.iter().map(Vec::len).sum::<usize>(), AtomicUsize::new(0), Mutex::new(()));
        jobs.each(&groups, |group| {
            for run in group {
                let fold = run.fold.as_ref().map_or(String::new(), |fold| format!(", fold {fold}"));
                let number = begun.fetch_add(1, Ordering::Relaxed) + 1;
                eprintln!("{}: {}, seed {}{fold} ({number} of {count})", self.title, run.row, run.seed);
                if let Some(record) = run.twin(program)? {
                    record.write(&run.record)?;
                } else {
                    run.run(program, made, jobs)?;
                }
                if task.is_none() {
                    let _one_at_a_time = tables.lock();
                    self.write_tables()?;
                }
            }
            Ok(())
        })
    }

    /// The runs of `rows` that were asked for. Those that train the same network in the same way are together: one is made, the others
    /// are its twins.
    fn groups(&self, program: &Path, rows: &[Row]) -> Result<Vec<Vec<&Run>>> {
        let mut resolved: BTreeMap<&[String], Map<String, Value>> = BTreeMap::new();
        let mut groups: Vec<Vec<&Run>> = Vec::new();
        for run in self.asked().iter().filter(|run| rows.iter().any(|row| row.name == run.row)) {
            let settings = run.asked.settings.as_slice();
            if !resolved.contains_key(settings) {
                resolved.insert(settings, resolved::resolve(program, &run.recipe, settings)?);
            }
            let is_twin = |other: &Run| {
                (other.seed, &other.fold, &other.asked.views) == (run.seed, &run.fold, &run.asked.views)
                    && resolved[other.asked.settings.as_slice()] == resolved[settings]
            };
            match groups.iter_mut().find(|group| is_twin(group[0])) {
                Some(group) => group.push(run),
                None => groups.push(vec![run]),
            }
        }
        Ok(groups)
    }

    /// The runs of `rows` that aren't done.
    fn missing(&self, rows: &[Row]) -> Result<Vec<&Run>> {
        let mut missing = Vec::new();
        for run in self.asked().iter().filter(|run| rows.iter().any(|row| row.name == run.row)) {
            if run.done()?.is_none() {
                missing.push(run);
            }
        }
        Ok(missing)
    }

    /// Measures what the rows that have runs cost, if that isn't known yet.
    fn measure_costs(&self, program: &Path, made: &Made) -> Result<()> {
        let mut rows: Vec<&Run> = Vec::new();
        for run in self.runs.iter().chain(&self.schedules) {
            if rows.iter().all(|row| row.row != run.row) && run.done()?.is_some() {
                rows.push(run);
            }
        }
        cost::measure(&self.costs(), program, made, &rows)
    }

    /// Writes the tables of the runs that are done.
    fn write_tables(&self) -> Result<()> {
        let costs = read_json(&self.costs())?;
        self.write_curves(costs.as_ref())?;
        let mut records: Vec<Record> = Vec::new();
        for run in &self.runs {
            records.extend(run.done()?);
        }
        if records.is_empty() {
            return Ok(());
        }
        let summary = Summary::new(&self.title, &records, costs.as_ref());
        write_whole(&self.folder.join("table.json"), &serde_json::to_string_pretty(&summary)?)?;
        write_whole(&self.folder.join("table.md"), &page::page(&summary, "figure.svg"))?;
        write_whole(&self.folder.join("figure.svg"), &figure::figure(&summary, &records))
    }

    /// Writes `curves.md` and its figure of all schedules that are done, named in this call or not.
    fn write_curves(&self, costs: Option<&cost::Costs>) -> Result<()> {
        let folder = self.folder.join("schedules");
        let records = if folder.is_dir() { Record::read_all(&folder)? } else { Vec::new() };
        let points = costs.map_or(Vec::new(), |costs| curves::points(&records, costs));
        if points.is_empty() {
            return Ok(());
        }
        write_whole(&self.folder.join("curves.md"), &curves::page(&self.title, &points, "curves.svg"))?;
        write_whole(&self.folder.join("curves.svg"), &curves::figure(&points))
    }
}

fn folds(count: Option<u64>) -> Vec<Option<String>> {
    match count {
        None => vec![None],
        Some(count) => (1..=count).map(|number| Some(format!("{number}/{count}"))).collect(),
    }
}

fn weights(args: &Args) -> Result<String> {
    if let Some(weights) = &args.weights {
        return Ok(weights.clone());
    }
    let folder = std::env::var("C2F_TEST_WEIGHTS")
        .ok()
        .context("give pretrained weights by --weights, or set C2F_TEST_WEIGHTS to the folder that has them")?;
    Ok(format!("{folder}/tf_efficientnet_lite0.safetensors"))
}

fn build(root: &Path, device: &str) -> Result<PathBuf> {
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "-p", "c2f-train"]).current_dir(root);
    if device != "cpu" {
        command.args(["--features", "cuda"]);
    }
    process::run(command)?;
    Ok(root.join("target/release/c2f-train"))
}

/// What is written beside every number: sources, day, processor.
fn made(root: &Path) -> Result<Made> {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(root);
        process::output(command)
    };
    let changed = git(&["status", "--porcelain", "--", "crates", "assets", "Cargo.lock"])?;
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let mut date = Command::new("date");
    date.args(["-u", "+%Y-%m-%d"]);
    let machine = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = machine.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Ok(Made {
        commit: format!("{}{}", commit.trim(), if changed.trim().is_empty() { "" } else { "+" }),
        date: process::output(date)?.trim().to_owned(),
        machine: model.map_or("unknown", |(_, name)| name.trim()).to_owned(),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    })
}

/// The whole way in a minute, for continuous integration: two rows, drawn pictures, stopped and taken up again, and a row
/// that is one of them.
pub fn check(root: &Path, program: &Path) -> Result<()> {
    let output = root.join("target/reproduce-check");
    if output.exists() {
        fs::remove_dir_all(&output)?;
    }
    let args = |rows: &str, epochs: &[usize]| Args {
        data: vec!["synthetic?classes=3&size=24".to_owned()],
        scale: Scale::Smoke,
        seeds: Some(1),
        rows: rows.to_owned(),
        epochs: epochs.to_vec(),
        folds: None,
        output: output.clone(),
        weights: None,
        device: "cpu".to_owned(),
        jobs: 1,
        array_task: None,
        plan: false,
        tables_only: false,
        program: Some(program.to_path_buf()),
    };
    run(root, &args("attention", &[]))?;
    let folder = output.join("synthetic-classes-3-size-24");
    let file = folder.join("runs/attention-seed-1.json");
    let before = fs::metadata(&file)?.modified()?;
    run(root, &args("attention,coarse2fine-orthogonal", &[]))?;
    ensure!(fs::metadata(&file)?.modified()? == before, "{} was run again", file.display());
    // Two at a time, and as two tasks: the same numbers.
    let record = || Record::read(&file)?.with_context(|| format!("{} is missing", file.display()));
    let alone = record()?;
    fs::remove_file(&file)?;
    run(root, &Args { seeds: Some(2), jobs: 2, ..args("attention", &[]) })?;
    let beside = record()?;
    ensure!(
        beside.correct == alone.correct && beside.cross_entropy == alone.cross_entropy,
        "beside another run it is another"
    );
    fs::remove_file(&file)?;
    for (number, is_made) in [(2, false), (1, true)] {
        run(root, &Args { array_task: Some(ArrayTask { number, of: 2 }), ..args("attention", &[]) })?;
        ensure!(file.exists() == is_made, "task {number} of 2 made what it shouldn't, or not what it should");
    }
    let page = fs::read_to_string(folder.join("table.md"))?;
    for what in ["`attention`", "`coarse2fine-orthogonal`", "attention in parts", "region in parts", "ece"] {
        ensure!(page.contains(what), "table.md lacks {what}:\n{page}");
    }
    ensure!(!page.contains("NaN"), "table.md has a number that is none:\n{page}");
    // Four maps are what the recipe has.
    run(root, &args("coarse2fine-orthogonal,maps-4", &[]))?;
    let page = fs::read_to_string(folder.join("table.md"))?;
    ensure!(page.contains("as `coarse2fine-orthogonal`, and has its runs"), "`maps-4` was trained:\n{page}");
    ensure!(page.contains("| `attention` "), "a row that is done isn't shown with others:\n{page}");
    run(root, &args("attention", &[1, 2]))?;
    let page = fs::read_to_string(folder.join("curves.md"))?;
    ensure!(page.matches("| `attention` ").count() == 2, "curves.md lacks a schedule:\n{page}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_counted_from_one() {
        assert_eq!(folds(None), [None]);
        assert_eq!(folds(Some(2)), [Some("1/2".to_owned()), Some("2/2".to_owned())]);
    }
}
