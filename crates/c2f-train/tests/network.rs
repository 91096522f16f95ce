//! Data sets and weights from servers on this machine, on the command line.

mod common;
#[path = "../../c2f-hub/tests/server/mod.rs"]
mod server;

use std::fs;
use std::path::Path;

use common::{DATA, fail, json, one_line, program, succeed, text, train};
use serde_json::{Value, json};
use server::hub::{COMMIT, hub_with, sha256};
use server::{Reply, Server};

#[test]
fn data_fetch_on_the_command_line() {
    let parent = tempfile::tempdir().unwrap();
    let to = text(parent.path());
    assert!(fail(2, &["data", "fetch", "cub2012", "--to", to]).contains("cub2011"));
    let line = one_line(&[], &{
        let output = program().args(["data", "fetch", "nabirds", "--to", to]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    });
    assert!(line.contains("https://dl.allaboutbirds.org/nabirds"), "{line}");
    // What is there needs no network.
    fs::create_dir(parent.path().join("CUB_200_2011")).unwrap();
    let told = succeed(&["data", "fetch", "cub2011", "--to", to]);
    assert_eq!(told, format!("cub2011:{to}/CUB_200_2011\n"));
}

#[test]
fn a_folder_may_begin_with_the_home_folder() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("sets/CUB_200_2011")).unwrap();
    let output = program().args(["data", "fetch", "cub2011", "--to=~/sets"]).env("HOME", home.path()).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told, format!("cub2011:{}/sets/CUB_200_2011\n", text(home.path())));

    let missing = format!("{}/no", text(home.path()));
    for arguments in [
        &["eval", "--checkpoint=~/no", "--data", "synthetic"][..],
        &["predict", "--checkpoint=~/no", "a.jpg"],
        &["embed", "--checkpoint=~/no", "--output", "a.safetensors", "a.jpg"],
        &["embed", "--backbone", "c2f_tiny", "--weights=~/no.pth", "--output", "a.safetensors", "a.jpg"],
        &["train", "--resume", "--output=~/no/run"],
        &["data", "sheet", "synthetic", "--output=~/no/a.png"],
    ] {
        let output = program().args(arguments).env("HOME", home.path()).output().unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && line.contains(&missing), "{arguments:?}: {line}");
    }
}

