//! Sends events to other people's programs: HTTP requests that are signed, from a place in the event log that is kept, so that none is lost.
//!
//! ```text
//! event log ── from `after` ──> batch ── signed ──> POST ── 2xx ──> `after` is its end
//!                  ^              │ its bounds and `after` in one commit   │
//!                  └──────────────┴── anything else: later, back-off ──────┘
//! ```
//! Each webhook is a task with one request in flight, so events arrive in their order, and one that hangs holds up no other. The log is the
//! outbox: nothing of an event is copied. A batch keeps its bounds until it has arrived, over a kill too, and its id (`webhook-id`) is made
//! of them: what is sent twice, because the process died between the answer and the commit, is known by it.
//!
//! | the receiver | what is done |
//! |---|---|
//! | answers 2xx | on to the next |
//! | says 410 Gone | nothing is sent there any more, until its address changes or somebody resumes it (`webhook.off`) |
//! | says 413 Content Too Large | the same events in two halves |
//! | anything else, or nothing in time | again later ([`BACK_OFF`]), for ever |
//! | is away until the log has deleted what is to be sent | goes on with the first event that is kept; which are lost is an event (`webhook.lost`) |
//!
//! The second failure in a row degrades the part `webhook NAME`. No redirect is followed, and nothing of an answer but its status is looked
//! at. Nothing here waits for a disk on a thread of the runtime.

mod cursor;
mod runner;
mod sign;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::runner::{Order, Resume, Runner};
use crate::clock::{System, Wall};
use crate::config::{Config, Webhook};
use crate::event::By;
use crate::http_client::{Bounds, Client, Connections};
use crate::store::Store;
use crate::store::database::{Database, DatabaseError};
use crate::store::log::Log;

/// Between two attempts, with jitter; the last one again and again: a receiver that is back has everything some minutes later.
const BACK_OFF: [Duration; 5] = [
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(300),
];

/// How long the end of the process waits for answers to what is on its way.
const LAST_ANSWER: Duration = Duration::from_secs(5);

/// One request at a time, and its thread.
const BOUNDS: Bounds = Bounds { threads: 1, waiting: 1, of_one_host: (1, 1) };

/// Hears that a webhook is in trouble (`webhook NAME`, what is wrong), or out of it again (`None`). Must not wait.
pub type Say = Arc<dyn Fn(&str, Option<&str>) -> bool + Send + Sync>;

/// How it is with a webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Host and port.
    pub server: String,
    pub types: Vec<String>,
    pub state: State,
    /// The last event that was delivered or not wanted.
    pub after: u64,
    /// Events of the log behind that one.
    pub behind: u64,
    pub trouble: Option<String>,
    /// When it is tried again, of one that waits.
    pub next_at: Option<Wall>,
    /// Since the start: events and requests that were taken, and requests that were not.
    pub events: u64,
    pub taken: u64,
    pub failed: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Waits for events.
    #[default]
    Idle,
    Sending,
    /// The last attempt failed; it is tried again.
    Waiting,
    /// The receiver is gone; nothing is tried.
    Off,
}

impl State {
    pub fn label(self) -> &'static str {
        match self {
            State::Idle => "idle",
            State::Sending => "sending",
            State::Waiting => "waiting",
            State::Off => "off",
        }
    }
}

/// Why a webhook was not resumed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotResumed {
    #[error("there is no such webhook")]
    Unknown,
    #[error("the log ends at {last}")]
    Ahead { last: u64 },
    #[error("it is being ended, or somebody resumes it already")]
    Busy,
}

struct Hook {
    orders: watch::Sender<Order>,
    resumes: mpsc::Sender<Resume>,
    standing: Arc<Mutex<Standing>>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Parts {
    database: Arc<dyn Database>,
    log: Log,
    clock: System,
    connections: Connections,
    /// CloudEvents `source`.
    source: Arc<str>,
    say: Say,
    on: tokio::runtime::Handle,
}

/// All webhooks of the configuration; a handle, clones are the same ones.
#[derive(Clone)]
pub struct Webhooks {
    parts: Parts,
    hooks: Arc<Mutex<BTreeMap<String, Hook>>>,
    stop: Arc<watch::Sender<bool>>,
}

impl Webhooks {
    /// # Errors
    /// Where the index cannot be read: a webhook that began anew would skip what was not delivered.
    pub fn start(
        store: &Store,
        mut config: watch::Receiver<Arc<Config>>,
        clock: System,
        connections: &Connections,
        say: Say,
        on: &tokio::runtime::Handle,
    ) -> Result<Webhooks, DatabaseError> {
        let now = config.borrow_and_update().clone();
        let parts = Parts {
            database: store.database.clone(),
            log: store.log.clone(),
            clock,
            connections: connections.clone(),
            source: format!("/cordboard/{}", now.site.domain).into(),
            say,
            on: on.clone(),
        };
        let (stop, mut stops) = watch::channel(false);
        let webhooks = Webhooks { parts, hooks: Arc::default(), stop: Arc::new(stop) };
        if let Some((_, error)) = webhooks.heed(&now).1.pop() {
            return Err(error);
        }
        let own = webhooks.clone();
        #[allow(clippy::disallowed_methods, reason = "the webhooks own their tasks")]
        on.spawn(async move {
            loop {
                tokio::select! {
                    changed = config.changed() => if changed.is_err() { return },
                    _ = stops.changed() => return,
                }
                let now = config.borrow_and_update().clone();
                let (gone, failed) = own.heed(&now);
                for (name, error) in failed {
                    tracing::error!(%error, webhook = name, "a webhook can't be started: the next reload tries again");
                }
                // One of the same name may come with the next configuration, and there is one place in the index for both.
                for task in gone {
                    let _ = task.await;
                }
            }
        });
        Ok(webhooks)
    }

