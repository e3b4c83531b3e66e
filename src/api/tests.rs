//! The interface from outside: requests in, with a core and a store that the test plays.
mod call_control;
mod callbacks;
mod consulting;
mod contacts;
mod figures;
mod ladder;
mod recorded;
mod rights;
mod standards;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

use super::*;
use crate::clock::Wall;
use crate::config::Source;
use crate::ids::{ConversationId, RecordingId};
use crate::route::Direction;
use crate::route::Forwarding;
use crate::store::database::Memory;
use crate::store::disk::RealDisk;
use crate::store::ladders::Bounds;
use crate::store::log::LogOptions;
use crate::switch::command::{AgentView, GreetingView, MailboxLockView, MessageView, PhoneView, RegistrationView, Status};
use crate::switch::{Answer, Command, Refusal};

const CENTRE: &str = r#"
[site]
name = "Example support"
domain = "cordboard.example"
time_zone = "Europe/Berlin"
country = "DE"

[recording]
folder = "../recordings"

[[user]]
name = "ann"
password = "correct-horse-battery"
token = "token-of-ann-0123456789"
"#;

const ADMIN: &str = "admin-token-0123456789";

struct Site {
    router: Router,
    asked: mpsc::Receiver<Asked>,
    folder: TempDir,
    recordings: Recordings,
    conversations: Conversations,
    ladders: Ladders,
    history: crate::store::Figures,
    stop: watch::Sender<bool>,
    config: watch::Sender<Arc<Config>>,
    log: Log,
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        let value = self.json();
        assert_eq!(value["status"], status);
        value["detail"].as_str().unwrap().to_owned()
    }

    fn cookie(&self) -> String {
        self.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned()
    }
}

impl Site {
    fn new() -> Self {
        Site::of(CENTRE)
    }

    fn of(centre: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let clock = System::start();
        let options = LogOptions { reserve_bytes: 0, ..LogOptions::default() };
        let log = Log::open(&folder.path().join("events"), options, Arc::new(RealDisk), clock, Arc::new(|_, _| {})).unwrap();
        let database = Arc::new(Memory::default());
        let (core, asked) = Core::channel();
        let (config, users) = watch::channel(Arc::new(Config::resolve(&Source::of(centre)).unwrap()));
        let recordings = Recordings::new(database.clone());
        let conversations = Conversations::open(database.clone()).unwrap();
        let history = crate::store::Figures::open(database.clone()).unwrap();
        history.catch_up(&log).unwrap();
        let (stop, stops) = watch::channel(false);
        let ladders = Ladders::new(database.clone(), clock, Bounds { messages: 50, kept: Duration::MAX });
        let parts = Parts {
            core,
            config: users,
            admin_token: Some(Secret::new(ADMIN)),
            clock,
            log: log.clone(),
            recordings: recordings.clone(),
            conversations: conversations.clone(),
            ladders: ladders.clone(),
            history: history.clone(),
            stop: stops,
            figures: Arc::new(|| crate::api::Measured {
                queue_delay: Duration::from_millis(3),
                totals: vec![("transport_shed_total".to_owned(), 7)],
                legs_of_workers: vec![4, 5],
                webhooks_behind: vec![("crm".to_owned(), 6)],
            }),
            hooks: webhooks::lent(),
            contacts: crate::store::Contacts::open(database.clone()).unwrap(),
            folder: Folder::new(folder.path()),
            import: Arc::new(|_, bytes| match bytes {
                b"RIFF" => Ok(RecordingId::from_parts(9, 9)),
                _ => Err(NotImported::Unplayable("no WAV".into())),
            }),
        };
        let guarded = Router::new()
            .route("/api/v1/events", get(|| async { "events" }))
            .route("/api/v1/events/ws", get(|| async { "events" }))
            .route("/api/v1/config/reload", post(|| async { "reload" }));
        let open = Router::new().route("/", get(|| async { "page" }));
        Site {
            router: router(parts, guarded, open),
            asked,
            folder,
            recordings,
            conversations,
            ladders,
            history,
            stop,
            config,
            log,
        }
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Reply { status: parts.status.as_u16(), headers: parts.headers, body: to_bytes(body, 10 << 20).await.unwrap().to_vec() }
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(as_ann(Request::get(path)).body(Body::empty()).unwrap()).await
    }

