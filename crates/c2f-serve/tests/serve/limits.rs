//! Too much, too large, too late, no picture, and no token.

use std::io::Write;
use std::time::Duration;

use c2f_serve::{Config, Server};
use image::RgbImage;

use super::support::*;

#[test]
fn a_full_queue_and_too_many_requests_are_answered_at_once() {
    let server = start(&Config { gather: LONG, queue: 2, max_requests: 3, ..Config::default() });
    let file = png(&picture(1));
    let mut waiting = Vec::new();
    for count in 1..=2 {
        let mut stream = begin(server.address(), "POST /", &[], file.len());
        stream.write_all(&file).unwrap();
        waiting.push(stream);
        await_metric(&server, &format!("c2f_queue_pictures{{model=\"birds\"}} {count}"));
    }
    let full = ask(&server, "POST /", &[], &file);
    assert!(full.error(503).contains("the queue of birds is full"));
    assert_eq!(full.header("retry-after"), Some("1"));
    // A third that doesn't end takes the last slot.
    let third = begin(server.address(), "POST /", &[], 1);
    await_metric(&server, "c2f_requests_in_flight 3");
    assert!(ask(&server, "POST /", &[], &file).error(503).contains("3 requests are being worked on"));
    assert_eq!(get(&server, "/v2/health/live").status, 200);
    drop(third);
    await_metric(&server, "c2f_requests_in_flight 2");
    server.stop();
    assert_eq!(waiting.into_iter().map(|stream| end(stream).status).collect::<Vec<_>>(), [200, 200]);
}

#[test]
fn bodies_and_pictures_have_a_largest_size() {
    let server = start(&Config { max_body: 100_000, ..Config::default() });
    for path in ["POST /", "POST /explain", "POST /v2/models/birds/infer"] {
        // Refused by what is announced: nothing of it has been sent.
        assert!(end(begin(server.address(), path, &[], 100_001)).error(413).contains("100000 bytes"));
    }
    // Nor does it help to announce nothing.
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n186a1\r\n").unwrap();
    stream.write_all(&vec![0; 100_001]).unwrap();
    assert_eq!(end(stream).error(413), "the body is larger than 100000 bytes, the most that is taken");
    // 1.2 megapixels, of which the recipe allows one.
    let large = png(&RgbImage::new(1200, 1000));
    assert!(large.len() < 100_000);
    assert!(ask(&server, "POST /", &[], &large).error(400).contains("expected at most 1 megapixels"));
}

#[test]
fn what_is_no_picture_is_said_in_a_line() {
    let server = start(&Config::default());
    let file = png(&picture(1));
    for body in [&b""[..], b"hello\nworld", &file[..file.len() / 2]] {
        let line = ask(&server, "POST /", &[], body).error(400);
        assert!(line.starts_with("image: "), "{line}");
        ask(&server, "POST /explain", &[], body).error(400);
    }
    for kind in ["multipart/form-data; boundary=x", "text/plain"] {
        ask(&server, "POST /", &[&format!("Content-Type: {kind}")], &file).error(415);
    }
    ask(&server, "POST /", &["Content-Encoding: gzip"], &file).error(415);
    ask(&server, "POST /", &["Content-Type: application/json"], b"{\"inputs\": \"?\"}").error(400);
    for query in ["top_k=0", "top_k=x", "topk=3"] {
        ask(&server, &format!("POST /?{query}"), &[], &file).error(400);
    }
    assert_eq!(ask(&server, "POST /", &[], &file).status, 200, "it goes on");
}

#[test]
fn who_is_late_and_what_is_late_get_no_answer() {
    let server = start(&Config { gather: LONG, timeout: Duration::from_secs(2), ..Config::default() });
    assert!(ask(&server, "POST /", &[], &png(&picture(1))).error(504).contains("2 s"));
    let half = begin(server.address(), "POST /", &[], 100);
    assert!(end(half).error(408).contains("the body took longer"));
}

#[test]
fn without_the_token_there_is_the_page_and_the_health() {
    let server = start(&Config { token: Some("s3cret".to_owned()), ..Config::default() });
    let file = png(&picture(1));
    for header in [
        &[][..],
        &["Authorization: Bearer s3creT"],
        &["Authorization: Bearer s3cret2"],
        &["Authorization: Basic s3cret"],
        &["Authorization: s3cret"],
    ] {
        for path in ["POST /", "POST /explain", "GET /metrics", "GET /v2", "POST /v2/models/birds/infer", "GET /x"] {
            let answer = ask(&server, path, header, &file);
            assert!(answer.error(401).contains("token"), "{path} {header:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
        for path in ["GET /", "GET /v2/health/live", "GET /v2/health/ready"] {
            assert_eq!(ask(&server, path, header, b"").status, 200, "{path} {header:?}");
        }
    }
    assert_eq!(ask(&server, "POST /", &["Authorization: Bearer s3cret"], &file).status, 200);
}

#[test]
fn a_server_that_could_never_answer_does_not_start() {
    let refuse = |config: Config| Server::start(vec![model("a")], &config).unwrap_err().to_string();
    assert!(refuse(Config { queue: 0, ..Config::default() }).contains("queue is 0"));
    assert!(refuse(Config { timeout: Duration::ZERO, ..Config::default() }).contains("timeout"));
    assert!(refuse(Config { token: Some(String::new()), ..Config::default() }).contains("token"));
    let taken = start(&Config::default());
    assert!(refuse(Config { address: taken.address(), ..Config::default() }).contains(&taken.address().to_string()));
    assert!(Server::start(Vec::new(), &Config::default()).is_err());
}
