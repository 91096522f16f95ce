//! A picture in, what the library says of it out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use c2f_engine::Picture;
use c2f_serve::{Config, Server};
use serde_json::json;

use super::support::*;

#[test]
fn labels_and_scores_are_those_of_the_library() {
    let server = start(&Config::default());
    let file = png(&picture(1));
    let all: Vec<_> =
        expected(&file).iter().map(|guess| json!({ "label": guess.class, "score": guess.probability })).collect();
    for kind in [&["Content-Type: image/png"][..], &["Content-Type: application/x-www-form-urlencoded"], &[]] {
        let answer = ask(&server, "POST /", kind, &file);
        assert_eq!((answer.status, scores(&answer)), (200, scores_of(&all)), "{kind:?}");
    }
    let top = ask(&server, "POST /?top_k=2&model=birds", &[], &file);
    assert_eq!(scores(&top), scores_of(&all[..2]));
    let form = json!({ "inputs": BASE64.encode(&file), "parameters": { "top_k": 1 } }).to_string();
    let form = ask(&server, "POST /", &["Content-Type: application/json; charset=utf-8"], form.as_bytes());
    assert_eq!(scores(&form), scores_of(&all[..1]));
}

fn scores(answer: &Answer) -> Vec<(String, f32)> {
    scores_of(answer.json().as_array().unwrap())
}

fn scores_of(list: &[serde_json::Value]) -> Vec<(String, f32)> {
    list.iter().map(|one| (one["label"].as_str().unwrap().to_owned(), one["score"].as_f64().unwrap() as f32)).collect()
}

#[test]
fn the_overlay_is_the_one_that_predict_draws() {
    let server = start(&Config::default());
    let (network, drawn) = (network(), picture(2));
    let views = vec![network.eval_transform().apply(&drawn, 0, 0, 0)];
    let asked = Picture { name: String::new(), views, truth: None };
    let explanation = c2f_engine::explain(&network, &[asked], 5).unwrap().remove(0);
    let sheet = c2f_report::encode_png(&c2f_report::sheet(&explanation)).unwrap();

    let image = ask(&server, "POST /explain", &["Accept: image/png"], &png(&drawn));
    assert_eq!((image.status, image.header("content-type")), (200, Some("image/png")));
    assert!(image.body == sheet, "another picture");
    let json = ask(&server, "POST /explain?top_k=1", &[], &png(&drawn)).json();
    assert_eq!(json["overlay"], format!("data:image/png;base64,{}", BASE64.encode(&sheet)));
    assert_eq!(json["predictions"][0]["label"], explanation.guesses.classes[0].class);
    assert_eq!(json["predictions"].as_array().unwrap().len(), 1);
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = get(&start(&Config::default()), "/");
    assert!(page.status == 200 && page.header("content-type").unwrap().starts_with("text/html"));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    let text = page.text();
    for elsewhere in ["http:", "https:", "src=", "href=", "url("] {
        assert!(!text.contains(elsewhere), "{elsewhere}");
    }
    assert!(text.contains("fetch(\"explain\""));
}

#[test]
fn pictures_that_come_together_go_through_together_and_get_their_own_answers() {
    let server = start(&Config { gather: LONG, max_batch: 3, ..Config::default() });
    let files: Vec<_> = (0..3).map(|number| png(&picture(number))).collect();
    let answers = std::thread::scope(|scope| {
        let asked: Vec<_> = files.iter().map(|file| scope.spawn(|| ask(&server, "POST /", &[], file))).collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    for (file, answer) in files.iter().zip(answers) {
        let alone: Vec<_> = expected(file).into_iter().map(|guess| (guess.class, guess.probability)).collect();
        assert_eq!(scores(&answer), alone, "to the bit");
    }
    let metrics = get(&server, "/metrics").text();
    for line in [
        "c2f_batch_pictures_count{model=\"birds\"} 1",
        "c2f_batch_pictures_sum{model=\"birds\"} 3",
        "c2f_requests_total{route=\"classify\",status=\"200\"} 3",
        "c2f_request_seconds_count{route=\"classify\"} 3",
        "c2f_queue_pictures{model=\"birds\"} 0",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} in\n{metrics}");
    }
}

#[test]
fn several_networks_have_names() {
    let server = Server::start(vec![model("a"), model("b c")], &Config::default()).unwrap();
    assert_eq!(get(&server, "/v2").json()["models"], json!(["a", "b c"]));
    assert_eq!(get(&server, "/v2/models/b%20c").json()["name"], "b c");
    assert_eq!(ask(&server, "POST /?model=b%20c", &[], &png(&picture(1))).status, 200);
    let twice = Server::start(vec![model("a"), model("a")], &Config::default()).unwrap_err();
    assert!(twice.to_string().contains("called a"), "{twice}");
}
