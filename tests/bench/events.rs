//! What readers of events and of the wallboard cost over loopback, and that neither misses anything: `what<TAB>figure<TAB>measured<TAB>goal<TAB>unit`
//! lines for `scripts/bench`. With `events` or `wallboard` behind it, that part alone.
//!
//! The server is what the switch has (log, events' routes, the API's), on threads named `http`, whose CPU the system counts; the readers are
//! on threads of their own. The core is a list of answers.

#![allow(clippy::disallowed_methods, reason = "a bench has its own threads and pace")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use cordboard::api::{self, Asked, Core, Hooks, Measured, NotImported, NotResumed};
use cordboard::clock::{System, Wall};
use cordboard::config::{Config, Secret, Source};
use cordboard::event::{AgentState, By, CallEnded, CallStarted, Direction, Event, Kind, LogLost, QueueAnswered, QueueEntered};
use cordboard::events;
use cordboard::ids::{ConversationId, LegId};
use cordboard::route::Cause;
use cordboard::store::Contacts;
use cordboard::store::conversations::Conversations;
use cordboard::store::database::{Database, SledDatabase};
use cordboard::store::disk::RealDisk;
use cordboard::store::figures::Figures;
use cordboard::store::ladders::{Bounds, Ladders};
use cordboard::store::log::{Log, LogOptions};
use cordboard::store::recordings::{Folder, Recordings};
use cordboard::switch::command::{AgentView, QueueView};
use cordboard::switch::{Answer, Command};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

const A_SECOND: u64 = 2_000;
const SECONDS: u64 = 60;
const READERS: usize = 50;
/// One of them comes again after so long.
const STAYS: Duration = Duration::from_secs(5);
const BEAT: Duration = Duration::from_millis(20);

const AGENTS: usize = 100;
const QUEUES: usize = 8;
const LOOKERS: usize = 10;
const LOOKS: Duration = Duration::from_secs(20);
const WALLBOARD_SHARE: f64 = 2.0;
const TOKEN: &str = "token-of-the-bench-0123456789";

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|one| one == part);
    if is_wanted("events") {
        events(SECONDS);
    }
    if is_wanted("wallboard") {
        wallboard(LOOKS);
    }
}

fn runtime(name: &str) -> Runtime {
    Builder::new_multi_thread().worker_threads(2).thread_name(name).enable_all().build().expect("a runtime")
}

fn serve(server: &Runtime, routes: Router) -> SocketAddr {
    let listener = server.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("an address");
    server.spawn(axum::serve(listener, routes.into_make_service_with_connect_info::<SocketAddr>()).into_future());
    address
}

/// CPU that the threads of this name have had, as the scheduler counts it.
fn cpu_of(name: &str) -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").expect("/proc").flatten().map(|thread| thread.path());
    let of_name = threads.filter(|path| std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == name));
    let spent = of_name.filter_map(|path| {
        let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(spent.sum())
}

fn log(folder: &tempfile::TempDir, clock: System) -> Log {
    Log::open(&folder.path().join("events"), LogOptions::default(), Arc::new(RealDisk), clock, Arc::new(|_, _| {}))
        .expect("a log")
}

/// What a reader has seen.
#[derive(Default)]
struct Seen {
    last: u64,
    /// Numbers that did not follow on the one before.
    wrong: u64,
    connections: u64,
    /// From the event to here, of each hundredth.
    delays: Vec<Duration>,
}

/// HTTP/1.0, so that the stream comes as it is, without chunks.
async fn connect(address: SocketAddr, path: &str, last: u64) -> Option<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\nLast-Event-ID: {last}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    Some(BufReader::new(stream))
}

/// Until `end` was seen; cut or gone after `stays`, it comes again with the last number that it saw.
async fn read(address: SocketAddr, end: u64, stays: Option<Duration>, clock: System) -> Seen {
    let mut seen = Seen::default();
    while seen.last < end {
        let Some(stream) = connect(address, "/api/v1/events", seen.last).await else { continue };
        seen.connections += 1;
        let mut lines = stream.lines();
        let until = stays.map(|stays| clock.mono() + stays);
        while seen.last < end && until.is_none_or(|until| clock.mono() < until) {
            let Ok(Some(line)) = lines.next_line().await else { break };
            if let Some(number) = line.strip_prefix("id:").and_then(|number| number.trim().parse::<u64>().ok()) {
                seen.wrong += u64::from(number != seen.last + 1);
                seen.last = number;
            } else if seen.last.is_multiple_of(100)
                && let Some((_, rest)) = line.split_once("\"time\":\"")
                && let Some(at) = rest.split('"').next().and_then(Wall::parse_rfc3339)
            {
                seen.delays.push(clock.now().wall.since(at));
            }
        }
    }
    seen
}

