//! The routes, and what all requests go through.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::Semaphore;

use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::model::Served;
use crate::{Config, hub, page, protocol};

/// What every request sees.
pub(crate) struct App {
    /// At least one.
    pub models: Vec<Arc<Served>>,
    pub metrics: Arc<Metrics>,
    /// One for each request that may be worked on.
    pub slots: Arc<Semaphore>,
    pub max_requests: usize,
    pub max_body: usize,
    pub timeout: Duration,
    token: Option<String>,
}

impl App {
    pub fn new(models: Vec<Arc<Served>>, metrics: Arc<Metrics>, config: &Config) -> Self {
        Self {
            models,
            metrics,
            slots: Arc::new(Semaphore::new(config.max_requests)),
            max_requests: config.max_requests,
            max_body: config.max_body,
            timeout: config.timeout,
            token: config.token.clone(),
        }
    }

    /// The model of this name; without a name the first.
    pub fn model(&self, name: Option<&str>) -> Result<Arc<Served>, Failure> {
        let model = match name {
            None => self.models.first(),
            Some(name) => self.models.iter().find(|model| model.name == name),
        };
        let unknown = || Failure::new(StatusCode::NOT_FOUND, format!("there is no model {}", name.unwrap_or_default()));
        model.cloned().ok_or_else(unknown)
    }

    /// Whether whoever asks may: the page holds nothing, and whether a server lives is no secret.
    fn admits(&self, route: &str, request: &Request) -> bool {
        let Some(token) = self.token.as_deref().filter(|_| route != "page" && route != "health") else {
            return true;
        };
        let given = request.headers().get(AUTHORIZATION).map(axum::http::HeaderValue::as_bytes);
        let given = given.and_then(|given| given.split_at_checked("Bearer ".len()));
        given.is_some_and(|(scheme, given)| scheme.eq_ignore_ascii_case(b"Bearer ") && same(given, token.as_bytes()))
    }
}

/// The whole server as a service.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(page::show).post(hub::classify))
        .route("/explain", post(hub::explain))
        .route("/metrics", get(metrics))
        .route("/v2", get(protocol::server))
        .route("/v2/health/live", get(protocol::live))
        .route("/v2/health/ready", get(protocol::ready))
        .route("/v2/models/{name}", get(protocol::model))
        .route("/v2/models/{name}/ready", get(protocol::model_ready))
        .route("/v2/models/{name}/infer", post(protocol::infer))
        .fallback(async || Failure::new(StatusCode::NOT_FOUND, "there is nothing at this address"))
        .method_not_allowed_fallback(async || {
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "this address doesn't take this method")
        })
        .layer(DefaultBodyLimit::max(app.max_body))
        .layer(from_fn_with_state(Arc::clone(&app), observe))
        .with_state(app)
}

/// Asks for the token, and counts.
async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = route(&request);
    let response = if app.admits(route, &request) {
        next.run(request).await
    } else {
        Failure::new(StatusCode::UNAUTHORIZED, "this server wants a token: Authorization: Bearer TOKEN").into_response()
    };
    let (status, took) = (response.status().as_u16(), started.elapsed());
    tracing::debug!("{route} {status} in {} ms", took.as_millis());
    app.metrics.request(route, status, took);
    response
}

/// What a request is called in the metrics.
fn route(request: &Request) -> &'static str {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    match path {
        "/" if request.method() == Method::POST => "classify",
        "/" => "page",
        "/explain" => "explain",
        "/metrics" => "metrics",
        "/v2/health/live" | "/v2/health/ready" => "health",
        "/v2/models/{name}/infer" => "infer",
        "" => "unknown",
        _ => "metadata",
    }
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let queues = app.models.iter().map(|model| (model.name.as_str(), model.queue.len()));
    let text = app.metrics.text(queues, app.max_requests - app.slots.available_permits());
    ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// Whether two secrets are the same, in a time that doesn't tell where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}
