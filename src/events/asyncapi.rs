//! What events there are, and where they are read or sent: AsyncAPI 3.0, generated from the types that are sent.
//!
//! One message a variant of [`Kind`], its payload the CloudEvent with the variant's `data`. Three channels carry them: Server-Sent Events,
//! WebSocket, and the requests of webhooks.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use crate::event::Kind;
use crate::store::log::TYPE_PREFIX;

/// Open to everybody, as the description of the HTTP interface is: it holds no data.
pub fn description() -> Router {
    Router::new().route("/api/v1/asyncapi.json", get(serve))
}

async fn serve() -> Response {
    ([(header::CACHE_CONTROL, "no-cache")], Json(asyncapi())).into_response()
}

/// The document.
pub fn asyncapi() -> Value {
    let mut schemas = Vec::new();
    Kind::schemas(&mut schemas);
    // A schema of our own types has a JSON form.
    let value = |schema| serde_json::to_value(schema).unwrap_or_default();
    let schemas: Map<String, Value> = schemas.into_iter().map(|(name, schema)| (name, value(schema))).collect();
    let kind = value(Kind::schema());
    let variants = kind["oneOf"].as_array().cloned().unwrap_or_default();
    let mut messages: Map<String, Value> = variants.iter().filter_map(message).collect();
    let events: Vec<String> = messages.keys().cloned().collect();
    messages.insert(BATCH.to_owned(), batch(&events));

    let mut channels = Map::new();
    let mut operations = Map::new();
    for (name, address, title, description) in CHANNELS {
        let of = |kind: &String| (kind.clone(), json!({ "$ref": format!("#/components/messages/{kind}") }));
        let carried: Map<String, Value> = match *name {
            "webhook" => [of(&BATCH.to_owned())].into_iter().collect(),
            _ => events.iter().map(of).collect(),
        };
        let channel = json!({ "address": address, "title": title, "description": description, "messages": carried });
        channels.insert((*name).to_owned(), channel);
        let operation = json!({ "action": "send", "channel": { "$ref": format!("#/channels/{name}") }, "summary": title });
        operations.insert(format!("send-{name}"), operation);
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Cordboard events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Everything that happens in the switch, as CloudEvents 1.0 in JSON. `sequence` has no gap within what is kept; \
                fields are only ever added.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages, "schemas": schemas },
    })
}

/// What a webhook is sent.
const BATCH: &str = "batch";

fn batch(events: &[String]) -> Value {
    let payload = |kind: &String| json!({ "$ref": format!("#/components/messages/{kind}/payload") });
    json!({
        "name": BATCH,
        "title": "Events in the order of the log",
        "contentType": "application/cloudevents-batch+json",
        "headers": {
            "type": "object",
            "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
            "properties": {
                "webhook-id": { "type": "string", "description": "The same when it is sent again." },
                "webhook-timestamp": { "type": "string", "pattern": "^[0-9]+$", "description": "Seconds since 1970, of this attempt." },
                "webhook-signature": { "type": "string", "description": "`v1,` and HMAC-SHA256 in Base64, one for each secret, spaces between." },
            },
        },
        "payload": { "type": "array", "minItems": 1, "items": { "oneOf": events.iter().map(payload).collect::<Vec<_>>() } },
    })
}

/// Name, address, title, what else is to be known.
const CHANNELS: &[(&str, Option<&str>, &str, &str)] = &[
    (
        "events",
        Some("/api/v1/events"),
        "Server-Sent Events",
        "`data:` is an event, `id:` its sequence. `since` or the header Last-Event-ID names the last event that was seen; `types` and \
         `conversation` choose. Needs a session or a bearer token.",
    ),
    (
        "events-websocket",
        Some("/api/v1/events/ws"),
        "WebSocket",
        "Each text message is an event; the query is as for Server-Sent Events.",
    ),
    (
        "webhook",
        None,
        "Webhooks",
        "POST to the address that is configured, with a JSON array of events (application/cloudevents-batch+json), signed as Standard \
         Webhooks 1.0 says: webhook-id, webhook-timestamp, webhook-signature. Sent again, with the same id, until it is answered with 2xx.",
    ),
];

/// By its name without the prefix.
fn message(variant: &Value) -> Option<(String, Value)> {
    let properties = variant.get("properties")?;
    let name = properties.get("type")?.get("enum")?.get(0)?.as_str()?;
    let data = properties.get("data")?;
    let mut message = json!({
        "name": format!("{TYPE_PREFIX}{name}"),
        "title": name,
        "contentType": "application/json",
        "payload": {
            "type": "object",
            "required": ["specversion", "id", "source", "type", "time", "sequence", "datacontenttype", "data"],
            "properties": {
                "specversion": { "const": "1.0" },
                "id": { "type": "string", "description": "The sequence: unique within the source." },
                "source": { "type": "string", "format": "uri-reference", "description": "Which switch it is." },
                "type": { "const": format!("{TYPE_PREFIX}{name}") },
                "time": { "type": "string", "format": "date-time", "description": "UTC, milliseconds." },
                "subject": { "type": "string", "description": "The conversation, where it is of one." },
                "sequence": { "type": "string", "pattern": "^[0-9]+$" },
                "datacontenttype": { "const": "application/json" },
                "data": data,
            },
        },
    });
    if let (Some(description), Some(message)) = (variant.get("description"), message.as_object_mut()) {
        message.insert("summary".to_owned(), description.clone());
    }
    Some((name.to_owned(), message))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `$ref` below, and where it stands.
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(all) => {
                found.extend(all.get("$ref").and_then(Value::as_str));
                all.values().for_each(|value| references(value, found));
            }
            Value::Array(all) => all.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_type_of_event_is_one_message_and_every_reference_leads_somewhere() {
        let document = asyncapi();
        let mut messages = document["components"]["messages"].as_object().unwrap().clone();
        let batch = messages.remove(BATCH).unwrap();
        assert_eq!(batch["payload"]["items"]["oneOf"].as_array().map(Vec::len), Some(messages.len()));
        assert_eq!(document["channels"]["webhook"]["messages"].as_object().map(serde_json::Map::len), Some(1));
        let source = include_str!("../event/mod.rs");
        let named: Vec<&str> = source.split("#[serde(rename = \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert!(named.len() > 80);
        let mut sorted = named.clone();
        sorted.sort_unstable();
        assert_eq!(messages.keys().map(String::as_str).collect::<Vec<_>>(), sorted);
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 3 * named.len());
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        for (name, message) in messages {
            let legal = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
            assert!(name.bytes().all(legal), "{name}");
            assert_eq!(message["name"], format!("cordboard.{name}"));
        }
    }
}