fn events(seconds: u64) {
    let folder = tempfile::TempDir::new().expect("a folder");
    let clock = System::start();
    let log = log(&folder, clock);
    let (server, readers) = (runtime("http"), runtime("reader"));
    let (stop, stopped) = watch::channel(false);
    let address = serve(&server, events::router(log.clone(), "bench.example", stopped));
    let end = seconds * A_SECOND;
    let one = |nth: usize| readers.spawn(read(address, end, (nth == 0).then_some(STAYS), clock));
    let reading: Vec<_> = (0..READERS - 1).map(one).collect();
    // The fiftieth never reads.
    let stalled = readers.block_on(connect(address, "/api/v1/events", 0)).expect("a connection");

    let (before, began) = (cpu_of("http"), clock.mono());
    let (mut written, mut most_waiting) = (0, 0);
    while written < end {
        let due = (clock.mono().since(began).as_micros() as u64 * A_SECOND / 1_000_000).min(end);
        let at = clock.now().wall;
        let leg = |n: u64| Kind::LogLost(LogLost { events: n });
        log.append((written..due).map(|n| Event { at, conversation: None, kind: leg(n) }));
        written = due;
        most_waiting = most_waiting.max(log.waiting());
        thread::sleep(BEAT);
    }
    let took = clock.mono().since(began);
    let seen: Vec<Seen> = reading.into_iter().map(|one| readers.block_on(one).expect("a reader")).collect();
    let cpu = cpu_of("http") - before;
    let wrong: u64 = seen.iter().map(|seen| seen.wrong).sum();
    let mut delays: Vec<Duration> = seen.iter().flat_map(|seen| seen.delays.iter().copied()).collect();
    delays.sort_unstable();
    let quantile = |share: usize| delays.get(delays.len() * share / 100).map_or(0.0, |delay| delay.as_secs_f64() * 1e3);
    let connections: u64 = seen.iter().map(|seen| seen.connections).sum();
    println!(
        "events: {A_SECOND}/s to {READERS} readers\t{wrong} gaps and repeats in {end} events, {connections} connections\t{wrong}\t0\t"
    );
    println!("events: from the event to its reader\tp50 {:.1} ms, p99 {:.1} ms", quantile(50), quantile(99));
    println!("events: threads of HTTP\t{:.1} % of a core", 100.0 * cpu.as_secs_f64() / took.as_secs_f64());
    println!("events: the log\tat most {most_waiting} waited for the disk");
    drop(stalled);
    stop.send_replace(true);
    log.close();
    readers.shutdown_background();
    server.shutdown_background();
}

fn agent(n: usize) -> String {
    (1_000 + n).to_string()
}

fn queue(n: usize) -> String {
    format!("queue-{}", n % QUEUES)
}

/// Eight hours of all agents, a call each five minutes.
fn day(until: Wall) -> Vec<Event> {
    let mut all = Vec::new();
    for call in 0..96_u64 {
        let began = until - Duration::from_secs(300 * (96 - call));
        for n in 0..AGENTS {
            let id = Some(ConversationId::from_parts(call * 1_000 + n as u64 + 1, 1));
            let event = |seconds: u64, conversation, kind| Event { at: began + Duration::from_secs(seconds), conversation, kind };
            let state = |kind: fn(AgentState) -> Kind| {
                kind(AgentState {
                    agent: agent(n).as_str().into(),
                    phone: "201".into(),
                    phones: vec!["201".into()],
                    team: None,
                    by: None,
                    reason: None,
                    until: None,
                    queue: None,
                    conversation: None,
                    owes: false,
                })
            };
            let started = CallStarted {
                direction: Direction::Inbound,
                leg: LegId(1),
                trunk: Some("carrier".into()),
                phone: None,
                customer_number: "1".into(),
                called: "2".into(),
                customer_e164: None,
                called_e164: None,
            };
            let name = queue(n);
            let (of, by) = (name.as_str(), agent(n));
            let answered = QueueAnswered {
                queue: of.into(),
                agent: by.as_str().into(),
                waited_ms: 4_000,
                rang_ms: 2_000,
                threshold_ms: Some(20_000),
                callback: None,
            };
            let ended = CallEnded {
                cause: Cause::Normal,
                status: None,
                by: By::Customer,
                answered_ms: None,
                talk_ms: 0,
                legs: Vec::new(),
            };
            all.extend([
                event(0, id, Kind::CallStarted(started)),
                event(1, id, Kind::QueueEntered(QueueEntered { queue: of.into(), position: 1, waited_before_ms: 0 })),
                event(5, id, Kind::QueueAnswered(answered)),
                event(5, None, state(Kind::AgentTalking)),
                event(200, id, Kind::CallEnded(ended)),
                event(200, None, state(Kind::AgentWrapup)),
                event(230, None, state(Kind::AgentReady)),
            ]);
        }
    }
    all
}

