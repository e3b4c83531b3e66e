//! Every role at every route of the description, with what is one's own and what is not.

use std::collections::BTreeSet;

use axum::http::Method;

use super::*;
use crate::api::rights::RULES;
use crate::event::{Bridge, CallStarted, Direction, Event, Kind as Told};
use crate::ids::{LegId, StaffNumber};
use crate::store::recordings::Recording;
use crate::switch::command::QueueView;

/// `olga` is agent 1 of the team north, which `sam` supervises; agent 2 is of south.
pub(super) const TEAMS: &str = r#"
[[phone]]
number = "201"
secret = "s"
voicemail = true
pin = "1234"

[[phone]]
number = "202"
secret = "s"
voicemail = true
pin = "1234"

[[agent]]
staff_number = "1"
name = "Olga"
phone = "201"

[[agent]]
staff_number = "2"
name = "Per"
phone = "202"

[[team]]
name = "north"
leader = "1"
agents = ["1"]

[[team]]
name = "south"
agents = ["2"]
client = "ACME"

[[queue]]
name = "a"
agents = ["1"]

[[queue]]
name = "b"
agents = ["2"]

[[user]]
name = "olga"
password = "p"
token = "token-of-agent"
role = "agent"
agent = "1"

[[user]]
name = "sam"
password = "p"
token = "token-of-supervisor"
role = "supervisor"
teams = ["north"]

[[user]]
name = "mia"
password = "p"
token = "token-of-manager"
role = "manager"
"#;

const ROLES: [&str; 4] = ["agent", "supervisor", "manager", "admin"];

/// A call that lives, and a recording of it, of the agent with this number.
fn call_of(agent: u64) -> ConversationId {
    ConversationId::from_parts(1_795_338_000_000 + agent, 0)
}

fn recording_of(agent: u64) -> RecordingId {
    RecordingId::from_parts(1_795_338_000_000 + agent, 0)
}

struct Centre {
    site: Site,
    _log: TempDir,
}

impl Centre {
    fn new() -> Self {
        Self::with(&[])
    }

    /// And with calls of the first phone to the second.
    fn with(more: &[(ConversationId, &str, &str)]) -> Self {
        let mut site = Site::of(&format!("{CENTRE}{TEAMS}"));
        let folder = TempDir::new().unwrap();
        let options = LogOptions { reserve_bytes: 0, ..LogOptions::default() };
        let log = Log::open(folder.path(), options, Arc::new(RealDisk), System::start(), Arc::new(|_, _| {})).unwrap();
        for agent in [1, 2] {
            let row = Recording { agents: vec![StaffNumber::new(agent.to_string())], ..Site::row(agent) };
            site.recordings.put(&Recording { queue: None, ..row }, true).unwrap();
            let started = CallStarted {
                direction: Direction::Inbound,
                leg: LegId(agent * 10),
                trunk: Some("carrier".into()),
                phone: None,
                customer_number: "+4930123".into(),
                called: "+49305550".into(),
                customer_e164: None,
                called_e164: None,
            };
            let bridge = Bridge {
                legs: [LegId(agent * 10), LegId(agent * 10 + 1)],
                phone: Some(format!("20{agent}").as_str().into()),
                agent: Some(StaffNumber::new(agent.to_string())),
                customer_agent: None,
                limits: None,
            };
            let event = |kind| Event { at: Wall::from_micros(1_795_338_000_000_000), conversation: Some(call_of(agent)), kind };
            log.append([event(Told::CallStarted(started)), event(Told::CallBridged(bridge))]);
        }
        for (call, from, to) in more {
            let started = CallStarted {
                direction: Direction::Internal,
                leg: LegId(70),
                trunk: None,
                phone: Some((*from).into()),
                customer_number: (*from).into(),
                called: (*to).into(),
                customer_e164: None,
                called_e164: None,
            };
            let bridge = Bridge {
                legs: [LegId(70), LegId(71)],
                phone: Some((*to).into()),
                agent: None,
                customer_agent: None,
                limits: None,
            };
            let event = |kind| Event { at: Wall::from_micros(1_795_338_000_000_000), conversation: Some(*call), kind };
            log.append([event(Told::CallStarted(started)), event(Told::CallBridged(bridge))]);
        }
        assert!(log.wait_past(3 + 2 * more.len() as u64, Duration::from_secs(20)));
        site.conversations.catch_up(&log).unwrap();
        log.close();
        // Nobody answers for the core: what gets as far as there is refused with 503.
        site.asked.close();
        Centre { site, _log: folder }
    }

