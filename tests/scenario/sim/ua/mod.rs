//! A SIP user agent of the simulation: a phone that registers with digest, or a trunk that does not.
//!
//! It is a script's puppet: what it does on an INVITE is set beforehand ([`OnInvite`]), everything else is told to it by name. Its
//! timers are its own and as simple as the RFC allows: a request is repeated until it is answered, a final response to an INVITE until
//! its ACK. It sends one byte of µ-law for ever, so that whoever hears it knows whom.

mod call;
mod receive;
mod send;
mod sound;
mod srtp;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use cordboard::clock::Mono;
use cordboard::sip::{self, HeaderName, Host, Method, NameAddr, Request, Response, SipUri, Transport, Uri};

pub use call::Call;
pub use watch::{Notified, Watch};

use self::srtp::Srtp;
use super::network::Parcel;
use super::switch;

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const GIVE_UP: Duration = Duration::from_secs(32);
const PACKET: Duration = Duration::from_millis(20);
/// What its descriptions call telephone-event.
const EVENT: u8 = 101;

/// What it does when it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInvite {
    /// 180, and after so long 200; at once without 180.
    Answer(Duration),
    /// 180 and nothing more.
    Ring,
    Refuse(u16),
    /// 180, and after so long that refusal.
    RefuseAfter(u16, Duration),
    /// 200, and BYE as soon as that is acknowledged.
    AnswerThenBye(Duration),
    /// 200 with a description that nobody can use.
    AnswerUnusably,
    /// 100 and nothing more: it has not made up its mind.
    Try,
    /// Not even 100.
    Ignore,
}

/// How a hold is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    SendOnly,
    Inactive,
    ZeroAddress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// We called; nothing, or 1xx, has come.
    Calling,
    /// We are called.
    Ringing,
    /// Our 200 waits for its ACK.
    Answered,
    Up,
    Over,
}

/// An INVITE that came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub display: Option<String>,
    pub number: String,
    pub uri: String,
    /// Values of Diversion, and of History-Info.
    pub diversion: Vec<String>,
    pub history: Vec<String>,
    /// From, P-Asserted-Identity, Remote-Party-ID, Privacy, Identity, Date: as they came.
    pub who: [Option<String>; 6],
    /// User of Referred-By.
    pub referred_by: Option<String>,
    /// Asks it to answer by itself: RFC 5373, Alert-Info, Call-Info.
    pub by_itself: [bool; 3],
}

/// Something that is repeated until it is answered.
struct Repeat {
    key: (Bytes, String),
    bytes: Bytes,
    resend_at: Mono,
    gap: Duration,
    until: Mono,
    call: Option<usize>,
    request: Option<Request>,
    /// INVITE: not repeated any more after a provisional response.
    quiet: bool,
    tried_auth: bool,
}

