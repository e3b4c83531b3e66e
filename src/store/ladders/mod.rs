//! The SIP messages of each conversation, for its ladder; and the last ones that belong to none.
//!
//! The driver notes each message that the core takes and sends; the core says which Call-ID is whose (`Output::CallId`). A message whose
//! Call-ID is nobody's (REGISTER, OPTIONS, strangers that were refused) is kept among the strays, and goes over to a conversation should
//! its Call-ID become one's: the first INVITE always does, and so does its challenge. What the transports answer by themselves (keep-alives,
//! malformed messages, new calls under overload) never comes here.
//!
//! ```text
//! driver ──note──> strays ──owned──> conversation ──ended──> written within a second (and anew while something comes)
//!                                                     └─10 s─> out of memory, found in the index until `ladder_kept`
//! ```
//!
//! All bounds are here; what is over them goes first where it is oldest. A kill costs the ladders of the calls that live in that moment.
//! Messages are kept as they were, and lose their secrets ([`sip::redacted`](crate::sip::redacted)) wherever they leave memory.

mod message;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use message::{MOST_OCTETS, Message, Way};

use self::message::Kept;
use super::database::{Change, Database, DatabaseError, Order, Tree};
use crate::clock::{Mono, Now, System, Wall};
use crate::ids::ConversationId;
use crate::sip::Flow;

/// Octets of one conversation: some two hundred messages.
const MOST_OF_ONE: usize = 256 * 1_024;
/// Octets of all conversations: two thousand plain calls. Beyond, the oldest conversation is forgotten.
const MOST_OF_ALL: usize = 32 * 1_024 * 1_024;
/// Messages of no conversation. Phones that register are most of them: a hundred phones in ten minutes.
const MOST_STRAYS: usize = 1_000;
/// Octets of those.
const MOST_OF_STRAYS: usize = 1_024 * 1_024;
/// The first messages of a conversation, which say how it came about, stay; the oldest of the others go.
const FIRST: usize = 20;
/// Dialogs of one conversation whose messages are known as its own: a caller who is offered to agent after agent has more, of which the
/// last ones count.
const MOST_DIALOGS: usize = 256;
/// Strays that are looked at for the beginning of a conversation: an INVITE, and the one before it that was challenged, are among the last.
const LOOK_BACK: usize = 128;
/// How long after its end a conversation's last words (the answer to a BYE) are added to it.
const LINGER: Duration = Duration::from_secs(10);
/// Ladders that one write takes out of the index because they are too old, beyond as many as it puts in.
const FORGOTTEN_AT_ONCE: usize = 64;

/// What the configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Messages of a conversation; 0 keeps none of any, and no strays.
    pub messages: usize,
    /// How long a ladder stays in the index.
    pub kept: Duration,
}

impl Bounds {
    pub const NONE: Bounds = Bounds { messages: 0, kept: Duration::MAX };
}

impl From<&crate::config::Sip> for Bounds {
    fn from(sip: &crate::config::Sip) -> Bounds {
        Bounds { messages: sip.ladder, kept: sip.ladder_kept }
    }
}

/// A handle; clones are the same ladders.
#[derive(Clone)]
pub struct Ladders {
    database: Arc<dyn Database>,
    clock: System,
    state: Arc<Mutex<State>>,
}

struct State {
    bounds: Bounds,
    /// Ids sort by time: the first is the oldest.
    conversations: BTreeMap<ConversationId, Ladder>,
    owners: HashMap<Bytes, ConversationId>,
    octets: usize,
    strays: VecDeque<(Bytes, Kept)>,
    stray_octets: usize,
}

#[derive(Default)]
struct Ladder {
    messages: VecDeque<Kept>,
    octets: usize,
    /// Left out, and how many stand before them.
    left_out: u64,
    before: usize,
    call_ids: VecDeque<Bytes>,
    ended: Option<Mono>,
    /// Messages noted, for the writer to see whether more have come.
    noted: u64,
    written: Option<u64>,
}

/// In the index.
#[derive(Serialize, Deserialize)]
struct Row {
    items: Vec<Message>,
}

impl Ladders {
    pub fn new(database: Arc<dyn Database>, clock: System, bounds: Bounds) -> Ladders {
        let state = State {
            bounds,
            conversations: BTreeMap::new(),
            owners: HashMap::new(),
            octets: 0,
            strays: VecDeque::new(),
            stray_octets: 0,
        };
        Ladders { database, clock, state: Arc::new(Mutex::new(state)) }
    }

