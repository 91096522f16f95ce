//! Requests over HTTP, with what every one of them needs.

use std::path::Path;
use std::time::Duration;

use ureq::http::{HeaderMap, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::typestate::WithoutBody;
use ureq::{Agent, Body, RequestBuilder};

use crate::{Error, Result};

/// An agent that follows redirects, but hands a token on to none of them, and takes proxies from the environment. No status
/// is an error to it.
///
/// # Errors
/// If `SSL_CERT_FILE` names a file that can't be read.
pub fn agent() -> Result<Agent> {
    let tls = TlsConfig::builder().root_certs(root_certificates()?).build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .user_agent(concat!("c2f-train/", env!("CARGO_PKG_VERSION")))
        // What is fetched is compared with published sizes and digests, so it must come as it is.
        .accept_encoding("identity")
        .timeout_connect(Some(Duration::from_secs(15)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        .build();
    Ok(config.into())
}

/// Mozilla's, or those of `SSL_CERT_FILE`: networks whose proxy looks into encrypted connections have one of their own.
fn root_certificates() -> Result<RootCerts> {
    let Some(file) = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()) else {
        return Ok(RootCerts::WebPki);
    };
    let pem = std::fs::read(&file).map_err(|e| Error::io(Path::new(&file), e))?;
    let items = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    Ok(RootCerts::from(items))
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