    /// With the core answering in turn; returns what it was asked, and by whom.
    async fn served(&mut self, request: Request<Body>, answers: Vec<Answer>) -> (Reply, Vec<(String, Command)>) {
        let response = self.router.clone().oneshot(request);
        let asked = &mut self.asked;
        let core = async {
            let mut heard = Vec::new();
            for answer in answers {
                let Asked { by, command, reply } = asked.recv().await.unwrap();
                heard.push((by.0, command));
                let _ = reply.send(answer);
            }
            heard
        };
        let (response, heard) = tokio::join!(response, core);
        let (parts, body) = response.unwrap().into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap().to_vec();
        (Reply { status: parts.status.as_u16(), headers: parts.headers, body }, heard)
    }

    async fn login(&self, user: &str, password: &str) -> Reply {
        let body = json!({"user": user, "password": password}).to_string();
        self.send(posted("/api/v1/login").body(Body::from(body)).unwrap()).await
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.log.close();
    }
}

fn as_ann(request: axum::http::request::Builder) -> axum::http::request::Builder {
    request.header("authorization", "Bearer token-of-ann-0123456789")
}

fn posted(path: &str) -> axum::http::request::Builder {
    Request::post(path).header("content-type", "application/json")
}

fn empty(request: axum::http::request::Builder) -> Request<Body> {
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn nobody_comes_in_without_a_token_or_a_session() {
    let site = Site::new();
    for path in ["/api/v1/agents", "/api/v1/events", "/api/v1/recordings", "/api/v1/me"] {
        let reply = site.send(empty(Request::get(path))).await;
        reply.problem(401);
        assert!(reply.headers.contains_key(header::WWW_AUTHENTICATE));
    }
    for wrong in ["Bearer wrong", "Bearer ", "Basic YW5uOng=", "token-of-ann-0123456789"] {
        site.send(empty(Request::get("/api/v1/me").header("authorization", wrong))).await.problem(401);
    }
    for (path, text) in [("/healthz", "ok\n"), ("/", "page")] {
        assert_eq!(site.send(empty(Request::get(path))).await.body, text.as_bytes());
    }
    assert_eq!(site.get("/api/v1/me").await.json(), json!({"user": "ann", "role": "admin", "teams": [], "agent": null}));
    assert_eq!(site.get("/api/v1/events").await.body, b"events");
    let admin = site.send(empty(Request::get("/api/v1/me").header("authorization", format!("bearer {ADMIN}")))).await;
    assert_eq!(admin.json(), json!({"user": "admin", "role": "admin", "teams": [], "agent": null}));
}

#[tokio::test]
async fn a_login_opens_a_session_that_scripts_cannot_read_and_logout_ends() {
    let site = Site::new();
    let reply = site.login("ann", "correct-horse-battery").await;
    assert_eq!((reply.status, reply.json()), (200, json!({"user": "ann", "role": "admin", "teams": [], "agent": null})));
    let attributes = reply.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(attributes.contains("HttpOnly") && attributes.contains("SameSite=Strict") && attributes.contains("Path=/"));
    let cookie = reply.cookie();
    let me = || empty(Request::get("/api/v1/me").header("cookie", format!("x=1; {cookie}")));
    assert_eq!(site.send(me()).await.status, 200);
    let out = Request::post("/api/v1/logout").header("cookie", &cookie).header("x-cordboard", "1");
    assert_eq!(site.send(empty(out)).await.status, 204);
    site.send(me()).await.problem(401);
    assert_ne!(site.login("ann", "correct-horse-battery").await.cookie(), cookie, "each log-in has a session of its own");
}

#[tokio::test]
async fn a_new_password_ends_the_sessions_of_the_old_one() {
    let site = Site::new();
    let cookie = site.login("ann", "correct-horse-battery").await.cookie();
    let changed = CENTRE.replace("correct-horse", "another-horse").replace("token-of-ann", "fresh-token");
    site.config.send_replace(Arc::new(Config::resolve(&Source::of(changed)).unwrap()));
    site.send(empty(Request::get("/api/v1/me").header("cookie", cookie))).await.problem(401);
    site.get("/api/v1/me").await.problem(401);
}

#[tokio::test]
async fn guessing_is_slowed_and_says_for_how_long() {
    let site = Site::new();
    for _ in 0..5 {
        let told = site.login("ann", "wrong").await.problem(401);
        assert_eq!(told, site.login("nobody", "").await.problem(401), "which of the two was wrong is not said");
    }
    let reply = site.login("ann", "correct-horse-battery").await;
    reply.problem(429);
    let wait: u64 = reply.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
}

/// Behind a proxy all come from one address.
#[tokio::test]
async fn a_right_token_is_let_in_whatever_was_guessed_from_its_address() {
    let site = Site::new();
    let guess = || empty(Request::get("/api/v1/me").header("authorization", "Bearer guess"));
    for _ in 0..5 {
        site.login("ann", "wrong").await.problem(401);
        site.send(guess()).await.problem(401);
    }
    site.login("ann", "correct-horse-battery").await.problem(429);
    site.send(guess()).await.problem(429);
    assert_eq!(site.get("/api/v1/me").await.json(), json!({"user": "ann", "role": "admin", "teams": [], "agent": null}));
    let admin = Request::get("/api/v1/me").header("authorization", format!("Bearer {ADMIN}"));
    assert_eq!(site.send(empty(admin)).await.json(), json!({"user": "admin", "role": "admin", "teams": [], "agent": null}));
    site.send(guess()).await.problem(429);
}

#[tokio::test]
async fn a_session_changes_nothing_from_a_foreign_page() {
    let mut site = Site::new();
    let cookie = site.login("ann", "correct-horse-battery").await.cookie();
    let id = ConversationId::from_parts(1, 1);
    let hangup =
        || Request::post(format!("/api/v1/conversations/{id}/hangup")).header("cookie", &cookie).header("host", "pbx:8080");
    site.send(empty(hangup())).await.problem(403);
    site.send(empty(hangup().header("origin", "http://evil.example"))).await.problem(403);
    site.send(empty(hangup().header("origin", "http://pbx:8080").header("sec-fetch-site", "cross-site"))).await.problem(403);
    let socket =
        Request::get("/api/v1/events").header("cookie", &cookie).header("host", "pbx:8080").header("upgrade", "websocket");
    site.send(empty(socket.header("origin", "http://evil.example"))).await.problem(403);
    let proofs = [("origin", "http://pbx:8080"), ("sec-fetch-site", "same-origin"), ("x-cordboard", "1")];
    for (name, value) in proofs {
        let (reply, heard) = site.served(empty(hangup().header(name, value)), vec![Answer::Done]).await;
        assert_eq!(reply.status, 204, "{name}");
        assert_eq!(heard, [("ann".to_owned(), Command::Hangup { conversation: id })]);
    }
    let login = posted("/api/v1/login").header("host", "pbx:8080").header("origin", "http://evil.example");
    let body = json!({"user": "ann", "password": "correct-horse-battery"}).to_string();
    site.send(login.body(Body::from(body)).unwrap()).await.problem(403);
}

#[tokio::test]
async fn every_error_is_a_problem_also_the_frameworks() {
    let site = Site::new();
    let send = |request: Request<Body>| site.send(request);
    send(empty(Request::get("/nothing"))).await.problem(404);
    send(empty(as_ann(Request::get("/api/v1/nothing")))).await.problem(404);
    let reply = send(empty(as_ann(Request::delete("/api/v1/agents")))).await;
    reply.problem(405);
    assert!(reply.headers[header::ALLOW].to_str().unwrap().contains("GET"));
    let post = |body: &str| as_ann(posted("/api/v1/conversations")).body(Body::from(body.to_owned())).unwrap();
    send(post("{")).await.problem(400);
    send(post("{\"from\": 1}")).await.problem(422);
    send(post(&" ".repeat(20_000))).await.problem(413);
    let untyped = as_ann(Request::post("/api/v1/conversations")).body(Body::from("{}")).unwrap();
    send(untyped).await.problem(415);
    site.get("/api/v1/recordings?limit=x").await.problem(400);
    site.get(&format!("/api/v1/recordings?number={}", "1".repeat(5_000))).await.problem(414);
    for path in ["/api/v1/conversations/x", "/api/v1/recordings/..%2f..%2fetc%2fpasswd/audio", "/api/v1/recordings/%00"] {
        site.get(path).await.problem(404);
    }
}

#[tokio::test]
async fn answers_are_not_cached_framed_or_sniffed() {
    let site = Site::new();
    let reply = site.get("/api/v1/me").await;
    assert_eq!(reply.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(reply.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(reply.headers[header::X_FRAME_OPTIONS], "DENY");
}

#[tokio::test]
async fn a_call_is_originated_and_controlled() {
    let mut site = Site::new();
    let id = ConversationId::from_parts(5, 5);
    let body = Body::from(json!({"from": "201", "to": "0030123"}).to_string());
    let request = as_ann(posted("/api/v1/conversations")).body(body).unwrap();
    let (reply, heard) = site.served(request, vec![Answer::Started(id)]).await;
    assert_eq!((reply.status, reply.json()), (201, json!({"conversation": id.to_string()})));
    assert_eq!(reply.headers[header::LOCATION], format!("/api/v1/conversations/{id}"));
    assert_eq!(heard, [("ann".into(), Command::Originate { from: "201".into(), to: "0030123".into() })]);

    let verbs = [("hold", Command::Hold { conversation: id }), ("resume", Command::Resume { conversation: id })];
    for (verb, command) in verbs {
        let request = empty(as_ann(Request::post(format!("/api/v1/conversations/{id}/{verb}"))));
        let (reply, heard) = site.served(request, vec![Answer::Done]).await;
        assert_eq!((reply.status, &heard[0].1), (204, &command));
    }
    let request = as_ann(posted(&format!("/api/v1/conversations/{id}/transfer"))).body(Body::from("{\"to\":\"202\"}")).unwrap();
    let (_, heard) = site.served(request, vec![Answer::Done]).await;
    assert_eq!(heard[0].1, Command::Transfer { conversation: id, to: "202".into() });
    let consultation = ConversationId::from_parts(6, 6);
    let transfer = |body: serde_json::Value| {
        as_ann(posted(&format!("/api/v1/conversations/{id}/transfer"))).body(Body::from(body.to_string())).unwrap()
    };
    let request = transfer(json!({"consultation": consultation.to_string()}));
    let (_, heard) = site.served(request, vec![Answer::Done]).await;
    assert_eq!(heard[0].1, Command::Join { conversation: id, consultation });
    for (body, status) in [
        (json!({}), 422),
        (json!({"to": "202", "consultation": consultation.to_string()}), 422),
        (json!({"consultation": "x"}), 404),
    ] {
        site.send(transfer(body)).await.problem(status);
    }
    for to in ["", "  ", "2\r\n3"] {
        let body = Body::from(json!({"from": "201", "to": to}).to_string());
        site.send(as_ann(posted("/api/v1/conversations")).body(body).unwrap()).await.problem(422);
    }
}

#[tokio::test]
async fn a_phones_forwarding_is_read_and_set() {
    let mut site = Site::new();
    let forwarding = Forwarding { busy: Some("202".into()), ..Forwarding::default() };
    let phone = PhoneView { number: "201".into(), name: None, registered: true, forwarding: forwarding.clone() };
    let phones = || vec![Answer::Phones(vec![phone.clone()])];
    let (reply, _) = site.served(empty(as_ann(Request::get("/api/v1/phones"))), phones()).await;
    assert_eq!(reply.json()["items"][0]["forwarding"]["busy"], "202");
    let (reply, _) = site.served(empty(as_ann(Request::get("/api/v1/phones/201/forwarding"))), phones()).await;
    assert_eq!(reply.json()["no_answer_after_s"], 20);
    let (reply, _) = site.served(empty(as_ann(Request::get("/api/v1/phones/999/forwarding"))), phones()).await;
    reply.problem(404);
    let put = |body: serde_json::Value| {
        let request = Request::put("/api/v1/phones/201/forwarding").header(header::CONTENT_TYPE, "application/json");
        as_ann(request).body(Body::from(body.to_string())).unwrap()
    };
    let (reply, heard) = site.served(put(json!({"busy": "202"})), vec![Answer::Done]).await;
    assert_eq!((reply.status, &heard[0].1), (204, &Command::SetForwarding { phone: "201".into(), forwarding }));
    site.send(put(json!({"bussy": "202"}))).await.problem(422);
}

#[tokio::test]
async fn messages_are_listed_marked_as_heard_and_deleted() {
    let mut site = Site::new();
    let id = RecordingId::from_parts(1_795_338_000_000, 7);
    let message = MessageView {
        id,
        conversation: ConversationId::from_parts(5, 5),
        caller: "210".into(),
        started_at: "2026-11-22T09:00:00.000Z".into(),
        duration_ms: 4_000,
        heard: false,
    };
    let (reply, heard) =
        site.served(empty(as_ann(Request::get("/api/v1/voicemail/201"))), vec![Answer::Messages(vec![message])]).await;
    assert_eq!(heard[0].1, Command::Mailbox { number: "201".into() });
    assert_eq!((&reply.json()["items"][0]["caller"], &reply.json()["items"][0]["heard"]), (&json!("210"), &json!(false)));
    let one = format!("/api/v1/voicemail/201/{id}");
    let (reply, heard) = site.served(empty(as_ann(Request::post(format!("{one}/heard")))), vec![Answer::Done]).await;
    assert_eq!((reply.status, &heard[0].1), (204, &Command::HearMessage { number: "201".into(), recording: id }));
    let (reply, heard) = site.served(empty(as_ann(Request::delete(&one))), vec![Answer::Done]).await;
    assert_eq!((reply.status, &heard[0].1), (204, &Command::DeleteMessage { number: "201".into(), recording: id }));
    site.send(empty(as_ann(Request::delete("/api/v1/voicemail/201/none")))).await.problem(404);
    let refused = vec![Answer::Refused(Refusal::NoMailbox("999".into()))];
    site.served(empty(as_ann(Request::get("/api/v1/voicemail/999"))), refused).await.0.problem(404);
    site.send(empty(as_ann(Request::get("/api/v1/recordings?kind=song")))).await.problem(400);
    let put = |body: &'static str| as_ann(Request::put("/api/v1/voicemail/201/greeting")).body(Body::from(body)).unwrap();
    let there = || Answer::Greeting(GreetingView { recording: None });
    let (reply, heard) = site.served(put("RIFF"), vec![there(), Answer::Done]).await;
    let set = Command::SetGreeting { number: "201".into(), recording: RecordingId::from_parts(9, 9) };
    assert_eq!((reply.status, &heard[1].1), (204, &set));
    site.served(put("text"), vec![there()]).await.0.problem(422);
    let none = || Answer::Refused(Refusal::NoMailbox("201".into()));
    site.served(put("RIFF"), vec![none()]).await.0.problem(404);
    let large = as_ann(Request::put("/api/v1/voicemail/201/greeting")).body(Body::from(vec![0; 5 << 20])).unwrap();
    site.served(large, vec![there()]).await.0.problem(413);
    let dropped = empty(as_ann(Request::delete("/api/v1/voicemail/201/greeting")));
    assert_eq!(site.served(dropped, vec![Answer::Done]).await.0.status, 204);
    let locked = "trunk:carrier/+4930123456".to_owned();
    let lock = MailboxLockView { locked: locked.clone(), failures: 9, since: "a".into(), until: "b".into() };
    let locks = empty(as_ann(Request::get("/api/v1/mailbox-locks")));
    let (reply, _) = site.served(locks, vec![Answer::MailboxLocks(vec![lock])]).await;
    assert_eq!(reply.json()["items"][0]["failures"], 9);
    let lift = empty(as_ann(Request::delete(format!("/api/v1/mailbox-locks/{locked}"))));
    let (reply, heard) = site.served(lift, vec![Answer::Refused(Refusal::NotLocked(locked.clone()))]).await;
    assert_eq!(heard[0].1, Command::LiftMailboxLock { locked });
    reply.problem(404);
}

#[tokio::test]
async fn the_cores_refusals_have_their_status() {
    let mut site = Site::new();
    let id = ConversationId::from_parts(5, 5);
    for (refusal, status) in [
        (Refusal::NoConversation(id), 404),
        (Refusal::NoPhone("201".into()), 409),
        (Refusal::NotDiallable("9".into()), 422),
        (Refusal::UnknownPhone("9".into()), 404),
        (Refusal::BadValue("5 to 60"), 422),
        (Refusal::NotPermitted("phone:201".into(), crate::route::class::Denied::Prefix), 403),
        (Refusal::WrongState("not bridged"), 409),
        (Refusal::Stopping, 503),
        (Refusal::NoPort, 503),
    ] {
        let request = empty(as_ann(Request::post(format!("/api/v1/conversations/{id}/hangup"))));
        let text = refusal.to_string();
        let (reply, _) = site.served(request, vec![Answer::Refused(refusal)]).await;
        assert_eq!(reply.problem(status), text);
    }
    let (reply, _) = site.served(empty(as_ann(Request::get("/api/v1/agents"))), vec![Answer::Done]).await;
    reply.problem(500);
    site.asked.close();
    site.get("/api/v1/agents").await.problem(503);
}

#[tokio::test]
async fn a_core_that_stands_still_is_asked_only_so_much() {
    let site = Site::new();
    let (core, _kept) = Core::channel();
    let waiting = core.clone();
    let questions = (0..MOST_ASKED).map(|_| waiting.ask("ann", Command::Agents));
    let all = futures_util::future::join_all(questions);
    tokio::select! {
        biased;
        _ = all => panic!("nobody answers"),
        refused = core.ask("ann", Command::Agents) => assert_eq!(refused.unwrap_err().status, 503),
    }
    drop(site);
}

fn olena() -> AgentView {
    AgentView {
        staff_number: "1024".into(),
        name: "Olena".into(),
        phone: "201".into(),
        phones: vec!["201".into()],
        team: Some("north".into()),
        state: "paused".into(),
        reason: Some("lunch".into()),
        since: None,
        until: None,
        queues: vec!["support".into()],
        put_into: None,
        conversation: None,
        owes: vec![],
    }
}

#[tokio::test]
async fn an_agents_wish_is_set_and_the_new_state_comes_back() {
    let mut site = Site::new();
    let view = olena();
    let set = |body: Value| as_ann(posted("/api/v1/agents/1024/state")).body(Body::from(body.to_string())).unwrap();
    let request = set(json!({"state": "paused", "reason": "lunch"}));
    let (reply, heard) = site.served(request, vec![Answer::Done, Answer::Agents(vec![view.clone()])]).await;
    assert_eq!((reply.status, reply.json()["state"].as_str()), (200, Some("paused")));
    let state = crate::switch::command::WantedState::Paused;
    assert_eq!(heard[0].1, Command::SetAgent { agent: "1024".into(), state, reason: Some("lunch".into()) });
    for bad in
        [json!({"state": "talking"}), json!({"state": "ready", "reason": "x"}), json!({"state": "paused", "reason": "a\nb"})]
    {
        site.send(set(bad)).await.problem(422);
    }
    let (reply, _) = site.served(set(json!({"state": "ready"})), vec![Answer::Refused(Refusal::NoAgent("1024".into()))]).await;
    reply.problem(404);
    let (reply, _) = site.served(empty(as_ann(Request::get("/api/v1/agents"))), vec![Answer::Agents(vec![view])]).await;
    assert_eq!((reply.json()["items"][0]["staff_number"].as_str(), &reply.json()["next"]), (Some("1024"), &Value::Null));
}

#[tokio::test]
async fn registrations_and_queues_are_lists() {
    let mut site = Site::new();
    let row = RegistrationView {
        number: "201".into(),
        contact: "sip:201@192.0.2.7".into(),
        transport: "udp".into(),
        user_agent: None,
        source: "192.0.2.7:5060".into(),
        instance: Some("<urn:uuid:1>".into()),
        reg_id: Some(1),
        expires_at: "2026-11-22T09:00:00.000Z".into(),
    };
    let request = empty(as_ann(Request::get("/api/v1/registrations")));
    let (reply, _) = site.served(request, vec![Answer::Registrations(vec![row])]).await;
    assert_eq!(reply.json()["items"][0]["number"], "201");
    let (reply, _) = site.served(empty(as_ann(Request::get("/api/v1/queues"))), vec![Answer::Queues(vec![])]).await;
    assert_eq!(reply.json(), json!({"items": [], "next": null}));
}

#[tokio::test]
async fn readiness_tells_degraded_from_draining() {
    let mut degraded = Status::default();
    degraded.degraded.insert("recording".into(), "no space left".into());
    let draining = Status { draining: true, ..Status::default() };
    for (status, code, word) in [(Status::default(), 200, "ready"), (degraded, 200, "degraded"), (draining, 503, "draining")] {
        let mut site = Site::new();
        let (reply, _) = site.served(empty(Request::get("/readyz")), vec![Answer::Status(Box::new(status))]).await;
        assert_eq!((reply.status, reply.json()["status"].as_str()), (code, Some(word)));
    }
}

#[tokio::test]
async fn the_core_is_asked_once_for_many_who_want_its_health() {
    let mut site = Site::new();
    let router = site.router.clone();
    let many = (0..50).map(|n| router.clone().oneshot(empty(Request::get(if n % 2 == 0 { "/metrics" } else { "/readyz" }))));
    let core = async {
        let asked = site.asked.recv().await.unwrap();
        let _ = asked.reply.send(Answer::Status(Box::default()));
    };
    let (replies, ()) = tokio::join!(futures_util::future::join_all(many), core);
    assert!(replies.into_iter().all(|r| r.unwrap().status() == StatusCode::OK));
    assert!(site.asked.try_recv().is_err());
    let text = site.send(empty(Request::get("/metrics"))).await.body;
    assert!(String::from_utf8(text).unwrap().contains("cordboard_conversations 0\n"));
}

#[tokio::test]
async fn a_conversation_that_has_just_begun_is_waited_for() {
    let site = Site::new();
    let now = System::start().now().wall;
    // Of an hour ahead, so that a slow machine does not make it old.
    let id = ConversationId::from_parts(now.as_millis() as u64 + 3_600_000, 7);
    let path = format!("/api/v1/conversations/{id}");
    let show = site.get(&path);
    let log = async {
        let folder = TempDir::new().unwrap();
        let options = LogOptions { reserve_bytes: 0, ..LogOptions::default() };
        let log = Log::open(folder.path(), options, Arc::new(RealDisk), System::start(), Arc::new(|_, _| {})).unwrap();
        let started = crate::event::CallStarted {
            direction: Direction::Inbound,
            leg: crate::ids::LegId(1),
            trunk: Some("carrier".into()),
            phone: None,
            customer_number: "+4930123".into(),
            called: "+49305550".into(),
            customer_e164: Some("+4930123".into()),
            called_e164: Some("+49305550".into()),
        };
        let kind = crate::event::Kind::CallStarted(started);
        log.append([crate::event::Event { at: now, conversation: Some(id), kind }]);
        assert!(log.wait_past(0, std::time::Duration::from_secs(20)));
        site.conversations.catch_up(&log).unwrap();
        log.close();
    };
    let (reply, ()) = tokio::join!(show, log);
    assert_eq!((reply.status, reply.json()["trunk"].as_str()), (200, Some("carrier")));
    let live = site.get("/api/v1/conversations?state=live").await;
    assert_eq!(live.json()["items"][0]["id"], id.to_string());
    assert_eq!(live.json()["items"][0]["customer_e164"], "+4930123");
    for (number, count) in [("%2B4930123", 1), ("0123", 1), ("99", 0), ("", 1)] {
        let found = site.get(&format!("/api/v1/conversations?number={number}")).await.json();
        assert_eq!((found["items"].as_array().unwrap().len(), &found["next"]), (count, &json!(null)), "{number}");
    }
}

#[tokio::test]
async fn recordings_are_found_by_filters_and_paged() {
    let site = Site::new();
    let ids: Vec<RecordingId> = (1..=5).map(|n| site.recording(n, b"RIFF")).collect();
    let found = |reply: &Reply| -> Vec<String> {
        reply.json()["items"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect()
    };
    let newest_first: Vec<String> = ids.iter().rev().map(ToString::to_string).collect();
    assert_eq!(found(&site.get("/api/v1/recordings").await), newest_first);
    let first = site.get("/api/v1/recordings?limit=2").await;
    let cursor = first.json()["next"].as_str().unwrap().to_owned();
    let second = site.get(&format!("/api/v1/recordings?limit=3&cursor={cursor}")).await;
    assert_eq!([found(&first), found(&second)].concat(), newest_first);
    assert_eq!(second.json()["next"], Value::Null);
    for (query, count) in [
        ("direction=inbound", 3),
        ("number=%2B493055503", 1),
        ("agent=1024&queue=support&min_s=4", 2),
        ("agent=9", 0),
        ("max_s=1", 1),
        ("from=2026-11-22T09:00:00.003Z", 3),
        ("to=2026-11-22T10:00:00.003%2B01:00", 2),
        ("to=2026-11-22T10:00:00.003+01:00", 2),
    ] {
        assert_eq!(found(&site.get(&format!("/api/v1/recordings?{query}")).await).len(), count, "{query}");
    }
    for bad in ["direction=up", "from=yesterday", "cursor=x", "limit=0", "limit=1001", "min_s=-1"] {
        site.get(&format!("/api/v1/recordings?{bad}")).await.problem(400);
    }
    assert_eq!(site.get(&format!("/api/v1/recordings/{}", ids[2])).await.json()["duration_ms"], 3_000);
}

#[tokio::test]
async fn audio_comes_whole_or_in_ranges() {
    let site = Site::new();
    let wav: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let path = format!("/api/v1/recordings/{}/audio", site.recording(1, &wav));
    let whole = site.get(&path).await;
    assert_eq!((whole.status, whole.body == wav), (200, true));
    assert_eq!(whole.headers[header::CONTENT_TYPE], "audio/wav");
    assert_eq!(whole.headers[header::ACCEPT_RANGES], "bytes");
    let ranged = async |range: &str, if_range: Option<&str>| {
        let mut request = as_ann(Request::get(&path)).header("range", range);
        if let Some(tag) = if_range {
            request = request.header("if-range", tag);
        }
        site.send(empty(request)).await
    };
    let part = ranged("bytes=65530-131080", None).await;
    assert_eq!((part.status, part.body == wav[65_530..=131_080]), (206, true));
    assert_eq!(part.headers[header::CONTENT_RANGE], "bytes 65530-131080/200000");
    assert_eq!(part.headers[header::CONTENT_LENGTH], "65551");
    assert_eq!(ranged("bytes=-5", None).await.body, wav[199_995..]);
    let beyond = ranged("bytes=200000-", None).await;
    beyond.problem(416);
    assert_eq!(beyond.headers[header::CONTENT_RANGE], "bytes */200000");
    let tag = whole.headers[header::ETAG].to_str().unwrap().to_owned();
    assert_eq!(ranged("bytes=0-1", Some(&tag)).await.status, 206);
    assert_eq!(ranged("bytes=0-1", Some("\"other\"")).await.status, 200, "another file than the one that was begun");
    let head = site.send(empty(as_ann(Request::head(&path)))).await;
    assert_eq!((head.status, head.body.len(), &head.headers[header::CONTENT_LENGTH]), (200, 0, &"200000".parse().unwrap()));
    std::fs::remove_file(Folder::new(site.folder.path()).audio(RecordingId::from_parts(1_795_338_000_001, 0))).unwrap();
    site.get(&path).await.problem(404);
}

#[tokio::test]
async fn conversations_are_listed_and_shown() {
    let site = Site::new();
    assert_eq!(site.get("/api/v1/conversations?state=live").await.json(), json!({"items": [], "next": null}));
    site.get("/api/v1/conversations?state=dead").await.problem(400);
    site.get(&format!("/api/v1/conversations/{}", ConversationId::from_parts(1, 1))).await.problem(404);
}

#[tokio::test]
async fn the_description_names_every_path_and_every_event() {
    let site = Site::new();
    let reply = site.send(empty(Request::get("/api/v1/openapi.json"))).await;
    assert_eq!(reply.status, StatusCode::OK.as_u16());
    let document = reply.json();
    assert_eq!(document["openapi"], "3.1.0");
    let of_greeting = &document["paths"]["/api/v1/voicemail/{number}/greeting"]["put"]["responses"];
    assert!(
        ["204", "404", "408", "413", "422", "500", "503"].iter().all(|status| of_greeting[status].is_object()),
        "{of_greeting}"
    );
    for (path, method) in [
        ("/healthz", "get"),
        ("/readyz", "get"),
        ("/metrics", "get"),
        ("/api/v1/login", "post"),
        ("/api/v1/logout", "post"),
        ("/api/v1/registrations", "get"),
        ("/api/v1/conversations", "get"),
        ("/api/v1/conversations", "post"),
        ("/api/v1/conversations/{id}", "get"),
        ("/api/v1/conversations/{id}/hangup", "post"),
        ("/api/v1/conversations/{id}/hold", "post"),
        ("/api/v1/conversations/{id}/resume", "post"),
        ("/api/v1/conversations/{id}/transfer", "post"),
        ("/api/v1/agents", "get"),
        ("/api/v1/agents/{staff_number}/state", "post"),
        ("/api/v1/queues", "get"),
        ("/api/v1/recordings", "get"),
        ("/api/v1/recordings/{id}", "get"),
        ("/api/v1/recordings/{id}/audio", "get"),
        ("/api/v1/events", "get"),
        ("/api/v1/events/ws", "get"),
    ] {
        assert!(document["paths"][path][method].is_object(), "{method} {path}");
    }
    let text = document.to_string();
    for name in ["call.started", "queue.unanswered", "recording.repaired", "log.lost"] {
        assert!(text.contains(name), "{name}");
    }
    // Every reference leads somewhere.
    for reference in text.split("\"#/components/schemas/").skip(1).filter_map(|r| r.split('"').next()) {
        assert!(document["components"]["schemas"][reference].is_object(), "{reference} is not described");
    }
}

#[tokio::test]
async fn bans_are_listed_and_lifted_in_the_name_of_who_lifts_them() {
    let mut site = Site::new();
    let ban = crate::switch::command::BanView {
        address: "192.0.2.66".into(),
        since: "2026-11-22T09:00:00.000Z".into(),
        until: "2026-11-22T09:10:00.000Z".into(),
        udp_only: true,
    };
    let (reply, heard) = site.served(empty(as_ann(Request::get("/api/v1/bans"))), vec![Answer::Bans(vec![ban.clone()])]).await;
    assert_eq!(reply.json(), json!({"items": [ban], "next": null}));
    assert_eq!(heard, [("ann".to_owned(), Command::Bans)]);
    let lift = || empty(as_ann(Request::delete("/api/v1/bans/192.0.2.66")));
    let address = "192.0.2.66".parse().unwrap();
    let (reply, heard) = site.served(lift(), vec![Answer::Done]).await;
    assert_eq!((reply.status, heard), (204, vec![("ann".to_owned(), Command::LiftBan { address })]));
    let (reply, _) = site.served(lift(), vec![Answer::Refused(Refusal::NotBanned(address))]).await;
    assert_eq!(reply.problem(404), "192.0.2.66 is not banned");
    site.send(empty(as_ann(Request::delete("/api/v1/bans/everybody")))).await.problem(404);
    site.send(empty(Request::delete("/api/v1/bans/192.0.2.66"))).await.problem(401);
    // What the transports count is among the metrics.
    let (reply, _) = site.served(empty(Request::get("/metrics")), vec![Answer::Status(Box::default())]).await;
    let text = String::from_utf8(reply.body).unwrap();
    assert!(
        text.contains("cordboard_transport_shed_total 7\n") && text.contains("cordboard_core_queue_delay_microseconds 3000\n")
    );
}
