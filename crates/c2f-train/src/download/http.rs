//! Requests over HTTP, with what every one of them needs.

use std::time::Duration;

use ureq::http::{HeaderMap, Response};
use ureq::typestate::WithoutBody;
use ureq::{Agent, Body, RequestBuilder};

/// An agent that follows redirects, but hands a token on to none of them, and takes proxies from the environment. No status
/// is an error to it.
pub fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("c2f-train/", env!("CARGO_PKG_VERSION")))
        // What is fetched is compared with published sizes and digests, so it must come as it is.
        .accept_encoding("identity")
        .timeout_connect(Some(Duration::from_secs(15)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        .build()
        .into()
}

/// The request with the token, if there is one.
pub fn authorized(request: RequestBuilder<WithoutBody>, token: Option<&str>) -> RequestBuilder<WithoutBody> {
    match token {
        Some(token) => request.header("Authorization", format!("Bearer {token}")),
        None => request,
    }
}

/// A header in printable ASCII.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The status in words where it has any.
pub fn status(response: &Response<Body>) -> String {
    let status = response.status();
    match status.canonical_reason() {
        Some(reason) => format!("status {} ({reason})", status.as_u16()),
        None => format!("status {}", status.as_u16()),
    }
}

/// What went wrong, without the library's prefix.
pub fn message(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}
