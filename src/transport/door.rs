//! What all ways in share: who is not listened to, as the core says; how long inputs wait for it, as its driver measures; and what the
//! transports refuse by themselves, for the core to count.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::help::Help;
use super::keep_alives::KeepAlives;
use super::trickle::Trickle;
use crate::config::Config;
use crate::registrar::bans::{self, Proof};
use crate::route;
use crate::sip::{Flow, Method, Request, Uri};
use crate::switch::Input;
use crate::switch::output::{Banned, Known};

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
    keep_alives: KeepAlives,
    malformed: Mutex<BTreeMap<(IpAddr, Proof), u32>>,
    delay_us: AtomicU64,
    /// Says which numbers are emergency numbers, and how the outside is reached.
    config: RwLock<Option<Arc<Config>>>,
    help: Mutex<Help>,
    /// Calls for help were let in, whose challenges may go out: nearly always false, and looked at for each message that is sent.
    helps: AtomicBool,
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

    /// A message goes out: who is challenged there may answer.
    pub fn sent(&self, to: &Flow, message: &[u8]) {
        if self.helps.load(Ordering::Relaxed) {
            self.help().sent(to.remote, message);
        }
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        if let Some((source, Proof::Datagram)) = self.ban_of(to) {
            self.trickle().sent(source, message);
        }
    }

    fn help(&self) -> MutexGuard<'_, Help> {
        self.help.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`KeepAlives`].
    pub fn watch(&self, remote: SocketAddr) {
        self.keep_alives.watch(remote);
    }

    pub fn heard(&self, remote: SocketAddr) {
        self.keep_alives.heard(remote);
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

    /// From here on this configuration holds.
    pub fn heed(&self, config: Arc<Config>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Some(config);
    }

    /// Where phones are registered from.
    pub fn know(&self, known: Known) {
        self.help().known(known);
    }

    /// Whether the request is a call for help, and there is a place for it. Asked of what would be refused alone; a yes takes the place.
    pub fn helps(&self, request: &Request, source: SocketAddr) -> bool {
        if request.method != Method::Invite {
            return false;
        }
        let asker = {
            let is_proxy = self.config().as_ref().is_some_and(|config| config.sip.is_proxy(source.ip().to_canonical()));
            let help = self.help();
            Some(help.asker(request, source, is_proxy)).filter(|asker| help.has_room(*asker))
        };
        // What is dialled is read last: a flood costs no more than the counters.
        let Some(asker) = asker.filter(|_| self.is_for_help(request)) else { return false };
        let is_let_in = self.help().let_in(asker, source);
        if is_let_in {
            self.helps.store(true, Ordering::Relaxed);
        }
        is_let_in
    }

    fn config(&self) -> RwLockReadGuard<'_, Option<Arc<Config>>> {
        self.config.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_for_help(&self, request: &Request) -> bool {
        let config = self.config();
        let (Some(config), Uri::Sip(uri)) = (config.as_ref(), &request.uri) else { return false };
        let number = uri.user_unescaped().and_then(|user| std::str::from_utf8(&user).ok().map(str::to_owned));
        number.is_some_and(|number| route::emergency(config, &number).is_some())
    }

    /// Once in each [`REPORT`].
    pub fn renew(&self) {
        self.trickle().renew();
        let mut help = self.help();
        help.renew();
        if help.waits_for_none() {
            self.helps.store(false, Ordering::Relaxed);
        }
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
            self.renew();
            self.keep_alives.renew();
            if self.keep_alives.is_any_silent()
                && let Ok(place) = core.try_reserve()
            {
                place.send(Input::Silent { remotes: self.keep_alives.take_silent() });
            }
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
