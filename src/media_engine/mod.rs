//! Media workers: threads, sockets, ports. The driver around [`media::Worker`](crate::media::Worker).
//!
//! | what | whose |
//! |---|---|
//! | what happens to a packet | `media` |
//! | a worker's loop, its catch of panics | `worker_thread` |
//! | which ports are bound, leased, draining | `ports` |
//! | system calls | `sys` |
//! | WAV files | `sounds` |
//! | ICE, DTLS and SRTP of browsers | `browser` |
//!
//! [`start`] begins as many threads as the configuration says. Each owns its legs and sockets alone; what joins them to the rest is a
//! bounded queue of commands with a wake-up, and [`Outlets`], which must not block.

pub mod browser;
mod ports;
pub mod sounds;
#[allow(unsafe_code, reason = "system calls that the standard library has not")]
mod sys;
mod watch;
mod worker_thread;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use crate::clock::{Mono, System};
use crate::config;
use crate::ids::LegId;
use crate::media::{Clip, ClipName, Clips, Command, Frame, Lease, Report, Settings, Worker};
use crate::sdp::Fingerprint;

use browser::{Identity, NoIdentity, Peers};
use ports::Ports;
use sys::{Inbox, Network, Wake};
use worker_thread::{Doors, Lag, Neighbour, Order, WorkerThread};

/// Commands that wait for a worker: a few for each leg that it can have. A worker takes all at once within a millisecond, so a full
/// queue means that its thread is stuck; then [`Engine::command`] says so and the leg is to be given up.
const COMMANDS: usize = 4_096;
/// More threads than this are not worth a port range of their own.
const MOST_WORKERS: u8 = 64;

/// Where workers' doings go. Called on their threads: nothing here may block.
pub trait Outlets: Clone + Send + 'static {
    fn report(&self, report: Report);
    /// Ports that are bound from now on, for calls to come.
    fn leases(&self, leases: Vec<Lease>);
    /// Once a second: what could not be taken may be tried again.
    fn again(&self) {}
    /// What keeps a worker from its calls, or that nothing does any more.
    fn trouble(&self, _reason: Option<&str>) {}
    /// A copy for the recorder; `false`: it has no room, the frame is lost and counted.
    fn tap(&self, frame: Frame) -> bool;
    /// All that came to this worker's sockets before `until` has been read, and tapped where it is recorded; `None`: it has no recordings.
    fn read_until(&self, _worker: u8, _until: Option<Mono>) {}
}

/// What the workers have done since the start, for metrics.
#[derive(Debug, Default)]
pub struct Counters {
    /// Says to the threads that it is over; they are woken to see it.
    stop: AtomicBool,
    pub received: AtomicU64,
    pub sent: AtomicU64,
    /// Datagrams that the kernel had no room for, or no route.
    pub send_dropped: AtomicU64,
    /// Frames that an outlet did not take. Not among the metrics: the recorder takes all, and counts what it has no room for itself.
    pub tap_dropped: AtomicU64,
    /// Legs that were given up: a panic over one of their datagrams or commands, or a port that could not be opened.
    pub panics: AtomicU64,
    /// How often a worker was found to stand still or to refuse commands.
    pub stalls: AtomicU64,
    pub workers: Box<[Share]>,
}

/// One worker's part of the figures.
#[derive(Debug, Default)]
pub struct Share {
    /// Open legs.
    pub legs: AtomicU64,
    /// When its thread came round last, in µs of the engine's clock.
    beat: AtomicU64,
    /// It had no room for a command, since somebody looked last.
    refused: AtomicBool,
}

impl Counters {
    fn new(workers: u8) -> Counters {
        Counters { workers: (0..workers).map(|_| Share::default()).collect(), ..Counters::default() }
    }

