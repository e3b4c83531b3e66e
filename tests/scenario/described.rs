//! What happens is what the AsyncAPI document says that it looks like.

use std::sync::OnceLock;
use std::time::Duration;

use cordboard::event::Event;
use cordboard::events::asyncapi;
use cordboard::store::log::Stored;
use serde_json::Value;

use crate::sim::Sim;

fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(asyncapi)
}

/// Every event that the simulation has kept is a message of the document.
pub fn check(sim: &Sim) {
    for (n, event) in sim.events.iter().enumerate() {
        let found = faults_of(n as u64 + 1, event);
        assert!(found.is_empty(), "{:?}\n{found:#?}", event.kind);
    }
}

fn faults_of(sequence: u64, event: &Event) -> Vec<String> {
    let line = Stored::new(sequence, event.clone()).line("/cordboard/test");
    let value: Value = serde_json::from_str(&line).expect("JSON");
    let name = value["type"].as_str().and_then(|name| name.strip_prefix("cordboard.")).expect("a type");
    let message = &document()["components"]["messages"][name];
    assert!(message.is_object(), "{name} is no message");
    let mut found = Vec::new();
    validate(&message["payload"], &value, "", &mut found);
    found
}

/// What JSON Schema has of keywords in our document; another one is a fault of this test.
const KNOWN: &[&str] = &[
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contentMediaType",
    "default",
    "deprecated",
    "description",
    "enum",
    "example",
    "examples",
    "format",
    "items",
    "maxItems",
    "maximum",
    "minItems",
    "minimum",
    "oneOf",
    "pattern",
    "prefixItems",
    "properties",
    "propertyNames",
    "required",
    "title",
    "type",
];

fn validate(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let Some(schema) = schema.as_object() else {
        if schema == &Value::Bool(false) {
            found.push(format!("{at}: may not be there"));
        }
        return;
    };
    for keyword in schema.keys() {
        assert!(KNOWN.contains(&keyword.as_str()), "this test does not know {keyword}");
    }
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = document().pointer(reference.trim_start_matches('#')).expect("a reference that leads somewhere");
        validate(target, value, at, found);
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        Some(one) => one.as_str().into_iter().collect(),
        None => Vec::new(),
    };
    let is = |name: &&str| match *name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type: {other}"),
    };
    if !types.is_empty() && !types.iter().any(is) {
        found.push(format!("{at}: {value} is no {types:?}"));
    }
    if schema.get("const").is_some_and(|only| only != value) {
        found.push(format!("{at}: {value} is another constant"));
    }
    if schema.get("enum").and_then(Value::as_array).is_some_and(|all| !all.contains(value)) {
        found.push(format!("{at}: {value} is none of these"));
    }
    if schema.get("minimum").and_then(Value::as_f64).zip(value.as_f64()).is_some_and(|(least, is)| is < least) {
        found.push(format!("{at}: {value} is too little"));
    }
    for one in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        validate(one, value, at, found);
    }
    for keyword in ["oneOf", "anyOf"] {
        let Some(all) = schema.get(keyword).and_then(Value::as_array) else { continue };
        let fits = |one: &&Value| {
            let mut faults = Vec::new();
            validate(one, value, at, &mut faults);
            faults.is_empty()
        };
        let fitting = all.iter().filter(fits).count();
        if fitting == 0 || (keyword == "oneOf" && fitting > 1) {
            found.push(format!("{at}: {value} fits {fitting} of {keyword}"));
        }
    }
    if let Some(object) = value.as_object() {
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        found.extend(required.filter(|key| !object.contains_key(*key)).map(|key| format!("{at}/{key} is missing")));
        let properties = schema.get("properties").and_then(Value::as_object);
        for (key, value) in object {
            let below = format!("{at}/{key}");
            match (properties.and_then(|all| all.get(key)), schema.get("additionalProperties")) {
                (Some(schema), _) | (None, Some(schema)) => validate(schema, value, &below, found),
                // What nobody describes is a field that was forgotten in the document.
                (None, None) if properties.is_some() => found.push(format!("{below} is not described")),
                (None, None) => {}
            }
        }
    }
    if let Some(items) = value.as_array() {
        let first = schema.get("prefixItems").and_then(Value::as_array);
        for (n, item) in items.iter().enumerate() {
            let schema = first.and_then(|all| all.get(n)).or_else(|| schema.get("items"));
            if let Some(schema) = schema {
                validate(schema, item, &format!("{at}/{n}"), found);
            }
        }
    }
}

#[test]
fn a_call_through_menu_and_queue_is_as_described() {
    let mut sim = Sim::new(1);
    let (_, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_for(Duration::from_secs(40));
    sim.act(trunk, |t, now| {
        t.hang_up(now);
    });
    sim.run_for(Duration::from_secs(60));
    for kind in ["call.started", "queue.entered", "queue.offered", "call.ended", "registration.added"] {
        assert!(sim.count(kind) > 0, "no {kind}\n{}", sim.story());
    }
    check(&sim);
    // And what is not as described is found.
    let mut event = sim.events[0].clone();
    let line = serde_json::to_value(&event.kind).expect("JSON");
    assert!(line["data"].is_object());
    event.at = cordboard::clock::Wall::from_micros(0);
    assert_eq!(faults_of(1, &event), [""; 0]);
    let mut found = Vec::new();
    validate(&document()["components"]["messages"]["call.ended"]["payload"], &line, "", &mut found);
    assert!(found.iter().any(|fault| fault.contains("is missing")), "{found:#?}");
}
