//! What the index needs of a key-value database, as a trait: ordered trees, and changes to several of them that happen together.
//!
//! Keys are big-endian, so that their order is the order of what they say. [`on_sled`] is the one file that names sled; tests and the
//! offline commands may use [`Memory`].

mod memory;
mod on_sled;

pub use memory::Memory;
pub use on_sled::{Opened, SledDatabase};

use std::io;
use std::path::PathBuf;

/// One tree an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tree {
    /// Recording id -> row as JSON. Ids sort by time, so this is the index by time too.
    Recordings,
    /// Staff number, recording id.
    RecordingsByAgent,
    RecordingsByQueue,
    /// Number of the mailbox, recording id.
    RecordingsByMailbox,
    /// Normalised number, recording id.
    RecordingsByNumber,
    /// Normalised numbers reversed, so that those with the same last digits stand together.
    Numbers,
    /// Recordings whose end the event log has not heard of.
    Unannounced,
    /// What was done with messages and the event log has not heard of: recording id, whether it is gone -> the event's data as JSON.
    Untold,
    /// Recording id -> a message that is to be mailed, as JSON.
    Outbox,
    /// Conversation id -> row as JSON.
    Conversations,
    /// Conversation id -> what it says about the service standards, as JSON.
    Standards,
    /// Conversation id -> its signalling as JSON.
    Ladders,
    /// Ids of conversations without an end.
    LiveConversations,
    /// Number, contact -> binding as JSON.
    Registrations,
    /// Staff number -> wish as the core gave it.
    AgentWishes,
    /// Number -> what the phone's user has set, as the core gave it.
    PhoneSettings,
    /// Call-ID, tags -> subscription as the core gave it.
    Subscriptions,
    /// Queue -> what those are told who wait, as the core gave it.
    QueueNews,
    /// Number -> what the phone has used of its minutes outside, as the core gave it.
    Minutes,
    /// Callback id -> what is known of it, as JSON.
    Callbacks,
    /// Level, dimension, block of quarters of an hour, name -> sums as JSON.
    Figures,
    /// Dimension, name, quarter of an hour, conversation id -> what it has of the sums, as JSON.
    FigureConversations,
    /// What the fold of figures has open, as JSON.
    FigureState,
    /// Number in E.164 -> contact as JSON.
    Contacts,
    /// Name of a webhook -> how far in the log it is, as JSON.
    Webhooks,
    /// Name of a fold -> how far in the log it is.
    Checkpoints,
}

impl Tree {
    pub const ALL: [Tree; 26] = [
        Tree::Recordings,
        Tree::RecordingsByAgent,
        Tree::RecordingsByQueue,
        Tree::RecordingsByMailbox,
        Tree::RecordingsByNumber,
        Tree::Numbers,
        Tree::Unannounced,
        Tree::Untold,
        Tree::Outbox,
        Tree::Conversations,
        Tree::Standards,
        Tree::Ladders,
        Tree::LiveConversations,
        Tree::Registrations,
        Tree::AgentWishes,
        Tree::PhoneSettings,
        Tree::QueueNews,
        Tree::Subscriptions,
        Tree::Minutes,
        Tree::Callbacks,
        Tree::Figures,
        Tree::FigureConversations,
        Tree::FigureState,
        Tree::Contacts,
        Tree::Webhooks,
        Tree::Checkpoints,
    ];