    /// For `/metrics`: names without prefix, and totals.
    pub fn collect(&self) -> impl Iterator<Item = (String, u64)> {
        let totals = [
            ("media_datagrams_received_total", &self.received),
            ("media_datagrams_sent_total", &self.sent),
            ("media_datagrams_not_sent_total", &self.send_dropped),
            ("media_legs_given_up_total", &self.panics),
            ("media_worker_stalls_total", &self.stalls),
        ];
        totals.into_iter().map(|(name, count)| (name.to_owned(), count.load(Ordering::Relaxed)))
    }

    /// Open legs of each worker, for `/metrics`.
    pub fn legs(&self) -> impl Iterator<Item = u64> {
        self.workers.iter().map(|share| share.legs.load(Ordering::Relaxed))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("no media port of {first}-{last} can be bound: {error}")]
    NoPort { first: u16, last: u16, error: io::Error },
    #[error("the range {first}-{last} has no pair of ports for each of {workers} media workers")]
    RangeTooSmall { first: u16, last: u16, workers: u8 },
    #[error("a media worker cannot be started: {error}")]
    Thread { error: io::Error },
    #[error(transparent)]
    Identity(#[from] NoIdentity),
    #[error("io_uring cannot be used here: {0}")]
    Refused(#[from] sys::Refused),
}

/// The worker's queue is full, or its thread is gone: its legs are to be given up.
#[derive(Debug, thiserror::Error)]
#[error("media worker {worker} does not take commands")]
pub struct Stuck {
    pub worker: u8,
}

/// The running workers. Dropping it stops them.
#[derive(Debug)]
pub struct Engine {
    threads: Vec<Handle>,
    counters: Arc<Counters>,
    identity: Arc<Identity>,
    watch: Option<JoinHandle<()>>,
}

struct Handle {
    orders: SyncSender<Order>,
    /// It has orders that it was not woken for.
    ordered: bool,
    wake: Arc<Wake>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("thread", &self.thread).finish_non_exhaustive()
    }
}

/// Binds the first ports, begins the threads; the first leases come through `outlets`. `seed`: for SSRCs and the order of ports.
pub fn start(
    config: &config::Media,
    country: config::Country,
    clips: &Clips,
    clock: System,
    seed: u64,
    outlets: &impl Outlets,
) -> Result<Engine, StartError> {
    sys::raise_file_limit();
    let workers = config.workers.clamp(1, MOST_WORKERS);
    let (first, last) = (*config.ports.start(), *config.ports.end());
    let counters = Arc::new(Counters::new(workers));
    for share in &counters.workers {
        share.beat.store(clock.mono().as_micros(), Ordering::Relaxed);
    }
    let networks = networks(config.io, workers)?;
    let identity = Arc::new(Identity::new()?);
    let mut engine = Engine { threads: Vec::new(), counters: counters.clone(), identity: identity.clone(), watch: None };
    let mut inlets = Vec::new();
    let mut neighbours = Vec::new();
    for _ in 0..workers {
        let (orders, inlet) = sync_channel(COMMANDS);
        let wake = Arc::new(Wake::new().map_err(|error| StartError::Thread { error })?);
        inlets.push((inlet, wake.clone()));
        neighbours.push(Neighbour { orders, wake });
    }
    let neighbours: Arc<[Neighbour]> = neighbours.into();
    for ((worker, (orders, wake)), network) in (0..workers).zip(inlets).zip(networks) {
        let seed = seed.wrapping_add(u64::from(worker));
        let mut ports = Ports::new(worker, workers, config.listen, &config.ports, seed);
        if ports.is_empty() {
            return Err(StartError::RangeTooSmall { first, last, workers });
        }
        let (leases, error) = ports.replenish(clock.mono());
        match error {
            Some(error) if leases.is_empty() => return Err(StartError::NoPort { first, last, error }),
            Some(_) | None => outlets.leases(leases),
        }
        let system = |error| StartError::Thread { error };
        let sender = neighbours.get(usize::from(worker)).map(|n| n.orders.clone());
        let thread = WorkerThread {
            worker: Worker::new(Settings {
                missing_after: config.missing_after,
                dead_after: config.dead_after,
                degraded_below: config.degraded_below,
                country: country.0,
                seed,
            }),
            clips: clips.clone(),
            clock,
            orders,
            wake: wake.clone(),
            neighbours: neighbours.clone(),
            doors: Doors {
                ports,
                network,
                outlets: outlets.clone(),
                counters: counters.clone(),
                overflow: Default::default(),
                peers: Peers::new(identity.clone(), clock),
            },
            inbox: Inbox::new(),
            offered: Default::default(),
            lag: Lag::new(clock.mono()),
            is_told: false,
        };
        let builder = std::thread::Builder::new().name(format!("media-{worker}"));
        let thread = builder.spawn(move || thread.run()).map_err(system)?;
        if let Some(orders) = sender {
            engine.threads.push(Handle { orders, ordered: false, wake, thread: Some(thread) });
        }
    }
    let watch = watch::start(counters, clock, outlets.clone());
    engine.watch = Some(watch.map_err(|error| StartError::Thread { error })?);
    Ok(engine)
}

/// What each worker reads and writes by: io_uring where they may, and it works for all.
fn networks(io: config::MediaIo, workers: u8) -> Result<Vec<Network>, StartError> {
    let epoll =
        || (0..workers).map(|_| Network::epoll()).collect::<io::Result<_>>().map_err(|error| StartError::Thread { error });
    if io == config::MediaIo::Epoll {
        return epoll();
    }
    let rings = Network::try_ring().and_then(|()| Ok((0..workers).map(|_| Network::ring()).collect::<io::Result<_>>()?));
    match rings {
        Ok(rings) => Ok(rings),
        Err(why) if io == config::MediaIo::IoUring => Err(why.into()),
        Err(why) => {
            tracing::info!(%why, "media workers use epoll; io_uring would cost less processor time");
            epoll()
        }
    }
}

impl Engine {
    /// Hands a command to the worker of its leg, which takes it after the next [`Engine::wake`], or before. Never blocks.
    pub fn command(&mut self, worker: u8, command: Command) -> Result<(), Stuck> {
        self.order(worker, Order::Command(command))
    }

