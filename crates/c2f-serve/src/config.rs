//! What a server is told, with what it does if it isn't.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Where a server listens, and how much it takes.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address; of port 0 the system chooses one.
    pub address: SocketAddr,
    /// Who doesn't send it (`Authorization: Bearer TOKEN`) gets the page and the health alone.
    pub token: Option<String>,
    /// The most bytes of a request's body.
    pub max_body: usize,
    /// The most requests that are worked on at once; one more is answered 503.
    pub max_requests: usize,
    /// The most pictures that wait for a network, and the most in one request. What finds no room is answered 503.
    pub queue: usize,
    /// The most pictures that go through a network together.
    pub max_batch: usize,
    /// How long the first picture of a batch waits for others.
    pub gather: Duration,
    /// How long a request's head may take to arrive, then its body, then its answer.
    pub timeout: Duration,
}

impl Default for Config {
    /// Loopback on a port that the system chooses, without a token; 32 MiB a body, 64 requests, 64 pictures in the queue, 16 in a
    /// batch after at most 5 ms, 30 seconds.
    fn default() -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            token: None,
            max_body: 32 << 20,
            max_requests: 64,
            queue: 64,
            max_batch: 16,
            gather: Duration::from_millis(5),
            timeout: Duration::from_secs(30),
        }
    }
}
