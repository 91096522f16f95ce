//! Data sets of the hub: the Parquet files of a repository.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tracing::info;
use ureq::Agent;

use super::cache::Repo;
use super::{Failure, Hub, Metadata, Name, is_hex, is_plain};
use crate::http;
use crate::{Error, Result};

/// Where the hub keeps the Parquet files that it has made of data sets of other formats.
const CONVERTED: &str = "refs/convert/parquet";
/// The longest answer that is read: some hundred thousand files.
const LONGEST: u64 = 64 << 20;

/// What the hub tells of a repository in a state.
#[derive(Deserialize)]
struct Info {
    /// The commit.
    sha: String,
    siblings: Vec<Sibling>,
}

/// One of its files.
#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    size: Option<u64>,
    lfs: Option<Lfs>,
}

/// What is told of a large file.
#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

/// Tells the file that is being fetched, the bytes done and, where it is known, how many there are.
pub type OnFile<'a> = dyn FnMut(&str, u64, Option<u64>) + 'a;

impl Hub {
    /// The folder with the Parquet files of the data set of that name, those of the repository itself or else those that the
    /// hub has made of it: from the cache if it has the newest, otherwise fetched and checked file by file. A broken
    /// connection is taken up where it broke, also by the next process.
    ///
    /// # Errors
    /// If the hub doesn't have such a data set or doesn't hand it out, if it can't be reached (or mustn't be) and the cache doesn't
    /// have it whole, if what comes isn't what the hub says it is, or if the cache can't be written.
    pub fn dataset(&self, name: &Name, on_file: &mut OnFile<'_>) -> Result<PathBuf> {
        let repo = Repo::of_dataset(&self.cache, name);
        let cached = || {
            let own = if name.is_commit() { Some(name.revision.clone()) } else { repo.commit(&name.revision) };
            let converted = || repo.commit(CONVERTED).filter(|_| name.revision == "main");
            own.or_else(converted).map(|commit| repo.snapshots(&commit)).filter(|folder| folder.is_dir())
        };
        let not_cached = |why: &str| {
            let folder = repo.folder().display();
            failed(name, format!("{why}, and {folder} doesn't have {} whole", name.revision))
        };
        let without = |unreachable: Option<String>| {
            self.without_asking(unreachable, "the data set is the one that was", cached(), not_cached)
        };
        if self.offline {
            return without(None);
        }
        let agent = http::agent()?;
        let (info, revision) = match self.parquet_files(&agent, name) {
            Ok(found) => found,
            Err(Failure::Unreachable(why)) => return without(Some(why)),
            Err(Failure::Refused(why)) => return Err(failed(name, why)),
            Err(Failure::NoFile) => {
                let page = self.dataset_page(name);
                return Err(failed(name, format!("{page} has no Parquet files, nor has the hub made any of it")));
            }
        };
        for file in &info.siblings {
            let found = self.described(name, &info.sha, file)?;
            if !repo.snapshot(&info.sha, &file.rfilename).is_file() {
                self.bring(&repo, name, &file.rfilename, &found, &mut |done, of| on_file(&file.rfilename, done, of))?;
            }
        }
        // Last: who finds the commit under this name finds all of its files.
        if let Err(error) = repo.point(revision, &info.sha) {
            info!("{error}");
        }
        Ok(repo.snapshots(&info.sha))
    }

    /// The commit with its Parquet files, at least one, and the revision that has them.
    fn parquet_files<'a>(&self, agent: &Agent, name: &'a Name) -> Result<(Info, &'a str), Failure> {
        let own = self.info(agent, name, &name.revision)?;
        if !own.siblings.is_empty() {
            return Ok((own, &name.revision));
        }
        if name.revision != "main" {
            return Err(Failure::NoFile);
        }
        match self.info(agent, name, CONVERTED) {
            Ok(converted) if !converted.siblings.is_empty() => Ok((converted, CONVERTED)),
            Err(failure @ Failure::Unreachable(_)) => Err(failure),
            _ => Err(Failure::NoFile),
        }
    }

    /// What the hub tells of a revision, without files of other kinds.
    fn info(&self, agent: &Agent, name: &Name, revision: &str) -> Result<Info, Failure> {
        let revision = revision.replace('/', "%2F");
        let url = format!("{}/api/datasets/{}/revision/{revision}?blobs=true", self.endpoint, name.repo);
        let request = http::authorized(agent.get(&url), self.token.as_deref());
        let mut response = request.call().map_err(|error| Failure::Unreachable(http::message(&error)))?;
        let (status, said) = (response.status(), http::status(&response));
        if !status.is_success() {
            return Err(self.refusal(name, &self.dataset_page(name), &said, status, response.headers()));
        }
        let no_hub = |why: String| Failure::Refused(format!("{url}: {why}, so this is no hub"));
        let text = response.body_mut().with_config().limit(LONGEST).read_to_string();
        let text = text.map_err(|error| Failure::Unreachable(http::message(&error)))?;
        let mut info: Info = serde_json::from_str(&text).map_err(|error| no_hub(error.to_string()))?;
        if !is_hex(&info.sha, 40) {
            return Err(no_hub("the answer has no usable commit".to_owned()));
        }
        info.siblings.retain(|file| Path::new(&file.rfilename).extension().is_some_and(|ending| ending == "parquet"));
        info.siblings.sort_by(|a, b| a.rfilename.cmp(&b.rfilename));
        Ok(info)
    }

    /// Where a file is, and what it has to be. What becomes part of a path is checked to be no more than names.
    fn described(&self, name: &Name, commit: &str, file: &Sibling) -> Result<Metadata> {
        let path = &file.rfilename;
        if !path.split('/').all(is_plain) {
            return Err(failed(name, format!("the hub names a file `{}`, which is no path", path.escape_debug())));
        }
        let (etag, size) = match &file.lfs {
            Some(lfs) => (Some(&lfs.sha256), Some(lfs.size)),
            None => (file.blob_id.as_ref(), file.size),
        };
        let etag = etag.filter(|etag| is_hex(etag, 64) || is_hex(etag, 40));
        let etag = etag.ok_or_else(|| failed(name, format!("the hub gives no checksum of {path}")))?.clone();
        let url = format!("{}/datasets/{}/resolve/{commit}/{path}", self.endpoint, name.repo);
        Ok(Metadata { url, commit: commit.to_owned(), etag, size })
    }

    fn dataset_page(&self, name: &Name) -> String {
        format!("{}/datasets/{}", self.endpoint, name.repo)
    }
}

fn failed(name: &Name, message: String) -> Error {
    Error::Dataset { name: format!("hub:{name}"), message }
}
