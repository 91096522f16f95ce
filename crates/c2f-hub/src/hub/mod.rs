//! Weights and data sets by name from the Hugging Face hub, in the cache that the hub's own library uses.

mod cache;
mod dataset;
mod name;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use tracing::{info, warn};
use ureq::Agent;
use ureq::http::uri::{PathAndQuery, Uri};
use ureq::http::{HeaderMap, StatusCode};

use self::cache::Repo;
pub use self::dataset::OnFile;
pub use self::name::Name;
use c2f_files::expand_home;

use crate::http::{self, header};
use crate::{Digest, Error, OnBytes, Remote, Result, fetch};

/// Where a repository has its weights, the better format first.
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
/// Where a repository that is a run's folder has the network that evaluation takes.
const CHECKPOINT: [&str; 1] = ["checkpoints/best.safetensors"];
/// Redirects within the hub, for repositories that were renamed.
const MOST_REDIRECTS: usize = 5;

/// The hub and its cache.
#[derive(Clone)]
pub struct Hub {
    /// Address of the server, without a slash at its end.
    pub endpoint: String,
    /// The folder of the cache.
    pub cache: PathBuf,
    /// Shown to the server, and to no other.
    pub token: Option<String>,
    /// Whether only the cache may be used.
    pub offline: bool,
}

