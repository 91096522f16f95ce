//! Names of weights on the hub.

use std::fmt;

use super::{is_hex, is_plain};

/// The organisation whose repositories have the names of timm's weights.
const TIMM: &str = "timm";

/// A repository of the hub, and which state of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// `ORG/REPO`.
    pub repo: String,
    /// A branch, a tag or a commit; `main` if the name didn't say.
    pub revision: String,
}

impl Name {
    /// Reads `ORG/REPO` or timm's `ARCHITECTURE.TAG`, perhaps with `@REVISION`; `None` for everything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (repo, revision) = text.split_once('@').unwrap_or((text, "main"));
        let repo = match repo.split_once('/') {
            Some(_) => repo.to_owned(),
            None if repo.contains('.') => format!("{TIMM}/{repo}"),
            None => return None,
        };
        let (organisation, name) = repo.split_once('/')?;
        // Two hyphens stand for the slash in the cache.
        let is_part =
            |part: &str| is_plain(part) && !part.contains("--") && !part.contains("..") && !part.ends_with('-');
        let is_name = is_part(organisation) && is_part(name) && is_plain(revision) && !revision.contains("..");
        is_name.then(|| Self { revision: revision.to_owned(), repo })
    }

    /// Whether the revision can't come to mean something else.
    pub fn is_commit(&self) -> bool {
        is_hex(&self.revision, 40)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let revision = Some(&self.revision).filter(|revision| *revision != "main");
        match revision {
            Some(revision) => write!(f, "{}@{revision}", self.repo),
            None => f.write_str(&self.repo),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_hub() {
        let name = |repo: &str, revision: &str| Name { repo: repo.to_owned(), revision: revision.to_owned() };
        assert_eq!(Name::parse("resnet50.a1_in1k"), Some(name("timm/resnet50.a1_in1k", "main")));
        assert_eq!(Name::parse("timm/resnet50.a1_in1k@v1.0"), Some(name("timm/resnet50.a1_in1k", "v1.0")));
        assert!(Name::parse(&format!("a/b@{}", "0f".repeat(20))).is_some_and(|name| name.is_commit()));
        for text in [
            "",
            "resnet50",
            "/a/b",
            "a/",
            "/b",
            "a/b/c",
            "./b",
            "../b.c",
            "a/..",
            "~/b",
            "a\\b.c",
            "a b.c",
            "a/b@",
            "a--x/b",
            "a/b@..",
            "a/b@refs/pr/1",
            "a/b@c@d",
            "C:x.y",
            "a..b",
            "a/b?x",
            "a/b#x",
            "a/%2e",
        ] {
            assert_eq!(Name::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_is_shown_as_it_is_read() {
        for text in ["timm/resnet50.a1_in1k", "a/b@v2"] {
            assert_eq!(Name::parse(text).unwrap().to_string(), text);
        }
    }
}