pub struct Ua {
    pub at: SocketAddr,
    pub number: String,
    pub secret: String,
    is_phone: bool,
    pub byte: u8,
    pub on_invite: OnInvite,
    /// Contact of the 3xx that it refuses with.
    pub redirects_to: String,
    /// The answer to OPTIONS outside of calls.
    pub on_options: u16,
    pub options: usize,
    /// The answer to REGISTER, a trunk's.
    pub on_register: u16,
    pub registers: usize,
    /// The Contact of its 200 to REGISTER, where it lists one.
    pub lists: Option<String>,
    /// Each REGISTER is challenged with a nonce of its own, which is good once.
    pub one_nonce_each: bool,
    pub(super) nonces: usize,
    /// What it has accepted: Contacts and Expires of each.
    pub accepted: Vec<(Vec<String>, Option<u32>)>,
    /// Retry-After of its refusals, in seconds.
    pub retry_after: Option<u32>,
    /// One behaviour a call, before `on_invite` counts.
    pub script: VecDeque<OnInvite>,
    pub registered: bool,
    /// Sends no RTP at all.
    pub mute: bool,
    /// Acknowledges 2xx.
    pub acks: bool,
    /// Receives and sends nothing: lost its power.
    pub dead: bool,
    /// Its sound comes from and goes to so many ports above what its descriptions say, as behind a NAT.
    pub rtp_shift: u16,
    /// Puts its own BYE after a final NOTIFY, as phones do.
    pub leaves_after_transfer: bool,
    /// Payload types offered, in order.
    pub codecs: Vec<u8>,
    /// Shows telephone-event in its descriptions.
    pub events: bool,
    /// How its audio line is called where it wants SRTP: `RTP/SAVP`, or `RTP/AVP` with keys, which it can do without.
    pub srtp: Option<&'static str>,
    /// Each byte of its key.
    pub key: u8,
    /// Takes an offer of SRTP for one of RTP, instead of refusing it.
    pub sees_no_srtp: bool,
    pub transport: Transport,
    /// A page: over WebSocket, with DTLS in its descriptions. Its sound is plain all the same, as it is between thread and worker.
    pub browser: bool,
    pub asserted: Option<String>,
    /// Replaces of its next INVITE.
    pub replaces: Option<String>,
    /// More headers of its INVITEs.
    pub more: Vec<(&'static str, &'static str)>,
    /// From says nobody.
    pub nobody: bool,
    /// Where its Contact says that it is, if that is elsewhere.
    pub names: Option<SocketAddr>,
    /// A name that its Contact has instead.
    pub host_name: Option<&'static str>,
    /// Its INVITEs have no Contact.
    pub unreachable: bool,
    /// Methods that it challenges within calls, as somebody who wants to be sure who hangs up; and whose digest it takes.
    pub challenges: Vec<&'static str>,
    pub takes: (String, String),
    /// Challenges that it has given; the first so many of those that are answered are answered with `stale`.
    pub challenged: usize,
    pub stale: usize,
    /// Rings with 183, and speaks before it answers.
    pub early: bool,
    /// Session-Expires of its requests, as it is.
    pub wants: Option<&'static str>,
    /// Session-Expires of its 2xx to INVITE and UPDATE (RFC 4028); whether its Allow has UPDATE.
    pub grants: Option<&'static str>,
    pub allows_update: bool,
    /// Refuses an INVITE with less than that by 422.
    pub min_se: Option<u32>,
    /// Statuses that the next refreshes get; 0 is none at all.
    pub on_refresh: VecDeque<u16>,
    /// Statuses that the next BYEs get.
    pub on_bye: VecDeque<u16>,
    /// Statuses that the next INFOs get; and what came in them: Content-Type and body.
    pub on_info: VecDeque<u16>,
    pub infos: Vec<(String, String)>,
    /// Says a tone of so many Hz instead of its byte, and keeps all that it hears, in G.711.
    pub tone: Option<f64>,
    /// Says this instead of its byte: µ-law, from that moment on, and silence before and after it.
    pub words: Option<(Mono, std::sync::Arc<[u8]>)>,
    /// Methods of the requests that came with credentials.
    pub signed: Vec<String>,
    /// Refreshes that came: `UPDATE`, or `INVITE` and its direction.
    pub refreshes: Vec<String>,
    /// Acknowledges reliable provisional responses (RFC 3262).
    pub pracks: bool,
    /// Sends its own provisional responses reliably, in the order of these numbers; RAck of the PRACKs that came.
    pub rseq: Option<u32>,
    pub racks: Vec<String>,
    /// Methods and CSeq numbers of the requests that came.
    pub cseqs: Vec<(String, u32)>,
    /// Session-Expires of its INVITEs and UPDATEs, in seconds; it refreshes only when it is told to.
    pub session_expires: Option<u32>,
    /// Session-Expires of the 2xx to them, and Min-SE of a 422.
    pub sessions: Vec<String>,
    pub statuses: Vec<(String, u16)>,
    pub invites: Vec<Seen>,
    /// `cause` of the Reason header of each CANCEL that came.
    pub cancels: Vec<Option<u16>>,
    pub byes: usize,
    pub notifies: Vec<String>,
    /// MESSAGEs that came: From, Content-Type, text.
    pub messages: Vec<(String, String, String)>,
    /// What it answers to them; nothing at all with `None`.
    pub on_message: Option<u16>,
    pub watches: Vec<Watch>,
    /// NOTIFYs of subscriptions.
    pub notified: Vec<Notified>,
    /// What it answers to them; nothing at all with `None`.
    pub on_notify: Option<u16>,
    pub calls: Vec<Call>,
    pub log: Vec<String>,
    repeats: Vec<Repeat>,
    /// Final answers that were given, by branch and method, for repeats.
    given: BTreeMap<(Bytes, String), Bytes>,
    refresh_at: Option<Mono>,
    register_cseq: u32,
    nc: u32,
    counter: u64,
    parcels: Vec<(SocketAddr, Parcel)>,
}

