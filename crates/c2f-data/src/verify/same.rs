//! Pictures that are there several times.

use std::collections::HashMap;

use super::look::{Hash, Look, Seen};
use super::{Entry, Finding, Problem};

/// Pictures that a message names; a placeholder can be there a thousand times.
const NAMED: usize = 4;

/// A finding for each picture that is there several times; two where it leaks and has different labels.
pub(super) fn findings(entries: &[Entry<'_>], seen: &[Seen]) -> Vec<Finding> {
    let mut groups: HashMap<Hash, Vec<(Entry<'_>, &Look)>> = HashMap::new();
    let mut order = Vec::new();
    for (entry, seen) in entries.iter().zip(seen) {
        if let Seen::Picture(look) = seen {
            let group = groups.entry(look.pixels).or_default();
            group.push((*entry, look));
            if group.len() == 2 {
                order.push(look.pixels);
            }
        }
    }
    order.iter().flat_map(|pixels| of_group(&groups[pixels])).collect()
}

fn of_group(group: &[(Entry<'_>, &Look)]) -> Vec<Finding> {
    let [(first, look), rest @ ..] = group else { return Vec::new() };
    let leaks = rest.iter().any(|(entry, _)| entry.split != first.split);
    let differ = rest.iter().any(|(entry, _)| entry.sample.label != first.sample.label);
    let how = if rest.iter().all(|(_, other)| other.file == look.file) {
        "byte for byte"
    } else {
        "pixel for pixel, from different files"
    };
    let finding = |problem, what: &str| {
        let named = group.iter().take(NAMED).map(|(entry, _)| {
            let Entry { split, sample, class } = entry;
            if differ { format!("{} ({split}, {class})", sample.file) } else { format!("{} ({split})", sample.file) }
        });
        let mut names = named.collect::<Vec<_>>().join(" = ");
        if group.len() > NAMED {
            names = format!("{names} and {} more", group.len() - NAMED);
        }
        let pictures = group.iter().map(|(entry, _)| entry.found()).collect();
        Finding { problem, message: format!("{names}: {what}, {how}"), pictures }
    };
    let mut findings = Vec::new();
    if leaks {
        findings.push(finding(Problem::Leak, "the same picture in several splits"));
    }
    if differ {
        findings.push(finding(Problem::Conflict, "the same picture with different labels"));
    }
    if findings.is_empty() {
        findings.push(finding(Problem::Duplicate, "the same picture"));
    }
    findings
}