    async fn ask(&self, role: &str, method: &str, path: &str, body: Value) -> u16 {
        let token = if role == "admin" { ADMIN.to_owned() } else { format!("token-of-{role}") };
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        let reply = self.site.send(request.body(Body::from(body.to_string())).unwrap()).await;
        if reply.status == 403 {
            assert!(!reply.problem(403).is_empty(), "it says why");
        }
        assert_ne!(reply.status, 401, "{role} {method} {path}");
        reply.status
    }
}

/// The path with what it names, of the agent with this number.
fn filled(path: &str, agent: u64) -> String {
    let call = call_of(agent).to_string();
    let id = if path.contains("/recordings/") || path.contains("/voicemail/") { recording_of(agent).to_string() } else { call };
    let queue = if agent == 1 { "a" } else { "b" };
    path.replace("{id}", &id)
        .replace("queues/{name}", &format!("queues/{queue}"))
        .replace("{staff_number}", &agent.to_string())
        .replace("{number}", &format!("20{agent}"))
        .replace("{*locked}", "mailbox:201")
        .replace("{address}", "192.0.2.1")
        .replace("{name}", "crm")
}

/// The least role that a route serves: of what is the asking agent's own or of the own team, and of what is neither.
fn least(method: &str, path: &str) -> (&'static str, &'static str) {
    match (method, path.strip_prefix("/api/v1/").unwrap()) {
        ("POST", "logout") | ("GET", "me" | "ice-servers" | "conversations" | "phones" | "agents" | "standards") => {
            ("agent", "agent")
        }
        (_, path) if path.starts_with("queues/") => ("supervisor", "manager"),
        ("POST", "conversations/{id}/monitor" | "conversations/{id}/move") => ("supervisor", "manager"),
        ("GET", "conversations/{id}/ladder" | "conversations/{id}/ladder.pcap") => ("manager", "manager"),
        (_, path) if path.starts_with("conversations") => ("agent", "manager"),
        (_, path) if path.starts_with("voicemail/") || path.starts_with("phones/") => ("agent", "manager"),
        (_, "agents/{staff_number}/queues") => ("supervisor", "manager"),
        (_, path) if path.starts_with("agents/{staff_number}/") => ("agent", "manager"),
        ("GET", "teams" | "queues" | "recordings" | "figures" | "figures/conversations" | "wallboard" | "wallboard/stream") => {
            ("supervisor", "supervisor")
        }
        (_, path) if path.starts_with("callbacks") => ("agent", "agent"),
        (_, path) if path.starts_with("recordings/") => ("supervisor", "manager"),
        ("GET", "events" | "events/ws") => ("supervisor", "manager"),
        ("DELETE", "bans/{address}") | ("POST", "config/reload") => ("admin", "admin"),
        ("GET", "contacts/{number}") => ("agent", "agent"),
        ("GET", "contacts") | ("PUT", "contacts/{number}") => ("supervisor", "supervisor"),
        ("GET", "contacts.csv") | ("POST", "contacts/import") | ("DELETE", "contacts/{number}") => ("manager", "manager"),
        ("GET", "webhooks") => ("manager", "manager"),
        ("POST", "webhooks/{name}/resume") => ("admin", "admin"),
        ("GET", "signalling" | "signalling.pcap" | "registrations" | "mailbox-locks" | "bans" | "trunks")
        | ("DELETE", "mailbox-locks/{*locked}") => ("manager", "manager"),
        (method, path) => panic!("say here who may {method} {path}"),
    }
}

fn body_of(path: &str, agent: u64) -> Value {
    if path.ends_with("/conversations") { json!({"from": format!("20{agent}"), "to": "203"}) } else { json!({}) }
}

