//! Customers who are to be called back: what the core is asked, and by whom it may be.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::rights::TEAMS;
use super::{CENTRE, Site};
use crate::clock::Wall;
use crate::ids::CallbackId;
use crate::switch::command::CallbackView;
use crate::switch::{Answer, Command, Refusal};

fn view(n: u128, queue: &str, owner: Option<&str>) -> CallbackView {
    CallbackView {
        id: CallbackId::from_parts(1, n).to_string(),
        queue: queue.into(),
        number: "030123".to_owned(),
        number_e164: Some("+4930123".to_owned()),
        created_at: "2026-11-23T10:00:00.000Z".to_owned(),
        arrived_at: "2026-11-23T10:00:00.000Z".to_owned(),
        due_at: None,
        next_at: None,
        owner: owner.map(str::to_owned),
        attempts: 0,
        state: "waiting".to_owned(),
        conversation: None,
    }
}

fn request(role: &str, method: &str, path: &str, body: &Value) -> Request<Body> {
    let request = Request::builder().method(method).uri(format!("/api/v1/{path}"));
    let request = request.header("authorization", format!("Bearer token-of-{role}")).header("content-type", "application/json");
    request.body(Body::from(body.to_string())).unwrap()
}

#[tokio::test]
async fn one_sees_those_of_the_own_queues_and_takes_back_what_is_ones_own() {
    let mut site = Site::of(&format!("{CENTRE}{TEAMS}"));
    let all = vec![view(1, "a", Some("1")), view(2, "a", None), view(3, "b", None)];
    for (role, seen, own) in
        [("agent", 2, [true, false, false]), ("supervisor", 2, [true, true, false]), ("manager", 3, [true; 3])]
    {
        let (reply, _) = site.served(request(role, "GET", "callbacks", &json!({})), vec![Answer::Callbacks(all.clone())]).await;
        assert_eq!(reply.json()["items"].as_array().unwrap().len(), seen, "{role}");
        for (callback, own) in all.iter().zip(own) {
            let path = format!("callbacks/{}", callback.id);
            let mut answers = vec![Answer::Callbacks(all.clone())];
            if own {
                answers.push(Answer::Done);
            }
            let (reply, heard) = site.served(request(role, "DELETE", &path, &json!({})), answers).await;
            let id = callback.id.parse().unwrap();
            match own {
                true => assert_eq!((reply.status, &heard[1].1), (204, &Command::CancelCallback { id }), "{role}"),
                false => assert_eq!(reply.status, 403, "{role}"),
            }
        }
    }
    let nobody = CallbackId::from_parts(1, 9);
    let path = format!("callbacks/{nobody}");
    let (reply, _) = site.served(request("manager", "DELETE", &path, &json!({})), vec![Answer::Callbacks(all)]).await;
    assert_eq!(reply.status, 404);
}

#[tokio::test]
async fn an_agent_plans_the_own_ones_in_the_own_queues() {
    let mut site = Site::of(&format!("{CENTRE}{TEAMS}"));
    let due = "2026-11-24T10:00:00.000Z";
    let wish = |queue: &str, owner: Value| json!({"queue": queue, "number": "030123", "due_at": due, "owner": owner});
    for (role, body, status) in [
        ("agent", wish("b", Value::Null), 403),
        ("agent", wish("a", json!("2")), 403),
        ("supervisor", wish("b", Value::Null), 403),
        ("agent", json!({"queue": "a", "number": "030123", "due_at": "tomorrow"}), 422),
        ("agent", json!({"queue": "a", "number": "\n"}), 422),
        ("agent", json!({"queue": "a", "number": "030123", "color": "red"}), 422),
    ] {
        let (reply, heard) = site.served(request(role, "POST", "callbacks", &body), vec![]).await;
        assert_eq!((reply.status, heard.len()), (status, 0), "{role} {body}");
    }
    let body = wish("a", json!("1"));
    let answer = Answer::Callback(Box::new(view(1, "a", Some("1"))));
    let (reply, heard) = site.served(request("agent", "POST", "callbacks", &body), vec![answer]).await;
    let command = Command::CallBack {
        queue: "a".into(),
        number: "030123".to_owned(),
        due_at: Wall::parse_rfc3339(due),
        owner: Some("1".into()),
        conversation: None,
    };
    assert_eq!((reply.status, &reply.json()["owner"], &heard[0].1), (201, &json!("1"), &command));
    let refused = vec![Answer::Refused(Refusal::NotDiallable("030123".to_owned()))];
    let (reply, _) = site.served(request("agent", "POST", "callbacks", &body), refused).await;
    assert_eq!(reply.status, 422);
}