    /// After a reload. What is kept already is not cut.
    pub fn set_bounds(&self, bounds: Bounds) {
        self.state().bounds = bounds;
    }

    /// Whether anything is kept at all: where not, who would note something can spare himself the trouble.
    pub fn is_on(&self) -> bool {
        self.state().bounds.messages > 0
    }

    /// A message that came or goes, whole, as it is printed.
    pub fn note(&self, at: Wall, way: Way, flow: &Flow, bytes: Bytes) {
        let kept = Kept::new(at, way, flow, bytes);
        let call_id = call_id(&kept.bytes);
        let mut state = self.state();
        match state.owners.get(&call_id).copied() {
            Some(_) | None if state.bounds.messages == 0 => {}
            Some(owner) => state.add(owner, kept),
            None => state.stray(call_id, kept),
        }
    }

    /// Messages with this Call-ID are of this conversation, also those that were noted before.
    pub fn owned(&self, call_id: &Bytes, conversation: ConversationId) {
        let mut state = self.state();
        if state.bounds.messages == 0 || state.owners.get(call_id) == Some(&conversation) {
            return;
        }
        state.own(call_id, conversation);
    }

    /// Its end was told; a little may come yet.
    pub fn ended(&self, now: Now, conversation: ConversationId) {
        if let Some(ladder) = self.state().conversations.get_mut(&conversation) {
            ladder.ended.get_or_insert(now.mono);
        }
    }

    /// In the order in which they came and went; empty where nothing is kept.
    pub fn of(&self, conversation: ConversationId) -> Result<Vec<Message>, DatabaseError> {
        let live = self.state().conversations.get(&conversation).map(Ladder::copy);
        match live {
            Some(copied) => Ok(copied.shown()),
            None => self.indexed(conversation),
        }
    }

    /// The last messages of no conversation.
    pub fn strays(&self) -> Vec<Message> {
        let messages = self.state().strays.iter().map(|(_, kept)| kept.clone()).collect();
        Copied { messages, left_out: 0, before: 0 }.shown()
    }

    /// Writes the ladders of conversations that have ended, and forgets what is old. The projector's thread calls it once a second.
    pub fn commit(&self) -> Result<(), DatabaseError> {
        let now = self.clock.now();
        let (due, kept) = {
            let mut state = self.state();
            state.forget_written(now.mono);
            let due: Vec<(ConversationId, u64, Copied)> =
                state.conversations.iter().filter(|(_, l)| l.is_due()).map(|(id, l)| (*id, l.noted, l.copy())).collect();
            (due, state.bounds.kept)
        };
        if due.is_empty() {
            return Ok(());
        }
        let mut changes = Vec::with_capacity(due.len());
        for (id, _, copied) in &due {
            let row = Row { items: copied.shown() };
            let value = serde_json::to_vec(&row).map_err(|error| DatabaseError::Row { tree: Tree::Ladders.name(), error })?;
            changes.push(Change::Put(Tree::Ladders, id.to_bytes().to_vec(), value));
        }
        let oldest = u64::try_from((now.wall - kept).as_millis()).unwrap_or(0);
        let before = ConversationId::from_parts(oldest, 0).to_bytes();
        let most = due.len() + FORGOTTEN_AT_ONCE;
        let old = self.database.page(Tree::Ladders, &[], Some(&before), Order::Ascending, most)?;
        changes.extend(old.into_iter().map(|(key, _)| Change::Remove(Tree::Ladders, key)));
        self.database.commit(&changes)?;
        // Not flushed: the rows' sync comes right behind.
        let mut state = self.state();
        for (id, noted, _) in due {
            if let Some(ladder) = state.conversations.get_mut(&id) {
                ladder.written = Some(noted);
            }
        }
        Ok(())
    }

