//! The Open Inference Protocol.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use c2f_data::Views;
use c2f_serve::{Config, Server};
use serde_json::{Value, json};

use super::support::*;

/// One request with JSON and a tensor behind it.
fn infer_binary(server: &Server, json: &Value, tensor: &[u8]) -> Answer {
    let json = json.to_string();
    let length = format!("Inference-Header-Content-Length: {}", json.len());
    let body = [json.as_bytes(), tensor].concat();
    ask(server, "POST /v2/models/birds/infer", &[&length, "Content-Type: application/octet-stream"], &body)
}

fn floats(values: &Value) -> Vec<f32> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
}

/// Pixels in 0..1, plane by plane.
fn planes(number: u32) -> Vec<f32> {
    (0..3 * SIZE * SIZE).map(|i| ((i * 37 + number * 11) % 256) as f32 / 255.0).collect()
}

/// What the library says of planes, with no larger view of them.
fn expected_of_planes(planes: &[f32]) -> Vec<f32> {
    let network = network();
    let info = network.model.backbone().info();
    let channel = |i: usize| i / (SIZE * SIZE) as usize;
    let coarse = planes.iter().enumerate().map(|(i, v)| (v - info.mean[channel(i)]) / info.std[channel(i)]).collect();
    let views = [Views { coarse, source: None }];
    in_order(&c2f_engine::guess(&network, &[&views], 3).unwrap()[0].classes)
}

#[test]
fn it_says_what_it_is_and_that_it_lives() {
    let server = start(&Config::default());
    let about = get(&server, "/v2").json();
    assert_eq!((&about["name"], &about["extensions"]), (&json!("c2f"), &json!(["binary_tensor_data"])));
    assert_eq!(get(&server, "/v2/health/live").json(), json!({ "live": true }));
    assert_eq!(get(&server, "/v2/health/ready").json(), json!({ "ready": true }));
    assert_eq!(get(&server, "/v2/models/birds/ready").json(), json!({ "name": "birds", "ready": true }));
    let model = get(&server, "/v2/models/birds").json();
    assert_eq!(model["inputs"][1], json!({ "name": "pictures", "datatype": "FP32", "shape": [-1, 3, SIZE, SIZE] }));
    assert_eq!(model["outputs"][0], json!({ "name": "probabilities", "datatype": "FP32", "shape": [-1, 3] }));
    for path in ["GET /v2/models/fish", "GET /v2/models/fish/ready", "POST /v2/models/fish/infer", "POST /?model=fish"]
    {
        assert_eq!(ask(&server, path, &[], b"{}").error(404), "there is no model fish");
    }
    get(&server, "/v3").error(404);
    ask(&server, "DELETE /v2", &[], b"").error(405);
}

#[test]
fn files_in_base64_and_in_bytes_get_the_library_s_answer() {
    let server = start(&Config::default());
    let files = [1, 2].map(|number| png(&picture(number)));
    let alone: Vec<f32> = files.iter().flat_map(|file| in_order(&expected(file))).collect();
    let data = files.each_ref().map(|file| BASE64.encode(file));
    for (shape, data) in [(json!([2]), json!(data)), (json!([2, 1]), json!([[data[0]], [data[1]]]))] {
        let input = json!({ "name": "image", "shape": shape, "datatype": "BYTES", "data": data });
        let answer = infer(&server, &json!({ "id": "7", "inputs": [input] })).json();
        assert_eq!((&answer["model_name"], &answer["id"]), (&json!("birds"), &json!("7")));
        let [probabilities, classes] = answer["outputs"].as_array().unwrap().as_slice() else { panic!("{answer}") };
        assert_eq!((&probabilities["name"], &probabilities["shape"]), (&json!("probabilities"), &json!([2, 3])));
        assert_eq!(floats(&probabilities["data"]), alone);
        assert_eq!((&classes["shape"], &classes["data"]), (&json!([3]), &json!(["gull", "tern", "auk"])));
    }
    let tensor: Vec<u8> =
        files.iter().flat_map(|file| [&(file.len() as u32).to_le_bytes()[..], file].concat()).collect();
    let input = json!({
        "name": "image", "shape": [2], "datatype": "BYTES", "parameters": { "binary_data_size": tensor.len() },
    });
    let outputs = json!([{ "name": "probabilities" }]);
    let answer = infer_binary(&server, &json!({ "inputs": [input], "outputs": outputs }), &tensor).json();
    assert_eq!((floats(&answer["outputs"][0]["data"]), answer["outputs"].as_array().unwrap().len()), (alone, 1));
}

