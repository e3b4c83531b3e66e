//! All transactions: by id, by key, by deadline.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::client::Client;
use super::client_invite::ClientInvite;
use super::client_non_invite::ClientNonInvite;
use super::key::Key;
use super::server::Server;
use super::server_invite::ServerInvite;
use super::server_non_invite::ServerNonInvite;
use crate::clock::Mono;
use crate::sip::Flow;

/// Server transactions that requests outside of dialogs may fill. A centre of 100 agents makes some 600 requests a second at its worst
/// (DESIGN), and over UDP each is remembered for 32 s; at about 2 KB each this is 64 MB. Beyond it: 503 with Retry-After, no state.
pub const MAX_INITIAL: usize = 32_768;
/// Calls for help are taken up to here.
pub const MAX_URGENT: usize = MAX_INITIAL + MAX_INITIAL / 8;
/// Requests inside of dialogs (BYE above all) and CANCEL are taken up to here, so that a flood of INVITEs does not keep calls from ending.
pub const MAX_SERVERS: usize = MAX_INITIAL + MAX_INITIAL / 4;

/// Unique in this process, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TransactionId(pub u64);

/// Names a sent request towards the driver, which gives it back when the request could not be sent. The number holds the transaction
/// and the attempt, so that a report of an attempt that was given up is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SendId(pub u64);

impl SendId {
    pub(super) fn new(id: TransactionId, attempt: u8) -> SendId {
        SendId(id.0 << 8 | u64::from(attempt))
    }

    pub(super) fn parts(self) -> (TransactionId, u8) {
        (TransactionId(self.0 >> 8), (self.0 & 0xff) as u8)
    }
}

/// Bytes for the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Sending {
    pub to: Flow,
    pub bytes: Bytes,
    pub report: Option<SendId>,
}

/// A transaction that ended without what it waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    pub id: TransactionId,
    pub what: Expiry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Client: no final response (timer B or F, or 64·T1 after CANCEL). As good as a 408 (§8.1.3.1).
    NoResponse,
    /// Server: the 2xx to an INVITE was never acknowledged. The session is to be ended by BYE (§13.3.1.4).
    NoAckToSuccess,
    /// Server: a 3xx–6xx to an INVITE was never acknowledged. Nothing to do but count.
    NoAckToFailure,
}

pub(super) enum Record {
    Server(Box<Server>),
    Client(Box<Client>),
}

#[derive(Clone, Debug)]
pub(super) enum ServerMachine {
    Invite(ServerInvite),
    Other(ServerNonInvite),
}

#[derive(Clone, Debug)]
pub(super) enum ClientMachine {
    Invite(ClientInvite),
    Other(ClientNonInvite),
}

impl Record {
    fn deadline(&self) -> Option<Mono> {
        match self {
            Record::Server(server) => match &server.machine {
                ServerMachine::Invite(m) => m.deadline(),
                ServerMachine::Other(m) => m.deadline(),
            },
            Record::Client(client) => match &client.machine {
                ClientMachine::Invite(m) => m.deadline(),
                ClientMachine::Other(m) => m.deadline(),
            },
        }
    }

    fn is_terminated(&self) -> bool {
        match self {
            Record::Server(server) => matches!(
                server.machine,
                ServerMachine::Invite(ServerInvite::Terminated) | ServerMachine::Other(ServerNonInvite::Terminated)
            ),
            Record::Client(client) => matches!(
                client.machine,
                ClientMachine::Invite(ClientInvite::Terminated) | ClientMachine::Other(ClientNonInvite::Terminated)
            ),
        }
    }
}

#[derive(Default)]
pub struct Transactions {
    next: u64,
    pub(super) records: BTreeMap<TransactionId, Record>,
    /// Every key of every record; a record lists its own, so that they go with it.
    pub(super) by_key: BTreeMap<Key, TransactionId>,
    /// When each record wants to be called; `due` has the same by record.
    deadlines: BTreeSet<(Mono, TransactionId)>,
    due: BTreeMap<TransactionId, Mono>,
    pub(super) servers: usize,
}

impl Transactions {
    pub fn new() -> Self {
        Transactions::default()
    }

    /// How many there are, lingering ones included.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// When [`tick`](Transactions::tick) is due.
    pub fn deadline(&self) -> Option<Mono> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Repeats what is due and ends what has waited long enough. In the order of their deadlines, so a late call does what timely ones
    /// would have done.
    pub fn tick(&mut self, now: Mono, expired: &mut Vec<Expired>, out: &mut Vec<Sending>) {
        while let Some(&(at, id)) = self.deadlines.first() {
            if at > now {
                break;
            }
            match self.records.get(&id) {
                Some(Record::Server(_)) => self.tick_server(id, now, expired, out),
                Some(Record::Client(_)) => self.tick_client(id, now, expired, out),
                None => {}
            }
            // A machine that was called in vain must not be called for ever.
            if self.due.get(&id) == Some(&at) && self.records.get(&id).and_then(Record::deadline) == Some(at) {
                debug_assert!(false, "transaction {id:?} does nothing at its deadline");
                self.remove(id);
            }
        }
    }

    pub(super) fn insert(&mut self, record: Record) -> TransactionId {
        self.next += 1;
        let id = TransactionId(self.next);
        if let Record::Server(_) = record {
            self.servers += 1;
        }
        self.records.insert(id, record);
        id
    }

    pub(super) fn index(&mut self, key: Key, id: TransactionId) {
        self.by_key.insert(key.clone(), id);
        match self.records.get_mut(&id) {
            Some(Record::Server(server)) => server.keys.push(key),
            Some(Record::Client(client)) => client.keys.push(key),
            None => {
                self.by_key.remove(&key);
            }
        }
    }

    pub(super) fn unindex(&mut self, key: &Key, id: TransactionId) {
        if self.by_key.get(key) == Some(&id) {
            self.by_key.remove(key);
        }
    }

    pub(super) fn server_mut(&mut self, id: TransactionId) -> Option<&mut Server> {
        match self.records.get_mut(&id) {
            Some(Record::Server(server)) => Some(server),
            Some(Record::Client(_)) | None => None,
        }
    }

    pub(super) fn client_mut(&mut self, id: TransactionId) -> Option<&mut Client> {
        match self.records.get_mut(&id) {
            Some(Record::Client(client)) => Some(client),
            Some(Record::Server(_)) | None => None,
        }
    }

    /// After a machine moved: its new deadline, or its end.
    pub(super) fn settle(&mut self, id: TransactionId) {
        let Some(record) = self.records.get(&id) else { return };
        if record.is_terminated() {
            self.remove(id);
            return;
        }
        let deadline = record.deadline();
        let before = match deadline {
            Some(at) => self.due.insert(id, at),
            None => self.due.remove(&id),
        };
        if before == deadline {
            return;
        }
        if let Some(before) = before {
            self.deadlines.remove(&(before, id));
        }
        if let Some(at) = deadline {
            self.deadlines.insert((at, id));
        }
    }

    pub(super) fn remove(&mut self, id: TransactionId) {
        if let Some(at) = self.due.remove(&id) {
            self.deadlines.remove(&(at, id));
        }
        let keys = match self.records.remove(&id) {
            Some(Record::Server(server)) => {
                self.servers -= 1;
                server.keys
            }
            Some(Record::Client(client)) => client.keys,
            None => return,
        };
        for key in keys {
            self.unindex(&key, id);
        }
    }
}