impl fmt::Debug for Hub {
    /// All but the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

/// What the server tells about a file without sending it.
struct Metadata {
    /// Where the hub has the file, after the hub's own redirects.
    url: String,
    commit: String,
    etag: String,
    size: Option<u64>,
}

/// Why the server told nothing about a file.
enum Failure {
    /// The repository doesn't have this file, or doesn't exist.
    NoFile,
    /// The server couldn't be reached or is out of order.
    Unreachable(String),
    /// The server refused.
    Refused(String),
}

impl Hub {
    /// The hub as its own library finds it in the environment: `HF_ENDPOINT`, `HF_HUB_OFFLINE`; for the cache `HF_HUB_CACHE`,
    /// or `hub` in `HF_HOME`, in `huggingface` of `XDG_CACHE_HOME` or of `~/.cache`; for the token `HF_TOKEN`,
    /// `HUGGING_FACE_HUB_TOKEN`, or the file that its login wrote: `HF_TOKEN_PATH`, or `token` in the same folder as `hub`. No
    /// token is used where `HF_HUB_DISABLE_IMPLICIT_TOKEN` is set.
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let path = |name: &str| variable(name).map(|path| expand_home(Path::new(&path)));
        let home = path("HF_HOME").unwrap_or_else(|| {
            let caches = path("XDG_CACHE_HOME")
                .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
                .unwrap_or_else(std::env::temp_dir);
            caches.join("huggingface")
        });
        let is_yes = |name: &str| {
            variable(name).is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str()))
        };
        let token = || {
            let token = variable("HF_TOKEN").or_else(|| variable("HUGGING_FACE_HUB_TOKEN"));
            let file = || path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
            let token = token.or_else(|| fs::read_to_string(file()).ok())?;
            Some(token.trim().to_owned()).filter(|token| !token.is_empty())
        };
        Self {
            endpoint: variable("HF_ENDPOINT")
                .map_or("https://huggingface.co".to_owned(), |url| url.trim().trim_end_matches('/').to_owned()),
            cache: path("HF_HUB_CACHE").unwrap_or_else(|| home.join("hub")),
            token: if is_yes("HF_HUB_DISABLE_IMPLICIT_TOKEN") { None } else { token() },
            offline: is_yes("HF_HUB_OFFLINE"),
        }
    }

    /// The file with the weights of that name: from the cache if it is the newest, otherwise fetched and checked.
    /// `on_progress` is called only while something is fetched.
    ///
    /// # Errors
    /// If the hub doesn't have such weights or doesn't hand them out, if it can't be reached (or mustn't be) and the cache
    /// doesn't have them, if what comes isn't what the hub says it is, or if the cache can't be written.
    pub fn weights(&self, name: &Name, on_progress: &mut OnBytes<'_>) -> Result<PathBuf> {
        self.first_of(&WEIGHTS, name, on_progress)
    }

    /// The best checkpoint of the run whose folder is the repository of that name; otherwise as [`Self::weights`].
    ///
    /// # Errors
    /// As [`Self::weights`].
    pub fn checkpoint(&self, name: &Name, on_progress: &mut OnBytes<'_>) -> Result<PathBuf> {
        self.first_of(&CHECKPOINT, name, on_progress)
    }

    /// The first of these files that the repository has.
    fn first_of(&self, files: &[&str], name: &Name, on_progress: &mut OnBytes<'_>) -> Result<PathBuf> {
        let repo = Repo::of_model(&self.cache, name);
        // A commit doesn't change.
        if name.is_commit()
            && let Some(file) = cached(&repo, name, files)
        {
            return Ok(file);
        }
        let without = |unreachable: Option<String>| {
            let not_cached = |why: &str| failed(name, self.not_cached(&repo, name, files, why));
            self.without_asking(unreachable, "the weights are those that were", cached(&repo, name, files), not_cached)
        };
        if self.offline {
            return without(None);
        }
        let agent = http::agent()?;
        for &file in files {
            match self.metadata(&agent, name, file) {
                Ok(found) => return self.cached_or_fetched(&repo, name, file, &found, on_progress),
                Err(Failure::NoFile) => {}
                Err(Failure::Refused(why)) => return Err(failed(name, why)),
                Err(Failure::Unreachable(why)) => return without(Some(why)),
            }
        }
        let page = self.page(name);
        Err(failed(name, format!("{page} doesn't exist, or has {}", none_of(files))))
    }

    /// What was fetched before, where the hub can't be asked: it mustn't be, or is `unreachable` for that reason, of which a
    /// warning tells with `what` was fetched. Where nothing is cached, the error that `not_cached` makes of the reason.
    fn without_asking(
        &self,
        unreachable: Option<String>,
        what: &str,
        cached: Option<PathBuf>,
        not_cached: impl FnOnce(&str) -> Error,
    ) -> Result<PathBuf> {
        let Some(why) = unreachable else { return cached.ok_or_else(|| not_cached("HF_HUB_OFFLINE is set")) };
        let why = format!("{} can't be reached ({why})", self.endpoint);
        let path = cached.ok_or_else(|| not_cached(&why))?;
        warn!("{why}, so {what} fetched before: {}", path.display());
        Ok(path)
    }

    fn cached_or_fetched(
        &self,
        repo: &Repo,
        name: &Name,
        file: &str,
        found: &Metadata,
        on_progress: &mut OnBytes<'_>,
    ) -> Result<PathBuf> {
        let snapshot = repo.snapshot(&found.commit, file);
        if snapshot.is_file() {
            // The cache may be read-only; a ref that stays old does no harm.
            if let Err(error) = repo.point(&name.revision, &found.commit) {
                info!("{error}");
            }
            return Ok(snapshot);
        }
        self.bring(repo, name, file, found, on_progress)?;
        repo.point(&name.revision, &found.commit)?;
        Ok(snapshot)
    }

    /// Fetches a file, unless its content is there already, and gives it its name in the snapshot of its commit.
    fn bring(
        &self,
        repo: &Repo,
        name: &Name,
        file: &str,
        found: &Metadata,
        on_progress: &mut OnBytes<'_>,
    ) -> Result<()> {
        let blob = repo.blob(&found.etag)?;
        let _lock = repo.lock(&found.etag)?;
        if !blob.is_file() {
            info!("Fetching {file} of {} from {}", name.repo, self.endpoint);
            let digest = digest(&found.etag);
            let remote = Remote { urls: vec![found.url.clone()], token: self.token.clone(), size: found.size, digest };
            fetch(&remote, &blob, on_progress)?;
        }
        repo.link(&found.etag, &repo.snapshot(&found.commit, file))
    }

    /// What the hub says of a file. Its redirects are followed within the hub only: elsewhere the token has no business, and
    /// what is told of the file is told before.
    fn metadata(&self, agent: &Agent, name: &Name, file: &str) -> Result<Metadata, Failure> {
        let mut url = format!("{}/{}/resolve/{}/{file}", self.endpoint, name.repo, name.revision);
        let mut known = HeaderMap::new();
        for _ in 0..=MOST_REDIRECTS {
            let request = http::authorized(agent.head(&url), self.token.as_deref());
            let response = request
                .config()
                .max_redirects(0)
                .build()
                .call()
                .map_err(|error| Failure::Unreachable(http::message(&error)))?;
            let (status, headers) = (response.status(), response.headers());
            if !status.is_success() && !status.is_redirection() {
                return Err(self.refusal(name, &self.page(name), &http::status(&response), status, headers));
            }
            for (key, value) in headers {
                known.insert(key.clone(), value.clone());
            }
            match header(headers, "Location").and_then(|location| self.within(location)) {
                Some(next) if status.is_redirection() => url = next,
                // The length that comes with a redirect is its own.
                _ => return read_metadata(url, &known, status.is_success()),
            }
        }
        Err(Failure::Refused(format!("{url}: too many redirects")))
    }

    /// The address to which the hub redirects, if that is on the hub itself.
    fn within(&self, location: &str) -> Option<String> {
        let endpoint: Uri = self.endpoint.parse().ok()?;
        let uri: Uri = location.parse().ok()?;
        let same = uri.authority().is_none_or(|host| Some(host) == endpoint.authority())
            && uri.scheme().is_none_or(|scheme| Some(scheme) == endpoint.scheme());
        let path = uri.path_and_query().map(PathAndQuery::as_str);
        // `//` begins the name of another host.
        let path = path.filter(|path| same && path.starts_with('/') && !path.starts_with("//"))?;
        Some(format!("{}://{}{path}", endpoint.scheme()?, endpoint.authority()?))
    }

    fn refusal(&self, name: &Name, page: &str, said: &str, status: StatusCode, headers: &HeaderMap) -> Failure {
        Failure::Refused(match (status.as_u16(), header(headers, "X-Error-Code")) {
            (404, Some("RevisionNotFound")) => format!("{page} has no revision {}", name.revision),
            (404, Some("RepoNotFound")) => format!("{page} doesn't exist"),
            (404, _) => return Failure::NoFile,
            // The hub doesn't tell those who may not look whether there is something to see.
            (401, _) if self.token.is_none() => {
                let token = "a token in HF_TOKEN or from `hf auth login`";
                format!("{page} doesn't exist, or is private or gated and needs {token} ({said})")
            }
            (401, _) => {
                let token = "the token in HF_TOKEN or from `hf auth login`";
                format!("{page} doesn't exist, or {token} isn't accepted ({said})")
            }
            (403, _) => {
                let account = "the account of HF_TOKEN or `hf auth login`";
                format!("{account} has no access, which can be asked for at {page} ({said})")
            }
            (429 | 500.., _) => return Failure::Unreachable(said.to_owned()),
            _ => format!("{page}: {said}"),
        })
    }

    fn page(&self, name: &Name) -> String {
        format!("{}/{}", self.endpoint, name.repo)
    }

    fn not_cached(&self, repo: &Repo, name: &Name, files: &[&str], why: &str) -> String {
        format!(
            "{why}, and {} has {} of {}; fetch one by hand from {} and give the file",
            repo.folder().display(),
            none_of(files),
            name.revision,
            self.page(name)
        )
    }
}