/// The weights of the backbone `c2f_tiny`, as its initial ones are.
fn tiny_weights() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    succeed(&train(&run, &["--set", "method=baseline", "--set", "epochs=1"]));
    let checkpoint = fs::read(run.join("checkpoints/best.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&checkpoint).unwrap();
    let tensors = tensors.iter().filter_map(|(name, view)| Some((name.strip_prefix("backbone.")?.to_owned(), view)));
    safetensors::serialize(tensors.collect::<Vec<_>>(), None).unwrap()
}

#[test]
fn training_begins_with_weights_by_name() {
    let content = tiny_weights();
    let cdn = Server::with_file(content.clone());
    let server = hub_with(content, &cdn);
    let home = tempfile::tempdir().unwrap();
    let start = |run: &str, name: &str, endpoint: &str| {
        let run = home.path().join(run);
        let mut command = program();
        for variable in ["HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN"] {
            command.env_remove(variable);
        }
        command.env("HF_ENDPOINT", endpoint).env("HF_HOME", home.path()).env("NO_PROXY", "127.0.0.1");
        let more = ["--set", "method=baseline", "--set", "epochs=1", "--weights", name];
        (command.args(train(&run, &more)).output().unwrap(), run)
    };
    let (output, run) = start("run", "org/net", &server.url);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(cdn.count("GET"), 1);
    let recipe = c2f_engine::Recipe::from_file(&run.join("config.toml")).unwrap();
    let file = home.path().join(format!("hub/models--org--net/snapshots/{COMMIT}/model.safetensors"));
    assert_eq!(recipe.weights.as_deref(), Some(text(&file)));
    // Without the hub it goes on with what is there.
    let (output, _) = start("again", "org/net", &Server::nowhere());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    for (name, status, word) in [
        ("org/none", 1, "/org/none doesn't exist"),
        ("org/../net", 2, "no such file"),
        ("net.safetensors", 2, "no such file"),
    ] {
        let (output, run) = start("wrong", name, &server.url);
        assert_eq!(output.status.code(), Some(status), "{name}");
        let line = one_line(&[], &String::from_utf8(output.stderr).unwrap());
        assert!(line.contains(name) && line.contains(word), "{line}");
        assert!(!run.exists(), "a run that never began leaves no folder");
    }
}

#[test]
fn a_run_on_the_hub_is_used_by_its_name() {
    let home = tempfile::tempdir().unwrap();
    let run = home.path().join("run");
    succeed(&train(&run, &["--set", "method=attention", "--set", "epochs=1"]));
    let card = fs::read_to_string(run.join("README.md")).unwrap();
    assert!(card.starts_with("---\nlibrary_name: c2f\n") && !card.contains(text(home.path())), "{card}");
    let folder = run.clone();
    let server = Server::start(move |request| match request.path.split_once("/resolve/main/") {
        Some(("/org/birds", file)) => {
            let content = fs::read(folder.join(file)).unwrap();
            Reply::file(request, &content).header("X-Repo-Commit", COMMIT).header("ETag", &sha256(&content))
        }
        _ => Reply::status(404),
    });
    let of_hub = |endpoint: &str, arguments: &[&str]| {
        let mut command = program();
        command.env_remove("HF_HUB_CACHE").env_remove("HF_HUB_OFFLINE").env_remove("HF_TOKEN");
        command.env("HF_ENDPOINT", endpoint).env("HF_HOME", home.path()).env("NO_PROXY", "127.0.0.1");
        command.args(arguments).output().unwrap()
    };
    let eval = |checkpoint| ["eval", "--checkpoint", checkpoint, "--data", DATA, "--json"];
    let expected = json(&eval(text(&run)));
    // The second time without a server, from the cache.
    for endpoint in [server.url.clone(), Server::nowhere()] {
        let output = of_hub(&endpoint, &eval("hub:org/birds"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), expected);
    }
    let output = of_hub(&server.url, &eval("hub:org/gone"));
    let line = one_line(&[], &String::from_utf8(output.stderr).unwrap());
    assert!(output.status.code() == Some(1) && line.contains("no checkpoints/best.safetensors"), "{line}");
}

#[test]
fn a_data_set_of_the_hub_by_its_name() {
    const FILES: [&str; 3] = [
        "data/train-00000-of-00002.parquet",
        "data/train-00001-of-00002.parquet",
        "data/validation-00000-of-00001.parquet",
    ];
    let named = Path::new(env!("CARGO_MANIFEST_DIR")).join("../c2f-data/tests/fixtures/parquet/named");
    let content = move |file: &str| fs::read(named.join(file)).unwrap();
    let siblings: Vec<Value> = FILES
        .iter()
        .map(|file| json!({ "rfilename": file, "lfs": { "sha256": sha256(&content(file)), "size": content(file).len() } }))
        .collect();
    let info = json!({ "sha": COMMIT, "siblings": siblings }).to_string();
    let server = Server::start(move |request| match request.path.split_once(COMMIT) {
        Some((_, file)) => Reply::file(request, &content(&file[1..])),
        None => Reply { body: info.clone().into_bytes(), ..Reply::status(200) },
    });
    let home = tempfile::tempdir().unwrap();
    let run = |endpoint: &str, arguments: &[&str]| {
        let mut command = program();
        command.env_remove("HF_HUB_CACHE").env_remove("HF_HUB_OFFLINE").env_remove("HF_TOKEN");
        command.env("HF_ENDPOINT", endpoint).env("HF_HOME", home.path()).env("NO_PROXY", "127.0.0.1");
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let of_hub: Value =
        serde_json::from_str(&run(&server.url, &["data", "inspect", "hub:org/birds", "--json"])).unwrap();
    let folder = home.path().join(format!("hub/datasets--org--birds/snapshots/{COMMIT}"));
    let of_files = json(&["data", "inspect", &format!("parquet:{}", text(&folder)), "--json"]);
    assert_eq!(of_hub["splits"], of_files["splits"]);
    assert!(of_hub["splits"]["train"]["n"].as_u64() > Some(1), "{of_hub}");

    // Without a network, and with an option. What the run notes is where the pictures are.
    let output = home.path().join("run");
    let mut arguments = train(&output, &["--set", "method=baseline", "--set", "epochs=1", "--set", "batch_size=2"]);
    let data = arguments.iter().position(|argument| *argument == DATA).unwrap();
    arguments[data] = "hub:org/birds?seed=3";
    run(&Server::nowhere(), &arguments);
    let recipe = c2f_engine::Recipe::from_file(&output.join("config.toml")).unwrap();
    assert_eq!(recipe.data, Some(format!("parquet:{}?seed=3", text(&folder))));
    let eval = ["eval", "--checkpoint", text(&output), "--data", "hub:org/birds", "--split", "val", "--json"];
    let measured: Value = serde_json::from_str(&run(&Server::nowhere(), &eval)).unwrap();
    assert_eq!(measured["n"], of_hub["splits"]["val"]["n"]);
}
