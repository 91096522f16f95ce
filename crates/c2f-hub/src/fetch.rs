//! One file from one of several addresses.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use tracing::info;
use ureq::http::{HeaderMap, StatusCode};
use ureq::{Agent, Body, Timeout};

use c2f_files::atomic;

use crate::http::{self, header};
use crate::{Digest, Error, Result};

/// How often in a row a connection may break without having brought anything new.
const RETRIES: u32 = 4;
/// The pause before the first retry; the next ones are longer.
const PAUSE: Duration = Duration::from_millis(300);
/// Bytes between two reports of the progress.
const BLOCK: usize = 128 * 1024;

/// Called with the bytes that have arrived, and with how many there will be, if that is known.
pub type OnBytes<'a> = dyn FnMut(u64, Option<u64>) + 'a;

/// A published file.
#[derive(Clone, Default)]
pub struct Remote {
    /// Its addresses, tried in this order.
    pub urls: Vec<String>,
    /// Sent to these addresses, but not to where they redirect.
    pub token: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Its checksum.
    pub digest: Option<Digest>,
}

impl fmt::Debug for Remote {
    /// All but the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("urls", &self.urls)
            .field("size", &self.size)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// Fetches a file to `target`, unless that exists already. What arrives goes to a file beside it, `target` with `.part` at
/// its end, and gets its name once it is complete and has the size and the digest that it should have.
///
/// A connection that breaks is taken up where it stopped. A `.part` of an earlier process is continued only if the digest is
/// known, since nothing else shows that the pieces belong together.
///
/// # Errors
/// If no address gives the file (what happened at each is told), another process is fetching it, or the folder can't be
/// written.
pub fn fetch(remote: &Remote, target: &Path, on_progress: &mut OnBytes<'_>) -> Result<()> {
    let agent = http::agent()?;
    let mut part = Part::open(target)?;
    // Another process was faster; what was opened may be what it has renamed.
    if target.exists() {
        return part.remove();
    }
    if remote.digest.is_none() {
        part.truncate()?;
    }
    let mut failures: Vec<String> = Vec::new();
    for url in &remote.urls {
        if let Some(failure) = failures.last() {
            info!("{failure}; trying {url}");
        }
        let mut continued = part.len()? > 0;
        let failure = loop {
            let complete = match from_address(&agent, url, remote, &mut part, on_progress) {
                Ok(()) => part.check(remote),
                Err(failure) => Err(failure),
            };
            match complete {
                Ok(()) => return part.finish(target),
                Err(Failure::Local(error)) => return Err(error),
                Err(Failure::Refused(message) | Failure::Broken(message)) => break message,
                Err(Failure::Wrong(message)) => {
                    part.truncate()?;
                    if !continued {
                        break message;
                    }
                    info!("{}: what was there doesn't belong to it, so it is fetched from the start", target.display());
                    continued = false;
                }
            }
        };
        failures.push(format!("{url}: {failure}"));
        if remote.digest.is_none() {
            part.truncate()?;
        }
    }
    part.remove_unless_useful()?;
    Err(Error::Download { target: target.to_owned(), failures })
}

/// Why an address didn't give the file.
enum Failure {
    /// The connection didn't last; another try may go on.
    Broken(String),
    /// Another try wouldn't help.
    Refused(String),
    /// A whole file came or was there, but not the right one.
    Wrong(String),
    /// The trouble is on this side.
    Local(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Local(error)
    }
}

/// Brings `part` to its full length, in as many requests as that needs.
fn from_address(
    agent: &Agent,
    url: &str,
    remote: &Remote,
    part: &mut Part,
    on_progress: &mut OnBytes<'_>,
) -> Result<(), Failure> {
    let mut version = None;
    let mut longest = part.len()?;
    let mut failed = 0;
    loop {
        let message = match request(agent, url, remote, part, &mut version, on_progress) {
            Err(Failure::Broken(message)) => message,
            other => return other,
        };
        let length = part.len()?;
        failed = if length > longest { 1 } else { failed + 1 };
        longest = longest.max(length);
        if failed > RETRIES {
            return Err(Failure::Broken(message));
        }
        info!("{url}: {message}; going on after {length} bytes");
        sleep(PAUSE * failed);
    }
}

/// One request for what is missing. `version` is what the server said of the file's state, for the next request.
fn request(
    agent: &Agent,
    url: &str,
    remote: &Remote,
    part: &mut Part,
    version: &mut Option<String>,
    on_progress: &mut OnBytes<'_>,
) -> Result<(), Failure> {
    let mut offset = part.len()?;
    if remote.size.is_some_and(|size| offset > size) || (version.is_none() && remote.digest.is_none()) {
        part.truncate()?;
        offset = 0;
    }
    if remote.size == Some(offset) {
        return Ok(());
    }
    let mut request = http::authorized(agent.get(url), remote.token.as_deref());
    if offset > 0 {
        request = request.header("Range", format!("bytes={offset}-"));
        if let Some(version) = version {
            request = request.header("If-Range", version.as_str());
        }
    }
    let response = request.call().map_err(|error| match error {
        // A server that isn't there now is hardly there a second later.
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => Failure::Refused(http::message(&error)),
        ureq::Error::Timeout(_) => Failure::Broken(http::message(&error)),
        ureq::Error::Io(ref io) if io.kind() != std::io::ErrorKind::ConnectionRefused => {
            Failure::Broken(http::message(&error))
        }
        _ => Failure::Refused(http::message(&error)),
    })?;
    let headers = response.headers();
    let length = match response.status() {
        StatusCode::OK => {
            offset = 0;
            response.body().content_length()
        }
        StatusCode::PARTIAL_CONTENT => match content_range(headers) {
            Some((start, length)) if start == offset => length,
            _ => {
                part.truncate()?;
                return Err(Failure::Broken("the server sent another part than it was asked for".to_owned()));
            }
        },
        // The end of a file that was complete already, or of another one.
        StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => {
            if header(headers, "Content-Range") == Some(&format!("bytes */{offset}")) {
                return Ok(());
            }
            part.truncate()?;
            return Err(Failure::Broken("the server has no such part".to_owned()));
        }
        StatusCode::TOO_MANY_REQUESTS => return Err(Failure::Broken(http::status(&response))),
        status if status.is_server_error() => return Err(Failure::Broken(http::status(&response))),
        _ => return Err(Failure::Refused(http::status(&response))),
    };
    if let (Some(size), Some(length)) = (remote.size, length)
        && size != length
    {
        return Err(Failure::Refused(format!("the file there has {length} bytes, not {size}")));
    }
    let total = remote.size.or(length);
    if total.is_none() && remote.digest.is_none() && header(headers, "Transfer-Encoding").is_none() {
        return Err(Failure::Refused("the server doesn't say how long the file is".to_owned()));
    }
    *version = strong_version(headers);
    let arrived = part.receive(response.into_body(), offset, total, on_progress)?;
    match total {
        Some(total) if arrived < total => {
            Err(Failure::Broken(format!("the connection ended after {arrived} of {total} bytes")))
        }
        Some(total) if arrived > total => Err(Failure::Wrong(format!("the file there has more than {total} bytes"))),
        _ => Ok(()),
    }
}

/// Start and, if it is known, length of the whole from `bytes START-END/LENGTH`.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let (range, length) = header(headers, "Content-Range")?.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, length.parse().ok()))
}