fn failed(name: &Name, message: impl Into<String>) -> Error {
    Error::Weights { name: name.to_string(), message: message.into() }
}

fn none_of(files: &[&str]) -> String {
    match files {
        [one] => format!("no {one}"),
        _ => format!("neither {}", files.join(" nor ")),
    }
}

/// The first of these files that was fetched last of that name.
fn cached(repo: &Repo, name: &Name, files: &[&str]) -> Option<PathBuf> {
    let commit = if name.is_commit() { name.revision.clone() } else { repo.commit(&name.revision)? };
    files.iter().map(|file| repo.snapshot(&commit, file)).find(|file| file.is_file())
}

/// What becomes part of a path is checked to be no more than a name.
fn read_metadata(url: String, headers: &HeaderMap, is_file: bool) -> Result<Metadata, Failure> {
    let lacks = |what: &str| Failure::Refused(format!("{url}: the answer has no usable {what}, so this is no hub"));
    let commit = header(headers, "X-Repo-Commit").filter(|commit| is_hex(commit, 40));
    let commit = commit.ok_or_else(|| lacks("X-Repo-Commit"))?.to_owned();
    let etag = header(headers, "X-Linked-Etag").or_else(|| header(headers, "ETag"));
    let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"')).filter(|etag| is_plain(etag));
    let etag = etag.ok_or_else(|| lacks("ETag"))?.to_owned();
    let own = header(headers, "Content-Length").filter(|_| is_file);
    let size = header(headers, "X-Linked-Size").or(own).and_then(|size| size.parse().ok());
    Ok(Metadata { url, commit, etag, size })
}

