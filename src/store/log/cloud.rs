//! A stored event as the world sees it: a CloudEvents 1.0 object in JSON.

use std::fmt::Write;

use super::Stored;

/// Stands before the names of `event` in `type`.
pub const TYPE_PREFIX: &str = "cordboard.";

/// What every `Kind` begins with as JSON: it is adjacently tagged, tag first.
const TAG: &str = "{\"type\":\"";

/// One line of JSON. `source` names this switch: a URI reference, `/cordboard/<domain>`.
///
/// `id` is the sequence: unique within the source, as CloudEvents wants it.
pub fn cloud_event(stored: &Stored, source: &str) -> String {
    // Our own plain structs to memory: nothing in them can refuse to be JSON. Fields keep the order of their declaration, which
    // going through a `Value` would lose.
    let kind = serde_json::to_string(&stored.event.kind).unwrap_or_default();
    let kind = kind.strip_prefix(TAG).unwrap_or_default();
    let source = serde_json::to_string(source).unwrap_or_default();
    let sequence = stored.sequence;

    let mut json = String::with_capacity(kind.len() + source.len() + 220);
    let _ = write!(json, "{{\"specversion\":\"1.0\",\"id\":\"{sequence}\",\"source\":{source},\"time\":\"{}\"", stored.event.at);
    if let Some(conversation) = stored.event.conversation {
        let _ = write!(json, ",\"subject\":\"{conversation}\"");
    }
    let _ = write!(json, ",\"sequence\":\"{sequence}\",\"datacontenttype\":\"application/json\"{TYPE}{TYPE_PREFIX}{kind}");
    json
}

/// An event's type without its prefix, out of its line. The marker cannot stand inside a JSON string: there its quotes would be escaped.
pub fn type_of(line: &str) -> Option<&str> {
    const MARKER: &str = "\"type\":\"cordboard.";
    let rest = line.get(line.find(MARKER)? + MARKER.len()..)?;
    rest.split('"').next()
}

const TYPE: &str = ",\"type\":\"";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Wall;
    use crate::event::{CallProgress, Event, Kind, LogLost};
    use crate::ids::ConversationId;

    #[test]
    fn a_type_is_found_in_its_line_and_not_in_what_people_wrote() {
        let json =
            r#"{"source":"/x\"type\":\"cordboard.no","type":"cordboard.call.ended","data":{"a":"\"type\":\"cordboard.b"}}"#;
        assert_eq!(type_of(json), Some("call.ended"));
        assert_eq!(type_of("{}"), None);
    }

    #[test]
    fn an_event_becomes_a_cloudevents_object() {
        let conversation = ConversationId::from_parts(5, 6);
        let event = Event {
            at: Wall::from_micros(1_795_338_000_123_000),
            conversation: Some(conversation),
            kind: Kind::CallRinging(CallProgress { leg: crate::ids::LegId(3) }),
        };
        let json = cloud_event(&Stored::new(42, event), "/cordboard/a\"b");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "specversion": "1.0", "id": "42", "source": "/cordboard/a\"b", "type": "cordboard.call.ringing",
                "time": "2026-11-22T09:00:00.123Z", "subject": conversation.to_string(), "sequence": "42",
                "datacontenttype": "application/json", "data": {"leg": 3},
            })
        );
        let event = Event { at: Wall::default(), conversation: None, kind: Kind::LogLost(LogLost { events: 1 }) };
        let json = cloud_event(&Stored::new(1, event), "x");
        assert!(serde_json::from_str::<serde_json::Value>(&json).unwrap().get("subject").is_none());
    }
}
