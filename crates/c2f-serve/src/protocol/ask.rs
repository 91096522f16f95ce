//! What an inference request asks.

use axum::body::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use c2f_data::Views;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{binary, flat};
use crate::failure::Failure;
use crate::model::Served;

/// A request that makes sense.
#[derive(Debug)]
pub(super) struct Asked {
    /// The client's name for it, given back as it is.
    pub id: Option<String>,
    pub outputs: Vec<Wanted>,
    pub input: Input,
}

/// An output that is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Wanted {
    pub what: What,
    /// Whether as bytes behind the JSON.
    pub binary: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum What {
    Probabilities,
    Classes,
}

/// The pictures of a request.
#[derive(Debug)]
pub(super) enum Input {
    /// In formats of files.
    Files(Vec<Bytes>),
    /// As the network takes them.
    Views(Vec<Views>),
}

#[derive(Deserialize)]
struct Request<'a> {
    id: Option<String>,
    #[serde(borrow)]
    inputs: Vec<Tensor<'a>>,
    #[serde(default)]
    outputs: Vec<Output>,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Deserialize)]
struct Tensor<'a> {
    name: String,
    shape: Vec<u64>,
    datatype: String,
    #[serde(default)]
    parameters: Parameters,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    #[serde(default)]
    parameters: Parameters,
}

/// Those that mean something here; of others the protocol says nothing.
#[derive(Deserialize, Default)]
struct Parameters {
    binary_data_size: Option<u64>,
    binary_data: Option<bool>,
    binary_data_output: Option<bool>,
    classification: Option<serde_json::Value>,
}

/// Reads a request to `model`: its JSON, and the bytes behind that.
pub(super) fn parse(json: &[u8], tensors: &Bytes, model: &Served) -> Result<Asked, Failure> {
    let request: Request = serde_json::from_slice(json).map_err(|error| Failure::bad(format!("JSON: {error}")))?;
    let outputs = outputs(&request)?;
    let [tensor] = request.inputs.as_slice() else {
        return Err(Failure::bad(format!("{} inputs, expected one: image or pictures", request.inputs.len())));
    };
    let data = match (tensor.data, tensor.parameters.binary_data_size) {
        (Some(data), None) if tensors.is_empty() => Data::Json(data.get()),
        (None, Some(size)) if size == tensors.len() as u64 => Data::Binary(tensors),
        (None, Some(size)) => {
            let message = format!("{}: {size} bytes, {} lie behind the JSON", tensor.name, tensors.len());
            return Err(Failure::bad(message));
        }
        _ => return Err(Failure::bad(format!("{}: expected either data or binary_data_size", tensor.name))),
    };
    let input = match (tensor.name.as_str(), tensor.datatype.as_str()) {
        ("image", "BYTES") => Input::Files(files(tensor, data, model)?),
        ("pictures", "FP32") => Input::Views(views(tensor, data, model)?),
        ("image", other) => return Err(Failure::bad(format!("image: {other}, expected BYTES"))),
        ("pictures", other) => return Err(Failure::bad(format!("pictures: {other}, expected FP32"))),
        (other, _) => return Err(Failure::bad(format!("there is no input {other}, expected image or pictures"))),
    };
    Ok(Asked { id: request.id, outputs, input })
}

/// A tensor's values, in either form.
#[derive(Clone, Copy)]
enum Data<'a> {
    Json(&'a str),
    Binary(&'a Bytes),
}

fn outputs(request: &Request) -> Result<Vec<Wanted>, Failure> {
    let all = request.parameters.binary_data_output.unwrap_or(false);
    if request.outputs.is_empty() {
        return Ok([What::Probabilities, What::Classes].map(|what| Wanted { what, binary: all }).to_vec());
    }
    let wanted = request.outputs.iter().map(|output| {
        let what = match output.name.as_str() {
            "probabilities" => What::Probabilities,
            "classes" => What::Classes,
            other => {
                return Err(Failure::bad(format!("there is no output {other}, expected probabilities or classes")));
            }
        };
        if output.parameters.classification.is_some() {
            return Err(Failure::bad(format!("{}: the classification extension isn't there", output.name)));
        }
        Ok(Wanted { what, binary: output.parameters.binary_data.unwrap_or(all) })
    });
    let wanted: Vec<Wanted> = wanted.collect::<Result<_, _>>()?;
    if wanted.iter().enumerate().any(|(i, a)| wanted[..i].iter().any(|b| a.what == b.what)) {
        return Err(Failure::bad("an output is asked for twice"));
    }
    Ok(wanted)
}

/// The files of `image`, shape (B) or (B, 1).
fn files(tensor: &Tensor, data: Data, model: &Served) -> Result<Vec<Bytes>, Failure> {
    let count = match tensor.shape[..] {
        [count] | [count, 1] => batch("image", count, model)?,
        _ => return Err(Failure::bad(format!("image: shape {:?}, expected [B]", short(&tensor.shape)))),
    };
    match data {
        Data::Binary(tensor) => binary::strings(tensor, count),
        Data::Json(json) => {
            let texts: Vec<String> =
                flat::values(json, count).map_err(|e| Failure::bad(format!("image: data: {e}")))?;
            let decode = |text: String| {
                let bytes = BASE64.decode(text).map_err(|e| Failure::bad(format!("image: data: not base64: {e}")))?;
                Ok(bytes.into())
            };
            texts.into_iter().map(decode).collect()
        }
    }
}

/// The views of `pictures`, shape (B, 3, size, size).
fn views(tensor: &Tensor, data: Data, model: &Served) -> Result<Vec<Views>, Failure> {
    let (size, each) = (model.reader.size, model.reader.values());
    let count = match tensor.shape[..] {
        [count, 3, h, w] if h == size as u64 && w == size as u64 => batch("pictures", count, model)?,
        _ => {
            let shape = short(&tensor.shape);
            return Err(Failure::bad(format!("pictures: shape {shape:?}, expected [B, 3, {size}, {size}]")));
        }
    };
    let values = match data {
        Data::Binary(tensor) => binary::floats(tensor, count * each)?,
        Data::Json(json) => {
            flat::values(json, count * each).map_err(|e| Failure::bad(format!("pictures: data: {e}")))?
        }
    };
    values.chunks(each).map(|values| model.reader.planes(values.to_vec())).collect()
}

/// How many pictures a request has; more than the queue holds could never be taken.
fn batch(name: &str, count: u64, model: &Served) -> Result<usize, Failure> {
    let most = model.queue.capacity();
    let wrong = || Failure::bad(format!("{name}: {count} pictures, expected 1 to {most}"));
    usize::try_from(count).ok().filter(|count| (1..=most).contains(count)).ok_or_else(wrong)
}

/// Of a shape as much as a message needs.
fn short(shape: &[u64]) -> &[u64] {
    &shape[..shape.len().min(8)]
}