    /// Its name on disk: never changed.
    pub fn name(self) -> &'static str {
        match self {
            Tree::Recordings => "recordings",
            Tree::RecordingsByAgent => "recordings_by_agent",
            Tree::RecordingsByQueue => "recordings_by_queue",
            Tree::RecordingsByMailbox => "recordings_by_mailbox",
            Tree::RecordingsByNumber => "recordings_by_number",
            Tree::Numbers => "numbers",
            Tree::Unannounced => "unannounced",
            Tree::Untold => "untold",
            Tree::Outbox => "mail_outbox",
            Tree::Conversations => "conversations",
            Tree::Standards => "standards",
            Tree::Ladders => "ladders",
            Tree::LiveConversations => "live_conversations",
            Tree::Registrations => "registrations",
            Tree::AgentWishes => "agent_wishes",
            Tree::PhoneSettings => "phone_settings",
            Tree::QueueNews => "queue_news",
            Tree::Subscriptions => "subscriptions",
            Tree::Minutes => "minutes",
            Tree::Callbacks => "callbacks",
            Tree::Figures => "figures",
            Tree::FigureConversations => "figure_conversations",
            Tree::FigureState => "figure_state",
            Tree::Contacts => "contacts",
            Tree::Webhooks => "webhooks",
            Tree::Checkpoints => "checkpoints",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Put(Tree, Vec<u8>, Vec<u8>),
    Remove(Tree, Vec<u8>),
}

impl Change {
    pub fn tree(&self) -> Tree {
        match self {
            Change::Put(tree, ..) | Change::Remove(tree, _) => *tree,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
}

/// Key and value.
pub type Entry = (Vec<u8>, Vec<u8>);

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("index: {0}")]
    Io(#[source] io::Error),
    #[error("the index {path} is in use by a running switch")]
    Locked { path: PathBuf },
    #[error("the index is damaged ({reason}); it can be rebuilt from the recordings")]
    Damaged { reason: &'static str },
    #[error("the index is closed after a fault, and opened again as soon as the disk allows")]
    Closed,
    #[error("a row in {tree} can't be read: {error}")]
    Row { tree: &'static str, error: serde_json::Error },
}

pub trait Database: Send + Sync {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError>;

    /// At most `most` entries of `[from, to)`, from its lower or upper end. `to` of `None` is the end of the tree.
    fn page(&self, tree: Tree, from: &[u8], to: Option<&[u8]>, order: Order, most: usize) -> Result<Vec<Entry>, DatabaseError>;

    /// All changes or none, in their order; after a kill too, once [`Database::flush`] has returned.
    fn commit(&self, changes: &[Change]) -> Result<(), DatabaseError>;

    /// What was committed is durable from here on.
    fn flush(&self) -> Result<(), DatabaseError>;
}

/// The key just behind every key that begins with `prefix`; `None` where there is none.
pub fn behind(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut key = prefix.to_vec();
    while let Some(last) = key.pop() {
        if last < u8::MAX {
            key.push(last + 1);
            return Some(key);
        }
    }
    None
}

/// `name` so that no name is the beginning of another: its length in front.
pub fn named(name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 18);
    key.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes());
    key.extend_from_slice(name.as_bytes());
    key
}

/// All entries of a range, a page at a time, newest (highest) key first.
pub struct Descending<'a> {
    database: &'a dyn Database,
    tree: Tree,
    from: Vec<u8>,
    /// Below this key; `None` for the end of the tree.
    to: Option<Vec<u8>>,
    page: std::vec::IntoIter<Entry>,
    ended: bool,
}

/// Entries fetched at once.
const PAGE: usize = 64;

impl<'a> Descending<'a> {
    pub fn new(database: &'a dyn Database, tree: Tree, from: Vec<u8>, to: Option<Vec<u8>>) -> Self {
        Descending { database, tree, from, to, page: Vec::new().into_iter(), ended: false }
    }

    #[allow(clippy::should_implement_trait, reason = "each step can fail, and a failure is not the end")]
    pub fn next(&mut self) -> Result<Option<Entry>, DatabaseError> {
        if let Some(entry) = self.page.next() {
            return Ok(Some(entry));
        }
        if self.ended || self.to.as_ref().is_some_and(|to| *to <= self.from) {
            return Ok(None);
        }
        let page = self.database.page(self.tree, &self.from, self.to.as_deref(), Order::Descending, PAGE)?;
        self.ended = page.len() < PAGE;
        if let Some((lowest, _)) = page.last() {
            self.to = Some(lowest.clone());
        }
        self.page = page.into_iter();
        Ok(self.page.next())
    }
}

#[cfg(test)]
mod tests;