    /// Starts what is new, tells the others what they are now. What is gone comes to its end in the tasks that are returned.
    fn heed(&self, config: &Config) -> (Vec<JoinHandle<()>>, Vec<(String, DatabaseError)>) {
        let mut hooks = self.lock();
        let names: Vec<String> = hooks.keys().filter(|name| !config.webhooks.contains_key(*name)).cloned().collect();
        let (mut gone, mut failed) = (Vec::new(), Vec::new());
        for hook in names.iter().filter_map(|name| hooks.remove(name)) {
            hook.orders.send_replace(Order::Gone);
            gone.push(hook.task);
        }
        for (name, webhook) in &config.webhooks {
            let order = Order::Run(Arc::new(webhook.clone()));
            match hooks.get(name) {
                // Somebody may have mended what was wrong: also where nothing has changed.
                Some(hook) => drop(hook.orders.send_replace(order)),
                None => match self.begin(name, webhook, order) {
                    Ok(hook) => drop(hooks.insert(name.clone(), hook)),
                    // The others get what they are told all the same.
                    Err(error) => failed.push((name.clone(), error)),
                },
            }
        }
        (gone, failed)
    }

    fn begin(&self, name: &str, webhook: &Webhook, order: Order) -> Result<Hook, DatabaseError> {
        let parts = &self.parts;
        let client = Client::start("webhook", BOUNDS, &parts.connections, parts.clock).map_err(DatabaseError::Io)?;
        let (orders, ordered) = watch::channel(order);
        let (resumes, resumed) = mpsc::channel(1);
        let standing = Arc::new(Mutex::new(Standing::default()));
        let runner = Runner::open(name, webhook, parts, client, standing.clone())?;
        #[allow(clippy::disallowed_methods, reason = "the webhooks own their tasks")]
        let task = parts.on.spawn(runner.run(ordered, resumed));
        Ok(Hook { orders, resumes, standing, task })
    }

    /// By name.
    pub fn list(&self) -> BTreeMap<String, Standing> {
        let last = self.parts.log.last();
        let standing = |hook: &Hook| {
            let standing = hook.standing.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Standing { behind: last.saturating_sub(standing.after), ..standing }
        };
        self.lock().iter().map(|(name, hook)| (name.clone(), standing(hook))).collect()
    }

    /// Tries at once, also where the receiver was gone; `after` names the event behind which it goes on, and without it nothing is skipped
    /// or repeated. Done when it returns, or in a moment where an answer is waited for.
    ///
    /// # Errors
    /// [`NotResumed`]
    pub async fn resume(&self, name: &str, after: Option<u64>, by: By) -> Result<(), NotResumed> {
        let resumes = self.lock().get(name).map(|hook| hook.resumes.clone()).ok_or(NotResumed::Unknown)?;
        let last = self.parts.log.last();
        if after.is_some_and(|after| after > last) {
            return Err(NotResumed::Ahead { last });
        }
        let (done, is_done) = oneshot::channel();
        resumes.try_send(Resume { after, by, done }).map_err(|_| NotResumed::Busy)?;
        // An answer may take as long as a receiver lets it.
        match timeout(Duration::from_secs(1), is_done).await {
            Ok(Err(_)) => Err(NotResumed::Busy),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    /// Lets what is on its way arrive, if that is soon.
    pub async fn end(&self) {
        let _ = self.stop.send(true);
        let hooks = std::mem::take(&mut *self.lock());
        for hook in hooks.values() {
            hook.orders.send_replace(Order::Stop);
        }
        let aborts: Vec<_> = hooks.values().map(|hook| hook.task.abort_handle()).collect();
        let all = async {
            for hook in hooks.into_values() {
                let _ = hook.task.await;
            }
        };
        if timeout(LAST_ANSWER, all).await.is_err() {
            aborts.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Hook>> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
