//! A request that is worked on: its body is here, and it has a slot.

use std::future::Future;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use c2f_data::Views;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::app::App;
use crate::failure::Failure;
use crate::model::Served;

/// The body of a request, and the right to work on it.
pub(crate) struct Received {
    pub parts: Parts,
    pub body: Bytes,
    slot: Arc<OwnedSemaphorePermit>,
}

impl Received {
    /// Takes a slot, then reads the body.
    pub async fn read(app: &App, request: Request) -> Result<Self, Failure> {
        let slot = Arc::clone(&app.slots).try_acquire_owned();
        let busy = |_| Failure::busy(format!("{} requests are being worked on, that is the most", app.max_requests));
        let slot = Arc::new(slot.map_err(busy)?);
        let too_large = || {
            let message = format!("the body is larger than {} bytes, the most that is taken", app.max_body);
            Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message)
        };
        if text(request.headers(), CONTENT_ENCODING.as_str()).is_some_and(|encoding| encoding != "identity") {
            return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bodies are taken uncompressed only"));
        }
        let announced = text(request.headers(), CONTENT_LENGTH.as_str()).and_then(|length| length.parse::<u64>().ok());
        if announced.is_some_and(|length| length > app.max_body as u64) {
            return Err(too_large());
        }
        let (parts, body) = request.into_parts();
        let whole = Request::from_parts(parts.clone(), body);
        let late = |_| {
            let message = format!("the body took longer than {} s", app.timeout.as_secs_f64());
            Failure::new(StatusCode::REQUEST_TIMEOUT, message)
        };
        let body = timeout(app.timeout, Bytes::from_request(whole, &())).await.map_err(late)?;
        let body = body.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            status => Failure::new(status, error.body_text()),
        })?;
        Ok(Self { parts, body, slot })
    }

    /// The media type of the body, without its parameters, in lower case.
    pub fn media_type(&self) -> Option<String> {
        let given = text(&self.parts.headers, CONTENT_TYPE.as_str())?;
        Some(given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        text(&self.parts.headers, name)
    }

    /// Runs what takes the processor on a thread for that. Whoever hangs up meanwhile keeps the slot until it is done.
    pub async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let slot = Arc::clone(&self.slot);
        let work = move || {
            let done = work();
            drop(slot);
            done
        };
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| Err(Failure::internal("reading the input", error)))
    }

    /// The views of pictures in the formats of files, each on a thread of its own as far as there are some.
    pub async fn decode(&self, model: &Arc<Served>, pictures: Vec<Bytes>) -> Result<Vec<Views>, Failure> {
        let count = pictures.len();
        let decode = |(index, bytes): (usize, Bytes)| {
            let (model, slot) = (Arc::clone(model), Arc::clone(&self.slot));
            tokio::task::spawn_blocking(move || {
                let name = if count == 1 { "image".to_owned() } else { format!("image {index}") };
                let views = model.reader.decode(&name, &bytes);
                drop(slot);
                views
            })
        };
        let tasks: Vec<_> = pictures.into_iter().enumerate().map(decode).collect();
        let mut views = Vec::new();
        for task in tasks {
            views.push(task.await.unwrap_or_else(|error| Err(Failure::internal("reading a picture", error)))?);
        }
        Ok(views)
    }
}

/// The answer, unless it takes too long.
pub(crate) async fn in_time<T>(app: &App, answer: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let late = || {
        let message = format!("the answer took longer than {} s", app.timeout.as_secs_f64());
        Failure::new(StatusCode::GATEWAY_TIMEOUT, message)
    };
    timeout(app.timeout, answer).await.unwrap_or_else(|_| Err(late()))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
