//! A picture in, labels and scores out: the form of the hub's image classification; and what the network looked at.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::ACCEPT;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use c2f_engine::Guess;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::failure::Failure;
use crate::request::{Received, in_time};

/// How many classes are answered unless it is said.
const TOP: usize = 5;

/// What stands behind the `?`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    top_k: Option<usize>,
    model: Option<String>,
}

/// The form with the picture in JSON.
#[derive(Deserialize)]
struct Inputs {
    inputs: String,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Deserialize, Default)]
struct Parameters {
    top_k: Option<usize>,
}

#[derive(Serialize)]
struct Scored<'a> {
    label: &'a str,
    score: f32,
}

#[derive(Serialize)]
struct Explained<'a> {
    predictions: Vec<Scored<'a>>,
    /// A data URL of a PNG.
    overlay: String,
}

/// `POST /`.
pub(crate) async fn classify(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let asked = asked(&request)?;
    let model = app.model(asked.model.as_deref())?;
    let received = Received::read(&app, request).await?;
    in_time(&app, async {
        let (picture, top) = picture(&received, asked.top_k).await?;
        let views = received.decode(&model, vec![picture]).await?;
        let guesses = model.guess(views).await?.pop().unwrap_or_default();
        Ok(Json(scored(&guesses, top)).into_response())
    })
    .await
}

/// `POST /explain`: a PNG for who accepts `image/png`, and otherwise JSON that has it as a data URL.
pub(crate) async fn explain(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let asked = asked(&request)?;
    let model = app.model(asked.model.as_deref())?;
    let received = Received::read(&app, request).await?;
    in_time(&app, async {
        let (picture, top) = picture(&received, asked.top_k).await?;
        let views = received.decode(&model, vec![picture]).await?.pop();
        let views = views.ok_or_else(|| Failure::bad("there is no picture"))?;
        let explanation = model.explain(views).await?;
        let draw = move || {
            let png = c2f_report::encode_png(&c2f_report::sheet(&explanation));
            Ok((png.map_err(|error| Failure::internal("drawing", error))?, explanation.guesses.classes))
        };
        let (png, guesses) = received.compute(draw).await?;
        if received.header(ACCEPT.as_str()).is_some_and(|accepted| accepted.contains("image/png")) {
            return Ok(([("content-type", "image/png")], png).into_response());
        }
        let overlay = format!("data:image/png;base64,{}", BASE64.encode(png));
        Ok(Json(Explained { predictions: scored(&guesses, top), overlay }).into_response())
    })
    .await
}

fn asked(request: &Request) -> Result<Asked, Failure> {
    let Query(asked) = Query::<Asked>::try_from_uri(request.uri()).map_err(|error| Failure::bad(error.body_text()))?;
    Ok(asked)
}

/// The picture of a body, and how many classes are wanted.
async fn picture(received: &Received, top: Option<usize>) -> Result<(Bytes, usize), Failure> {
    let (body, kind) = (received.body.clone(), received.media_type());
    let (picture, inner) = match kind.as_deref() {
        Some("application/json") => {
            received
                .compute(move || {
                    let inputs: Inputs =
                        serde_json::from_slice(&body).map_err(|e| Failure::bad(format!("JSON: {e}")))?;
                    let picture = BASE64.decode(&inputs.inputs);
                    let picture = picture.map_err(|e| Failure::bad(format!("inputs: not base64: {e}")))?;
                    Ok((picture.into(), inputs.parameters.top_k))
                })
                .await?
        }
        // The third is what curl says of any file.
        None | Some("application/octet-stream" | "application/x-www-form-urlencoded") => (body, None),
        Some(kind) if kind.starts_with("image/") => (body, None),
        Some(kind) => {
            let message = format!("the body is {kind}, expected a picture's bytes, or JSON with base64 in `inputs`");
            return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
    };
    match top.or(inner).unwrap_or(TOP) {
        0 => Err(Failure::bad("top_k is 0, expected at least 1")),
        top => Ok((picture, top)),
    }
}

fn scored(guesses: &[Guess], top: usize) -> Vec<Scored<'_>> {
    guesses.iter().take(top).map(|guess| Scored { label: &guess.class, score: guess.probability }).collect()
}
