//! What the core wants remembered: bindings of phones, and agents' wishes. One thread writes them.
//!
//! Changes wait in a map by their key, so what waits is bounded by how many phones and agents there are, however long the disk takes:
//! a later change of the same key replaces the earlier one. A change leaves the map when it is durable.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;

use super::Health;
use super::database::{Change, Database, DatabaseError, Order, Tree, named};
use super::thread::{PANICKED, watched};
use crate::ids::{Number, QueueName, StaffNumber};
use crate::registrar::Binding;
use crate::switch::output::RegistrationChange;

/// The part that [`Health`] is told about.
const PART: &str = "index";

/// Between two attempts at a disk that takes nothing.
const RETRY: Duration = Duration::from_secs(1);

/// How long a change waits for company, by what a kill in this time costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Haste {
    /// A lamp that stays on, a wish that is forgotten.
    Soon,
    /// A phone that is gone and would ring again.
    Removes,
    /// A phone that is there again at its next refresh.
    Registers,
    /// Nothing: a binding that lasts on ends when it would have ended before.
    Refreshes,
}

impl Haste {
    /// Beyond what the hastier wait.
    fn linger(self) -> Duration {
        match self {
            Haste::Soon => Duration::from_millis(20),
            Haste::Removes => Duration::from_millis(80),
            Haste::Registers => Duration::from_millis(20),
            Haste::Refreshes => Duration::from_millis(200),
        }
    }
}

/// After a sync, bindings wait so long for more of them: phones that register after a power cut, or refresh by the thousand, share one sync
/// a second. The first phone after a quiet moment does not wait for it, and what is in more haste takes the others with it.
const PACE: Duration = Duration::from_millis(900);

