//! How far webhooks are, and the way to have one go on.

use super::*;
use crate::api::{Hooks, NotResumed, WebhookView};
use crate::event::By;

/// There is one, `crm`, at the log's end of 20.
pub fn lent() -> Hooks {
    let view = || WebhookView {
        name: "crm".to_owned(),
        server: "crm.example".to_owned(),
        types: vec!["call.*".to_owned()],
        state: "waiting",
        after: 14,
        behind: 6,
        trouble: Some("no answer in time".to_owned()),
        next_at: Some("2026-11-23T09:00:00.000Z".to_owned()),
        events: 3,
        taken: 2,
        failed: 1,
    };
    Hooks {
        list: Arc::new(move || vec![view()]),
        resume: Arc::new(|name, after, by| {
            assert_eq!(by, By::Api("admin".to_owned()));
            let answer = match (name.as_str(), after) {
                ("crm", Some(21..)) => Err(NotResumed::Ahead { last: 20 }),
                ("crm", _) => Ok(()),
                _ => Err(NotResumed::Unknown),
            };
            Box::pin(async move { answer })
        }),
    }
}

#[tokio::test]
async fn webhooks_are_listed_without_their_address_and_resumed_from_any_event() {
    let site = Site::new();
    let bearer = |request: axum::http::request::Builder| request.header("authorization", format!("Bearer {ADMIN}"));
    let list = site.send(empty(bearer(Request::get("/api/v1/webhooks")))).await.json();
    let one = &list["items"][0];
    assert_eq!((&one["name"], &one["server"], &one["behind"]), (&json!("crm"), &json!("crm.example"), &json!(6)), "{list}");
    for (name, body, status) in [
        ("crm", "", 204),
        ("crm", r#"{"since":20}"#, 204),
        ("crm", r#"{"since":21}"#, 400),
        ("crm", r#"{"from":1}"#, 400),
        ("erp", "", 404),
    ] {
        let request = bearer(Request::post(format!("/api/v1/webhooks/{name}/resume"))).body(Body::from(body)).unwrap();
        assert_eq!(site.send(request).await.status, status, "{name} {body}");
    }
}
