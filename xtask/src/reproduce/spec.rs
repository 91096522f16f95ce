//! A data set as the command line has it, `kind:path?option=value`, and what the table calls it.

/// The kind of a data set, and its name without the path: `cub2010?classes=30`.
pub fn without_path(spec: &str) -> (&str, String) {
    let (place, options) = spec.rsplit_once('?').unwrap_or((spec, ""));
    let kind = place.split_once(':').map_or(place, |(kind, _)| kind);
    (kind, if options.is_empty() { kind.to_owned() } else { format!("{kind}?{options}") })
}

/// A data set with one more option.
pub fn with_option(spec: &str, option: &str) -> String {
    let joint = if spec.contains('?') { '&' } else { '?' };
    format!("{spec}{joint}{option}")
}

/// A name with nothing in it that a file's name or a link can't have.
pub fn file_name(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_sets_are_named_without_their_paths() {
        assert_eq!(without_path("synthetic"), ("synthetic", "synthetic".to_owned()));
        assert_eq!(without_path("cub2010:/a/b?classes=30"), ("cub2010", "cub2010?classes=30".to_owned()));
        assert_eq!(without_path("folder:/a/b"), ("folder", "folder".to_owned()));
        assert_eq!(file_name("cub2010?classes=30&seed=1"), "cub2010-classes-30-seed-1");
        assert_eq!(with_option("synthetic", "fold=1/2"), "synthetic?fold=1/2");
        assert_eq!(with_option("synthetic?classes=3", "fold=1/2"), "synthetic?classes=3&fold=1/2");
    }
}
