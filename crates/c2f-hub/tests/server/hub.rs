//! What a hub answers.

use c2f_hub::Digest;

use super::{Reply, Request, Server};

/// The commit of all that it has.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The checksum of some bytes.
pub fn sha256(content: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, content).unwrap();
    match Digest::sha256(&file).unwrap() {
        Digest::Sha256(hex) => hex,
        other => panic!("{other}"),
    }
}

/// What the hub says of a large file, which lies elsewhere.
pub fn large(request: &Request, content: &[u8], elsewhere: &str) -> Reply {
    Reply::redirect(&format!("{elsewhere}{}", request.path))
        .header("X-Repo-Commit", COMMIT)
        .header("X-Linked-Etag", &format!("\"{}\"", sha256(content)))
        .header("X-Linked-Size", &content.len().to_string())
}

/// A hub whose repository `org/net` has `model.safetensors`, which lies on the server `elsewhere`.
pub fn hub_with(content: Vec<u8>, elsewhere: &Server) -> Server {
    let elsewhere = elsewhere.url.clone();
    Server::start(move |request| match request.path.as_str() {
        "/org/net/resolve/main/model.safetensors" => large(request, &content, &elsewhere),
        _ => Reply::status(404).header("X-Error-Code", "EntryNotFound"),
    })
}
