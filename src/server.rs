//! Builds the parts and joins them: which queue leads where, who holds what, and the order in which all of it ends.
//!
//! ```text
//! transport ─┐                    ┌─> transport, media workers, recorder
//! media     ─┤  inputs (bounded)  ├─> event log ─> events, conversations
//! recorder  ─┼───────────────────>│core├─> keeper (bindings, wishes)
//! signals   ─┤                    └─> journal
//! API       ─┘  asked (bounded), answered by ticket
//! ```
//!
//! The end, in order: the core is told to drain, then to halt; transports send what is left and close; HTTP ends; the recorder makes its
//! files durable; the log and the index are closed.

mod backlog;
mod driver;
mod hooks;
mod http;
mod kept;
pub mod lines;
#[allow(unsafe_code, reason = "a call of the allocator that no crate offers")]
mod memory;
mod startup;
mod story;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use crate::chance::Chance;
use crate::clock::{Mono, System};
use crate::config::{Config, Secret, Source};
use crate::event::Direction;
use crate::http_client::Connections;
use crate::lookup::Lookups;
use crate::mail::Mailer;
use crate::media::{ClipName, Clips, Frame, Lease, Report};
use crate::media_engine::{Outlets, sounds};
use crate::recorder::import::import;
use crate::recorder::{self, Recorder, Tap, repair};
use crate::store::disk::{Disk, RealDisk};
use crate::store::{Health, LogOptions, Store, StoreError};
use crate::switch::Input;
use crate::switch::output::About;
use crate::transport::tls::{Tls, TlsError};
use crate::webhook::Webhooks;
use crate::{api, console, events, media_engine, transport};

use driver::{Driver, Order};

/// Inputs that wait for the core. It takes some 100,000 a second; a full queue means that it stands still, and transports shed new calls
/// long before (they see how full it is).
const INPUTS: usize = 8_192;

/// Keys that were pressed while the core's queue was full: who presses more than that has given up.
const HELD_DIGITS: usize = 1_024;

/// In seconds. Nobody listens to a longer one.
const LONGEST_GREETING: u32 = 60;