/// The hub's tags are checksums: SHA-256 of large files, git's of small ones.
fn digest(etag: &str) -> Option<Digest> {
    match etag {
        _ if is_hex(etag, 64) => Some(Digest::Sha256(etag.to_owned())),
        _ if is_hex(etag, 40) => Some(Digest::GitSha1(etag.to_owned())),
        _ => None,
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a text is safe as the name of a file, or as a part of an address.
fn is_plain(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=96).contains(&text.len()) && text.chars().all(allowed) && !text.starts_with(['.', '-']) && !text.ends_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(variables: &[(&str, &str)]) -> Hub {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Hub::from_variables(find)
    }

    #[test]
    fn the_environment_decides() {
        let plain = hub(&[("XDG_CACHE_HOME", "/c"), ("HF_TOKEN", ""), ("HF_HUB_OFFLINE", "0")]);
        assert_eq!((plain.endpoint.as_str(), plain.token, plain.offline), ("https://huggingface.co", None, false));
        assert_eq!(plain.cache, Path::new("/c/huggingface/hub"));
        let home = hub(&[("XDG_CACHE_HOME", "/c"), ("HF_HOME", "/h"), ("HF_HUB_OFFLINE", "yes")]);
        assert_eq!((home.cache.as_path(), home.offline), (Path::new("/h/hub"), true));
        let all = hub(&[("HF_HUB_CACHE", "/x"), ("HF_HOME", "/h"), ("HF_ENDPOINT", "http://m/"), ("HF_TOKEN", "t\n")]);
        assert_eq!((all.cache.as_path(), all.endpoint.as_str()), (Path::new("/x"), "http://m"));
        assert_eq!(all.token.as_deref(), Some("t"));
    }

    #[test]
    fn the_token_is_that_of_the_hubs_own_login() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        fs::create_dir_all(path("caches/huggingface")).unwrap();
        for (name, token) in
            [("token", " in_home\n"), ("mine", "in_path\r\n"), ("caches/huggingface/token", "in_cache")]
        {
            fs::write(path(name), token).unwrap();
        }
        fs::write(path("empty"), "\n").unwrap();
        let home = ("HF_HOME", path(""));
        let caches = || ("XDG_CACHE_HOME", path("caches"));
        let token = |variables: &[(&str, String)]| {
            let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
            hub(&variables).token
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(token(&[caches()]), text("in_cache"));
        assert_eq!(token(&[caches(), home.clone()]), text("in_home"));
        assert_eq!(token(&[caches(), home.clone(), ("HF_TOKEN_PATH", path("mine"))]), text("in_path"));
        for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
            assert_eq!(token(&[home.clone(), (name, "given".to_owned())]), text("given"));
            assert_eq!(token(&[home.clone(), (name, " ".to_owned())]), text("in_home"));
        }
        for name in ["empty", "missing"] {
            assert_eq!(token(&[home.clone(), ("HF_TOKEN_PATH", path(name))]), None);
        }
        assert_eq!(token(&[home.clone(), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1".to_owned())]), None);
        assert!(!format!("{:?}", hub(&[("HF_TOKEN", "given")])).contains("given"));
    }

    #[test]
    fn paths_may_begin_with_the_home_folder() {
        let home = std::env::home_dir().unwrap();
        assert_eq!(hub(&[("HF_HOME", "~/models")]).cache, home.join("models/hub"));
        assert_eq!(hub(&[("HF_HUB_CACHE", "~user/x")]).cache, Path::new("~user/x"));
    }

    #[test]
    fn redirects_that_stay_on_the_hub() {
        let hub = hub(&[("HF_ENDPOINT", "https://hub.example/mirror")]);
        assert_eq!(hub.within("/api/a?b=c").as_deref(), Some("https://hub.example/api/a?b=c"));
        assert_eq!(hub.within("https://hub.example/x").as_deref(), Some("https://hub.example/x"));
        for elsewhere in
            ["https://cdn.example/x", "http://hub.example/x", "//cdn.example/x", "https://hub.example:8/x", "x", ""]
        {
            assert_eq!(hub.within(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn tags_that_would_be_paths_are_refused() {
        for tag in ["../../x", "a/b", "..", ".", "", "-rf", "a\\b", "a:b", "c."] {
            assert!(!is_plain(tag), "{tag}");
        }
        assert!(is_plain(&"0".repeat(64)) && is_plain("5d41402a-2"));
    }
}
