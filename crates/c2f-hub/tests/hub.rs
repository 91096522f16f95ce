//! Weights by name, from a hub on this machine.

mod server;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use c2f_hub::{Hub, Name, Result};
use server::hub::{COMMIT, hub_with, large, sha256};
use server::{Reply, Request, Server};
use tempfile::TempDir;

/// Some bytes that no two places of which are alike.
fn content() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// A hub with an empty cache.
fn client(endpoint: &str) -> (Hub, TempDir) {
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub { endpoint: endpoint.to_owned(), cache: cache.path().to_owned(), token: None, offline: false };
    (hub, cache)
}

fn weights(hub: &Hub, name: &str) -> Result<PathBuf> {
    hub.weights(&Name::parse(name).unwrap(), &mut |_, _| {})
}

fn message(hub: &Hub, name: &str) -> String {
    let message = weights(hub, name).unwrap_err().to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

/// All files and links below a folder, with what they hold or where they lead; locks left out.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(|entry| entry.unwrap()) {
            let path = entry.path();
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            if entry.file_type().unwrap().is_symlink() {
                found.insert(name, fs::read_link(path).unwrap().to_str().unwrap().as_bytes().to_vec());
            } else if path.is_file() && !name.starts_with(".locks/") {
                found.insert(name, fs::read(path).unwrap());
            } else if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

#[test]
fn the_cache_is_that_of_the_hubs_own_library() {
    let cdn = Server::with_file(content());
    let server = hub_with(content(), &cdn);
    let (hub, cache) = client(&server.url);
    let mut seen = Vec::new();
    let file = hub.weights(&Name::parse("org/net").unwrap(), &mut |done, total| seen.push((done, total))).unwrap();
    let size = content().len() as u64;
    assert_eq!(seen.last(), Some(&(size, Some(size))));
    assert!(seen.is_sorted());

    let snapshot = format!("models--org--net/snapshots/{COMMIT}/model.safetensors");
    assert_eq!(file, cache.path().join(&snapshot));
    assert_eq!(fs::read(&file).unwrap(), content());
    let etag = sha256(&content());
    let mut expected = BTreeMap::from([
        (format!("models--org--net/blobs/{etag}"), content()),
        ("models--org--net/refs/main".to_owned(), COMMIT.as_bytes().to_vec()),
    ]);
    let link = if cfg!(unix) { format!("../../blobs/{etag}").into_bytes() } else { content() };
    expected.insert(snapshot, link);
    assert_eq!(tree(cache.path()), expected);

    // Nothing is fetched twice.
    assert_eq!((server.count("GET"), cdn.count("GET")), (1, 1));
    assert_eq!(weights(&hub, "org/net").unwrap(), file);
    assert_eq!((server.count("HEAD"), server.count("GET"), cdn.count("GET")), (2, 1, 1));
    // A commit never changes, so that the hub isn't even asked.
    assert_eq!(weights(&hub, &format!("org/net@{COMMIT}")).unwrap(), file);
    assert_eq!(server.count("HEAD"), 2);
}

#[test]
fn a_name_of_timm_is_a_repository_of_timm() {
    let server = Server::start(|_| Reply::status(404));
    let (hub, _cache) = client(&server.url);
    assert!(message(&hub, "resnet50.a1_in1k@v2").contains("weights timm/resnet50.a1_in1k@v2: "));
    let paths: Vec<_> = server.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths[0], "/timm/resnet50.a1_in1k/resolve/v2/model.safetensors");
}

#[test]
fn a_broken_connection_is_taken_up_where_it_broke() {
    let tries = AtomicUsize::new(0);
    let cdn = Server::start(move |request| {
        let reply = Reply::file(request, &content());
        if tries.fetch_add(1, Ordering::SeqCst) == 0 { reply.cut(500_000) } else { reply }
    });
    let server = hub_with(content(), &cdn);
    let (hub, _cache) = client(&server.url);
    assert_eq!(fs::read(weights(&hub, "org/net").unwrap()).unwrap(), content());
    let ranges: Vec<_> = cdn.requests().iter().map(Request::range).collect();
    assert_eq!(ranges, [None, Some(500_000)]);
}

