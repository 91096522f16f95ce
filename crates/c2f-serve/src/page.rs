//! `GET /`: a page for people, which needs nothing but this server.

use std::sync::LazyLock;

use axum::response::{Html, IntoResponse, Response};

static PAGE: LazyLock<String> = LazyLock::new(|| c2f_report::drop_page(include_str!("page.html")));

/// Nothing comes from elsewhere, and nothing goes there.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) async fn show() -> Response {
    ([("content-security-policy", POLICY)], Html(PAGE.as_str())).into_response()
}