impl Ua {
    pub fn phone(number: &str, ip: IpAddr) -> Ua {
        let last = number.parse::<u16>().map_or(0x41, |n| (n % 100) as u8);
        Ua::new(number, ip, 0x40 | (last & 0x3f), true)
    }

    pub fn trunk(ip: IpAddr) -> Ua {
        let last = match ip {
            IpAddr::V4(ip) => ip.octets()[3],
            IpAddr::V6(_) => 0,
        };
        Ua::new("+493012345678", ip, 0x10 | (last & 0x0f), false)
    }

    fn new(number: &str, ip: IpAddr, byte: u8, is_phone: bool) -> Ua {
        Ua {
            at: SocketAddr::new(ip, 5060),
            number: number.to_owned(),
            secret: format!("secret-{number}"),
            is_phone,
            byte,
            on_invite: OnInvite::Answer(Duration::from_secs(2)),
            on_options: 200,
            options: 0,
            on_register: 200,
            registers: 0,
            lists: None,
            one_nonce_each: false,
            nonces: 0,
            accepted: Vec::new(),
            retry_after: None,
            script: VecDeque::new(),
            registered: false,
            mute: false,
            acks: true,
            dead: false,
            rtp_shift: 0,
            leaves_after_transfer: true,
            codecs: vec![0],
            events: true,
            srtp: None,
            key: byte,
            sees_no_srtp: false,
            transport: Transport::Udp,
            browser: false,
            asserted: None,
            replaces: None,
            more: Vec::new(),
            nobody: false,
            names: None,
            host_name: None,
            unreachable: false,
            challenges: Vec::new(),
            takes: (number.to_owned(), format!("secret-{number}")),
            challenged: 0,
            stale: 0,
            early: false,
            pracks: true,
            wants: None,
            grants: None,
            allows_update: false,
            min_se: None,
            on_refresh: VecDeque::new(),
            on_bye: VecDeque::new(),
            on_info: VecDeque::new(),
            infos: Vec::new(),
            tone: None,
            words: None,
            signed: Vec::new(),
            refreshes: Vec::new(),
            rseq: None,
            racks: Vec::new(),
            cseqs: Vec::new(),
            session_expires: None,
            sessions: Vec::new(),
            statuses: Vec::new(),
            invites: Vec::new(),
            cancels: Vec::new(),
            byes: 0,
            notifies: Vec::new(),
            messages: Vec::new(),
            on_message: Some(200),
            watches: Vec::new(),
            notified: Vec::new(),
            on_notify: Some(200),
            calls: Vec::new(),
            log: Vec::new(),
            repeats: Vec::new(),
            given: BTreeMap::new(),
            refresh_at: None,
            register_cseq: 0,
            nc: 0,
            redirects_to: String::new(),
            counter: 0,
            parcels: Vec::new(),
        }
    }

    // ---- what a script looks at ----

    /// The last call that is not over, else the last.
    pub fn last(&self) -> Option<&Call> {
        self.calls.iter().rfind(|c| c.phase != Phase::Over).or(self.calls.last())
    }

    pub fn is_up(&self) -> bool {
        self.calls.iter().any(|c| c.phase == Phase::Up)
    }

    pub fn is_ringing(&self) -> bool {
        self.calls.iter().any(|c| c.phase == Phase::Ringing)
    }