/// How the switch came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Asked,
    /// Two faults of the core within a minute: whoever started the process is to start it again.
    Faulty,
}

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    #[error("recordings can't be repaired: {0}")]
    Repair(#[from] repair::RepairError),
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Bind(#[from] transport::BindError),
    #[error(transparent)]
    Media(#[from] media_engine::StartError),
    #[error("cannot listen for HTTP on {address}: {error}")]
    Http { address: SocketAddr, error: io::Error },
    #[error("a part cannot be started: {0}")]
    Start(#[from] io::Error),
    #[error("the configuration has {0} faults")]
    Configuration(usize),
}

/// Everything that the process needs to know of where its configuration came from.
pub(crate) struct Place {
    pub config_file: PathBuf,
}

/// Media workers' and recorder's way to the core. Nothing here waits.
#[derive(Clone)]
struct ToCore {
    inputs: mpsc::Sender<Input>,
    /// What the core must hear and had no room for: ports that else are never used again, legs that else never end, keys that a caller
    /// pressed. Bounded by how many ports there are, and by [`HELD_DIGITS`].
    held: Arc<Mutex<VecDeque<Input>>>,
    tap: Tap,
    health: Health,
}

impl ToCore {
    fn offer(&self, input: Option<Input>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.extend(input);
        while let Some(next) = held.pop_front() {
            if let Err(TrySendError::Full(next) | TrySendError::Closed(next)) = self.inputs.try_send(next) {
                held.push_front(next);
                return;
            }
        }
    }
}

impl Outlets for ToCore {
    fn report(&self, report: Report) {
        let must_arrive = match &report {
            Report::Dead { .. }
            | Report::Broken { .. }
            | Report::Closed { .. }
            | Report::PlayEnded { .. }
            | Report::ClipMissing { .. }
            | Report::Silence { .. } => true,
            Report::Digit { .. } => self.held.lock().unwrap_or_else(PoisonError::into_inner).len() < HELD_DIGITS,
            // Told again, or of no use later.
            Report::Missing { .. }
            | Report::Present { .. }
            | Report::Degraded { .. }
            | Report::Recovered { .. }
            | Report::Latched { .. }
            | Report::TapOverflow { .. } => false,
        };
        if must_arrive {
            self.offer(Some(Input::Media(report)));
        } else if self.inputs.try_send(Input::Media(report)).is_err() {
            tracing::warn!("the core does not keep up: a report of a media worker is lost");
        }
    }

    fn leases(&self, leases: Vec<Lease>) {
        self.offer(Some(Input::Ports(leases)));
    }

    fn again(&self) {
        self.offer(None);
    }

    fn trouble(&self, reason: Option<&str>) {
        (self.health)("media", reason);
    }

    fn tap(&self, frame: Frame) -> bool {
        // The recorder counts what it has no room for, by recording and in all; a second count would tell each gap twice.
        self.tap.offer(frame);
        true
    }

    fn read_until(&self, worker: u8, until: Option<Mono>) {
        self.tap.read_until(worker, until);
    }
}

/// HTTP, to be ended.
pub(crate) struct Served {
    /// Readers of events end by it.
    stop: watch::Sender<bool>,
    listeners: Vec<tokio::task::JoinHandle<()>>,
}

impl Served {
    fn end(self) {
        let _ = self.stop.send(true);
        for listener in self.listeners {
            listener.abort();
        }
    }
}

/// Runs the switch until it is told to stop: HTTP on `web`, the rest on the runtime that this is awaited on.
pub async fn run(source: Source, config_file: PathBuf, web: &tokio::runtime::Handle) -> Result<Ended, ServerError> {
    let config = Config::resolve(&source).map_err(|problems| ServerError::Configuration(problems.len()))?;
    let clock = System::start();
    let (inputs, waiting) = mpsc::channel(INPUTS);
    let health = health_to(inputs.clone());
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);

    let store = Store::open(&config.recording.folder, LogOptions::default(), disk.clone(), clock, health.clone())?;
    store.ladders.set_bounds((&config.sip).into());
    let repaired = repair::repair(&store, &*disk, clock.now().wall)?;
    let recovered = store.recovered(repaired)?;
    startup::tell_recovered(&recovered);

    let reports = {
        let inputs = inputs.clone();
        // From the recorder's own threads, which may wait.
        Arc::new(move |report| drop(inputs.blocking_send(Input::Recorder(report))))
    };
    let recorder = Recorder::start(&store, disk.clone(), clock, reports, health.clone())?;
    let seed = crate::chance::from_system();
    let outlets = ToCore { inputs: inputs.clone(), held: Arc::default(), tap: recorder.tap(), health: health.clone() };
    let clips = clips(&source, &config, &config_file);
    let media_seed = u64::from_le_bytes([seed[0], seed[1], seed[2], seed[3], seed[4], seed[5], seed[6], seed[7]]).rotate_left(17);
    let country = config.media.tones.unwrap_or(config.site.country);
    let engine = media_engine::start(&config.media, country, &clips, clock, media_seed, &outlets)?;
    outlets.offer(Some(Input::Certificate(engine.fingerprint())));
    let tls = match &config.tls {
        Some(tls) => Some(Tls::load(tls, names(&config, host_name()), web)?),
        None => None,
    };
    let transport = transport::start(&config.sip, tls.as_ref(), inputs.clone()).await?;

    let (current, configs) = watch::channel(Arc::new(config.clone()));
    let connections = Connections::new();
    let say = hooks::say_to(inputs.clone());
    let webhooks = Webhooks::start(&store, current.subscribe(), clock, &connections, say, web).map_err(StoreError::from)?;
    let (core, asked) = api::Core::channel();
    let (orders, ordered) = mpsc::channel(8);
    let (stop, stops) = watch::channel(false);
    let parts = api::Parts {
        core,
        config: configs,
        admin_token: std::env::var("CORDBOARD_ADMIN_TOKEN").ok().filter(|t| !t.is_empty()).map(Secret::new),
        clock,
        log: store.log.clone(),
        recordings: store.recordings.clone(),
        conversations: store.conversations.clone(),
        ladders: store.ladders.clone(),
        history: store.figures.clone(),
        stop: stops.clone(),
        figures: figures(transport.meter(), engine.counters().clone(), recorder.losses(), webhooks.clone()),
        hooks: hooks::for_api(&webhooks),
        contacts: store.contacts.clone(),
        folder: store.folder.clone(),
        import: greetings(&store, disk.clone(), clock, current.subscribe()),
    };
    let guarded = events::router(store.log.clone(), &config.site.domain, stops).merge(startup::reload_route(orders.clone()));
    let open = console::router().merge(transport.websocket(current.subscribe())).merge(events::description());
    let app = api::router(parts, guarded, open);
    let mut http = Vec::new();
    let secure = config.http.secure.zip(tls.clone());
    for (address, tls) in [(config.http.listen, None)].into_iter().chain(secure.map(|(address, tls)| (address, Some(tls)))) {
        http.push(serve_http(web, address, app.clone(), tls).map_err(|error| ServerError::Http { address, error })?);
    }

    #[allow(clippy::disallowed_methods, reason = "the server owns its tasks")]
    let memory = web.spawn(memory::give_back());
    let mailer =
        Mailer::start(&store, current.subscribe(), clock, inputs.clone(), health.clone(), web).map_err(StoreError::from)?;
    let answers = {
        let inputs = inputs.clone();
        // From threads of its own, which may wait.
        Arc::new(move |answered: Input| drop(inputs.blocking_send(answered)))
    };
    let lookups = Lookups::start(&connections, clock, answers)?;
    let signals = heed_signals(orders.clone())?;
    // Last: whoever reads it may stop the switch in the same moment, and is heeded.
    startup::tell_up(&config, transport.addresses());
    let driver = Driver {
        clock,
        waiting,
        asked,
        ordered,
        orders,
        transport,
        tls,
        engine,
        clips,
        kept: Default::default(),
        recorder,
        mailer,
        lookups,
        webhooks,
        store,
        current,
        place: Place { config_file },
        http: Served { stop, listeners: http },
    };
    // As a task, which those of the transports wake without a system call; the future that a runtime blocks on they would not.
    #[allow(clippy::disallowed_methods, reason = "the server owns its tasks")]
    let run = tokio::spawn(driver.run(seed, source, recovered));
    let ended = run.await.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Ended::Faulty,
    });
    signals.abort();
    memory.abort();
    Ok(ended)
}

