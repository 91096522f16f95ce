//! The Open Inference Protocol, version 2, over HTTP, with its extension for binary tensors.

mod ask;
mod binary;
mod flat;
mod reply;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde_json::{Value, json};

use crate::app::App;
use crate::failure::Failure;
use crate::request::{Received, in_time};
use ask::Input;

/// The header that says where JSON ends and binary tensors begin.
const JSON_LENGTH: &str = "inference-header-content-length";

/// `GET /v2`.
pub(crate) async fn server(State(app): State<Arc<App>>) -> Json<Value> {
    let models: Vec<&str> = app.models.iter().map(|model| model.name.as_str()).collect();
    let version = env!("CARGO_PKG_VERSION");
    Json(json!({ "name": "c2f", "version": version, "extensions": ["binary_tensor_data"], "models": models }))
}

/// `GET /v2/health/live`.
pub(crate) async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

/// `GET /v2/health/ready`: networks are read before the server listens.
pub(crate) async fn ready() -> Json<Value> {
    Json(json!({ "ready": true }))
}

/// `GET /v2/models/NAME`.
pub(crate) async fn model(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<Value>, Failure> {
    let model = app.model(Some(&name))?;
    let (size, classes) = (model.reader.size, model.classes.len());
    Ok(Json(json!({
        "name": model.name,
        "platform": "c2f",
        "inputs": [
            { "name": "image", "datatype": "BYTES", "shape": [-1] },
            { "name": "pictures", "datatype": "FP32", "shape": [-1, 3, size, size] },
        ],
        "outputs": [
            { "name": "probabilities", "datatype": "FP32", "shape": [-1, classes] },
            { "name": "classes", "datatype": "BYTES", "shape": [classes] },
        ],
    })))
}

/// `GET /v2/models/NAME/ready`.
pub(crate) async fn model_ready(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<Value>, Failure> {
    let model = app.model(Some(&name))?;
    Ok(Json(json!({ "name": model.name, "ready": true })))
}

/// `POST /v2/models/NAME/infer`.
pub(crate) async fn infer(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let model = app.model(Some(&name))?;
    let received = Received::read(&app, request).await?;
    in_time(&app, async {
        let (json, tensors) = binary::split(&received.body, received.header(JSON_LENGTH))?;
        let asked = Arc::clone(&model);
        let asked = received.compute(move || ask::parse(&json, &tensors, &asked)).await?;
        let views = match asked.input {
            Input::Files(files) => received.decode(&model, files).await?,
            Input::Views(views) => views,
        };
        let guesses = model.guess(views).await?;
        reply::of(&model, asked.id, &asked.outputs, &guesses)
    })
    .await
}