    pub fn is_idle(&self) -> bool {
        self.calls.iter().all(|c| c.phase == Phase::Over)
    }

    pub fn open_calls(&self) -> usize {
        self.calls.iter().filter(|c| c.phase != Phase::Over).count()
    }

    /// Finals that its last INVITE got.
    pub fn final_status(&self) -> Option<u16> {
        self.calls.iter().rfind(|c| c.outgoing).and_then(|c| c.final_status)
    }

    pub fn last_status(&self, method: &str) -> Option<u16> {
        self.statuses.iter().rfind(|(m, s)| m == method && *s >= 200).map(|(_, s)| *s)
    }

    /// How many packets of this byte it has heard since then, over all calls.
    pub fn heard(&self, byte: u8, since: Mono) -> usize {
        self.calls.iter().flat_map(|c| &c.heard).filter(|(at, _, b)| *at >= since && *b == byte).count()
    }

    /// Every byte heard since then, with its number of packets.
    pub fn hears(&self, since: Mono) -> BTreeMap<u8, usize> {
        let mut all = BTreeMap::new();
        for (_, _, byte) in self.calls.iter().flat_map(|c| &c.heard).filter(|(at, pt, _)| *at >= since && *pt < 96) {
            *all.entry(*byte).or_insert(0) += 1;
        }
        all
    }

    // ---- what a script tells it ----

    pub fn register(&mut self, now: Mono) {
        self.send_register(3_600, now);
    }

    pub fn unregister(&mut self, now: Mono) {
        self.refresh_at = None;
        self.send_register(0, now);
    }

    pub fn call(&mut self, number: &str, now: Mono) -> usize {
        self.invite(number, true, now)
    }

    /// An INVITE without a description: the answer's offer is answered in the ACK.
    pub fn call_with_late_offer(&mut self, number: &str, now: Mono) -> usize {
        self.invite(number, false, now)
    }

    /// Whatever the last call is in.
    pub fn hang_up(&mut self, now: Mono) {
        let Some(i) = self.calls.iter().rposition(|c| c.phase != Phase::Over) else { return };
        self.end(i, now);
    }

    pub fn end(&mut self, i: usize, now: Mono) {
        match self.calls[i].phase {
            Phase::Calling => self.cancel_call(i, now),
            Phase::Ringing => self.refuse(i, 603, now),
            Phase::Answered | Phase::Up => {
                self.over(i, now);
                self.in_dialog(i, Method::Bye, |_| {}, now);
            }
            Phase::Over => {}
        }
    }

    /// Picks up the call that rings.
    pub fn answer(&mut self, now: Mono) {
        if let Some(i) = self.calls.iter().rposition(|c| c.phase == Phase::Ringing) {
            self.accept(i, false, now);
        }
    }

    pub fn hold(&mut self, how: Hold, now: Mono) {
        let (direction, zero) = match how {
            Hold::SendOnly => ("sendonly", false),
            Hold::Inactive => ("inactive", false),
            Hold::ZeroAddress => ("sendrecv", true),
        };
        self.reinvite(direction, zero, true, now);
    }

    pub fn resume(&mut self, now: Mono) {
        self.reinvite("sendrecv", false, true, now);
    }

    /// A re-INVITE without a description.
    pub fn resume_with_late_offer(&mut self, now: Mono) {
        self.reinvite("sendrecv", false, false, now);
    }

    pub fn refer(&mut self, number: &str, now: Mono) {
        let Some(i) = self.up() else { return };
        let to = format!("<sip:{number}@{}>", switch());
        self.in_dialog(i, Method::Refer, |r| r.headers.push(HeaderName::ReferTo, to.as_str()), now);
    }

    /// Attended transfer: in call `on`, to be joined with call `other`, the way phones name it.
    pub fn refer_call(&mut self, on: usize, other: usize, now: Mono) {
        let (call_id, theirs, ours) = self.names_of(other);
        self.refer_dialog(on, &call_id, &theirs, &ours, now);
    }