    fn indexed(&self, conversation: ConversationId) -> Result<Vec<Message>, DatabaseError> {
        let Some(value) = self.database.get(Tree::Ladders, &conversation.to_bytes())? else { return Ok(Vec::new()) };
        let row: Result<Row, _> = serde_json::from_slice(&value);
        row.map(|row| row.items).map_err(|error| DatabaseError::Row { tree: Tree::Ladders.name(), error })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, owner: ConversationId, kept: Kept) {
        let most = self.bounds.messages;
        let ladder = self.conversations.entry(owner).or_default();
        self.octets += kept.size();
        ladder.octets += kept.size();
        ladder.noted += 1;
        ladder.messages.push_back(kept);
        while ladder.messages.len() > most || ladder.octets > MOST_OF_ONE {
            ladder.before = FIRST.min(ladder.messages.len() / 2);
            let Some(gone) = ladder.messages.remove(ladder.before) else { break };
            ladder.octets -= gone.size();
            self.octets -= gone.size();
            ladder.left_out += 1;
        }
        while self.octets > MOST_OF_ALL
            && let Some(oldest) = self.conversations.first_key_value().map(|(id, _)| *id)
        {
            self.forget(oldest);
        }
    }

    fn stray(&mut self, call_id: Bytes, kept: Kept) {
        self.stray_octets += kept.size();
        self.strays.push_back((call_id, kept));
        while (self.strays.len() > MOST_STRAYS || self.stray_octets > MOST_OF_STRAYS)
            && let Some((_, gone)) = self.strays.pop_front()
        {
            self.stray_octets -= gone.size();
        }
    }

    fn own(&mut self, call_id: &Bytes, conversation: ConversationId) {
        // The core's may be a slice of a whole datagram.
        let call_id = Bytes::copy_from_slice(call_id);
        let ladder = self.conversations.entry(conversation).or_default();
        ladder.call_ids.push_back(call_id.clone());
        let too_many = if ladder.call_ids.len() > MOST_DIALOGS { ladder.call_ids.pop_front() } else { None };
        if let Some(oldest) = too_many {
            self.owners.remove(&oldest);
        }
        self.owners.insert(call_id.clone(), conversation);
        let last = self.strays.iter().enumerate().rev().take(LOOK_BACK);
        let own: Vec<usize> = last.filter(|(_, (of, _))| *of == call_id).map(|(index, _)| index).collect();
        // From the end, so that those in front keep their places; then in their order.
        let own: Vec<Kept> = own.into_iter().filter_map(|index| self.strays.remove(index)).map(|(_, kept)| kept).collect();
        for kept in own.into_iter().rev() {
            self.stray_octets -= kept.size();
            self.add(conversation, kept);
        }
    }

    fn forget_written(&mut self, now: Mono) {
        let over = |l: &Ladder| l.ended.is_some_and(|at| now.since(at) >= LINGER) && !l.is_due();
        let over: Vec<ConversationId> = self.conversations.iter().filter(|(_, l)| over(l)).map(|(id, _)| *id).collect();
        for id in over {
            self.forget(id);
        }
    }

    fn forget(&mut self, conversation: ConversationId) {
        let Some(ladder) = self.conversations.remove(&conversation) else { return };
        self.octets -= ladder.octets;
        for call_id in &ladder.call_ids {
            if self.owners.get(call_id) == Some(&conversation) {
                self.owners.remove(call_id);
            }
        }
    }
}

impl Ladder {
    /// It is over, and the index has not all of it.
    fn is_due(&self) -> bool {
        self.ended.is_some() && self.written != Some(self.noted)
    }

    /// Without its secrets only when it is [`shown`]: that takes time, and is not done under the lock.
    fn copy(&self) -> Copied {
        Copied { messages: self.messages.iter().cloned().collect(), left_out: self.left_out, before: self.before }
    }
}

struct Copied {
    messages: Vec<Kept>,
    left_out: u64,
    before: usize,
}

impl Copied {
    fn shown(&self) -> Vec<Message> {
        let mut messages: Vec<Message> = self.messages.iter().map(Kept::shown).collect();
        if let Some(behind) = messages.get_mut(self.before) {
            behind.left_out_before = self.left_out;
        }
        messages
    }
}

/// As we print it; nothing where it is behind what is kept of the message.
fn call_id(message: &Bytes) -> Bytes {
    const NAME: &[u8] = b"\r\nCall-ID: ";
    let Some(at) = memchr::memmem::find(message, NAME).map(|at| at + NAME.len()) else { return Bytes::new() };
    let end = message.iter().skip(at).position(|&b| b == b'\r').map_or(message.len(), |length| at + length);
    message.slice(at..end)
}

#[cfg(test)]
mod tests;
