//! What all ways in share: who is not listened to, as the core says; how long inputs wait for it, as its driver measures; and what the
//! transports refuse by themselves, for the core to count.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::trickle::Trickle;
use crate::registrar::bans::{self, Proof};
use crate::sip::Flow;
use crate::switch::Input;
use crate::switch::output::Banned;

/// Sources that malformed messages are counted of between two reports. More of them at once are a spoofed flood, of which none is banned.
const MAX_SOURCES: usize = 1_024;
/// Between two reports: a few in each second that the core's rate counts in.
const REPORT: Duration = Duration::from_millis(250);

#[derive(Debug)]
struct Ban {
    proof: Proof,
    spared: Vec<SocketAddr>,
}

#[derive(Debug, Default)]
pub struct Door {
    /// Nearly always false, and looked at for each message.
    any: AtomicBool,
    banned: RwLock<BTreeMap<IpAddr, Ban>>,
    trickle: Mutex<Trickle>,
    malformed: Mutex<BTreeMap<(IpAddr, Proof), u32>>,
    delay_us: AtomicU64,
}

impl Door {
    /// In place of all that there were.
    pub fn ban(&self, all: Vec<Banned>) {
        self.any.store(!all.is_empty(), Ordering::Relaxed);
        let all: BTreeMap<IpAddr, Ban> = all.into_iter().map(|b| (b.address, Ban { proof: b.proof, spared: b.spared })).collect();
        self.trickle().keep(|source| all.contains_key(source));
        *self.banned.write().unwrap_or_else(PoisonError::into_inner) = all;
    }

    /// Whether nothing is to be heard from there: it is banned, and no phone is registered on this very flow.
    pub fn is_shut_for(&self, flow: &Flow) -> bool {
        if !self.any.load(Ordering::Relaxed) {
            return false;
        }
        self.ban_of(flow).is_some()
    }

    /// The same of a datagram, whose address proves nothing: a trickle is let through.
    pub fn is_shut_for_datagram(&self, flow: &Flow, datagram: &[u8]) -> bool {
        if !self.any.load(Ordering::Relaxed) {
            return false;
        }
        match self.ban_of(flow) {
            None => false,
            Some((_, Proof::Connection)) => true,
            Some((source, Proof::Datagram)) => !self.trickle().takes(source, flow.remote, datagram),
        }
    }

    /// A datagram goes out: who is challenged there may answer.
    pub fn sent(&self, to: &Flow, datagram: &[u8]) {
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        if let Some((source, Proof::Datagram)) = self.ban_of(to) {
            self.trickle().sent(source, datagram);
        }
    }

    fn trickle(&self) -> MutexGuard<'_, Trickle> {
        self.trickle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ban that holds for this flow.
    fn ban_of(&self, flow: &Flow) -> Option<(IpAddr, Proof)> {
        let source = bans::source(flow)?;
        let banned = self.banned.read().unwrap_or_else(PoisonError::into_inner);
        let ban = banned.get(&source).filter(|ban| ban.proof >= bans::proof(flow))?;
        (!ban.spared.contains(&flow.remote)).then_some((source, ban.proof))
    }

    /// How long the last input that was measured has waited for the core.
    pub fn delay(&self) -> Duration {
        Duration::from_micros(self.delay_us.load(Ordering::Relaxed))
    }

    pub fn set_delay(&self, delay: Duration) {
        self.delay_us.store(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub fn malformed(&self, flow: &Flow) {
        let Some(source) = bans::source(flow) else { return };
        let mut malformed = self.malformed.lock().unwrap_or_else(PoisonError::into_inner);
        let source = (source, bans::proof(flow));
        if malformed.len() < MAX_SOURCES || malformed.contains_key(&source) {
            *malformed.entry(source).or_default() += 1;
        }
    }

    /// Tells the core, as long as it is there. While its queue is full nothing is told, and counted on.
    pub async fn report(self: Arc<Door>, core: mpsc::Sender<Input>) {
        let mut pace = interval(REPORT);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            if core.is_closed() {
                return;
            }
            self.trickle().renew();
            let Ok(place) = core.try_reserve() else { continue };
            let sources = std::mem::take(&mut *self.malformed.lock().unwrap_or_else(PoisonError::into_inner));
            if !sources.is_empty() {
                place.send(Input::Malformed {
                    sources: sources.into_iter().map(|((source, proof), count)| (source, proof, count)).collect(),
                });
            }
        }
    }
}