    /// Likewise, with a dialog of anybody.
    pub fn refer_dialog(&mut self, on: usize, call_id: &str, to_tag: &str, from_tag: &str, now: Mono) {
        let replaces = format!("{}%3Bto-tag%3D{to_tag}%3Bfrom-tag%3D{from_tag}", call_id.replace('@', "%40"));
        let to = format!("<sip:somebody@{}?Replaces={replaces}>", switch());
        self.in_dialog(on, Method::Refer, |r| r.headers.push(HeaderName::ReferTo, to.as_str()), now);
    }

    /// The next INVITE takes the place of a dialog of its switch's (RFC 3891).
    pub fn replacing(&mut self, (call_id, theirs, ours): &(String, String, String)) {
        self.replaces = Some(format!("{call_id};to-tag={theirs};from-tag={ours}"));
    }

    /// What names a call to its phone's switch: Call-ID, the other side's tag, its own.
    pub fn names_of(&self, call: usize) -> (String, String, String) {
        let call = &self.calls[call];
        let tag = |address: &NameAddr| String::from_utf8_lossy(address.tag().unwrap_or_default()).into_owned();
        (call.call_id.clone(), tag(call.early.as_ref().unwrap_or(&call.remote)), tag(&call.local))
    }

    /// A part of a description, with candidates (RFC 8840 §4.4).
    pub fn trickle(&mut self, fragment: &'static str, now: Mono) {
        let Some(i) = self.up() else { return };
        let fill = |r: &mut Request| {
            r.headers.push(HeaderName::InfoPackage, "trickle-ice");
            r.headers.push(HeaderName::ContentType, "application/trickle-ice-sdpfrag");
            r.body = fragment.into();
        };
        self.in_dialog(i, Method::Info, fill, now);
    }

    /// Acknowledges the last 2xx, which it has not yet (`acks`).
    pub fn acknowledge(&mut self) {
        if let Some(i) = self.up() {
            let invite = self.calls[i].invite.clone();
            self.ack_success(i, &invite);
        }
    }

    /// The ACK of the call's first 2xx once more, as a network that repeats brings it.
    pub fn acknowledge_the_first_again(&mut self) {
        if let Some(ack) = self.up().and_then(|i| self.calls[i].first_ack.clone()) {
            self.put(ack);
        }
    }

    /// UPDATE, with an offer if `direction` is given.
    pub fn update(&mut self, direction: Option<&'static str>, now: Mono) {
        let Some(i) = self.up() else { return };
        let contact = self.contact();
        let body = direction.map(|direction| {
            self.calls[i].direction = direction;
            self.calls[i].version += 1;
            self.calls[i].description(&self.codecs, self.events)
        });
        let fill = |r: &mut Request| {
            r.headers.push(HeaderName::Contact, contact);
            if let Some(body) = body {
                r.headers.push(HeaderName::ContentType, "application/sdp");
                r.body = body.into();
            }
        };
        self.in_dialog(i, Method::Update, fill, now);
    }

    /// BYE, and UPDATE without an offer, in the early dialog of its last call.
    pub fn bye_early(&mut self, now: Mono) {
        self.in_early_dialog(Method::Bye, now);
    }

    pub fn update_early(&mut self, now: Mono) {
        self.in_early_dialog(Method::Update, now);
    }

    /// UPDATE with an offer, in the early dialog of its last call, whoever began it.
    pub fn offer_early(&mut self, direction: &'static str, now: Mono) {
        let i = self.calls.len() - 1;
        let (contact, to) = (self.contact(), self.calls[i].early.clone().filter(|_| self.calls[i].outgoing));
        self.calls[i].direction = direction;
        self.calls[i].version += 1;
        let body = self.calls[i].description(&self.codecs, self.events);
        let fill = |r: &mut Request| {
            if let Some(to) = to {
                r.headers.set(HeaderName::To, &to);
            }
            r.headers.push(HeaderName::Contact, contact);
            r.headers.push(HeaderName::ContentType, "application/sdp");
            r.body = body.into();
        };
        self.in_dialog(i, Method::Update, fill, now);
    }

