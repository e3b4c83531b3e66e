//! Who gets into the core's queue when it fills: calls that live before calls that are new.
//!
//! | the core's queue | new requests (no tag in To) but REGISTER | REGISTER | anything else: in dialogs, ACK, CANCEL, responses |
//! |---|---|---|---|
//! | shorter than [`SHED`], more than three eighths free | in | in | in |
//! | less than three eighths free | in | without credentials: 503 with Retry-After | in |
//! | longer than [`SHED`] | 503 with Retry-After, built from the request alone (RFC 3261 §8.2.7, §21.5.4) | in | in |
//! | longer than [`SHED_REGISTER`], or less than a quarter free | as above | as above, all | in |
//! | full | as above | as above | UDP: dropped, the peer repeats it; TCP: the connection is not read until there is room |
//!
//! So a quarter is always for what lives, whatever flood there is.
//!
//! An INVITE for help, to an emergency number however the outside is reached, is not shed while there is any room, as long as
//! its source, all of its standing, and all together send no more of them than [`Door::helps`] lets in (`help.rs`).
//!
//! Its length is a time: how long an input waits in it, as the driver measures ([`Door::set_delay`]). Of what is slow
//! registrations are shed last, since a phone that is refused one is not there for any call.
//!
//! Over UDP an INVITE is repeated, and a repetition must fare as the first one did: a 503 to the copy of an INVITE that the core has taken
//! would end a call that it is setting up. So a listener remembers the last [`REMEMBERED`] of them.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::door::Door;
use super::settings::{KEEP_FREE, KEEP_FREE_OF_UNPROVEN};
use crate::sip::{Flow, HeaderName, Message, Method, Request, Response, Status};
use crate::switch::Input;

/// New INVITEs that a UDP listener remembers: at 100 calls a second, the 32 s in which a peer may repeat them.
const REMEMBERED: usize = 4_096;
/// A wait of the core's queue from which on new requests are shed: less than half of T1, so that what is taken is answered before it is
/// repeated (RFC 3261 §17.1.1.2).
pub const SHED: Duration = Duration::from_millis(200);
/// … and REGISTER too.
pub const SHED_REGISTER: Duration = Duration::from_secs(1);
/// Seconds, and as many again spread over those who are shed, so that they do not all come back at once.
const RETRY_AFTER: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Taken,
    Shed,
}

/// The door for what comes once: a stream's messages.
pub struct Gate {
    core: mpsc::Sender<Input>,
    door: Arc<Door>,
}

impl Gate {
    pub fn new(core: mpsc::Sender<Input>, door: Arc<Door>) -> Gate {
        Gate { core, door }
    }

    /// The answer to a message that should not get in.
    pub fn judge(&self, message: &Message, source: SocketAddr) -> Option<Response> {
        let request = new_request(message)?;
        let delay = self.door.delay();
        let is_shed = match request.method {
            Method::Register => {
                let is_proof = |name| request.headers.contains(&name);
                let proves = is_proof(HeaderName::Authorization) || is_proof(HeaderName::ProxyAuthorization);
                delay > SHED_REGISTER || self.is_crowded() || (!proves && self.has_less_than(KEEP_FREE_OF_UNPROVEN))
            }
            _ => delay > SHED || self.is_crowded(),
        };
        (is_shed && !self.door.helps(request, source)).then(|| busy(request))
    }

    /// Waits for room. False if the core is gone.
    pub async fn enter(&self, input: Input) -> bool {
        self.core.send(input).await.is_ok()
    }

    fn is_crowded(&self) -> bool {
        self.has_less_than((1, KEEP_FREE))
    }

    /// Of the queue's places, that part is not free.
    fn has_less_than(&self, (parts, of): (usize, usize)) -> bool {
        self.core.capacity() < (self.core.max_capacity() * parts).div_ceil(of)
    }
}

