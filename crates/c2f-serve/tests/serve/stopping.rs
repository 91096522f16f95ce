//! A server that stops finishes what it has begun.

use std::io::Write;
use std::net::TcpStream;

use c2f_serve::Config;

use super::support::*;

#[test]
fn what_has_begun_is_answered_and_nothing_else_is_taken() {
    let server = start(&Config { gather: LONG, ..Config::default() });
    let (address, file) = (server.address(), png(&picture(1)));
    let mut waits = begin(address, "POST /", &[], file.len());
    waits.write_all(&file).unwrap();
    await_metric(&server, "c2f_queue_pictures{model=\"birds\"} 1");
    // Half of another has come.
    let mut half = begin(address, "POST /", &[], file.len());
    half.write_all(&file[..100]).unwrap();
    await_metric(&server, "c2f_requests_in_flight 2");
    let stopping = std::thread::spawn(move || server.stop());
    // The one that waited for a fuller batch is let through.
    assert_eq!(end(waits).status, 200);
    assert!(TcpStream::connect(address).is_err(), "it still listens");
    assert!(!stopping.is_finished(), "a request is still coming in");
    half.write_all(&file[100..]).unwrap();
    assert_eq!(end(half).status, 200);
    stopping.join().unwrap();
}

#[test]
fn connections_that_ask_nothing_do_not_keep_it() {
    let server = start(&Config::default());
    let idle = TcpStream::connect(server.address()).unwrap();
    assert_eq!(get(&server, "/v2").status, 200);
    assert!(server.is_running());
    server.stop();
    drop(idle);
}