#[test]
fn every_route_has_a_rule_and_every_rule_a_route() {
    let document = serde_json::to_value(crate::api::openapi()).unwrap();
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let is_open = operation["security"].as_array().is_some_and(|all| all.iter().all(|one| one == &json!({})));
            if !is_open {
                described.insert((method.to_ascii_uppercase(), path.clone()));
            }
        }
    }
    let ruled: Vec<_> = RULES.iter().map(|(method, path, _)| ((*method).to_owned(), path.replace("{*", "{"))).collect();
    assert_eq!(ruled.len(), ruled.iter().collect::<BTreeSet<_>>().len(), "two rules of one route");
    assert_eq!(ruled.into_iter().collect::<BTreeSet<_>>(), described);
}

#[tokio::test]
async fn every_role_is_served_what_it_may_have_and_nothing_else() {
    let centre = Centre::new();
    for (method, path, _) in RULES {
        let (own, others) = least(method, path);
        for (agent, least) in [(1, own), (2, others)] {
            for (rank, role) in ROLES.into_iter().enumerate() {
                let mut asked = filled(path, agent);
                if path.starts_with("/api/v1/events") {
                    asked = format!("{asked}?conversation={}", call_of(agent));
                }
                let status = centre.ask(role, method, &asked, body_of(path, agent)).await;
                let may = ROLES.iter().position(|r| *r == least).unwrap() <= rank;
                assert_eq!(status != 403, may, "{role} {method} {asked}: {status}");
            }
        }
    }
}

#[tokio::test]
async fn all_events_are_the_managers_and_a_further_call_is_looked_at_too() {
    let centre = Centre::new();
    for (role, status) in [("agent", 403), ("supervisor", 403), ("manager", 200), ("admin", 200)] {
        assert_eq!(centre.ask(role, "GET", "/api/v1/events", json!({})).await, status, "{role}");
    }
    for verb in ["transfer", "conference"] {
        let path = format!("/api/v1/conversations/{}/{verb}", call_of(1));
        let with = |agent| json!({"consultation": call_of(agent).to_string()});
        for role in ["agent", "supervisor"] {
            assert_eq!(centre.ask(role, "POST", &path, with(2)).await, 403, "{role} {verb}");
            assert_eq!(centre.ask(role, "POST", &path, with(1)).await, 503, "{role} {verb}");
        }
    }
}

/// Who calls a colleague gets none of the colleague's rights to dial.
#[tokio::test]
async fn a_caller_dials_nobody_in_by_the_phone_that_it_called() {
    let call = |n: u64| ConversationId::from_parts(1_795_338_000_000 + n, u128::from(n));
    let centre = Centre::with(&[(call(7), "201", "202"), (call(8), "202", "201")]);
    for (call, status) in [(call(7), 403), (call(8), 503)] {
        for verb in ["transfer", "conference", "consult"] {
            let path = format!("/api/v1/conversations/{call}/{verb}");
            assert_eq!(centre.ask("agent", "POST", &path, json!({"to": "203"})).await, status, "{path}");
        }
        let path = format!("/api/v1/conversations/{call}/hold");
        assert_eq!(centre.ask("agent", "POST", &path, json!({})).await, 503, "{path}");
    }
}

/// Who works at a phone sees its calls.
#[tokio::test]
async fn an_agent_takes_no_desk_that_it_does_not_see() {
    let centre = Centre::new();
    for (role, phone, status) in
        [("agent", "201", 503), ("agent", "202", 403), ("agent", "299", 403), ("supervisor", "202", 403), ("manager", "202", 503)]
    {
        let asked = centre.ask(role, "POST", "/api/v1/agents/1/login", json!({"phone": phone})).await;
        assert_eq!(asked, status, "{role} at {phone}");
    }
}

