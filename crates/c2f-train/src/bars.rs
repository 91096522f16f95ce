//! Bars and log lines on stderr that don't run into each other. Bars show only on a terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;
use std::time::Instant;

use c2f_engine::{EpochRecord, Event, Stage};
use console::Term;
use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::debug_fn;

use crate::terminal::{printable, word};

/// All bars of the process.
static BARS: LazyLock<MultiProgress> = LazyLock::new(|| {
    MultiProgress::with_draw_target(if io::stderr().is_terminal() {
        ProgressDrawTarget::term_like(Box::new(Screen(Term::stderr())))
    } else {
        ProgressDrawTarget::hidden()
    })
});

/// What is logged unless `RUST_LOG` says otherwise. The commands name unreadable pictures themselves, once.
const LOGGED: &str = "info,c2f_data::loader=off";

/// Sends the log to stderr.
pub fn log_to_stderr() {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED)))
        .with_writer(|| Log)
        .fmt_fields(debug_fn(|line, field, value| match field.name() {
            "message" => write!(line, "{}", printable(&format!("{value:?}"))),
            name => write!(line, " {name}={}", printable(&format!("{value:?}"))),
        }))
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .init();
}

/// A bar of `length` steps that begins with `what`.
pub fn bar(what: &str, length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {bar:32} {pos}/{len}  {msg}").expect("the template is valid");
    BARS.add(ProgressBar::new(length as u64).with_style(style).with_prefix(word(what).into_owned()))
}

/// A bar for a file that is being fetched; see [`show_bytes`].
fn bytes_bar(what: &str) -> ProgressBar {
    let template = "{prefix} {bar:32} {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta} left";
    let style = ProgressStyle::with_template(template).expect("the template is valid");
    BARS.add(ProgressBar::no_length().with_style(style).with_prefix(word(what).into_owned()))
}

/// Moves a bar of [`bytes_bar`].
fn show_bytes(bar: &ProgressBar, done: u64, total: Option<u64>) {
    if let Some(total) = total {
        bar.set_length(total);
    }
    bar.set_position(done);
}

/// A bar for each of the files that are worked on one after the other.
#[derive(Default)]
pub struct FileBars(Option<(String, ProgressBar)>);

impl FileBars {
    /// Moves the bar of what is worked on, which is another one than before or not.
    pub fn show(&mut self, what: &str, done: u64, total: Option<u64>) {
        if self.0.as_ref().is_some_and(|(shown, _)| shown != what) {
            self.clear();
        }
        let (_, bar) = self.0.get_or_insert_with(|| (what.to_owned(), bytes_bar(what)));
        show_bytes(bar, done, total);
    }

    fn clear(&mut self) {
        if let Some((_, bar)) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for FileBars {
    fn drop(&mut self) {
        self.clear();
    }
}

/// stderr, with the bars out of the way while a line is written. What can't be written is lost: nobody listens any more.
struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = BARS.suspend(|| io::stderr().write_all(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A terminal that may go away: indicatif would panic when it can no longer be written.
#[derive(Debug)]
struct Screen(Term);

impl TermLike for Screen {
    fn width(&self) -> u16 {
        TermLike::width(&self.0)
    }

    fn height(&self) -> u16 {
        TermLike::height(&self.0)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        let _ = self.0.move_cursor_up(n);
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        let _ = self.0.move_cursor_down(n);
        Ok(())
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        let _ = self.0.move_cursor_right(n);
        Ok(())
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        let _ = self.0.move_cursor_left(n);
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        let _ = self.0.write_line(text);
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let _ = self.0.write_str(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        let _ = self.0.clear_line();
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

/// Shows a training run: a bar for each epoch and its validation, a line for each result.
#[derive(Default)]
pub struct TrainBars {
    bar: Option<ProgressBar>,
    /// Batches of the whole run, and those done by this process since `started`.
    batches: usize,
    done: usize,
    started: Option<Instant>,
    epochs: usize,
    may_choose: bool,
}

impl TrainBars {
    /// Shows one event.
    pub fn show(&mut self, event: Event<'_>) {
        match event {
            Event::Start { parameters, train, validation, validation_split, classes, epochs, batches, resumed } => {
                let millions = parameters as f64 / 1e6;
                info!(
                    "{train} training pictures and {validation} of {validation_split}, {classes} classes; \
                     {millions:.2} million parameters; {epochs} epochs of {batches} batches"
                );
                let past = resumed.map_or(0, |(epoch, done)| (epoch - 1) * batches + done);
                match resumed {
                    Some((epoch, _)) if epoch > epochs => info!("The run is complete"),
                    Some((epoch, done)) => info!("Resuming in epoch {epoch} after {done} batches"),
                    None => {}
                }
                self.may_choose = validation_split == "val";
                (self.epochs, self.batches) = (epochs, (epochs * batches).saturating_sub(past));
                self.started = Some(Instant::now());
            }
            Event::Check { done, of } => {
                self.bar(of, || "reading the pictures to validate on".to_owned()).set_position(done as u64);
                if done == of {
                    self.clear();
                }
            }
            Event::Batch { epoch, stage, done, of, loss, lr, images_per_s, .. } => {
                self.done += 1;
                let left = self.time_left();
                let bar = self.bar(of, || format!("epoch {epoch} ({})", stage_name(stage)));
                bar.set_position(done as u64);
                bar.set_message(format!("loss {loss:.3}  lr {lr:.1e}  {images_per_s:.1} images/s  {left}"));
                if done == of {
                    self.clear();
                }
            }
            Event::Validation { epoch, done, of } => {
                self.bar(of, || format!("epoch {epoch} (validation)")).set_position(done as u64);
                if done == of {
                    self.clear();
                }
            }
            Event::Epoch { record, best } => {
                self.clear();
                let best = if best && self.may_choose { ", the best so far" } else { "" };
                info!("{}{best}", epoch_line(record, self.epochs));
            }
            Event::HeldOut(held_out) => {
                let [before, after] = held_out.calibration_error.map(|error| error * 100.0);
                info!(
                    "Held-out pictures ask for a temperature of {:.2}: calibration error {after:.1} %, {before:.1} % without it",
                    held_out.temperature
                );
            }
            Event::Warning(message) => warn!("{message}"),
            _ => {}
        }
    }

    fn bar(&mut self, length: usize, what: impl FnOnce() -> String) -> &ProgressBar {
        self.bar.get_or_insert_with(|| bar(&what(), length))
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn time_left(&self) -> String {
        let Some(started) = self.started else { return String::new() };
        let share = self.batches.saturating_sub(self.done) as f64 / self.done.max(1) as f64;
        format!("{} left", HumanDuration(started.elapsed().mul_f64(share)))
    }
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Coarse => "coarse",
        Stage::Fine => "fine",
    }
}

fn epoch_line(record: &EpochRecord, epochs: usize) -> String {
    let loss = record.train_loss.map_or("not finite".to_owned(), |loss| format!("{loss:.3}"));
    let looks = match (record.val_top1_coarse, record.val_top1_fine) {
        (Some(coarse), Some(fine)) => format!(" (coarse {:.1}, fine {:.1})", coarse * 100.0, fine * 100.0),
        _ => String::new(),
    };
    format!(
        "epoch {}/{epochs} ({}): loss {loss}, validation loss {:.3}, top-1 {:.1} %{looks}, {:.1} images/s",
        record.epoch,
        stage_name(record.stage),
        record.val_loss,
        record.val_top1 * 100.0,
        record.images_per_s,
    )
}
