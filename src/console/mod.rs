//! The page at `/`: live conversations, and recordings with a player. One file, embedded, that loads nothing from elsewhere.
//!
//! It holds no data: what it shows it asks of the API with the session that its log-in opens. Its policy lets it run its own script and
//! style, named by their digests, and nothing else: what a caller wrote into a name stays text even if the page forgot to see to it.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("page.html");

/// Serves `/`.
pub fn router() -> Router {
    let policy = policy(PAGE);
    Router::new().route("/", get(move || async move { page(policy) }))
}

fn page(policy: Option<HeaderValue>) -> Response {
    let mut response = Html(PAGE).into_response();
    if let Some(policy) = policy {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Content Security Policy (W3C CSP Level 3): the page's own script and style by digest, the API of this host, nothing else.
fn policy(page: &str) -> Option<HeaderValue> {
    let digest = |element: &str| {
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        let inside = page.split_once(&open)?.1.split_once(&close)?.0;
        Some(format!("'sha256-{}'", STANDARD.encode(Sha256::digest(inside.as_bytes()))))
    };
    let text = format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; media-src 'self'; img-src data:; \
         form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
        digest("script")?,
        digest("style")?
    );
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_nothing_from_elsewhere_and_writes_no_markup() {
        assert!(!PAGE.contains("http://") && !PAGE.contains("https://") && !PAGE.contains("src=\"//"));
        assert!(!PAGE.contains("innerHTML") && !PAGE.contains("document.write") && !PAGE.contains("eval("));
        assert!(!PAGE.contains(" onclick=") && !PAGE.contains(" style=\""), "the policy would forbid it");
        assert_eq!((PAGE.matches("<script>").count(), PAGE.matches("<style>").count()), (1, 1));
    }

    #[test]
    fn the_policy_names_the_digests_of_script_and_style() {
        let text = policy("<style>a{}</style><script>1</script>").unwrap();
        // printf 1 | openssl dgst -sha256 -binary | base64
        assert!(text.to_str().unwrap().contains("script-src 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s='"));
        assert!(policy(PAGE).is_some());
    }
}