#[tokio::test]
async fn lists_hold_what_one_sees() {
    let centre = Centre::new();
    let agents = |path: &str, reply: &Value| -> Vec<String> {
        let key = if path.ends_with("teams") { "name" } else { "id" };
        reply["items"].as_array().unwrap().iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
    };
    let calls = |all: &[u64]| all.iter().map(|agent| call_of(*agent).to_string()).collect::<Vec<_>>();
    let recordings = |all: &[u64]| all.iter().map(|agent| recording_of(*agent).to_string()).collect::<Vec<_>>();
    for (role, path, seen) in [
        ("agent", "/api/v1/conversations", calls(&[1])),
        ("supervisor", "/api/v1/conversations", calls(&[1])),
        ("manager", "/api/v1/conversations", calls(&[2, 1])),
        ("supervisor", "/api/v1/recordings", recordings(&[1])),
        ("manager", "/api/v1/recordings", recordings(&[2, 1])),
        ("supervisor", "/api/v1/teams", vec!["north".to_owned()]),
        ("manager", "/api/v1/teams", vec!["north".to_owned(), "south".to_owned()]),
    ] {
        let request = Request::get(path).header("authorization", format!("Bearer token-of-{role}"));
        let reply = centre.site.send(empty(request)).await;
        assert_eq!((reply.status, agents(path, &reply.json())), (200, seen), "{role} {path}");
    }
}

#[tokio::test]
async fn what_the_core_lists_is_filtered_too() {
    let mut site = Site::of(&format!("{CENTRE}{TEAMS}"));
    let agent = |number: &str| AgentView { staff_number: number.into(), ..super::olena() };
    let queue = |name: &str| QueueView {
        name: name.into(),
        strategy: "longest_idle".into(),
        waiting: 0,
        longest_wait_ms: 0,
        callbacks: 0,
        agents: std::collections::BTreeMap::new(),
        offered: 0,
        answered: 0,
        abandoned: 0,
        service_level: None,
        service_level_formula: String::new(),
        announcement: None,
    };
    let phone =
        |number: &str| PhoneView { number: number.into(), name: None, registered: true, forwarding: Forwarding::default() };
    for (role, path, answer, seen) in [
        ("agent", "agents", Answer::Agents(vec![agent("1"), agent("2")]), 1),
        ("supervisor", "agents", Answer::Agents(vec![agent("1"), agent("2")]), 1),
        ("manager", "agents", Answer::Agents(vec![agent("1"), agent("2")]), 2),
        ("supervisor", "queues", Answer::Queues(vec![queue("a"), queue("b")]), 1),
        ("manager", "queues", Answer::Queues(vec![queue("a"), queue("b")]), 2),
        ("agent", "phones", Answer::Phones(vec![phone("201"), phone("202")]), 1),
        ("manager", "phones", Answer::Phones(vec![phone("201"), phone("202")]), 2),
    ] {
        let request = Request::get(format!("/api/v1/{path}")).header("authorization", format!("Bearer token-of-{role}"));
        let (reply, _) = site.served(empty(request), vec![answer]).await;
        assert_eq!(reply.json()["items"].as_array().unwrap().len(), seen, "{role} {path}");
    }
    for (role, seen) in [("supervisor", 1), ("manager", 2)] {
        let request = Request::get("/api/v1/wallboard").header("authorization", format!("Bearer token-of-{role}"));
        let answers = vec![Answer::Queues(vec![queue("a"), queue("b")]), Answer::Agents(vec![agent("1"), agent("2")])];
        // It is made once a second: another site, so that it is made for this one.
        let mut site = Site::of(&format!("{CENTRE}{TEAMS}"));
        let (reply, _) = site.served(empty(request), answers).await;
        let board = reply.json();
        let counted = [&board["queues"], &board["agents"]].map(|all| all.as_array().unwrap().len());
        assert_eq!(counted, [seen, seen], "{role}: {board}");
    }
}

#[tokio::test]
async fn figures_are_of_what_one_sees() {
    let centre = Centre::new();
    for (role, query, status) in [
        ("supervisor", "by=agent&name=1", 200),
        ("supervisor", "by=agent&name=2", 403),
        ("supervisor", "by=queue&name=a", 200),
        ("supervisor", "by=queue&name=b", 403),
        ("supervisor", "by=trunk&name=carrier", 403),
        ("manager", "by=trunk&name=carrier", 200),
        ("manager", "by=agent&name=2", 200),
    ] {
        assert_eq!(centre.ask(role, "GET", &format!("/api/v1/figures?{query}"), json!({})).await, status, "{role} {query}");
        let behind = format!("/api/v1/figures/conversations?metric=answered&{query}");
        assert_eq!(centre.ask(role, "GET", &behind, json!({})).await, status, "{role} {query}");
    }
}