/// As a core of this size answers.
async fn answer(mut asked: tokio::sync::mpsc::Receiver<Asked>) {
    let agents = (0..AGENTS).map(|n| AgentView {
        staff_number: agent(n),
        name: format!("Agent {n}"),
        phone: n.to_string(),
        phones: vec![n.to_string()],
        team: Some("north".to_owned()),
        state: "talking".to_owned(),
        reason: None,
        since: Some("2026-11-23T09:00:00.000Z".to_owned()),
        until: None,
        queues: vec![queue(n)],
        put_into: None,
        conversation: Some(ConversationId::from_parts(1, 1).to_string()),
        owes: Vec::new(),
    });
    let queues = (0..QUEUES).map(|n| QueueView {
        name: queue(n).as_str().into(),
        strategy: "longest_idle".to_owned(),
        waiting: 3,
        longest_wait_ms: 10_000,
        callbacks: 2,
        agents: [("talking".to_owned(), 12)].into(),
        offered: 1_000,
        answered: 990,
        abandoned: 10,
        service_level: Some(0.9),
        service_level_formula: String::new(),
        announcement: None,
    });
    let (agents, queues): (Vec<_>, Vec<_>) = (agents.collect(), queues.collect());
    while let Some(Asked { command, reply, .. }) = asked.recv().await {
        let answer = match command {
            Command::Agents => Answer::Agents(agents.clone()),
            Command::Queues => Answer::Queues(queues.clone()),
            _ => Answer::Done,
        };
        let _ = reply.send(answer);
    }
}

fn wallboard(looks: Duration) {
    let folder = tempfile::TempDir::new().expect("a folder");
    let clock = System::start();
    let log = log(&folder, clock);
    let database: Arc<dyn Database> =
        Arc::new(SledDatabase::open(&folder.path().join("index"), clock).expect("an index").database);
    let figures = Figures::open(database.clone()).expect("figures");
    let day = day(clock.now().wall);
    let last = day.len() as u64;
    for part in day.chunks(1_000) {
        log.append(part.to_vec());
    }
    while !log.wait_past(last - 1, Duration::from_secs(1)) {}
    figures.catch_up(&log).expect("a day");

    let text = "[site]\nname = \"Bench\"\ndomain = \"bench.example\"\ntime_zone = \"Europe/Berlin\"\ncountry = \"DE\"\n\
                [recording]\nfolder = \"recordings\"\n";
    let config = Config::resolve(&Source::of(text)).unwrap_or_else(|_| panic!("the bench's configuration"));
    let (core, asked) = Core::channel();
    let (_config, configs) = watch::channel(Arc::new(config));
    let (stop, stopped) = watch::channel(false);
    let parts = api::Parts {
        core,
        config: configs,
        admin_token: Some(Secret::new(TOKEN)),
        clock,
        log: log.clone(),
        recordings: Recordings::new(database.clone()),
        conversations: Conversations::open(database.clone()).expect("rows"),
        ladders: Ladders::new(database.clone(), clock, Bounds::NONE),
        history: figures,
        stop: stopped,
        figures: Arc::new(Measured::default),
        folder: Folder::new(folder.path()),
        import: Arc::new(|_, _| Err(NotImported::Unplayable("no WAV".into()))),
        hooks: Hooks { list: Arc::new(Vec::new), resume: Arc::new(|_, _, _| Box::pin(async { Err(NotResumed::Unknown) })) },
        contacts: Contacts::open(database).expect("contacts"),
    };
    let (server, readers) = (runtime("http"), runtime("reader"));
    readers.spawn(answer(asked));
    let address = serve(&server, api::router(parts, Router::new(), Router::new()));
    let look = move || async move {
        let mut lines = connect(address, "/api/v1/wallboard/stream", 0).await.expect("a connection").lines();
        let (until, mut boards) = (clock.mono() + looks, 0_u64);
        while clock.mono() < until
            && let Ok(Some(line)) = lines.next_line().await
        {
            boards += u64::from(line.starts_with("data:"));
        }
        boards
    };
    let (before, began) = (cpu_of("http"), clock.mono());
    let looking: Vec<_> = (0..LOOKERS).map(|_| readers.spawn(look())).collect();
    let boards: u64 = looking.into_iter().map(|one| readers.block_on(one).expect("a looker")).sum();
    let share = 100.0 * (cpu_of("http") - before).as_secs_f64() / clock.mono().since(began).as_secs_f64();
    println!(
        "wallboard: {AGENTS} agents, {LOOKERS} look\t{share:.2} % of a core, {boards} boards\t{share:.2}\t{WALLBOARD_SHARE}\t %"
    );
    stop.send_replace(true);
    log.close();
    readers.shutdown_background();
    server.shutdown_background();
}
