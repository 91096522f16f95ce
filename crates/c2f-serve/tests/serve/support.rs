//! A tiny network, its server, pictures, and a client that speaks as much HTTP as they need.

use std::io::{Cursor, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use c2f_data::Limits;
use c2f_engine::{Guess, Network, Recipe};
use c2f_serve::{Config, Model, Server};
use candle_core::Device;
use image::{ImageFormat, Rgb, RgbImage};
use serde_json::Value;

pub const SIZE: u32 = 32;
/// Longer than any test, so that a batch waits until it is whole.
pub const LONG: Duration = Duration::from_secs(3600);

/// Looks twice at 32 pixels, the second time at twice as many of the file's; the same each time.
pub fn network() -> Network {
    let mut recipe = Recipe::builtin("quickstart").unwrap();
    for assignment in [
        "method=coarse2fine",
        "image_size=32",
        "attention.maps=4",
        "inverse.mode=zoom",
        "inverse.source_scale=2",
        "inverse.channels=2",
        "inverse.decoder_channels=4",
        "loader.max_megapixels=1",
    ] {
        recipe.set(assignment).unwrap();
    }
    Network::new(&recipe, ["gull", "tern", "auk"].map(str::to_owned).to_vec(), &Device::Cpu).unwrap()
}

pub fn model(name: &str) -> Model {
    Model { name: name.to_owned(), network: network() }
}

pub fn start(config: &Config) -> Server {
    Server::start(vec![model("birds")], config).unwrap()
}

/// A picture that no other number has.
pub fn picture(number: u32) -> RgbImage {
    let shade = |v: u32| (v * 7 + number * 31) as u8;
    RgbImage::from_fn(80, 64, |x, y| Rgb([shade(x), shade(y * 3), shade(x * y / 9)]))
}

pub fn png(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// What the library says of a file, alone.
pub fn expected(file: &[u8]) -> Vec<Guess> {
    let network = network();
    let picture = c2f_data::decode_bytes_within("test", file, Limits::default()).unwrap();
    let views = [network.eval_transform().apply(&picture, 0, 0, 0)];
    c2f_engine::guess(&network, &[&views], 3).unwrap().remove(0).classes
}

/// The same in the order of the classes.
pub fn in_order(guesses: &[Guess]) -> Vec<f32> {
    let mut guesses = guesses.to_vec();
    guesses.sort_by_key(|guess| guess.index);
    guesses.iter().map(|guess| guess.probability).collect()
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e} in {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The one line of a failure with this status.
    pub fn error(&self, status: u16) -> String {
        let json = self.json();
        assert_eq!(self.status, status, "{json}");
        let line = json["error"].as_str().unwrap();
        assert!(!line.is_empty() && !line.contains('\n'), "{line}");
        line.to_owned()
    }
}

/// Sends the head of a request whose body has `length` bytes.
pub fn begin(address: SocketAddr, request: &str, headers: &[&str], length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let headers = headers.iter().chain(&["Host: test", "Connection: close"]).copied().collect::<Vec<_>>().join("\r\n");
    let head = format!("{request} HTTP/1.1\r\n{headers}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// The answer to a request.
pub fn end(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let middle = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
    let head = String::from_utf8(bytes[..middle].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: bytes[middle + 4..].to_vec() }
}

/// Sends a request such as `POST /`, and gives the answer.
pub fn ask(server: &Server, request: &str, headers: &[&str], body: &[u8]) -> Answer {
    let mut stream = begin(server.address(), request, headers, body.len());
    stream.write_all(body).unwrap();
    end(stream)
}

pub fn get(server: &Server, path: &str) -> Answer {
    ask(server, &format!("GET {path}"), &[], b"")
}

pub fn infer(server: &Server, body: &Value) -> Answer {
    ask(server, "POST /v2/models/birds/infer", &["Content-Type: application/json"], body.to_string().as_bytes())
}

/// Waits until the metrics have this line.
pub fn await_metric(server: &Server, line: &str) {
    let started = Instant::now();
    loop {
        let text = get(server, "/metrics").text();
        if text.lines().any(|l| l == line) {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(300), "never {line} in\n{text}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