/// The door for what peers repeat: datagrams.
pub struct DatagramGate {
    gate: Gate,
    memory: Memory,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Offered {
    Taken,
    /// To be answered so.
    Shed(Response),
    /// No room. The peer repeats it.
    Full,
}

#[derive(Default)]
struct Memory {
    fates: HashMap<u64, Fate>,
    order: VecDeque<u64>,
}

impl DatagramGate {
    pub fn new(core: mpsc::Sender<Input>, door: Arc<Door>) -> DatagramGate {
        DatagramGate { gate: Gate::new(core, door), memory: Memory::default() }
    }

    pub fn offer(&mut self, flow: Flow, message: Message) -> Offered {
        let identity = new_call(&message).map(|request| identity(request, flow.remote));
        match identity.and_then(|identity| self.memory.fates.get(&identity)) {
            Some(Fate::Taken) => {}
            Some(Fate::Shed) => {
                if let Some(request) = new_call(&message) {
                    return Offered::Shed(busy(request));
                }
            }
            None => {
                if let Some(response) = self.gate.judge(&message, flow.remote) {
                    self.memory.remember(identity, Fate::Shed);
                    return Offered::Shed(response);
                }
            }
        }
        if self.gate.core.try_send(Input::Sip { flow, message }).is_err() {
            return Offered::Full;
        }
        self.memory.remember(identity, Fate::Taken);
        Offered::Taken
    }
}

impl Memory {
    fn remember(&mut self, identity: Option<u64>, fate: Fate) {
        let Some(identity) = identity else { return };
        if self.fates.insert(identity, fate).is_some() {
            return;
        }
        self.order.push_back(identity);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.fates.remove(&oldest);
        }
    }
}

fn new_call(message: &Message) -> Option<&Request> {
    new_request(message).filter(|request| request.method == Method::Invite)
}

/// A request that belongs to nothing that lives.
fn new_request(message: &Message) -> Option<&Request> {
    match message {
        Message::Request(request) => {
            let is_of_another = matches!(request.method, Method::Ack | Method::Cancel);
            (!is_of_another && request.headers.to_tag().is_ok_and(|tag| tag.is_none())).then_some(request)
        }
        Message::Response(_) => None,
    }
}

/// The same for a request and its repetitions, and for no other (§17.2.3, and §8.1.1.7's lack of a branch).
fn identity(request: &Request, source: SocketAddr) -> u64 {
    let mut hash = DefaultHasher::new();
    source.hash(&mut hash);
    for name in [HeaderName::Via, HeaderName::From, HeaderName::CallId, HeaderName::CSeq] {
        request.headers.get(&name).hash(&mut hash);
    }
    hash.finish()
}