/// A handle; clones are the same keeper.
#[derive(Clone)]
pub struct Keeper {
    shared: Arc<Shared>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

struct Shared {
    database: Arc<dyn Database>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// `None` removes.
    waiting: BTreeMap<(Tree, Vec<u8>), Option<Vec<u8>>>,
    /// Of what is in haste most; nothing waits without one.
    haste: Option<Haste>,
    writing: bool,
    closed: bool,
}

impl Keeper {
    pub fn start(database: Arc<dyn Database>, health: Health) -> std::io::Result<Keeper> {
        let shared = Arc::new(Shared { database, state: Mutex::default(), changed: Condvar::new() });
        let own = shared.clone();
        let ill = health.clone();
        let thread = watched("keeper", move || own.run(&health), move || ill(PART, Some(PANICKED)))?;
        Ok(Keeper { shared, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Never waits.
    pub fn registration(&self, change: RegistrationChange) {
        let haste = match change {
            RegistrationChange::Put(..) => Haste::Registers,
            RegistrationChange::Remove(..) => Haste::Removes,
            RegistrationChange::Refresh(..) => Haste::Refreshes,
        };
        match change {
            RegistrationChange::Put(number, binding) | RegistrationChange::Refresh(number, binding) => {
                match serde_json::to_vec(&*binding) {
                    Ok(value) => {
                        let key = binding_key(&number, binding.key().as_bytes());
                        self.put(Tree::Registrations, key, Some(value), haste);
                    }
                    Err(error) => tracing::error!(%error, "a binding can't be written"),
                }
            }
            RegistrationChange::Remove(number, contact) => {
                self.put(Tree::Registrations, binding_key(&number, contact.as_bytes()), None, haste);
            }
        }
    }

    /// Never waits. An empty wish is no wish.
    pub fn wish(&self, agent: &StaffNumber, wish: Bytes) {
        let value = if wish.is_empty() { None } else { Some(wish.to_vec()) };
        self.put(Tree::AgentWishes, agent.as_str().as_bytes().to_vec(), value, Haste::Soon);
    }

    /// Never waits. Empty settings are none.
    pub fn phone(&self, phone: &Number, settings: Bytes) {
        let value = if settings.is_empty() { None } else { Some(settings.to_vec()) };
        self.put(Tree::PhoneSettings, phone.as_str().as_bytes().to_vec(), value, Haste::Soon);
    }

    /// Never waits. With nothing it is told no more.
    pub fn news(&self, queue: &QueueName, news: Bytes) {
        let value = if news.is_empty() { None } else { Some(news.to_vec()) };
        self.put(Tree::QueueNews, queue.as_str().as_bytes().to_vec(), value, Haste::Soon);
    }

    /// Never waits. With nothing it is over.
    pub fn subscription(&self, key: &[u8], kept: Bytes) {
        let value = if kept.is_empty() { None } else { Some(kept.to_vec()) };
        self.put(Tree::Subscriptions, key.to_vec(), value, Haste::Soon);
    }

    /// Never waits.
    pub fn minutes(&self, phone: &Number, spent: Bytes) {
        self.put(Tree::Minutes, phone.as_str().as_bytes().to_vec(), Some(spent.to_vec()), Haste::Soon);
    }

    /// Waits until all that was given is durable, for `patience` at most, and says whether it is.
    pub fn settle(&self, patience: Duration) -> bool {
        let state = self.shared.lock();
        let busy = |s: &mut State| !s.waiting.is_empty() || s.writing;
        let (mut state, _) =
            self.shared.changed.wait_timeout_while(state, patience, busy).unwrap_or_else(PoisonError::into_inner);
        !busy(&mut state)
    }

    /// Writes what waits, as far as the disk takes it, and ends the thread.
    pub fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the keeper's thread has panicked");
        }
    }

    fn put(&self, tree: Tree, key: Vec<u8>, value: Option<Vec<u8>>, haste: Haste) {
        let mut state = self.shared.lock();
        let wake = state.haste.is_none_or(|of_others| haste < of_others);
        if wake {
            state.haste = Some(haste);
        }
        state.waiting.insert((tree, key), value);
        drop(state);
        if wake {
            self.shared.changed.notify_all();
        }
    }
}

impl Shared {
    fn run(&self, health: &Health) {
        let mut trouble = false;
        loop {
            let idle = |s: &mut State| s.waiting.is_empty() && !s.closed;
            let mut state = self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
            for haste in [Haste::Refreshes, Haste::Registers, Haste::Removes, Haste::Soon] {
                state = self.wait(state, haste.linger(), |s| s.haste >= Some(haste) && !s.closed);
            }
            state.haste = None;
            let batch = std::mem::take(&mut state.waiting);
            if batch.is_empty() {
                return; // Closed, and nothing left.
            }
            state.writing = true;
            drop(state);

            let changes: Vec<Change> = batch
                .iter()
                .map(|((tree, key), value)| match value {
                    Some(value) => Change::Put(*tree, key.clone(), value.clone()),
                    None => Change::Remove(*tree, key.clone()),
                })
                .collect();
            let written = self.database.commit(&changes).and_then(|()| self.database.flush());

            let mut state = self.lock();
            state.writing = false;
            match written {
                Ok(()) => {
                    if std::mem::take(&mut trouble) {
                        health(PART, None);
                    }
                    self.changed.notify_all();
                    drop(self.wait(state, PACE, |s| s.haste.is_none_or(|haste| haste > Haste::Removes) && !s.closed));
                }
                Err(error) => {
                    if !std::mem::replace(&mut trouble, true) {
                        tracing::error!(%error, "registrations can't be written");
                        health(PART, Some(&error.to_string()));
                    }
                    // What came meanwhile is newer.
                    for (key, value) in batch {
                        state.waiting.entry(key).or_insert(value);
                    }
                    if state.closed {
                        return;
                    }
                    drop(self.wait(state, RETRY, |s| !s.closed));
                }
            }
        }
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        patience: Duration,
        until: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        self.changed.wait_timeout_while(state, patience, until).unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All bindings. One that can't be read is passed over: the phone registers again.
pub fn registrations(database: &dyn Database) -> Result<Vec<(Number, Binding)>, DatabaseError> {
    let mut found = Vec::new();
    for (key, value) in database.page(Tree::Registrations, &[], None, Order::Ascending, usize::MAX)? {
        match (number_of(&key), serde_json::from_slice(&value)) {
            (Some(number), Ok(binding)) => found.push((number, binding)),
            (_, Err(error)) => tracing::warn!(%error, "a binding can't be read and is forgotten"),
            (None, Ok::<Binding, _>(_)) => tracing::warn!("a binding without a number is forgotten"),
        }
    }
    Ok(found)
}

/// All agents' wishes.
pub fn wishes(database: &dyn Database) -> Result<Vec<(StaffNumber, Bytes)>, DatabaseError> {
    named_values(database, Tree::AgentWishes, StaffNumber::new)
}

/// What phones' users have set.
pub fn phones(database: &dyn Database) -> Result<Vec<(Number, Bytes)>, DatabaseError> {
    named_values(database, Tree::PhoneSettings, Number::new)
}

/// What those are told who wait.
pub fn news(database: &dyn Database) -> Result<Vec<(QueueName, Bytes)>, DatabaseError> {
    named_values(database, Tree::QueueNews, QueueName::new)
}

/// Phones' subscriptions.
pub fn subscriptions(database: &dyn Database) -> Result<Vec<Bytes>, DatabaseError> {
    let entries = database.page(Tree::Subscriptions, &[], None, Order::Ascending, usize::MAX)?;
    Ok(entries.into_iter().map(|(_, value)| Bytes::from(value)).collect())
}

/// What phones have used of their minutes.
pub fn minutes(database: &dyn Database) -> Result<Vec<(Number, Bytes)>, DatabaseError> {
    named_values(database, Tree::Minutes, Number::new)
}

fn named_values<N>(database: &dyn Database, tree: Tree, name: impl Fn(String) -> N) -> Result<Vec<(N, Bytes)>, DatabaseError> {
    let entries = database.page(tree, &[], None, Order::Ascending, usize::MAX)?;
    let value = |(key, value)| Some((name(String::from_utf8(key).ok()?), Bytes::from(value)));
    Ok(entries.into_iter().filter_map(value).collect())
}

fn binding_key(number: &Number, contact: &[u8]) -> Vec<u8> {
    [&named(number.as_str())[..], contact].concat()
}

fn number_of(key: &[u8]) -> Option<Number> {
    let (len, rest) = key.split_first_chunk::<2>()?;
    let number = rest.get(..usize::from(u16::from_be_bytes(*len)))?;
    Some(Number::new(std::str::from_utf8(number).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{System, Wall};
    use crate::sip::{ConnectionId, Flow, Transport};
    use crate::store::database::SledDatabase;

    fn binding(contact: &str, cseq: u32) -> Binding {
        Binding {
            contact: Bytes::copy_from_slice(contact.as_bytes()),
            flow: Flow {
                transport: Transport::Tcp,
                local: "192.0.2.1:5060".parse().unwrap(),
                remote: "192.0.2.9:40000".parse().unwrap(),
                connection: Some(ConnectionId(4)),
            },
            user_agent: Some("phone/1".into()),
            call_id: Bytes::from_static(b"a@b"),
            cseq,
            expires_at: Wall::from_micros(5),
            q: 1_000,
            path: vec![],
            device: None,
            reported: None,
        }
    }

    #[test]
    fn the_last_change_of_each_binding_is_there_after_opening_again() {
        let folder = tempfile::TempDir::new().unwrap();
        let open = || Arc::new(SledDatabase::open(&folder.path().join("index"), System::start()).unwrap().database);
        let database: Arc<dyn Database> = open();
        let keeper = Keeper::start(database.clone(), Arc::new(|_, _| {})).unwrap();
        for cseq in 1..200 {
            keeper.registration(RegistrationChange::Put("201".into(), Box::new(binding("sip:201@a", cseq))));
            keeper.registration(RegistrationChange::Put("202".into(), Box::new(binding("sip:202@b", cseq))));
        }
        keeper.registration(RegistrationChange::Remove("202".into(), "sip:202@b".into()));
        keeper.subscription(b"one a", Bytes::from_static(b"{}"));
        keeper.subscription(b"two b", Bytes::from_static(b"{}"));
        keeper.subscription(b"two b", Bytes::new());
        keeper.wish(&"1024".into(), Bytes::from_static(b"paused"));
        keeper.wish(&"1025".into(), Bytes::from_static(b"ready"));
        keeper.wish(&"1025".into(), Bytes::new());
        keeper.phone(&"201".into(), Bytes::from_static(b"{}"));
        keeper.phone(&"202".into(), Bytes::from_static(b"{}"));
        keeper.phone(&"202".into(), Bytes::new());
        keeper.minutes(&"201".into(), Bytes::from_static(b"{}"));
        keeper.news(&"support".into(), Bytes::from_static(b"{}"));
        keeper.news(&"sales".into(), Bytes::from_static(b"{}"));
        keeper.news(&"sales".into(), Bytes::new());
        assert!(keeper.settle(Duration::from_secs(20)));
        keeper.close();
        drop((keeper, database));

        let database = open();
        assert_eq!(subscriptions(&*database).unwrap(), [&b"{}"[..]]);
        let found = registrations(&*database).unwrap();
        assert_eq!(found, [(Number::from("201"), binding("sip:201@a", 199))]);
        assert_eq!(wishes(&*database).unwrap(), [("1024".into(), Bytes::from_static(b"paused"))]);
        assert_eq!(phones(&*database).unwrap(), [("201".into(), Bytes::from_static(b"{}"))]);
        assert_eq!(news(&*database).unwrap(), [("support".into(), Bytes::from_static(b"{}"))]);
        assert_eq!(minutes(&*database).unwrap(), [("201".into(), Bytes::from_static(b"{}"))]);
    }
}