    fn in_early_dialog(&mut self, method: Method, now: Mono) {
        let i = self.calls.len() - 1;
        let Some(to) = self.calls[i].early.clone() else { panic!("no early dialog") };
        self.in_dialog(i, method, |r| r.headers.set(HeaderName::To, &to), now);
    }

    /// Its next request in the last call counts on from so many below or above.
    pub fn count_on(&mut self, by: i32) {
        let call = self.calls.last_mut().unwrap_or_else(|| panic!("no call"));
        call.cseq = call.cseq.saturating_add_signed(by);
    }

    /// Its provisional response once more.
    pub fn ring_again(&mut self) {
        if let Some(i) = self.calls.iter().rposition(|c| c.phase == Phase::Ringing) {
            self.ring(i);
        }
    }

    /// Acknowledges the reliable provisional response with this number in the last call.
    pub fn prack(&mut self, rseq: u32, now: Mono) {
        let i = self.calls.len() - 1;
        self.send_prack(i, rseq, now);
    }

    /// A request within the last call's dialog, as it is.
    pub fn request(&mut self, method: Method, now: Mono) {
        if let Some(i) = self.up() {
            self.in_dialog(i, method, |_| {}, now);
        }
    }

    /// Drops what was noted of calls that are over.
    pub fn forget(&mut self) {
        if self.is_idle() && self.repeats.is_empty() {
            self.calls.clear();
            self.given.clear();
            self.statuses.clear();
            self.invites.clear();
        }
    }

    /// From here on it speaks as somebody who does not know its own tag.
    pub fn forge_tag(&mut self, tag: &[u8]) {
        if let Some(i) = self.up() {
            self.calls[i].local = self.calls[i].local.clone().with_tag(tag);
        }
    }

    pub fn take_parcels(&mut self) -> Vec<(SocketAddr, Parcel)> {
        std::mem::take(&mut self.parcels)
    }

    // ---- time ----

    pub fn deadline(&self) -> Option<Mono> {
        let repeats = self.repeats.iter().map(|r| if r.quiet { r.until } else { r.resend_at.min(r.until) });
        let calls = self.calls.iter().filter(|c| c.phase != Phase::Over);
        let calls = calls.flat_map(|c| c.next_rtp.into_iter().chain(c.act_at.map(|(at, _)| at)));
        repeats.chain(calls).chain(self.refresh_at).min()
    }

    pub fn due(&mut self, now: Mono) {
        if self.refresh_at.is_some_and(|at| at <= now) {
            self.refresh_at = None;
            self.register(now);
        }
        let mut given_up = Vec::new();
        let mut i = 0;
        while i < self.repeats.len() {
            let r = &mut self.repeats[i];
            if r.until <= now {
                given_up.push(self.repeats.remove(i));
                continue;
            }
            if !r.quiet && r.resend_at <= now {
                r.gap = (r.gap * 2).min(if r.key.1 == "INVITE" { GIVE_UP } else { T2 });
                r.resend_at = now + r.gap;
                let bytes = r.bytes.clone();
                self.put(bytes);
            }
            i += 1;
        }
        for repeat in given_up {
            self.nothing_came(repeat, now);
        }
        for i in 0..self.calls.len() {
            if let Some((_, what)) = self.calls[i].act_at.take_if(|(at, _)| *at <= now) {
                self.carry_out(i, what, now);
            }
            self.speak(i, now);
        }
    }

    fn nothing_came(&mut self, repeat: Repeat, now: Mono) {
        self.note(now, format!("gave up {}", repeat.key.1));
        match (&repeat.request, repeat.call) {
            // A request of ours: as good as a 408.
            (Some(request), call) => {
                self.statuses.push((request.method.to_string(), 408));
                if request.method == Method::Invite
                    && let Some(i) = call
                    && self.calls[i].phase == Phase::Calling
                {
                    self.calls[i].final_status = Some(408);
                    self.over(i, now);
                }
            }
            // A 200 of ours without an ACK: the session is ended (§13.3.1.4).
            (None, Some(i)) if self.calls[i].phase == Phase::Answered => {
                self.over(i, now);
                self.in_dialog(i, Method::Bye, |_| {}, now);
            }
            (None, _) => {}
        }
    }

