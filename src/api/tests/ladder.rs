//! SIP messages of a call, and of none.

use super::*;
use crate::store::ladders::Way;

/// A message of conversation 9, and one of none.
fn note_signalling(site: &Site) {
    let flow = crate::sip::Flow {
        transport: crate::sip::Transport::Tcp,
        local: "127.0.0.1:5060".parse().unwrap(),
        remote: "127.0.0.1:40000".parse().unwrap(),
        connection: None,
    };
    site.ladders.owned(&"mine".into(), ConversationId::from_parts(9, 0));
    for call_id in ["mine", "stray"] {
        let text =
            format!("INVITE sip:a SIP/2.0\r\nAuthorization: Digest secret\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\r\n");
        site.ladders.note(Wall::from_micros(1_795_338_000_000_007), Way::Received, &flow, text.into());
    }
}

#[tokio::test]
async fn a_ladder_is_had_as_json_as_text_and_as_a_capture() {
    let site = Site::new();
    note_signalling(&site);
    let ladder = format!("/api/v1/conversations/{}/ladder", ConversationId::from_parts(9, 0));
    for (path, call_id) in [(ladder.as_str(), "mine"), ("/api/v1/signalling", "stray")] {
        let list = site.get(path).await.json();
        assert_eq!(list["next"], Value::Null);
        assert_eq!(list["items"].as_array().unwrap().len(), 1);
        let item = &list["items"][0];
        assert_eq!(item["at"], "2026-11-22T09:00:00.000007Z");
        assert_eq!(
            (&item["way"], &item["transport"], &item["local"], &item["remote"]),
            (&json!("received"), &json!("TCP"), &json!("127.0.0.1:5060"), &json!("127.0.0.1:40000"))
        );
        let message = item["message"].as_str().unwrap();
        assert!(
            message.contains(&format!("Call-ID: {call_id}\r\n")) && message.contains("Authorization: Digest …\r\n"),
            "{message}"
        );

        let text = site.get(&format!("{path}?format=text")).await;
        assert_eq!(text.headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
        assert!(String::from_utf8(text.body.clone()).unwrap().contains("TCP 127.0.0.1:40000"));
        let asked = as_ann(Request::get(path)).header("accept", "text/plain").body(Body::empty()).unwrap();
        assert_eq!(site.send(asked).await.body, text.body);

        let capture = site.get(&format!("{path}.pcap")).await;
        assert_eq!(capture.headers[header::CONTENT_TYPE], "application/vnd.tcpdump.pcap");
        assert_eq!(capture.body[..4], 0xa1b2_c3d4_u32.to_le_bytes());
        assert!(!capture.body.windows(6).any(|w| w == b"secret"));

        site.get(&format!("{path}?format=xml")).await.problem(400);
        for path in [path.to_owned(), format!("{path}.pcap")] {
            site.send(empty(Request::get(path))).await.problem(401);
        }
    }
    let nobody = format!("/api/v1/conversations/{}/ladder", ConversationId::from_parts(10, 0));
    for path in [nobody.clone(), format!("{nobody}.pcap"), "/api/v1/conversations/x/ladder".to_owned()] {
        site.get(&path).await.problem(404);
    }
}