#[test]
fn tensors_get_the_library_s_answer() {
    let server = start(&Config::default());
    let pictures = [planes(1), planes(2)];
    let alone: Vec<f32> = pictures.iter().flat_map(|planes| expected_of_planes(planes)).collect();
    let nested: Vec<_> = pictures.iter().map(|p| p.chunks(SIZE as usize).collect::<Vec<_>>()).collect();
    for data in [json!(pictures.concat()), json!(nested)] {
        let input = json!({ "name": "pictures", "shape": [2, 3, SIZE, SIZE], "datatype": "FP32", "data": data });
        assert_eq!(floats(&infer(&server, &json!({ "inputs": [input] })).json()["outputs"][0]["data"]), alone);
    }
    let tensor: Vec<u8> = pictures.concat().iter().flat_map(|value| value.to_le_bytes()).collect();
    let input = json!({
        "name": "pictures", "shape": [2, 3, SIZE, SIZE], "datatype": "FP32",
        "parameters": { "binary_data_size": tensor.len() },
    });
    let asked = json!({ "inputs": [input], "parameters": { "binary_data_output": true } });
    let answer = infer_binary(&server, &asked, &tensor);
    let middle: usize = answer.header("inference-header-content-length").unwrap().parse().unwrap();
    let said: Value = serde_json::from_slice(&answer.body[..middle]).unwrap();
    let [probabilities, classes] = said["outputs"].as_array().unwrap().as_slice() else { panic!("{said}") };
    let size = |output: &Value| output["parameters"]["binary_data_size"].as_u64().unwrap() as usize;
    let (values, names) = answer.body[middle..].split_at(size(probabilities));
    let values: Vec<f32> = values.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    assert_eq!((values, names.len()), (alone, size(classes)));
    assert_eq!(names, b"\x04\0\0\0gull\x04\0\0\0tern\x03\0\0\0auk");
}

#[test]
fn a_file_and_a_tensor_in_one_batch_keep_their_own_second_look() {
    let server = start(&Config { gather: LONG, max_batch: 2, ..Config::default() });
    let (file, planes) = (png(&picture(3)), planes(3));
    let image = json!({ "name": "image", "shape": [1], "datatype": "BYTES", "data": [BASE64.encode(&file)] });
    let tensor = json!({ "name": "pictures", "shape": [1, 3, SIZE, SIZE], "datatype": "FP32", "data": planes });
    let [of_file, of_planes] = std::thread::scope(|scope| {
        let asked = [image, tensor].map(|input| {
            let server = &server;
            scope.spawn(move || infer(server, &json!({ "inputs": [input] })).json())
        });
        asked.map(|thread| floats(&thread.join().unwrap()["outputs"][0]["data"]))
    });
    assert_eq!((of_file, of_planes), (in_order(&expected(&file)), expected_of_planes(&planes)));
}

#[test]
fn what_makes_no_sense_is_said_in_a_line() {
    let server = start(&Config { queue: 4, ..Config::default() });
    let file = BASE64.encode(png(&picture(1)));
    let image = |change: &dyn Fn(&mut Value)| {
        let mut input = json!({ "name": "image", "shape": [1], "datatype": "BYTES", "data": [file] });
        change(&mut input);
        json!({ "inputs": [input] })
    };
    let plain = image(&|_| ());
    assert_eq!(infer(&server, &plain).status, 200);
    let with = |key: &str, value: Value| {
        let mut request = plain.clone();
        request[key] = value;
        request
    };
    let pictures = |shape: Value, data: Value| json!({ "inputs": [{ "name": "pictures", "shape": shape, "datatype": "FP32", "data": data }] });
    for (request, said) in [
        (json!([]), "JSON"),
        (json!({ "inputs": [] }), "0 inputs"),
        (image(&|i| i["name"] = json!("sound")), "no input sound"),
        (image(&|i| i["datatype"] = json!("FP32")), "expected BYTES"),
        (image(&|i| i["shape"] = json!([2])), "the shape says 2"),
        (image(&|i| i["shape"] = json!([5])), "expected 1 to 4"),
        (image(&|i| i["shape"] = json!([0])), "expected 1 to 4"),
        (image(&|i| i["shape"] = json!([u64::MAX, 1])), "expected 1 to 4"),
        (image(&|i| i["shape"] = json!([1, 2])), "expected [B]"),
        (image(&|i| i["data"] = json!(["???"])), "not base64"),
        (image(&|i| i["data"] = json!([7])), "expected strings"),
        (image(&|i| i["data"] = json!([BASE64.encode("no picture")])), "image: "),
        (image(&|i| i["data"] = Value::Null), "either data or binary_data_size"),
        (image(&|i| i["parameters"] = json!({ "binary_data_size": 3 })), "either data or binary_data_size"),
        (with("outputs", json!([{ "name": "logits" }])), "no output logits"),
        (with("outputs", json!([{ "name": "classes" }, { "name": "classes" }])), "twice"),
        (with("outputs", json!([{ "name": "classes", "parameters": { "classification": 1 } }])), "classification"),
        (pictures(json!([1, 3, 8, 8]), json!([])), "expected [B, 3, 32, 32]"),
        (pictures(json!([1, 3, SIZE, SIZE]), json!([0.5])), "the shape says 3072"),
        (pictures(json!([1, 3, SIZE, SIZE]), json!(vec![255; 3072])), "expected 0 to 1"),
    ] {
        let line = infer(&server, &request).error(400);
        assert!(line.contains(said), "{line}, expected {said}");
    }
    let input = json!({ "name": "image", "shape": [1], "datatype": "BYTES", "parameters": { "binary_data_size": 9 } });
    let line = infer_binary(&server, &json!({ "inputs": [input] }), b"12345").error(400);
    assert!(line.contains("9 bytes, 5 lie behind"), "{line}");
}
