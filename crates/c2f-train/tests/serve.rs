//! `serve` as a service runs it.

#![cfg(unix)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use common::{draw_pictures, fail, json, program, succeed, text, train};

/// A server on a free port, and where it says that it listens.
fn serve(arguments: &[&str]) -> (Child, String) {
    let mut command = program();
    command.args(["serve", "--port", "0"]).args(arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("http://").unwrap_or_else(|| panic!("{line:?}")).to_owned();
    (child, address)
}

#[test]
fn it_answers_as_predict_does_and_sigterm_ends_it_well() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    succeed(&train(&run, &["--set", "method=attention", "--set", "epochs=1"]));
    draw_pictures(folder.path(), 1, |_| true);
    let (pictures, _) = c2f_data::pictures_below(&folder.path().join("test")).unwrap();
    let predicted = json(&["predict", "--checkpoint", text(&run), "--json", text(&pictures[0])]);
    let token = folder.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();

    let (mut child, address) = serve(&[text(&run), "--token-file", text(&token)]);
    assert!(address.starts_with("127.0.0.1:"), "it listens on this machine alone");
    let mut stream = TcpStream::connect(&address).unwrap();
    let picture = std::fs::read(&pictures[0]).unwrap();
    let head = "POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nAuthorization: Bearer s3cret";
    stream.write_all(format!("{head}\r\nContent-Length: {}\r\n\r\n", picture.len()).as_bytes()).unwrap();
    stream.write_all(&picture).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let expected = predicted[0]["predictions"].as_array().unwrap();
    assert_eq!(answer.as_array().unwrap().len(), expected.len());
    for (said, expected) in answer.as_array().unwrap().iter().zip(expected) {
        assert_eq!((&said["label"], &said["score"]), (&expected["class"], &expected["probability"]));
    }

    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let (mut child, address) = serve(&[text(&run)]);
    let port = address.rsplit(':').next().unwrap();
    assert!(fail(1, &["serve", text(&run), "--port", port]).contains(&address), "somebody listens there already");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));

    std::fs::write(&token, "\n").unwrap();
    assert!(fail(2, &["serve", text(&run), "--port", "0", "--token-file", text(&token)]).contains("token"));
    assert!(fail(2, &["serve", text(&run), text(&run)]).contains("called run"));
    assert!(fail(1, &["serve", text(&folder.path().join("none"))]).contains("none"));
}
