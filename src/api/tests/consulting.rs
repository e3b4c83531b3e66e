//! Consultations: what the core is asked.

use serde_json::{Value, json};

use super::{Site, as_ann, posted};
use crate::ids::ConversationId;
use crate::switch::command::ConsultStep;
use crate::switch::{Answer, Command, Refusal};
use axum::body::Body;
use axum::http::Request;

fn request(id: ConversationId, verb: &str, body: Option<&Value>) -> Request<Body> {
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    as_ann(posted(&format!("/api/v1/conversations/{id}/{verb}"))).body(body).unwrap()
}

#[tokio::test]
async fn each_step_reaches_the_core() {
    let mut site = Site::new();
    let conversation = ConversationId::from_parts(5, 5);
    let consult = json!({"to": "202"});
    for (verb, body, command) in [
        ("consult", Some(&consult), Command::Consult { conversation, to: "202".into() }),
        ("swap", None, Command::Consultation { conversation, step: ConsultStep::Swap }),
        ("join", None, Command::Consultation { conversation, step: ConsultStep::Join }),
        ("complete", None, Command::Consultation { conversation, step: ConsultStep::Complete }),
        ("cancel", None, Command::Consultation { conversation, step: ConsultStep::Cancel }),
    ] {
        let (reply, heard) = site.served(request(conversation, verb, body), vec![Answer::Done]).await;
        assert_eq!((reply.status, &heard[0].1), (204, &command));
    }
    let refused = vec![Answer::Refused(Refusal::WrongState("nobody is being consulted"))];
    site.served(request(conversation, "swap", None), refused).await.0.problem(409);
    for body in [json!({}), json!({"to": " "}), json!({"to": "202", "note": "x"})] {
        site.send(request(conversation, "consult", Some(&body))).await.problem(422);
    }
}
