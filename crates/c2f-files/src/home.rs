//! `~` in paths, where no shell replaces it: a shell does so only at the start of a word, and in `folder:~/birds` it isn't.

use std::path::{Path, PathBuf};

/// The path, with the user's home folder in place of a `~` that is its first part. It stays as it is if there is no home.
pub fn expand_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_first_part_is_replaced() {
        let home = std::env::home_dir().unwrap();
        let expanded = |path: &str| expand_home(Path::new(path));
        assert_eq!((expanded("~"), expanded("~/a/~")), (home.join(""), home.join("a/~")));
        for path in ["~user/a", "/a/~/b", "a~", ""] {
            assert_eq!(expanded(path), Path::new(path));
        }
    }
}