/// 503 from the request alone: the tag is a digest of it, so that each repetition gets the same (§8.2.7).
fn busy(request: &Request) -> Response {
    let mut hash = DefaultHasher::new();
    for name in [HeaderName::Via, HeaderName::From, HeaderName::CallId, HeaderName::CSeq] {
        request.headers.get(&name).hash(&mut hash);
    }
    let hash = hash.finish();
    let mut response = request.response_with_tag(Status::SERVICE_UNAVAILABLE, format!("{hash:016x}"));
    response.headers.push(HeaderName::RetryAfter, RETRY_AFTER + (hash % u64::from(RETRY_AFTER)) as u32);
    response
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::sip::Transport;
    use crate::switch::output::Known;

    fn request(method: &str, branch: u32, tag: &str) -> Message {
        let text = format!(
            "{method} sip:100@a SIP/2.0\r\nVia: SIP/2.0/UDP b;branch=z9hG4bK{branch}\r\nFrom: <sip:1@b>;tag=f\r\nTo: <sip:100@a>{tag}\r\n\
             Call-ID: c\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n\r\n"
        );
        crate::sip::intake(Bytes::from(text)).expect("valid")
    }

    fn flow() -> Flow {
        let at = |text: &str| text.parse().expect("address");
        Flow { transport: Transport::Udp, local: at("192.0.2.9:5060"), remote: at("192.0.2.1:5060"), connection: None }
    }

    fn fill(core: &mpsc::Sender<Input>) {
        while core.try_send(Input::Tick).is_ok() {}
    }

    /// RFC 3261 §21.5.4.
    #[test]
    fn what_is_new_is_shed_while_the_core_is_crowded_and_nothing_else_is() {
        let (core, _queue) = mpsc::channel(8);
        let gate = Gate::new(core.clone(), Arc::default());
        for _ in 0..6 {
            assert_eq!(gate.judge(&request("INVITE", 1, ""), flow().remote), None);
            core.try_send(Input::Tick).expect("room");
        }
        core.try_send(Input::Tick).expect("room");
        for (method, tag) in [("INVITE", ";tag=t"), ("BYE", ";tag=t"), ("CANCEL", ""), ("ACK", "")] {
            assert_eq!(gate.judge(&request(method, 1, tag), flow().remote), None, "{method}");
        }
        let response = gate.judge(&request("INVITE", 2, ""), flow().remote).expect("shed");
        assert_eq!(response.status, Status::SERVICE_UNAVAILABLE);
        assert!(response.headers.contains(&HeaderName::RetryAfter));
        assert_eq!(gate.judge(&request("INVITE", 2, ""), flow().remote), Some(response), "the same tag each time");
        assert!(gate.judge(&request("OPTIONS", 2, ""), flow().remote).is_some());
    }

    fn register(n: u32, proves: bool) -> Message {
        let text = String::from_utf8(request("REGISTER", n, "").to_bytes().to_vec()).expect("text");
        let proof = if proves { "Authorization: Digest username=\"1\"\r\n" } else { "" };
        crate::sip::intake(Bytes::from(text.replacen("Max-Forwards", &format!("{proof}Max-Forwards"), 1))).expect("valid")
    }

    #[test]
    fn a_flood_of_registers_leaves_room_for_what_lives() {
        let (core, mut queue) = mpsc::channel(64);
        let mut gate = DatagramGate::new(core.clone(), Arc::default());
        let taken = |gate: &mut DatagramGate, proves| {
            (0..1_000).filter(|n| gate.offer(flow(), register(*n, proves)) == Offered::Taken).count()
        };
        assert_eq!(taken(&mut gate, false), 41, "three eighths are left");
        assert_eq!(gate.offer(flow(), request("INVITE", 1, "")), Offered::Taken);
        assert_eq!(taken(&mut gate, true), 7, "a quarter is left");
        assert!(matches!(gate.offer(flow(), request("INVITE", 2, "")), Offered::Shed(_)));
        for _ in 0..15 {
            assert_eq!(gate.offer(flow(), request("BYE", 1, ";tag=t")), Offered::Taken);
        }
        while queue.try_recv().is_ok() {}
        assert_eq!(gate.offer(flow(), register(1, false)), Offered::Taken);
    }

    #[test]
    fn what_is_new_is_shed_while_inputs_wait_long_and_registrations_last() {
        let (core, _queue) = mpsc::channel(8);
        let door = Arc::new(Door::default());
        let gate = Gate::new(core, door.clone());
        let shed = |method: &str, tag: &str| gate.judge(&request(method, 1, tag), flow().remote).is_some();
        for (ms, calls, registrations) in
            [(0, false, false), (150, false, false), (250, true, false), (1_500, true, true), (10, false, false)]
        {
            door.set_delay(Duration::from_millis(ms));
            assert_eq!((shed("INVITE", ""), shed("MESSAGE", ""), shed("REGISTER", "")), (calls, calls, registrations), "{ms} ms");
            for (method, tag) in [("INVITE", ";tag=t"), ("BYE", ";tag=t"), ("ACK", ""), ("CANCEL", "")] {
                assert!(!shed(method, tag), "{method} at {ms} ms");
            }
        }
    }

    const CENTRE: &str = "[site]\nname = \"Help\"\ndomain = \"help.example\"\ntime_zone = \"Europe/Berlin\"\ncountry = \"DE\"\n\
        [[trunk]]\nname = \"carrier\"\npeer = \"192.0.2.7\"\n[[outbound]]\npattern = \"0*\"\nstrip = 1\ntrunk = [\"carrier\"]\n";

    fn calling(number: &str, branch: u32) -> Message {
        let text = String::from_utf8(request("INVITE", branch, "").to_bytes().to_vec()).expect("text");
        crate::sip::intake(Bytes::from(text.replacen("sip:100@a", &format!("sip:{number}@a"), 1))).expect("valid")
    }

    #[test]
    fn a_call_for_help_gets_in_while_there_is_any_room_and_a_flood_of_them_does_not() {
        let (core, _queue) = mpsc::channel(2_048);
        let door = Arc::new(Door::default());
        let config = crate::config::Config::resolve(&crate::config::Source::of(CENTRE.to_owned())).expect("a configuration");
        door.heed(Arc::new(config));
        let mut gate = DatagramGate::new(core.clone(), door.clone());
        door.set_delay(SHED_REGISTER * 2);
        assert!(matches!(gate.offer(flow(), calling("030123", 1)), Offered::Shed(_)));
        for (n, number) in (2..).zip(["112", "110", "0112"]) {
            assert_eq!(gate.offer(flow(), calling(number, n)), Offered::Taken, "{number}");
        }
        let from = |gate: &mut DatagramGate, source: u32, n: u32| {
            let remote = SocketAddr::from((std::net::Ipv4Addr::from(0x0a00_0000 + source), 5060));
            gate.offer(Flow { remote, ..flow() }, calling("112", 100 + n)) == Offered::Taken
        };
        // One source has its share, and all strangers together have theirs.
        let of_one = (0..100).filter(|n| from(&mut gate, 1, *n)).count();
        assert!((4..20).contains(&of_one), "{of_one}");
        assert!(from(&mut gate, 2, 1_000), "another one");
        let of_all = (3..1_000).filter(|n| from(&mut gate, *n, 2_000 + n)).count();
        assert!((8..64).contains(&of_all), "{of_all}");
        // A flood from everywhere is none of a phone's that is registered.
        let phone = SocketAddr::from(([10, 1, 0, 1], 5060));
        assert!(!from(&mut gate, 0x1_0001, 4_000));
        door.know(Known::Added(phone));
        assert!(from(&mut gate, 0x1_0001, 4_001));
        for _ in 0..16 {
            door.renew();
        }
        assert!(from(&mut gate, 1, 5_000), "later");
        fill(&core);
        assert!(!from(&mut gate, 3, 6_000));
    }

    #[test]
    fn a_repetition_fares_as_the_first_one_did() {
        let (core, mut queue) = mpsc::channel(4);
        let mut gate = DatagramGate::new(core.clone(), Arc::default());
        assert_eq!(gate.offer(flow(), request("INVITE", 1, "")), Offered::Taken);
        fill(&core);
        assert_eq!(gate.offer(flow(), request("INVITE", 1, "")), Offered::Full, "the core has it: no 503");
        assert!(matches!(gate.offer(flow(), request("INVITE", 2, "")), Offered::Shed(_)));
        while queue.try_recv().is_ok() {}
        assert!(matches!(gate.offer(flow(), request("INVITE", 2, "")), Offered::Shed(_)), "the peer has its 503");
        assert_eq!(gate.offer(flow(), request("INVITE", 1, "")), Offered::Taken);
        assert_eq!(gate.offer(flow(), request("INVITE", 3, "")), Offered::Taken);
    }

    #[test]
    fn what_lives_is_taken_until_there_is_no_room_at_all() {
        let (core, _queue) = mpsc::channel(4);
        let mut gate = DatagramGate::new(core, Arc::default());
        for _ in 0..4 {
            assert_eq!(gate.offer(flow(), request("BYE", 1, ";tag=t")), Offered::Taken);
        }
        assert_eq!(gate.offer(flow(), request("BYE", 1, ";tag=t")), Offered::Full);
    }

    #[test]
    fn memory_is_bounded() {
        let mut memory = Memory::default();
        for identity in 0..3 * REMEMBERED as u64 {
            memory.remember(Some(identity), Fate::Taken);
            memory.remember(Some(identity), Fate::Taken);
        }
        assert_eq!((memory.fates.len(), memory.order.len()), (REMEMBERED, REMEMBERED));
    }
}