    fn blank(
        &mut self,
        outgoing: bool,
        call_id: String,
        local: NameAddr,
        remote: NameAddr,
        target: Uri,
        invite: Request,
    ) -> Call {
        let port = 40_000 + (self.calls.len() % 5_000) as u16 * 2;
        Call {
            phase: Phase::Calling,
            outgoing,
            call_id,
            local,
            remote,
            early: None,
            cseq: 0,
            target,
            invite,
            invite_branch: Bytes::new(),
            wants_cancel: false,
            rang: false,
            rtp: SocketAddr::new(self.at.ip(), port),
            rtp_remote: None,
            browser: self.browser,
            direction: "sendrecv",
            zero: false,
            srtp: Srtp::of(self.srtp, self.key),
            peer_listens: true,
            version: 1,
            sequence: 100,
            timestamp: 5_000,
            next_rtp: None,
            digits: VecDeque::new(),
            pressing: None,
            heard: Vec::new(),
            listened: Vec::new(),
            act_at: None,
            bye_on_ack: false,
            late_answer: false,
            first_ack: None,
            final_status: None,
        }
    }

    /// The switch is told of another key of its own in a re-INVITE; or of none, in the clear.
    pub fn rekey(&mut self, line: Option<&'static str>, key: u8, now: Mono) {
        let Some(i) = self.up() else { return };
        self.calls[i].srtp.change(line, key);
        self.reinvite("sendrecv", false, true, now);
    }

    fn up(&self) -> Option<usize> {
        self.calls.iter().rposition(|c| c.phase == Phase::Up)
    }

    fn over(&mut self, i: usize, now: Mono) {
        let call = &mut self.calls[i];
        if call.phase != Phase::Over {
            call.phase = Phase::Over;
            call.next_rtp = None;
            call.act_at = None;
            self.note(now, "over".into());
        }
        // A 200 that is not acknowledged need not be any more.
        self.repeats.retain(|r| !(r.call == Some(i) && r.request.is_none()));
    }

    /// The call whose dialog a request is in.
    fn find(&self, request: &Request) -> Option<usize> {
        let id = call_id(&request.headers);
        let to = request.headers.to().ok()?;
        let tag = to.tag()?;
        self.calls
            .iter()
            .position(|c| c.call_id == id && c.local.tag() == Some(tag) && matches!(c.phase, Phase::Up | Phase::Answered))
    }

    fn contact(&self) -> NameAddr {
        let at = self.names.unwrap_or(self.at);
        match self.host_name.and_then(Host::new) {
            Some(name) => NameAddr::new(SipUri::new(&self.number, name, None)),
            None => NameAddr::new(SipUri::new(&self.number, Host::Ip(at.ip()), Some(at.port()))),
        }
    }

    fn host(&self) -> Host {
        Host::Ip(self.at.ip())
    }

    fn token(&mut self, kind: &str) -> String {
        self.counter += 1;
        let ip = self.at.ip().to_string().replace('.', "x");
        format!("{kind}{}y{ip}", self.counter)
    }

    fn note(&mut self, now: Mono, what: String) {
        if self.log.len() < 400 {
            self.log.push(format!("{:.3} {what}", now.as_micros() as f64 / 1e6));
        }
    }
}

fn with_body(response: &mut Response, body: String) {
    response.headers.push(HeaderName::ContentType, "application/sdp");
    response.body = body.into();
}

fn branch_of(request: &Request) -> Bytes {
    let via = request.headers.via().unwrap_or_else(|e| panic!("Via: {e}"));
    Bytes::copy_from_slice(via.branch().unwrap_or_default())
}

fn call_id(headers: &sip::Headers) -> String {
    headers.call_id().map_or_else(|e| panic!("Call-ID: {e}"), |id| String::from_utf8_lossy(id).into_owned())
}

fn contact_of(headers: &sip::Headers) -> Option<Uri> {
    headers.contact().ok().flatten().map(|c| c.uri)
}

fn switch_host() -> Host {
    Host::Ip(switch().ip())
}
