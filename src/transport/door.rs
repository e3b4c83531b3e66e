//! What all ways in share: who is not listened to, as the core says; how long inputs wait for it, as its driver measures; and what the
//! transports refuse by themselves, for the core to count.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::registrar::bans;
use crate::sip::Flow;
use crate::switch::Input;
use crate::switch::output::Banned;

/// Sources that malformed messages are counted of between two reports. More of them at once are a spoofed flood, of which none is banned.
const MAX_SOURCES: usize = 1_024;
/// Between two reports: a few in each second that the core's rate counts in.
const REPORT: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub struct Door {
    /// Nearly always false, and looked at for each message.
    any: AtomicBool,
    banned: RwLock<BTreeMap<IpAddr, Vec<SocketAddr>>>,
    malformed: Mutex<BTreeMap<IpAddr, u32>>,
    delay_us: AtomicU64,
}

impl Door {
    /// In place of all that there were.
    pub fn ban(&self, all: Vec<Banned>) {
        self.any.store(!all.is_empty(), Ordering::Relaxed);
        let all = all.into_iter().map(|b| (b.address, b.spared)).collect();
        *self.banned.write().unwrap_or_else(PoisonError::into_inner) = all;
    }

    /// Whether nothing is to be heard from there: it is banned, and no phone is registered on this very flow.
    pub fn is_shut_for(&self, flow: &Flow) -> bool {
        if !self.any.load(Ordering::Relaxed) {
            return false;
        }
        let Some(source) = bans::source(flow) else { return false };
        let banned = self.banned.read().unwrap_or_else(PoisonError::into_inner);
        banned.get(&source).is_some_and(|spared| !spared.contains(&flow.remote))
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
            let Ok(place) = core.try_reserve() else { continue };
            let sources = std::mem::take(&mut *self.malformed.lock().unwrap_or_else(PoisonError::into_inner));
            if !sources.is_empty() {
                place.send(Input::Malformed { sources: sources.into_iter().collect() });
            }
        }
    }
}