/// What a later request can name to get the rest of the very same bytes. A weak tag can't do that.
fn strong_version(headers: &HeaderMap) -> Option<String> {
    let tag = header(headers, "ETag").filter(|tag| tag.starts_with('"'));
    tag.or_else(|| header(headers, "Last-Modified")).map(str::to_owned)
}

/// The file beside the target. While it is open, no other process gets it.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn open(target: &Path) -> Result<Self> {
        let mut name = target.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let io = |source| Error::io(&path, source);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(io(std::io::Error::other("another process is fetching this file")));
            }
            // A file system without locks: then there is none to wait for.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        Ok(Self { path, file })
    }

    fn len(&self) -> Result<u64> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(|e| Error::io(&self.path, e))
    }

    fn truncate(&self) -> Result<()> {
        self.file.set_len(0).map_err(|e| Error::io(&self.path, e))
    }

    /// Writes what the server sends behind the first `offset` bytes, at most one byte more than `total`; gives the length.
    fn receive(
        &mut self,
        body: Body,
        offset: u64,
        total: Option<u64>,
        on_progress: &mut OnBytes<'_>,
    ) -> Result<u64, Failure> {
        let io = |source| Error::io(&self.path, source);
        self.file.set_len(offset).map_err(io)?;
        self.file.seek(SeekFrom::Start(offset)).map_err(io)?;
        let mut reader = body.into_reader().take(total.map_or(u64::MAX, |total| total - offset + 1));
        let (mut block, mut length) = (vec![0; BLOCK], offset);
        on_progress(length, total);
        loop {
            let read = match reader.read(&mut block) {
                Ok(0) => return Ok(length),
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::Broken(http::message(&error.into()))),
            };
            self.file.write_all(&block[..read]).map_err(io)?;
            length += read as u64;
            on_progress(length, total);
        }
    }

    /// Compares the whole file with what is known about it.
    fn check(&self, remote: &Remote) -> Result<(), Failure> {
        let Some(expected) = &remote.digest else { return Ok(()) };
        let found = expected.of_same_kind(&self.path).map_err(|e| Error::io(&self.path, e))?;
        if found == *expected {
            return Ok(());
        }
        self.truncate()?;
        Err(Failure::Wrong(format!("the file there has {found}, expected {expected}")))
    }

    fn finish(self, target: &Path) -> Result<()> {
        self.file.sync_all().map_err(|e| Error::io(&self.path, e))?;
        Ok(atomic::rename(&self.path, target)?)
    }

    fn remove(self) -> Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&self.path, error)),
            _ => Ok(()),
        }
    }

    /// What has arrived is kept for the next process, if anything has.
    fn remove_unless_useful(self) -> Result<()> {
        if self.len()? == 0 { self.remove() } else { Ok(()) }
    }
}