/// Greetings that somebody has recorded elsewhere.
fn greetings(store: &Store, disk: Arc<dyn Disk>, clock: System, config: watch::Receiver<Arc<Config>>) -> api::Import {
    let (folder, table) = (store.folder.clone(), store.recordings.clone());
    Arc::new(move |mailbox, bytes| {
        let clip = sounds::parse(bytes, LONGEST_GREETING).map_err(|error| api::NotImported::Unplayable(error.into()))?;
        let duration_ms = clip.pcm().len() as u64 / 8;
        let shortest_ms = u64::try_from(config.borrow().voicemail.shortest.as_millis()).unwrap_or(u64::MAX);
        if duration_ms < shortest_ms {
            return Err(api::NotImported::TooShort { duration_ms, shortest_ms });
        }
        let at = clock.now().wall;
        let mut chance = Chance::seeded(crate::chance::from_system());
        let about = About {
            recording: chance.recording(at),
            conversation: chance.conversation(at),
            started_at: at,
            direction: Direction::Internal,
            customer_number: mailbox.to_string(),
            called: mailbox.to_string(),
            customer_e164: None,
            called_e164: None,
            agents: Vec::new(),
            queue: None,
            rule: format!("voicemail:{mailbox}"),
            paused_ms: 0,
            sample_rate: 8_000,
            refused: false,
            supervises: false,
            prompt: false,
            mailbox: Some(mailbox),
            greeting: true,
        };
        let kept = import(&*disk, &folder, &table, &about, clip.pcm());
        kept.map(|_| about.recording).map_err(|error| api::NotImported::Disk(error.into()))
    })
}

