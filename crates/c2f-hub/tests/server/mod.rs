//! A server on this machine alone, which says what a test wants it to say.

// Each test binary uses its own part of this.
#![allow(dead_code)]

pub mod hub;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a client asked for. Names of headers are in lower case.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

/// What the server answers.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// How many bytes of the body are sent before the connection breaks.
    pub cut: Option<usize>,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), cut: None }
    }

    pub fn redirect(location: &str) -> Self {
        Self::status(302).header("Location", location)
    }

    /// A file as a server sends it that can send parts.
    pub fn file(request: &Request, content: &[u8]) -> Self {
        let Some(start) = request.range() else { return Self { body: content.to_vec(), ..Self::status(200) } };
        let length = content.len();
        if start >= length {
            return Self::status(416).header("Content-Range", &format!("bytes */{length}"));
        }
        let reply = Self { body: content[start..].to_vec(), ..Self::status(206) };
        reply.header("Content-Range", &format!("bytes {start}-{}/{length}", length - 1))
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn cut(self, bytes: usize) -> Self {
        Self { cut: Some(bytes), ..self }
    }
}

impl Request {
    /// The first byte that is asked for, if it is not the whole file.
    pub fn range(&self) -> Option<usize> {
        let range = self.headers.get("range")?;
        Some(
            range.strip_prefix("bytes=").and_then(|r| r.strip_suffix('-')).expect("a range").parse().expect("a number"),
        )
    }

    fn read(stream: &TcpStream) -> Option<Self> {
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next()?.ok()?;
        let mut words = first.split(' ').map(str::to_owned);
        let (method, path) = (words.next()?, words.next()?);
        let mut headers = BTreeMap::new();
        loop {
            let line = lines.next()?.ok()?;
            let Some((name, value)) = line.split_once(':') else { return Some(Self { method, path, headers }) };
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
    }
}

/// A server that runs until the test's process ends.
pub struct Server {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let Some(request) = Request::read(&stream) else { continue };
                seen.lock().expect("no test panics here").push(request.clone());
                // The client may have seen enough and be gone.
                let _ = send(&mut stream, &request, &answer(&request));
            }
        });
        Self { url, requests }
    }

    /// A server that sends this content, in parts if it is asked to.
    pub fn with_file(content: Vec<u8>) -> Self {
        Self::start(move |request| Reply::file(request, &content))
    }

    /// An address where nobody listens.
    pub fn nowhere() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        format!("http://{}", listener.local_addr().expect("an address"))
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no test panics here").clone()
    }

    /// How many requests had this method.
    pub fn count(&self, method: &str) -> usize {
        self.requests().iter().filter(|request| request.method == method).count()
    }
}

fn send(stream: &mut TcpStream, request: &Request, reply: &Reply) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {} Said\r\nConnection: close\r\n", reply.status)?;
    if !reply.headers.iter().any(|(name, _)| name == "Content-Length") {
        write!(stream, "Content-Length: {}\r\n", reply.body.len())?;
    }
    for (name, value) in &reply.headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    stream.write_all(b"\r\n")?;
    if request.method != "HEAD" {
        stream.write_all(&reply.body[..reply.cut.unwrap_or(reply.body.len())])?;
    }
    stream.flush()
}
