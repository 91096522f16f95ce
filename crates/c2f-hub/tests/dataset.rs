//! Data sets by name, from a hub on this machine.

mod server;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use c2f_hub::{Hub, Name, Result};
use serde_json::{Value, json};
use server::hub::{COMMIT, sha256};
use server::{Reply, Request, Server};
use tempfile::TempDir;

const FILES: [&str; 2] = ["data/test-0.parquet", "data/train-0.parquet"];

fn content(file: &str) -> Vec<u8> {
    file.as_bytes().repeat(10_000)
}

fn siblings(files: &[&str]) -> Vec<Value> {
    let lfs = |file: &str| json!({ "sha256": sha256(&content(file)), "size": content(file).len() });
    let sibling = |file: &&str| json!({ "rfilename": file, "size": content(file).len(), "lfs": lfs(file) });
    files.iter().map(sibling).chain([json!({ "rfilename": "README.md", "blobId": "0".repeat(40) })]).collect()
}

fn info(files: &[&str]) -> Reply {
    let text = json!({ "sha": COMMIT, "id": "org/birds", "siblings": siblings(files) }).to_string();
    Reply { body: text.into_bytes(), ..Reply::status(200) }
}

/// A hub that tells `info` of `org/birds` and has the files that it names.
fn hub(info: impl Fn(&Request) -> Reply + Send + 'static) -> Server {
    Server::start(move |request| {
        let prefix = format!("/datasets/org/birds/resolve/{COMMIT}/");
        match request.path.strip_prefix(&prefix) {
            Some(file) => Reply::file(request, &content(file)),
            None => info(request),
        }
    })
}

fn client(endpoint: &str) -> (Hub, TempDir) {
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub { endpoint: endpoint.to_owned(), cache: cache.path().to_owned(), token: None, offline: false };
    (hub, cache)
}

fn birds(hub: &Hub) -> Result<std::path::PathBuf> {
    hub.dataset(&Name::parse("org/birds").unwrap(), &mut |_, _, _| {})
}

fn message(hub: &Hub) -> String {
    let message = birds(hub).unwrap_err().to_string();
    assert!(message.lines().count() == 1 && message.contains("hub:org/birds"), "{message}");
    message
}

#[test]
fn the_files_of_the_repository_are_fetched_once_and_there_without_a_network() {
    let server = hub(|request| {
        assert_eq!(request.path, "/api/datasets/org/birds/revision/main?blobs=true");
        info(&FILES)
    });
    let (hub, cache) = client(&server.url);
    let folder = birds(&hub).unwrap();
    assert_eq!(folder, cache.path().join(format!("datasets--org--birds/snapshots/{COMMIT}")));
    for file in FILES {
        assert_eq!(fs::read(folder.join(file)).unwrap(), content(file));
    }
    assert!(!folder.join("README.md").exists());
    let before = server.requests().len();
    assert_eq!(birds(&hub).unwrap(), folder);
    assert_eq!(server.requests().len(), before + 1, "nothing but the state is asked for again");
    for hub in [Hub { offline: true, ..hub.clone() }, Hub { endpoint: Server::nowhere(), ..hub }] {
        assert_eq!(birds(&hub).unwrap(), folder);
    }
}

#[test]
fn of_other_formats_there_are_the_files_that_the_hub_has_made() {
    let server = hub(|request| match request.path.as_str() {
        "/api/datasets/org/birds/revision/main?blobs=true" => info(&[]),
        "/api/datasets/org/birds/revision/refs%2Fconvert%2Fparquet?blobs=true" => info(&["default/train/0000.parquet"]),
        other => panic!("{other}"),
    });
    let (hub, _cache) = client(&server.url);
    let folder = birds(&hub).unwrap();
    assert!(folder.join("default/train/0000.parquet").is_file());
    assert_eq!(birds(&Hub { offline: true, ..hub }).unwrap(), folder);

    let server = self::hub(|request| if request.path.contains("main") { info(&[]) } else { Reply::status(404) });
    assert!(message(&client(&server.url).0).contains("has no Parquet files"));
}

#[test]
fn what_broke_is_taken_up_and_half_a_data_set_is_none() {
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    let server = Server::start(move |request| {
        let Some(file) = FILES.iter().find(|file| request.path.ends_with(*file)) else { return info(&FILES) };
        let reply = Reply::file(request, &content(file));
        // The second file breaks at first, and then isn't to be had for a while.
        match (*file == FILES[1]).then(|| count.fetch_add(1, Ordering::SeqCst)) {
            Some(0) => reply.cut(50_000),
            Some(1..4) => Reply::status(403),
            _ => reply,
        }
    });
    let (hub, _cache) = client(&server.url);
    assert!(birds(&hub).unwrap_err().to_string().contains("403"));
    assert!(message(&Hub { offline: true, ..hub.clone() }).contains("doesn't have main whole"));
    while tries.load(Ordering::SeqCst) < 4 {
        let _ = birds(&hub);
    }
    let folder = birds(&hub).unwrap();
    assert_eq!(fs::read(folder.join(FILES[1])).unwrap(), content(FILES[1]));
    let ranges: Vec<_> = server.requests().iter().filter_map(Request::range).collect();
    assert!(ranges.contains(&50_000), "{ranges:?}");
}

#[test]
fn wrong_answers_and_paths_are_refused() {
    let with = |sibling: Value| {
        let text = json!({ "sha": COMMIT, "siblings": [sibling] }).to_string();
        hub(move |_| Reply { body: text.clone().into_bytes(), ..Reply::status(200) })
    };
    for path in ["../x.parquet", "/etc/x.parquet", "a/../../x.parquet", "a//x.parquet", "..\\x.parquet"] {
        let server = with(json!({ "rfilename": path, "blobId": "0".repeat(40) }));
        let (hub, cache) = client(&server.url);
        assert!(message(&hub).contains("which is no path"), "{path}");
        assert!(!cache.path().join("x.parquet").exists());
    }
    let server = with(json!({ "rfilename": "x.parquet", "blobId": "../../x" }));
    assert!(message(&client(&server.url).0).contains("no checksum of x.parquet"));
    for body in ["", "[]", "{\"sha\": 1, \"siblings\": []}", "{\"sha\": \"..\", \"siblings\": []}"] {
        let server = hub(move |_| Reply { body: body.as_bytes().to_vec(), ..Reply::status(200) });
        assert!(message(&client(&server.url).0).contains("so this is no hub"), "{body}");
    }
    let server = hub(|_| Reply::status(404).header("X-Error-Code", "RepoNotFound"));
    assert!(message(&client(&server.url).0).contains("datasets/org/birds doesn't exist"));
    let server = hub(|_| Reply::status(401));
    assert!(message(&client(&server.url).0).contains("HF_TOKEN"));
    // Content that isn't what was promised.
    let text =
        json!({ "sha": COMMIT, "siblings": [{ "rfilename": "x.parquet", "blobId": "0".repeat(40) }] }).to_string();
    let server = hub(move |_| Reply { body: text.clone().into_bytes(), ..Reply::status(200) });
    assert!(birds(&client(&server.url).0).unwrap_err().to_string().contains("can't be fetched"));
}