fn figures(
    meter: transport::Meter,
    media: Arc<media_engine::Counters>,
    lost: recorder::Losses,
    webhooks: Webhooks,
) -> api::Figures {
    Arc::new(move || {
        let (of_webhooks, webhooks_behind) = hooks::measured(&webhooks);
        api::Measured {
            queue_delay: meter.queue_delay(),
            totals: meter.counters().chain(media.collect()).chain(lost.collect()).chain(of_webhooks).collect(),
            legs_of_workers: media.legs().collect(),
            webhooks_behind,
        }
    })
}

/// Trouble of a part, told by its thread, to the core.
fn health_to(inputs: mpsc::Sender<Input>) -> Health {
    Arc::new(move |part, trouble| {
        let input = Input::Health { part: part.to_owned(), trouble: trouble.map(str::to_owned) };
        if inputs.try_send(input).is_err() {
            tracing::warn!(part, trouble, "the core does not keep up: trouble of a part is not told");
        }
    })
}

/// Sounds as the configuration names them; what cannot be read is told, and silent.
pub(crate) fn clips(source: &Source, config: &Config, config_file: &std::path::Path) -> Clips {
    let folder = config_file.with_file_name("prompts");
    let (clips, errors) = sounds::load(&folder, source.prompts.iter().map(String::as_str), config.media.hold_music.as_deref());
    for error in errors {
        tracing::warn!(%error, "a sound can't be played");
    }
    if let Some(announcement) = &config.recording.announcement {
        let says_it = |prompt: &&String| prompt.split_once('/').is_some_and(|(_, name)| name == announcement);
        for prompt in source.prompts.iter().filter(says_it).filter(|p| clips.prompt(&ClipName(p.as_str().into())).is_none()) {
            tracing::error!("calls that {prompt} should announce the recording of are not recorded: it can't be played");
        }
    }
    clips
}

/// What this machine calls itself, where a certificate can say it.
fn host_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = text.trim();
    // A machine that has no name is called `(none)`.
    let is_one = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    is_one.then(|| name.to_owned())
}

/// What a certificate of our own is for: the names and addresses that the configuration says, and this machine.
fn names(config: &Config, host: Option<String>) -> Vec<String> {
    let listeners = config.sip.tls.iter().chain(&config.http.secure).map(|l| l.ip());
    let advertised = config.sip.advertise.fixed().chain(config.media.advertise.fixed());
    let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let addresses: BTreeSet<IpAddr> = listeners.chain(advertised).chain(loopback).filter(|ip| !ip.is_unspecified()).collect();
    let own = host.filter(|host| !host.eq_ignore_ascii_case(&config.site.domain) && host != "localhost");
    let hosts = [Some(config.site.domain.clone()), own, Some("localhost".to_owned())];
    hosts.into_iter().flatten().chain(addresses.iter().map(ToString::to_string)).collect()
}

fn serve_http(
    web: &tokio::runtime::Handle,
    address: SocketAddr,
    app: Router,
    tls: Option<Tls>,
) -> io::Result<tokio::task::JoinHandle<()>> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let listener = {
        // The runtime that a socket is made in is the one that watches it.
        let _on = web.enter();
        TcpListener::from_std(listener)?
    };
    #[allow(clippy::disallowed_methods, reason = "the server owns its tasks")]
    Ok(web.spawn(http::serve(listener, app, tls, http::LIMITS)))
}

