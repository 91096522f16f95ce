//! Files and data sets from servers on this machine.

mod server;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use c2f_hub::{Digest, Error, Fetched, Limits, Published, Remote, Step, fetch, fetch_dataset, unpack};
use flate2::Compression;
use flate2::write::GzEncoder;
use server::{Reply, Request, Server};
use tar::{EntryType, Header};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const LIMITS: Limits = Limits { entries: 20, bytes: 10_000_000, ratio: 200 };

fn content() -> Vec<u8> {
    (0..100_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn sha256(content: &[u8]) -> Digest {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, content).unwrap();
    Digest::sha256(&file).unwrap()
}

fn remote(url: &str) -> Remote {
    Remote { urls: vec![url.to_owned()], ..Remote::default() }
}

/// Fetches into a new folder; what is in the folder afterwards, and what is said.
fn fetched(remote: &Remote) -> (Option<Vec<u8>>, Option<String>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("file");
    let message = fetch(remote, &target, &mut |_, _| {}).err().map(|error| error.to_string());
    (fs::read(&target).ok(), message, folder)
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

fn ranges(server: &Server) -> Vec<Option<usize>> {
    server.requests().iter().map(Request::range).collect()
}

/// A server whose first connection breaks after 1000 bytes.
fn breaking(answer: impl Fn(&Request) -> Reply + Send + 'static) -> Server {
    let tries = AtomicUsize::new(0);
    Server::start(move |request| {
        let reply = answer(request);
        if tries.fetch_add(1, Ordering::SeqCst) == 0 { reply.cut(1000) } else { reply }
    })
}

#[test]
fn what_happened_at_each_mirror_is_told() {
    let dead = Server::nowhere();
    let gone = Server::start(|_| Reply::status(404));
    let wrong = Server::with_file(b"something else".to_vec());
    let good = Server::with_file(content());
    let urls = vec![dead.clone(), gone.url.clone(), wrong.url.clone()];
    let digest = Some(sha256(&content()));

    let (file, message, folder) = fetched(&Remote { urls: urls.clone(), digest: digest.clone(), ..Remote::default() });
    let message = message.unwrap();
    for word in [&dead, "refused", &gone.url, "404", &wrong.url, &sha256(b"something else").to_string()] {
        assert!(message.contains(word), "{word} in {message}");
    }
    assert!(message.contains(&digest.as_ref().unwrap().to_string()), "{message}");
    assert!(file.is_none() && is_empty(folder.path()));

    let urls = [urls, vec![good.url.clone()]].concat();
    let (file, message, folder) = fetched(&Remote { urls, digest, ..Remote::default() });
    assert_eq!((file, message), (Some(content()), None));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn a_mirror_goes_on_where_another_broke() {
    let digest = Some(sha256(&content()));
    // It breaks before anything new comes, again and again.
    let broken = Server::start(|request| match request.range() {
        None => Reply::file(request, &content()).cut(5000),
        Some(_) => Reply::status(503),
    });
    let good = Server::with_file(content());
    let urls = vec![broken.url.clone(), good.url.clone()];
    let (file, message, _folder) = fetched(&Remote { urls, digest, ..Remote::default() });
    assert_eq!((file, message), (Some(content()), None));
    assert_eq!(ranges(&good), [Some(5000)]);
}

#[test]
fn without_a_checksum_only_the_same_version_is_continued() {
    // The server says by its tag that the rest is of the same file.
    let tagged = breaking(|request| Reply::file(request, &content()).header("ETag", "\"one\""));
    assert_eq!(fetched(&remote(&tagged.url)).0, Some(content()));
    assert_eq!(ranges(&tagged), [None, Some(1000)]);
    assert_eq!(tagged.requests()[1].headers["if-range"], "\"one\"");

    // It doesn't say so.
    for tag in ["", "W/\"weak\""] {
        let untagged = breaking(move |request| Reply::file(request, &content()).header("ETag", tag));
        assert_eq!(fetched(&remote(&untagged.url)).0, Some(content()));
        assert_eq!(ranges(&untagged), [None, None], "{tag}");
    }

    // Nothing says that what an earlier process left belongs to it.
    let server = Server::with_file(content());
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file.part"), "left").unwrap();
    fetch(&remote(&server.url), &folder.path().join("file"), &mut |_, _| {}).unwrap();
    assert_eq!(ranges(&server), [None]);
}

#[test]
fn a_file_that_changed_meanwhile_is_fetched_from_the_start() {
    let tries = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        if tries.fetch_add(1, Ordering::SeqCst) == 0 {
            return Reply::file(request, &content()).header("ETag", "\"old\"").cut(1000);
        }
        // The tag isn't the one that was asked for: all of it.
        Reply { body: b"the new file".to_vec(), ..Reply::status(200) }
    });
    assert_eq!(fetched(&remote(&server.url)).0, Some(b"the new file".to_vec()));
    assert_eq!(ranges(&server), [None, Some(1000)]);
}

#[test]
fn a_server_that_ignores_ranges_or_sends_another_one() {
    let digest = Some(sha256(&content()));
    let whole = breaking(|_| Reply { body: content(), ..Reply::status(200) });
    assert_eq!(fetched(&Remote { digest: digest.clone(), ..remote(&whole.url) }).0, Some(content()));

    let other = breaking(|request| match request.range() {
        None => Reply::file(request, &content()),
        Some(_) => Reply { body: content(), ..Reply::status(206) }.header("Content-Range", "bytes 0-399999/400000"),
    });
    assert_eq!(fetched(&Remote { digest, ..remote(&other.url) }).0, Some(content()));
    assert_eq!(ranges(&other), [None, Some(1000), None]);
}

#[test]
fn a_part_that_is_complete_already_needs_no_more() {
    let server = Server::with_file(content());
    let remote = Remote { digest: Some(sha256(&content())), ..remote(&server.url) };
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("file");
    fs::write(folder.path().join("file.part"), content()).unwrap();
    fetch(&remote, &target, &mut |_, _| {}).unwrap();
    assert_eq!(fs::read(&target).unwrap(), content());
    // 416, whose Content-Range has the length.
    assert_eq!(ranges(&server), [Some(content().len())]);

    // What is there is not fetched, and not looked at.
    fetch(&remote, &target, &mut |_, _| {}).unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn no_partial_file_is_taken_for_whole() {
    // Always cut at the same place.
    let cut = Server::start(|request| Reply::file(request, &content()[..4000]).cut(3000));
    let (file, message, folder) = fetched(&remote(&cut.url));
    assert!(file.is_none() && is_empty(folder.path()));
    assert!(message.is_some_and(|message| message.contains(&cut.url)));

    let server = Server::with_file(content());
    for size in [10, 1_000_000] {
        let (file, message, _folder) = fetched(&Remote { size: Some(size), ..remote(&server.url) });
        let message = message.unwrap();
        assert!(file.is_none() && message.contains("400000 bytes") && message.contains(&size.to_string()), "{message}");
    }
}

#[test]
fn two_processes_never_write_the_same_part() {
    let server = Server::with_file(content());
    let folder = tempfile::tempdir().unwrap();
    let part = fs::File::create(folder.path().join("file.part")).unwrap();
    part.lock().unwrap();
    let error = fetch(&remote(&server.url), &folder.path().join("file"), &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    assert_eq!(server.requests().len(), 0);
}

/// A member of an archive.
struct Member(EntryType, &'static str, &'static str);

const FILE: EntryType = EntryType::Regular;

/// The bytes of a tar archive. Names are written as they are, which `tar`'s own functions refuse to do. The content of a link
/// is where it leads.
fn tar(members: &[Member]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for Member(kind, name, content) in members {
        let mut header = Header::new_gnu();
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        let is_file = *kind == FILE;
        if !is_file {
            old.linkname[..content.len()].copy_from_slice(content.as_bytes());
        }
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_size(if is_file { content.len() as u64 } else { 0 });
        header.set_cksum();
        builder.append(&header, if is_file { content.as_bytes() } else { &[] }).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Unpacks an archive of this name; the folder's content by path, and what is said.
fn unpacked(name: &str, archive: &[u8]) -> (BTreeSet<String>, Option<String>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (file, into) = (folder.path().join(name), folder.path().join("into"));
    fs::write(&file, archive).unwrap();
    fs::create_dir(&into).unwrap();
    let message = unpack(&file, &into, LIMITS, &mut |_| {}).err().map(|error| {
        assert!(matches!(error, Error::Archive { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
        error.to_string()
    });
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.path().to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            found.insert(path.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned());
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            }
        }
    }
    found.remove(name);
    found.remove("into");
    (found, message, folder)
}

fn birds() -> Vec<Member> {
    vec![
        Member(EntryType::Directory, "birds/", ""),
        Member(FILE, "birds/jay.txt", "a jay"),
        Member(FILE, "./birds/owls/owl.txt", "an owl"),
        Member(FILE, "rest.txt", ""),
    ]
}

const BIRDS: [&str; 5] =
    ["into/birds", "into/birds/jay.txt", "into/birds/owls", "into/birds/owls/owl.txt", "into/rest.txt"];

#[test]
fn each_kind_of_archive_is_unpacked() {
    let tar = tar(&birds());
    let files: [(&str, &[u8]); 3] = [("birds/jay.txt", b"a jay"), ("birds/owls/owl.txt", b"an owl"), ("rest.txt", b"")];
    for (name, archive) in
        [("a.tar", tar.clone()), ("a.tar.gz", gzip(&tar)), ("A.TGZ", gzip(&tar)), ("a.zip", zip(&files))]
    {
        let (found, message, folder) = unpacked(name, &archive);
        assert_eq!(message, None, "{name}");
        assert_eq!(found, BIRDS.map(str::to_owned).into(), "{name}");
        assert_eq!(fs::read_to_string(folder.path().join("into/birds/owls/owl.txt")).unwrap(), "an owl");
    }
    assert!(unpacked("a.rar", b"Rar!").1.is_some());
}

#[test]
fn nothing_lies_outside_of_the_folder() {
    for name in ["../out.txt", "birds/../../out.txt", "/tmp/c2f-out.txt", "..", "birds/.."] {
        let member = Member(FILE, name, "out");
        let zip = zip(&[(name, b"out")]);
        for (archive, bytes) in [("a.tar", tar(&[member])), ("a.zip", zip)] {
            let (found, message, _folder) = unpacked(archive, &bytes);
            assert!(message.is_some_and(|message| message.contains("outside")), "{archive} {name}");
            assert_eq!(found, BTreeSet::new(), "{archive} {name}");
        }
        let folder = tar(&[Member(EntryType::Directory, name, "")]);
        assert!(unpacked("a.tar", &folder).1.is_some(), "{name}");
    }
    assert!(!Path::new("/tmp/c2f-out.txt").exists());
}

#[test]
fn links_and_devices_are_refused() {
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Fifo, EntryType::Char] {
        for target in ["../..", "/etc", "birds"] {
            let members = [Member(kind, "birds", target), Member(FILE, "birds/out.txt", "out")];
            let (found, message, _folder) = unpacked("a.tgz", &gzip(&tar(&members)));
            assert!(message.is_some_and(|message| message.contains("birds is ")), "{kind:?} {target}");
            assert_eq!(found, BTreeSet::new());
        }
    }
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.add_symlink("birds", "../..", SimpleFileOptions::default()).unwrap();
    let (found, message, _folder) = unpacked("a.zip", &writer.finish().unwrap().into_inner());
    assert!(message.is_some_and(|message| message.contains("link")));
    assert_eq!(found, BTreeSet::new());
}

#[test]
fn bombs_are_refused() {
    let zeros = vec![0; 5_000_000];
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(zeros.len() as u64);
    builder.append_data(&mut header, "zeros", zeros.as_slice()).unwrap();
    let tar_of_zeros = builder.into_inner().unwrap();
    // More than 200 times its size.
    for (name, archive) in [("a.tgz", gzip(&tar_of_zeros)), ("a.zip", zip(&[("zeros", &zeros)]))] {
        let (found, message, _folder) = unpacked(name, &archive);
        assert!(message.is_some_and(|message| message.contains("too many for its size")), "{name}");
        assert_eq!(found, BTreeSet::new(), "{name}");
    }
    // Not a byte of content, but an end that never ends.
    let mut endless = tar(&[Member(FILE, "empty", "")]);
    endless.resize(5_000_000, 0);
    assert!(unpacked("a.tgz", &gzip(&endless)).1.is_some_and(|message| message.contains("too many for its size")));

    let names: Vec<_> = (0..21).map(|i| format!("{i}")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), b"".as_slice())).collect();
    let members: Vec<_> = (0..21).map(|_| Member(FILE, "same", "")).collect();
    for (name, archive) in [("a.tar", tar(&members)), ("a.zip", zip(&files))] {
        assert!(unpacked(name, &archive).1.is_some_and(|message| message.contains("more files")), "{name}");
    }
}

#[test]
fn archives_that_are_cut_off() {
    let whole = tar(&[Member(FILE, "a.txt", "some text that takes part of a block")]);
    let packed = gzip(&whole);
    let zipped = zip(&[("a.txt", b"some text")]);
    let cases: [(&str, &[u8]); 6] = [
        ("a.tar", &whole[..512 + 10]),
        ("a.tar", &whole[..300]),
        ("a.tgz", &packed[..packed.len() / 2]),
        // The checksum at the end is missing.
        ("a.tgz", &packed[..packed.len() - 1]),
        ("a.zip", &zipped[..zipped.len() / 2]),
        ("a.zip", b""),
    ];
    for (name, archive) in cases {
        let (_, message, _folder) = unpacked(name, archive);
        assert!(message.is_some_and(|message| message.contains("cut off")), "{name} of {}", archive.len());
    }
    let mut wrong = packed.clone();
    let checksum = wrong.len() - 5;
    wrong[checksum] ^= 1;
    assert!(unpacked("a.tgz", &wrong).1.is_some());
}

/// A data set of an archive and a list, and where its folder will be.
fn published(urls: Vec<String>, list: &Server) -> (Published, Vec<u8>) {
    let archive = gzip(&tar(&birds()));
    let archive_remote = Remote { urls, digest: Some(sha256(&archive)), ..Remote::default() };
    let set = Published {
        folder: "birds-2010".to_owned(),
        inner: None,
        page: "http://birds.example".to_owned(),
        files: vec![("birds.tgz".to_owned(), archive_remote), ("list.txt".to_owned(), remote(&list.url))],
    };
    (set, archive)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_data_set_is_fetched_once() {
    let archive = gzip(&tar(&birds()));
    let good = Server::with_file(archive);
    let list = Server::with_file(b"jay".to_vec());
    let (set, _) = published(vec![Server::nowhere(), good.url.clone()], &list);
    let parent = tempfile::tempdir().unwrap();
    let to = parent.path().join("data");
    let mut steps = Vec::new();
    let fetched = fetch_dataset(&set, &to, LIMITS, &mut |step, _, _| {
        let step = match step {
            Step::Fetch(name) => format!("fetch {name}"),
            Step::Unpack(name) => format!("unpack {name}"),
        };
        if steps.last() != Some(&step) {
            steps.push(step);
        }
    })
    .unwrap();
    assert_eq!(steps, ["fetch birds.tgz", "fetch list.txt", "unpack birds.tgz"]);
    let unverified = vec![("list.txt".to_owned(), sha256(b"jay"))];
    let folder = to.join("birds-2010");
    assert_eq!(fetched, Fetched { folder: folder.clone(), unverified });
    assert_eq!(names(&to), ["birds-2010"], "archives are not kept");
    assert_eq!(names(&folder), ["birds", "list.txt", "rest.txt"]);

    let again = fetch_dataset(&set, &to, LIMITS, &mut |_, _, _| panic!("nothing is to be done")).unwrap();
    assert_eq!(again, Fetched { folder, unverified: Vec::new() });
    assert_eq!(good.requests().len(), 1);
}

#[test]
fn a_data_set_may_be_a_folder_of_its_archive() {
    let good = Server::with_file(gzip(&tar(&birds())));
    let list = Server::with_file(b"jay".to_vec());
    let (set, _) = published(vec![good.url.clone()], &list);
    let parent = tempfile::tempdir().unwrap();
    let inner = Published { inner: Some("birds".to_owned()), ..set.clone() };
    let folder = fetch_dataset(&inner, parent.path(), LIMITS, &mut |_, _, _| {}).unwrap().folder;
    assert_eq!(names(&folder), ["jay.txt", "owls"]);

    let parent = tempfile::tempdir().unwrap();
    let wrong = Published { inner: Some("fish".to_owned()), ..set };
    let error = fetch_dataset(&wrong, parent.path(), LIMITS, &mut |_, _, _| {}).unwrap_err();
    assert!(error.to_string().contains("fish"), "{error}");
    assert_eq!(names(parent.path()), ["birds-2010.download"]);
}

#[test]
fn a_failure_leaves_no_half_data_set_and_the_next_try_goes_on() {
    let good = Server::with_file(gzip(&tar(&birds())));
    let gone = Server::start(|_| Reply::status(410));
    let list = Server::with_file(b"jay".to_vec());
    let parent = tempfile::tempdir().unwrap();
    let (set, _) = published(vec![good.url.clone()], &gone);
    let error = fetch_dataset(&set, parent.path(), LIMITS, &mut |_, _, _| {}).unwrap_err();
    assert!(error.to_string().contains("410"), "{error}");
    assert_eq!(names(parent.path()), ["birds-2010.download"]);

    let (set, _) = published(vec![good.url.clone()], &list);
    fetch_dataset(&set, parent.path(), LIMITS, &mut |_, _, _| {}).unwrap();
    assert_eq!(names(parent.path()), ["birds-2010"]);
    assert_eq!(good.count("GET"), 1, "what had arrived was used");
}

#[test]
fn wrong_and_unsafe_archives_make_no_data_set() {
    let list = Server::with_file(b"jay".to_vec());
    let parent = tempfile::tempdir().unwrap();
    let other = Server::with_file(gzip(&tar(&birds()[..1])));
    let (set, archive) = published(vec![other.url.clone()], &list);
    let error = fetch_dataset(&set, parent.path(), LIMITS, &mut |_, _, _| {}).unwrap_err();
    assert!(error.to_string().contains(&sha256(&archive).to_string()), "{error}");
    assert!(!parent.path().join("birds-2010").exists());

    // No checksum says that it is the right one, so the next try fetches it anew.
    let evil = Server::with_file(gzip(&tar(&[Member(FILE, "../../out.txt", "out")])));
    let (mut set, _) = published(Vec::new(), &list);
    set.files[0].1 = remote(&evil.url);
    for tries in 1..3 {
        let error = fetch_dataset(&set, parent.path(), LIMITS, &mut |_, _, _| {}).unwrap_err();
        assert!(error.to_string().contains("outside"), "{error}");
        assert_eq!(names(parent.path()), ["birds-2010.download"]);
        assert_eq!(evil.requests().len(), tries);
    }
}

/// In a process of its own under strace, where there is one that may watch.
#[test]
#[cfg(target_os = "linux")]
fn a_data_set_is_on_the_disk_before_it_has_its_name_and_before_the_archives_go() {
    const NAME: &str = "a_data_set_is_on_the_disk_before_it_has_its_name_and_before_the_archives_go";
    const PARENT: &str = "C2F_TEST_FETCH_TO";
    if let Some(parent) = std::env::var_os(PARENT) {
        let (archive, list) = (Server::with_file(gzip(&tar(&birds()))), Server::with_file(b"1 2\n".to_vec()));
        let (set, _) = published(vec![archive.url.clone()], &list);
        fetch_dataset(&set, Path::new(&parent), LIMITS, &mut |_, _, _| {}).unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (parent, log) = (folder.path().join("sets"), folder.path().join("log"));
    fs::create_dir(&parent).unwrap();
    let mut command = std::process::Command::new("strace");
    command.args([
        "-f",
        "-y",
        "-e",
        "trace=syncfs,fsync,rename,renameat,renameat2,unlink,unlinkat",
        "-o",
        log.to_str().unwrap(),
    ]);
    command.arg(std::env::current_exe().unwrap()).args(["--exact", NAME]).env(PARENT, &parent);
    if !command.output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no strace that may watch");
        return;
    }
    let log = fs::read_to_string(log).unwrap();
    let first = |what: &[&str]| {
        let found = log.lines().position(|line| what.iter().all(|part| line.contains(part)));
        found.unwrap_or_else(|| panic!("no {what:?} in {log}"))
    };
    let order = [
        first(&["syncfs(", "birds-2010.download/unpacked"]),
        first(&["rename", "birds-2010.download/unpacked", "sets/birds-2010\""]),
        first(&["fsync(", "/sets>"]),
        first(&["unlink", "birds.tgz"]),
    ];
    assert!(order.is_sorted(), "{order:?} in {log}");
}
