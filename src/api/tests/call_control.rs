//! Conference, supervisors, mute, plays: what the core is asked, and what is wrong before it is.

use serde_json::{Value, json};

use super::{Site, as_ann, posted};
use crate::ids::{ConversationId, LegId};
use crate::switch::command::{Member, MonitorMode, PlayTo, RecordAction, Sound, Tone};
use crate::switch::{Answer, Command, Refusal};
use axum::body::Body;
use axum::http::Request;

fn request(id: ConversationId, verb: &str, body: &Value) -> Request<Body> {
    as_ann(posted(&format!("/api/v1/conversations/{id}/{verb}"))).body(Body::from(body.to_string())).unwrap()
}

#[tokio::test]
async fn what_is_asked_reaches_the_core() {
    let mut site = Site::new();
    let conversation = ConversationId::from_parts(5, 5);
    let consultation = ConversationId::from_parts(6, 6);
    let monitor = |who: &str, mode| Command::Monitor { conversation, who: who.into(), mode };
    let play = |sound, to| Command::Play { conversation, sound, to };
    let number = Member::Number("201".into());
    let press = |who, digits: &str| Command::Press { conversation, who, digits: digits.into() };
    for (verb, body, command) in [
        ("conference", json!({"to": "202"}), Command::Confer { conversation, to: "202".into() }),
        ("conference", json!({"consultation": consultation.to_string()}), Command::ConferWith { conversation, consultation }),
        ("monitor", json!({"phone": "210", "mode": "listen"}), monitor("210", MonitorMode::Listen)),
        ("monitor", json!({"staff_number": "1024", "mode": "take_over"}), monitor("1024", MonitorMode::TakeOver)),
        ("mute", json!({"leg": 3, "muted": true}), Command::Mute { conversation, who: Member::Leg(LegId(3)), muted: true }),
        ("mute", json!({"number": "201", "muted": false}), Command::Mute { conversation, who: number, muted: false }),
        ("play", json!({"prompt": "welcome", "to": "both"}), play(Sound::Prompt("welcome".into()), PlayTo::Both)),
        ("digits", json!({"digits": "12#"}), press(None, "12#")),
        ("digits", json!({"digits": "*", "leg": 3}), press(Some(Member::Leg(LegId(3))), "*")),
        ("digits", json!({"digits": "A", "number": "201"}), press(Some(Member::Number("201".into())), "A")),
        ("play", json!({"tone": "music", "to": "agent"}), play(Sound::Tone(Tone::Music), PlayTo::Agent)),
        ("recording", json!({"action": "start"}), Command::Record { conversation, action: RecordAction::Start }),
        ("recording", json!({"action": "pause"}), Command::Record { conversation, action: RecordAction::Pause }),
        ("recording", json!({"action": "resume"}), Command::Record { conversation, action: RecordAction::Resume }),
    ] {
        let (reply, heard) = site.served(request(conversation, verb, &body), vec![Answer::Done]).await;
        assert_eq!((reply.status, &heard[0].1), (204, &command), "{body}");
    }
    let stop = as_ann(Request::delete(format!("/api/v1/conversations/{conversation}/play"))).body(Body::empty()).unwrap();
    let (reply, heard) = site.served(stop, vec![Answer::Done]).await;
    assert_eq!((reply.status, &heard[0].1), (204, &Command::StopPlay { conversation }));
}

#[tokio::test]
async fn what_is_wrong_is_a_problem() {
    let mut site = Site::new();
    let id = ConversationId::from_parts(5, 5);
    for (verb, body, status) in [
        ("conference", json!({}), 422),
        ("conference", json!({"to": "202", "consultation": id.to_string()}), 422),
        ("conference", json!({"to": " "}), 422),
        ("conference", json!({"consultation": "x"}), 404),
        ("conference", json!({"two": "202"}), 422),
        ("monitor", json!({"phone": "210", "mode": "spy"}), 400),
        ("monitor", json!({"phone": "210", "staff_number": "1024", "mode": "listen"}), 422),
        ("monitor", json!({"phone": "210"}), 422),
        ("mute", json!({"muted": true}), 422),
        ("mute", json!({"leg": -1, "muted": true}), 422),
        ("play", json!({"tone": "whistle", "to": "both"}), 400),
        ("play", json!({"tone": "busy", "to": "nobody"}), 400),
        ("play", json!({"to": "both"}), 422),
        ("digits", json!({}), 422),
        ("digits", json!({"digits": ""}), 422),
        ("digits", json!({"digits": "1", "leg": 3, "number": "201"}), 422),
        ("recording", json!({"action": "stop"}), 400),
        ("recording", json!({}), 422),
    ] {
        site.send(request(id, verb, &body)).await.problem(status);
    }
    for (refusal, status) in [
        (Refusal::NoConversation(id), 404),
        (Refusal::NoParty("210".into()), 404),
        (Refusal::WrongState("nobody is connected"), 409),
        (Refusal::TooMany("supervisors in a conversation"), 409),
        (Refusal::NoPhone("210".into()), 409),
        (Refusal::Unreachable("210".into()), 409),
    ] {
        let body = json!({"phone": "210", "mode": "barge"});
        site.served(request(id, "monitor", &body), vec![Answer::Refused(refusal)]).await.0.problem(status);
    }
    let body = json!({"prompt": "nothing", "to": "both"});
    let refused = vec![Answer::Refused(Refusal::NoPrompt("nothing".into()))];
    site.served(request(id, "play", &body), refused).await.0.problem(422);
}

#[test]
fn all_of_it_is_described() {
    let document = serde_json::to_value(crate::api::openapi()).unwrap();
    for (verb, method) in [
        ("conference", "post"),
        ("monitor", "post"),
        ("mute", "post"),
        ("play", "post"),
        ("play", "delete"),
        ("digits", "post"),
        ("recording", "post"),
    ] {
        assert!(document["paths"][format!("/api/v1/conversations/{{id}}/{verb}")][method].is_object(), "{verb}");
    }
    let text = document.to_string();
    for name in ["call.conferenced", "call.monitored", "call.muted", "call.played", "recording.paused", "recording.resumed"] {
        assert!(text.contains(name), "{name}");
    }
}