/// SIGTERM and SIGINT drain, a second one halts; SIGHUP reloads.
fn heed_signals(orders: mpsc::Sender<Order>) -> io::Result<tokio::task::JoinHandle<()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    #[allow(clippy::disallowed_methods, reason = "the server owns its tasks")]
    let task = tokio::spawn(async move {
        loop {
            let order = tokio::select! {
                _ = terminate.recv() => Order::Stop,
                _ = interrupt.recv() => Order::Stop,
                _ = hangup.recv() => Order::Reload { by: "SIGHUP".to_owned(), done: None },
            };
            if orders.send(order).await.is_err() {
                return;
            }
        }
    });
    Ok(task)
}

/// BYEs and what takes registrations back, sent at the end, get this long to be answered: three repetitions over UDP.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LegId;
    use crate::media::{Absence, Quality};

    fn to_core(bound: usize) -> (ToCore, mpsc::Receiver<Input>) {
        let (inputs, waiting) = mpsc::channel(bound);
        let (frames, _) = mpsc::channel(1);
        (
            ToCore {
                inputs,
                held: Arc::default(),
                tap: Tap::new(frames, Arc::default(), Arc::default()),
                health: Arc::new(|_, _| {}),
            },
            waiting,
        )
    }

    #[test]
    fn a_certificate_of_our_own_names_the_domain_this_machine_and_every_address_that_is_written_out() {
        let text = r#"
[site]
name = "Example"
domain = "cordboard.example"
time_zone = "Europe/Berlin"
country = "DE"
[sip]
tls = ["192.0.2.5:5061", "0.0.0.0:5062"]
advertise = { "10.0.0.0/8" = "10.0.0.2", "default" = "203.0.113.7" }
[media]
listen = "0.0.0.0"
advertise = "203.0.113.8"
ports = "20000-20999"
[tls]
self_signed = true
[http]
listen = "127.0.0.1:8080"
secure = "[2001:db8::5]:8443"
[recording]
folder = "recordings"
[[user]]
name = "admin"
password = "a"
"#;
        let config = Config::resolve(&Source::of(text)).expect("a configuration");
        let with = |host: Option<&str>| names(&config, host.map(str::to_owned)).join(" ");
        let addresses = "localhost 10.0.0.2 127.0.0.1 192.0.2.5 203.0.113.7 203.0.113.8 ::1 2001:db8::5";
        assert_eq!(with(Some("pbx")), format!("cordboard.example pbx {addresses}"));
        for host in [None, Some("cordboard.example"), Some("localhost")] {
            assert_eq!(with(host), format!("cordboard.example {addresses}"));
        }
    }

    fn closed(leg: u64) -> Report {
        Report::Closed { leg: LegId(leg), quality: Quality::default() }
    }

    fn told(report: Report) -> String {
        format!("{:?}", Input::Media(report))
    }

    /// What has come to the core.
    fn come(waiting: &mut mpsc::Receiver<Input>) -> Vec<String> {
        std::iter::from_fn(|| waiting.try_recv().ok()).map(|input| format!("{input:?}")).collect()
    }

    #[test]
    fn what_a_full_core_must_hear_of_legs_and_ports_comes_later_whole_and_in_its_order() {
        let (core, mut waiting) = to_core(2);
        let another = core.clone();
        let ports = || vec![Lease { worker: 0, port: 20_000 }];
        let dead = || Report::Dead { leg: LegId(4) };
        core.report(closed(1));
        another.report(closed(2));
        core.report(closed(3));
        // Told again while it is so: not worth a place.
        core.report(Report::Missing { leg: LegId(3), cause: Absence::Stopped });
        another.report(dead());
        core.leases(ports());
        core.report(closed(5));
        assert_eq!(come(&mut waiting), [closed(1), closed(2)].map(told));
        // Whoever speaks next brings what waits, and stands behind it.
        another.report(closed(6));
        assert_eq!(come(&mut waiting), [closed(3), dead()].map(told));
        core.again();
        assert_eq!(come(&mut waiting), [format!("{:?}", Input::Ports(ports())), told(closed(5))]);
        another.again();
        core.again();
        assert_eq!(come(&mut waiting), [told(closed(6))]);
    }
}