#[test]
fn what_a_killed_process_left_is_continued_if_it_fits() {
    for (left, ranges) in [(content()[..1000].to_vec(), vec![Some(1000)]), (vec![7; 1000], vec![Some(1000), None])] {
        let cdn = Server::with_file(content());
        let server = hub_with(content(), &cdn);
        let (hub, cache) = client(&server.url);
        let blobs = cache.path().join("models--org--net/blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(format!("{}.part", sha256(&content()))), left).unwrap();
        assert_eq!(fs::read(weights(&hub, "org/net").unwrap()).unwrap(), content());
        assert_eq!(cdn.requests().iter().map(Request::range).collect::<Vec<_>>(), ranges);
        assert_eq!(fs::read_dir(blobs).unwrap().count(), 1);
    }
}

#[test]
fn wrong_content_leaves_nothing_and_names_both_sums() {
    let mut other = content();
    other[77] ^= 1;
    let cdn = Server::with_file(other.clone());
    let server = hub_with(content(), &cdn);
    let (hub, cache) = client(&server.url);
    let message = message(&hub, "org/net");
    assert!(message.contains(&sha256(&content())) && message.contains(&sha256(&other)), "{message}");
    assert_eq!(tree(cache.path()), BTreeMap::new());
}

#[test]
fn a_small_file_has_gits_checksum() {
    // printf hello | git hash-object --stdin
    let etag = "\"b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0\"";
    for (sent, is_right) in [("hello", true), ("hallo", false)] {
        let server = Server::start(move |request| {
            Reply::file(request, sent.as_bytes()).header("X-Repo-Commit", COMMIT).header("ETag", etag)
        });
        let (hub, _cache) = client(&server.url);
        assert_eq!(weights(&hub, "org/net").is_ok(), is_right, "{sent}");
    }
}

#[test]
fn pytorch_files_where_there_is_nothing_better() {
    let server = Server::start(|request| match request.path.as_str() {
        "/org/net/resolve/main/pytorch_model.bin" => {
            Reply::file(request, b"pickle").header("X-Repo-Commit", COMMIT).header("ETag", "\"some-tag\"")
        }
        _ => Reply::status(404),
    });
    let (hub, cache) = client(&server.url);
    let file = weights(&hub, "org/net").unwrap();
    assert_eq!(file, cache.path().join(format!("models--org--net/snapshots/{COMMIT}/pytorch_model.bin")));
    assert_eq!(fs::read(file).unwrap(), b"pickle");
    assert!(cache.path().join("models--org--net/blobs/some-tag").is_file());
}

#[test]
fn each_refusal_says_what_to_do() {
    for (status, code, words) in [
        (404, "EntryNotFound", ["/org/net ", "neither model.safetensors nor pytorch_model.bin"]),
        (404, "RepoNotFound", ["/org/net ", "doesn't exist"]),
        (404, "RevisionNotFound", ["/org/net ", "no revision main"]),
        (401, "RepoNotFound", ["doesn't exist, or is private", "HF_TOKEN"]),
        (403, "GatedRepo", ["no access", "/org/net "]),
        (418, "", ["/org/net: ", "418"]),
    ] {
        let server = Server::start(move |_| Reply::status(status).header("X-Error-Code", code));
        let (hub, cache) = client(&server.url);
        let message = message(&hub, "org/net");
        assert!(words.iter().all(|word| message.contains(word)), "{status} {code}: {message}");
        assert_eq!(tree(cache.path()), BTreeMap::new());
    }
}

#[test]
fn a_server_that_is_no_hub_is_refused() {
    let hash = "0".repeat(64);
    for (commit, etag) in [("../../x", hash.as_str()), (COMMIT, "../../../x"), (COMMIT, ""), ("", &hash)] {
        let reply = Reply::status(200).header("X-Repo-Commit", commit).header("ETag", &format!("\"{etag}\""));
        let server = Server::start(move |_| reply.clone());
        let (hub, cache) = client(&server.url);
        assert!(message(&hub, "org/net").contains("no hub"));
        assert_eq!(tree(cache.path()), BTreeMap::new());
    }
}

#[test]
fn the_token_stays_with_the_hub() {
    let cdn = Server::with_file(content());
    let elsewhere = cdn.url.clone();
    // The repository has got a new name.
    let server = Server::start(move |request| match request.path.as_str() {
        "/org/net/resolve/main/model.safetensors" => {
            Reply::status(307).header("Location", "/new/net/resolve/main/model.safetensors")
        }
        "/new/net/resolve/main/model.safetensors" => large(request, &content(), &elsewhere),
        _ => Reply::status(404),
    });
    let (hub, _cache) = client(&server.url);
    let hub = Hub { token: Some("secret".to_owned()), ..hub };
    weights(&hub, "org/net").unwrap();
    let tokens = |server: &Server| -> Vec<_> {
        server.requests().iter().map(|request| request.headers.get("authorization").cloned()).collect()
    };
    let methods: Vec<_> = server.requests().iter().map(|request| request.method.clone()).collect();
    assert_eq!(methods, ["HEAD", "HEAD", "GET"]);
    assert_eq!(tokens(&server), vec![Some("Bearer secret".to_owned()); 3]);
    assert_eq!(tokens(&cdn), [None]);
}

#[test]
fn the_cache_serves_who_has_no_network() {
    let cdn = Server::with_file(content());
    let server = hub_with(content(), &cdn);
    let (hub, _cache) = client(&server.url);
    let file = weights(&hub, "org/net").unwrap();
    let asked = server.requests().len();

    let offline = Hub { offline: true, ..hub.clone() };
    assert_eq!(weights(&offline, "org/net").unwrap(), file);
    assert_eq!(server.requests().len(), asked, "offline means offline");
    let unreachable = Hub { endpoint: Server::nowhere(), ..hub.clone() };
    assert_eq!(weights(&unreachable, "org/net").unwrap(), file);
    let broken = Server::start(|_| Reply::status(503));
    assert_eq!(weights(&Hub { endpoint: broken.url.clone(), ..hub }, "org/net").unwrap(), file);

    for (hub, why) in [(&offline, "HF_HUB_OFFLINE"), (&unreachable, "can't be reached")] {
        for name in ["org/other", "org/net@v2"] {
            let message = message(hub, name);
            for word in [why, "model.safetensors", "by hand", hub.cache.to_str().unwrap(), &hub.endpoint] {
                assert!(message.contains(word), "{word} in {message}");
            }
        }
    }
}

#[test]
fn a_new_commit_is_fetched_and_the_old_one_kept() {
    let count = Arc::new(AtomicUsize::new(0));
    let version = Arc::clone(&count);
    let server = Server::start(move |request| {
        let version = version.load(Ordering::SeqCst);
        Reply::file(request, format!("weights {version}").as_bytes())
            .header("X-Repo-Commit", &format!("{version}").repeat(40))
            .header("ETag", &format!("\"tag-{version}\""))
    });
    let (hub, _cache) = client(&server.url);
    let old = weights(&hub, "org/net").unwrap();
    count.store(1, Ordering::SeqCst);
    let new = weights(&hub, "org/net").unwrap();
    assert_eq!((fs::read(&old).unwrap(), fs::read(&new).unwrap()), (b"weights 0".to_vec(), b"weights 1".to_vec()));
    let offline = Hub { offline: true, ..hub };
    assert_eq!(weights(&offline, "org/net").unwrap(), new);
    assert_eq!(weights(&offline, &format!("org/net@{}", "0".repeat(40))).unwrap(), old);
}