    /// Wakes the workers that have got orders: once for all commands that belong together.
    pub fn wake(&mut self) {
        for handle in &mut self.threads {
            if std::mem::take(&mut handle.ordered) {
                handle.wake.wake();
            }
        }
    }

    /// New sounds, after a reload; what plays goes on with the old ones.
    pub fn set_clips(&mut self, clips: &Clips) -> Result<(), Stuck> {
        (0..self.threads.len()).try_for_each(|w| self.order(w as u8, Order::Clips(clips.clone())))?;
        self.wake();
        Ok(())
    }

    /// A sound for one leg alone, which it may be told to play from here on.
    pub fn bring(&mut self, worker: u8, leg: LegId, name: ClipName, clip: Arc<Clip>) -> Result<(), Stuck> {
        self.order(worker, Order::Bring(leg, name, clip))
    }

    /// Of the certificate that browsers are shown.
    pub fn fingerprint(&self) -> Fingerprint {
        self.identity.fingerprint()
    }

    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    fn order(&mut self, worker: u8, order: Order) -> Result<(), Stuck> {
        let handle = self.threads.get_mut(usize::from(worker)).ok_or(Stuck { worker })?;
        handle.orders.try_send(order).map_err(|_: TrySendError<Order>| {
            if let Some(share) = self.counters.workers.get(usize::from(worker)) {
                share.refused.store(true, Ordering::Relaxed);
            }
            Stuck { worker }
        })?;
        handle.ordered = true;
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.counters.stop.store(true, Ordering::Relaxed);
        if let Some(watch) = self.watch.take() {
            watch.thread().unpark();
            let _ = watch.join();
        }
        for handle in &self.threads {
            handle.wake.wake();
        }
        for handle in &mut self.threads {
            if let Some(thread) = handle.thread.take() {
                // It has caught its panics; one that it did not is printed already.
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests;
