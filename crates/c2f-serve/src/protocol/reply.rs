//! The answer to an inference request.

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use c2f_engine::Guess;
use serde::Serialize;

use super::ask::{Wanted, What};
use super::{JSON_LENGTH, binary};
use crate::failure::Failure;
use crate::model::Served;

#[derive(Serialize)]
struct Reply<'a> {
    model_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    outputs: Vec<Output<'a>>,
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'static str,
    datatype: &'static str,
    shape: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Binary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
}

#[derive(Serialize)]
struct Binary {
    binary_data_size: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Floats(Vec<f32>),
    Strings(&'a [String]),
}

/// The outputs that are wanted, of pictures with these guesses of all classes.
pub(super) fn of(
    model: &Served,
    id: Option<String>,
    wanted: &[Wanted],
    guesses: &[Vec<Guess>],
) -> Result<Response, Failure> {
    let mut tensors = Vec::new();
    let outputs = wanted.iter().map(|wanted| output(*wanted, model, guesses, &mut tensors)).collect();
    let reply = Reply { model_name: &model.name, id, outputs };
    let mut body = serde_json::to_vec(&reply).map_err(|error| Failure::internal("writing the answer", error))?;
    if !wanted.iter().any(|wanted| wanted.binary) {
        return Ok(([(CONTENT_TYPE, "application/json")], body).into_response());
    }
    let length = HeaderValue::from(body.len());
    body.extend(tensors);
    let mut response = ([(CONTENT_TYPE, "application/octet-stream")], body).into_response();
    response.headers_mut().insert(JSON_LENGTH, length);
    Ok(response)
}

fn output<'a>(wanted: Wanted, model: &'a Served, guesses: &[Vec<Guess>], tensors: &mut Vec<u8>) -> Output<'a> {
    let classes = model.classes.len();
    let (name, datatype, shape, data) = match wanted.what {
        What::Probabilities => {
            let data = Data::Floats(guesses.iter().flat_map(|guesses| in_order(guesses, classes)).collect());
            ("probabilities", "FP32", vec![guesses.len(), classes], data)
        }
        What::Classes => ("classes", "BYTES", vec![classes], Data::Strings(&model.classes)),
    };
    if !wanted.binary {
        return Output { name, datatype, shape, parameters: None, data: Some(data) };
    }
    let before = tensors.len();
    match data {
        Data::Floats(values) => binary::write_floats(&values, tensors),
        Data::Strings(strings) => binary::write_strings(strings, tensors),
    }
    Output { name, datatype, shape, parameters: Some(Binary { binary_data_size: tensors.len() - before }), data: None }
}

/// The probabilities in the order of the classes.
fn in_order(guesses: &[Guess], classes: usize) -> Vec<f32> {
    let mut probabilities = vec![0.0; classes];
    for guess in guesses {
        probabilities[guess.index] = guess.probability;
    }
    probabilities
}
