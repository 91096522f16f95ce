//! What is wrong, doubled or odd in a data set, found by decoding all of it.

mod classes;
mod look;
mod odd;
mod same;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::unbounded;
use serde::Serialize;

use crate::{Dataset, Sample, Skipped};
use look::{Seen, look};

/// What [`verify`] found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The data set's name.
    pub name: String,
    /// How many pictures were looked at.
    pub pictures: usize,
    /// How many findings there are of each problem, those that there are none of included.
    pub counts: BTreeMap<Problem, usize>,
    /// The findings: the worst problems first, those of one problem in the data set's order.
    pub findings: Vec<Finding>,
    /// What lies in the data set and is in none of the splits: nobody looked at it.
    #[serde(skip_serializing_if = "Skipped::is_empty")]
    pub skipped: Skipped,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is the matter.
    pub problem: Problem,
    /// What is the matter, in one line that names the pictures or the class.
    pub message: String,
    /// The pictures in question; none where it is a class.
    pub pictures: Vec<Found>,
}

/// A picture in a [`Finding`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Its split.
    pub split: String,
    /// Its file, relative to the data set's folder.
    pub file: String,
    /// The name of its class.
    pub class: String,
}

/// What can be the matter with pictures and classes, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// A picture that a list names isn't there.
    Missing,
    /// A file is no picture, or is damaged or cut off.
    Unreadable,
    /// Several splits have the same picture.
    Leak,
    /// The same picture has different labels.
    Conflict,
    /// A split has the same picture several times, with the same label.
    Duplicate,
    /// A box is empty or reaches out of its picture.
    Box,
    /// A class has no picture to train on, or few.
    FewPictures,
    /// A file's name has the ending of another format.
    Misnamed,
    /// The EXIF orientation says that the picture has to be turned.
    Turned,
    /// A picture has no colour.
    Grey,
    /// A side is shorter than 32 pixels.
    Tiny,
    /// One side is more than four times as long as the other.
    Narrow,
}

impl Problem {
    /// Every problem, in their order.
    pub const ALL: [Self; 12] = [
        Self::Missing,
        Self::Unreadable,
        Self::Leak,
        Self::Conflict,
        Self::Duplicate,
        Self::Box,
        Self::FewPictures,
        Self::Misnamed,
        Self::Turned,
        Self::Grey,
        Self::Tiny,
        Self::Narrow,
    ];

    /// The problem in a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::Leak => "leak",
            Self::Conflict => "conflict",
            Self::Duplicate => "duplicate",
            Self::Box => "box",
            Self::FewPictures => "few-pictures",
            Self::Misnamed => "misnamed",
            Self::Turned => "turned",
            Self::Grey => "grey",
            Self::Tiny => "tiny",
            Self::Narrow => "narrow",
        }
    }

    /// Whether the picture can't be used at all. Everything else is for somebody to look at.
    pub fn is_error(self) -> bool {
        matches!(self, Self::Missing | Self::Unreadable)
    }
}

/// A picture of the data set with its split.
#[derive(Clone, Copy)]
struct Entry<'a> {
    split: &'a str,
    sample: &'a Sample,
    class: &'a str,
}

impl Entry<'_> {
    fn found(self) -> Found {
        Found { split: self.split.to_owned(), file: self.sample.file.to_string(), class: self.class.to_owned() }
    }

    /// A finding about this picture alone.
    fn finding(self, problem: Problem, what: &str) -> Finding {
        let message = format!("{} ({}): {what}", self.sample.file, self.split);
        Finding { problem, message, pictures: vec![self.found()] }
    }
}

/// Decodes every picture of the data set on `threads` threads (0 counts as 1) and says what is missing, unreadable, there
/// twice or odd. Of each picture some 60 bytes are kept, and each thread holds one decoded picture at a time.
///
/// `on_picture` is called with the number of pictures done, from this thread.
pub fn verify(dataset: &Dataset, threads: usize, on_picture: &mut dyn FnMut(usize)) -> Verification {
    let entries: Vec<Entry<'_>> = dataset
        .splits
        .iter()
        .flat_map(|(split, samples)| {
            samples.iter().map(move |sample| Entry { split, sample, class: &dataset.classes[sample.label] })
        })
        .collect();
    let seen = look_at_all(&entries, threads, on_picture);
    let mut findings = same::findings(&entries, &seen);
    findings.extend(classes::findings(dataset));
    for (entry, seen) in entries.iter().zip(&seen) {
        match seen {
            Seen::Missing => findings.push(entry.finding(Problem::Missing, "no such file")),
            Seen::Unreadable(what) => findings.push(entry.finding(Problem::Unreadable, what)),
            Seen::Picture(look) => odd::findings(*entry, look, &mut findings),
        }
    }
    // Stable: the data set's order stays within each problem.
    findings.sort_by_key(|finding| finding.problem);
    let mut counts = BTreeMap::from(Problem::ALL.map(|problem| (problem, 0)));
    for finding in &findings {
        *counts.entry(finding.problem).or_default() += 1;
    }
    Verification {
        name: dataset.name.clone(),
        pictures: entries.len(),
        counts,
        findings,
        skipped: dataset.skipped.clone(),
    }
}

fn look_at_all(entries: &[Entry<'_>], threads: usize, on_picture: &mut dyn FnMut(usize)) -> Vec<Seen> {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = unbounded();
    let mut seen: Vec<Seen> = Vec::new();
    seen.resize_with(entries.len(), || Seen::Missing);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (next, sender) = (&next, sender.clone());
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(entry) = entries.get(index) else { return };
                    if sender.send((index, look(entry.sample))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (done, (index, what)) in (1..).zip(&receiver) {
            seen[index] = what;
            on_picture(done);
        }
    });
    seen
}
