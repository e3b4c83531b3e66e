//! A SIP user agent of the simulation: a phone that registers with digest, or a trunk that does not.
//!
//! It is a script's puppet: what it does on an INVITE is set beforehand ([`OnInvite`]), everything else is told to it by name. Its
//! timers are its own and as simple as the RFC allows: a request is repeated until it is answered, a final response to an INVITE until
//! its ACK. It sends one byte of µ-law for ever, so that whoever hears it knows whom.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use cordboard::clock::Mono;
use cordboard::rtp::{Event, Fields, HEADER, Packet};
use cordboard::sip::{
    self, CSeq, HeaderName, Host, HostPort, Login, Message, Method, NameAddr, Request, Response, SipUri, Status, Transport, Uri, Via,
};

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
}

pub struct Call {
    pub phase: Phase,
    pub outgoing: bool,
    pub call_id: String,
    local: NameAddr,
    remote: NameAddr,
    cseq: u32,
    /// Request-URI of what we send in the dialog.
    target: Uri,
    /// The last INVITE, ours or theirs.
    invite: Request,
    invite_branch: Bytes,
    /// A CANCEL waits for the first provisional response.
    wants_cancel: bool,
    rang: bool,
    pub rtp: SocketAddr,
    rtp_remote: Option<SocketAddr>,
    /// As we say it: `sendrecv` …
    direction: &'static str,
    zero: bool,
    /// What the other side allows us.
    peer_listens: bool,
    version: u64,
    sequence: u16,
    timestamp: u32,
    next_rtp: Option<Mono>,
    digits: VecDeque<char>,
    pressing: Option<Press>,
    /// What was heard: when, payload type, first byte.
    pub heard: Vec<(Mono, u8, u8)>,
    act_at: Option<(Mono, OnInvite)>,
    bye_on_ack: bool,
    late_answer: bool,
    pub final_status: Option<u16>,
}

struct Press {
    code: u8,
    timestamp: u32,
    duration: u16,
    ends: u8,
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
    pub asserted: Option<String>,
    pub statuses: Vec<(String, u16)>,
    pub invites: Vec<Seen>,
    /// `cause` of the Reason header of each CANCEL that came.
    pub cancels: Vec<Option<u16>>,
    pub byes: usize,
    pub notifies: Vec<String>,
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
            script: VecDeque::new(),
            registered: false,
            mute: false,
            acks: true,
            dead: false,
            rtp_shift: 0,
            leaves_after_transfer: true,
            codecs: vec![0],
            events: true,
            asserted: None,
            statuses: Vec::new(),
            invites: Vec::new(),
            cancels: Vec::new(),
            byes: 0,
            notifies: Vec::new(),
            calls: Vec::new(),
            log: Vec::new(),
            repeats: Vec::new(),
            given: BTreeMap::new(),
            refresh_at: None,
            register_cseq: 0,
            nc: 0,
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

    pub fn digit(&mut self, digit: char) {
        if let Some(i) = self.up() {
            self.calls[i].digits.push_back(digit);
        }
    }

    pub fn digit_by_info(&mut self, digit: char, now: Mono) {
        let Some(i) = self.up() else { return };
        let body = format!("Signal={digit}\r\nDuration=160\r\n");
        let fill = |r: &mut Request| {
            r.headers.push(HeaderName::ContentType, "application/dtmf-relay");
            r.body = body.into();
        };
        self.in_dialog(i, Method::Info, fill, now);
    }

    /// A request within the last call's dialog, as it is.
    pub fn request(&mut self, method: Method, now: Mono) {
        if let Some(i) = self.up() {
            self.in_dialog(i, method, |_| {}, now);
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

    // ---- what comes ----

    pub fn receive(&mut self, bytes: &[u8], now: Mono) {
        if self.dead {
            return;
        }
        match sip::parse_datagram(bytes) {
            Ok(Message::Request(request)) => self.requested(request, now),
            Ok(Message::Response(response)) => self.answered(response, now),
            Err(_) => panic!("the switch sent what cannot be read:\n{}", String::from_utf8_lossy(bytes)),
        }
    }

    pub fn hear(&mut self, to: SocketAddr, bytes: &[u8], rtcp: bool, now: Mono) {
        if rtcp || self.dead {
            return;
        }
        let Ok(packet) = Packet::parse(bytes) else { panic!("not RTP") };
        let to = SocketAddr::new(to.ip(), to.port().wrapping_sub(self.rtp_shift));
        if let Some(call) = self.calls.iter_mut().rfind(|c| c.rtp == to) {
            call.heard.push((now, packet.payload_type(), packet.payload().first().copied().unwrap_or(0)));
        }
    }

    fn requested(&mut self, request: Request, now: Mono) {
        let method = request.method.to_string();
        self.note(now, format!("<- {method}"));
        let branch = branch_of(&request);
        if request.method == Method::Ack {
            return self.acked(&request, now);
        }
        if let Some(given) = self.given.get(&(branch.clone(), method.clone())) {
            let given = given.clone();
            return self.put(given);
        }
        let found = self.find(&request);
        match request.method {
            Method::Invite => match found {
                Some(i) => self.reinvited(i, &request, now),
                None => self.invited(request, now),
            },
            Method::Cancel => {
                let reason = request.headers.reasons().into_iter().find(|r| r.protocol().eq_ignore_ascii_case("SIP"));
                self.cancels.push(reason.and_then(|r| r.cause()));
                self.reply(&request, 200);
                let ringing = self.calls.iter().position(|c| c.phase == Phase::Ringing && c.invite_branch == branch);
                if let Some(i) = ringing {
                    self.refuse(i, 487, now);
                }
            }
            Method::Bye => match found {
                Some(i) => {
                    self.byes += 1;
                    self.over(i, now);
                    self.reply(&request, 200);
                }
                None => self.reply(&request, 481),
            },
            Method::Notify => {
                let text = String::from_utf8_lossy(&request.body).trim().to_owned();
                self.reply(&request, 200);
                let status: u16 = text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
                self.notifies.push(text);
                if let Some(i) = found
                    && (200..300).contains(&status)
                    && self.leaves_after_transfer
                {
                    self.end(i, now);
                }
            }
            Method::Options | Method::Info => self.reply(&request, 200),
            _ => self.reply(&request, 405),
        }
    }

    fn invited(&mut self, request: Request, now: Mono) {
        if request.headers.to().is_ok_and(|to| to.tag().is_some()) {
            return self.reply(&request, 481);
        }
        let branch = branch_of(&request);
        if let Some(i) = self.calls.iter().position(|c| !c.outgoing && c.invite_branch == branch) {
            // Again, while it rings: our 180 was lost.
            if self.calls[i].phase == Phase::Ringing {
                self.ring(i);
            }
            return;
        }
        let what = self.script.pop_front().unwrap_or(self.on_invite);
        let from = request.headers.from().unwrap_or_else(|e| panic!("From: {e}"));
        self.invites.push(Seen {
            display: from.display_text().map(|d| d.into_owned()),
            number: from.uri.dialled().unwrap_or_default(),
            uri: request.uri.to_string(),
        });
        if what == OnInvite::Ignore {
            return;
        }
        let tag = self.token("t");
        let local = request.headers.to().unwrap_or_else(|e| panic!("To: {e}")).with_tag(&tag);
        let target = contact_of(&request.headers).unwrap_or_else(|| panic!("an INVITE without Contact"));
        let mut call = self.blank(false, call_id(&request.headers), local, from, target, request.clone());
        call.invite_branch = branch;
        call.phase = Phase::Ringing;
        call.take_description(&request.body);
        self.calls.push(call);
        let i = self.calls.len() - 1;
        match what {
            OnInvite::Answer(d) | OnInvite::AnswerThenBye(d) | OnInvite::RefuseAfter(_, d) if d > Duration::ZERO => {
                self.ring(i);
                self.calls[i].act_at = Some((now + d, what));
            }
            OnInvite::Ring => self.ring(i),
            other => self.carry_out(i, other, now),
        }
    }

    fn carry_out(&mut self, i: usize, what: OnInvite, now: Mono) {
        if self.calls[i].phase != Phase::Ringing {
            return;
        }
        match what {
            OnInvite::Answer(_) => self.accept(i, false, now),
            OnInvite::AnswerThenBye(_) => {
                self.calls[i].bye_on_ack = true;
                self.accept(i, false, now);
            }
            OnInvite::AnswerUnusably => self.accept(i, true, now),
            OnInvite::Refuse(status) | OnInvite::RefuseAfter(status, _) => self.refuse(i, status, now),
            OnInvite::Ring | OnInvite::Ignore => {}
        }
    }

    fn reinvited(&mut self, i: usize, request: &Request, now: Mono) {
        self.calls[i].take_description(&request.body);
        let body = self.calls[i].description(&self.codecs, self.events);
        let mut response = self.response(request, 200, i);
        with_body(&mut response, body);
        let bytes = response.to_bytes();
        self.given.insert((branch_of(request), "INVITE".into()), bytes.clone());
        self.put(bytes);
    }

    fn acked(&mut self, request: &Request, now: Mono) {
        let branch = branch_of(request);
        let id = call_id(&request.headers);
        // By branch to a refusal, by dialog to a 2xx.
        self.repeats.retain(|r| {
            let ours = r.request.is_none() && r.key.1 == "INVITE";
            let by_call = r.call.is_some_and(|c| self.calls[c].call_id == id && self.calls[c].phase == Phase::Answered);
            !(ours && (r.key.0 == branch || by_call))
        });
        let Some(i) = self.calls.iter().position(|c| c.call_id == id && c.phase == Phase::Answered) else { return };
        self.calls[i].phase = Phase::Up;
        if !request.body.is_empty() {
            self.calls[i].take_description(&request.body);
        }
        self.begin_to_speak(i, now);
        if self.calls[i].bye_on_ack {
            self.end(i, now);
        }
    }

    fn answered(&mut self, response: Response, now: Mono) {
        let Ok(cseq) = response.headers.cseq() else { panic!("a response without CSeq") };
        let method = cseq.method.to_string();
        let code = response.status.code();
        self.note(now, format!("<- {code} {method}"));
        let branch = response.headers.via().ok().and_then(|v| v.branch().map(Bytes::copy_from_slice)).unwrap_or_default();
        let key = (branch, method.clone());
        let Some(at) = self.repeats.iter().position(|r| r.key == key && r.request.is_some()) else {
            // A repeat of a final response: its ACK again.
            if cseq.method == Method::Invite && code >= 200 {
                self.acknowledge_again(&response, &key);
            }
            return;
        };
        if code < 200 {
            self.statuses.push((method.clone(), code));
            if cseq.method == Method::Invite {
                let r = &mut self.repeats[at];
                r.quiet = true;
                r.until = now + Duration::from_secs(3_600);
                if let Some(i) = r.call {
                    self.calls[i].rang |= code > 100;
                    if self.calls[i].wants_cancel {
                        self.calls[i].wants_cancel = false;
                        self.send_cancel(i, now);
                    }
                }
            }
            return;
        }
        let repeat = self.repeats.remove(at);
        let Some(request) = repeat.request else { return };
        if matches!(code, 401 | 407) && self.is_phone && !repeat.tried_auth {
            if cseq.method == Method::Invite {
                self.ack_failure(&request, &response);
            }
            if repeat.call.is_none_or(|i| !self.calls[i].wants_cancel) {
                return self.with_credentials(request, &response, repeat.call, now);
            }
        } else if cseq.method == Method::Invite && code >= 300 {
            self.ack_failure(&request, &response);
        }
        self.statuses.push((method, code));
        match (&request.method, repeat.call) {
            (Method::Register, _) => self.registered_or_not(&request, code, now),
            (Method::Invite, Some(i)) => self.invite_answered(i, &request, &response, now),
            (Method::Bye | Method::Refer | Method::Info, Some(i)) if code == 481 || code == 408 => self.over(i, now),
            _ => {}
        }
    }

    fn invite_answered(&mut self, i: usize, request: &Request, response: &Response, now: Mono) {
        let code = response.status.code();
        let is_first = self.calls[i].phase == Phase::Calling;
        if is_first {
            self.calls[i].final_status = Some(code);
        }
        if code >= 300 {
            match code {
                _ if is_first => self.over(i, now),
                // A re-INVITE that was refused changes nothing, unless the dialog is gone (§12.2.1.2).
                481 | 408 => self.over(i, now),
                _ => {}
            }
            return;
        }
        if let Ok(to) = response.headers.to() {
            self.calls[i].remote = to;
        }
        if let Some(target) = contact_of(&response.headers) {
            self.calls[i].target = target;
        }
        self.calls[i].take_description(&response.body);
        self.calls[i].late_answer = request.body.is_empty();
        self.calls[i].invite = request.clone();
        if is_first {
            self.calls[i].phase = Phase::Up;
            self.calls[i].wants_cancel = false;
        }
        if self.acks {
            self.ack_success(i, request);
        }
        self.begin_to_speak(i, now);
    }

    // ---- what goes ----

    fn send_register(&mut self, expires: u32, now: Mono) {
        self.register_cseq += 1;
        let own = SipUri::new(&self.number, switch_host(), None);
        let mut request = Request::new(Method::Register, SipUri::of_host(HostPort { host: switch_host(), port: Some(5060) }));
        let tag = self.token("f");
        request.headers.push(HeaderName::From, NameAddr::new(own.clone()).with_tag(&tag));
        request.headers.push(HeaderName::To, NameAddr::new(own));
        request.headers.push(HeaderName::CallId, format!("reg-{}", self.at));
        request.headers.push(HeaderName::CSeq, CSeq::new(self.register_cseq, Method::Register));
        request.headers.push(HeaderName::MaxForwards, 70u32);
        request.headers.push(HeaderName::Contact, self.contact());
        request.headers.push(HeaderName::Expires, expires);
        self.start(request, None, false, now);
    }

    fn registered_or_not(&mut self, request: &Request, code: u16, now: Mono) {
        let expires = request.headers.expires().ok().flatten().unwrap_or(0);
        if code == 200 {
            self.registered = expires > 0;
            self.refresh_at = (expires > 0).then(|| now + Duration::from_secs(3_000));
        }
    }

    fn invite(&mut self, number: &str, with_offer: bool, now: Mono) -> usize {
        let tag = self.token("f");
        let from = NameAddr::new(SipUri::new(&self.number, if self.is_phone { switch_host() } else { self.host() }, None));
        let local = from.with_tag(&tag);
        let target: Uri = SipUri::new(number, switch_host(), Some(5060)).into();
        let remote = NameAddr::new(target.clone());
        let id = self.token("c");
        let mut request = Request::new(Method::Invite, target.clone());
        request.headers.push(HeaderName::MaxForwards, 70u32);
        request.headers.push(HeaderName::From, &local);
        request.headers.push(HeaderName::To, &remote);
        request.headers.push(HeaderName::CallId, id.as_str());
        request.headers.push(HeaderName::CSeq, CSeq::new(1, Method::Invite));
        request.headers.push(HeaderName::Contact, self.contact());
        if let Some(asserted) = &self.asserted {
            request.headers.push(HeaderName::PAssertedIdentity, asserted.as_str());
        }
        let mut call = self.blank(true, id, local, remote, target, request.clone());
        call.cseq = 1;
        if with_offer {
            request.headers.push(HeaderName::ContentType, "application/sdp");
            request.body = call.description(&self.codecs, self.events).into();
        }
        self.calls.push(call);
        let i = self.calls.len() - 1;
        self.start(request, Some(i), false, now);
        i
    }

    fn reinvite(&mut self, direction: &'static str, zero: bool, with_offer: bool, now: Mono) {
        let Some(i) = self.up() else { return };
        let contact = self.contact();
        self.calls[i].direction = direction;
        self.calls[i].zero = zero;
        self.calls[i].version += 1;
        let body = self.calls[i].description(&self.codecs, self.events);
        let fill = |r: &mut Request| {
            r.headers.push(HeaderName::Contact, contact);
            if with_offer {
                r.headers.push(HeaderName::ContentType, "application/sdp");
                r.body = body.into();
            }
        };
        self.in_dialog(i, Method::Invite, fill, now);
    }

    fn in_dialog(&mut self, i: usize, method: Method, fill: impl FnOnce(&mut Request), now: Mono) {
        let call = &mut self.calls[i];
        call.cseq += 1;
        let mut request = Request::new(method.clone(), call.target.clone());
        request.headers.push(HeaderName::MaxForwards, 70u32);
        request.headers.push(HeaderName::From, &call.local);
        request.headers.push(HeaderName::To, &call.remote);
        request.headers.push(HeaderName::CallId, call.call_id.as_str());
        request.headers.push(HeaderName::CSeq, CSeq::new(call.cseq, method));
        fill(&mut request);
        self.start(request, Some(i), false, now);
    }

    /// Sends a request of ours and repeats it until it is answered.
    fn start(&mut self, mut request: Request, call: Option<usize>, tried_auth: bool, now: Mono) {
        let branch = Bytes::from(format!("z9hG4bK{}", self.token("b")));
        let via = Via::new(Transport::Udp, HostPort { host: self.host(), port: Some(self.at.port()) }, &branch);
        request.headers.push_via(&via);
        let bytes = request.to_bytes();
        let method = request.method.to_string();
        self.note(now, format!("-> {method}"));
        if let Some(i) = call.filter(|_| request.method == Method::Invite) {
            self.calls[i].invite_branch = branch.clone();
            self.calls[i].invite = request.clone();
        }
        self.repeats.push(Repeat {
            key: (branch, method),
            bytes: bytes.clone(),
            resend_at: now + T1,
            gap: T1,
            until: now + GIVE_UP,
            call,
            request: Some(request),
            quiet: false,
            tried_auth,
        });
        self.put(bytes);
    }

    fn with_credentials(&mut self, mut request: Request, response: &Response, call: Option<usize>, now: Mono) {
        let (asked, answer) = match response.status.code() {
            401 => (HeaderName::WwwAuthenticate, HeaderName::Authorization),
            _ => (HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization),
        };
        let challenge = response.headers.challenges(&asked).into_iter().next().unwrap_or_else(|| panic!("no challenge"));
        let login = Login { username: &self.number, password: &self.secret };
        let credentials = challenge.answer(&login, &request.method, request.uri.to_string().as_bytes(), 1, b"cnonce");
        self.nc += 1;
        request.headers.set(answer, credentials);
        request.headers.remove_top_via();
        let cseq = match call {
            Some(i) => {
                self.calls[i].cseq += 1;
                self.calls[i].cseq
            }
            None => {
                self.register_cseq += 1;
                self.register_cseq
            }
        };
        let method = request.method.clone();
        request.headers.set(HeaderName::CSeq, CSeq::new(cseq, method));
        self.start(request, call, true, now);
    }

    fn cancel_call(&mut self, i: usize, now: Mono) {
        let branch = self.calls[i].invite_branch.clone();
        let heard = self.repeats.iter().any(|r| r.key.0 == branch && r.key.1 == "INVITE" && r.quiet);
        if heard {
            self.send_cancel(i, now);
        } else {
            self.calls[i].wants_cancel = true;
        }
    }

    fn send_cancel(&mut self, i: usize, now: Mono) {
        let call = &self.calls[i];
        let mut request = Request::new(Method::Cancel, call.invite.uri.clone());
        for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId] {
            request.headers.copy(&name, &call.invite.headers);
        }
        let number = call.invite.headers.cseq().map_or(1, |c| c.number);
        request.headers.push(HeaderName::CSeq, CSeq::new(number, Method::Cancel));
        request.headers.push(HeaderName::MaxForwards, 70u32);
        let branch = call.invite_branch.clone();
        let bytes = request.to_bytes();
        self.note(now, "-> CANCEL".into());
        self.repeats.push(Repeat {
            key: (branch, "CANCEL".into()),
            bytes: bytes.clone(),
            resend_at: now + T1,
            gap: T1,
            until: now + GIVE_UP,
            call: Some(i),
            request: Some(request),
            quiet: false,
            tried_auth: true,
        });
        self.put(bytes);
    }

    fn ack_failure(&mut self, request: &Request, response: &Response) {
        let mut ack = Request::new(Method::Ack, request.uri.clone());
        for name in [HeaderName::Via, HeaderName::From, HeaderName::CallId] {
            ack.headers.copy(&name, &request.headers);
        }
        ack.headers.copy(&HeaderName::To, &response.headers);
        let number = request.headers.cseq().map_or(1, |c| c.number);
        ack.headers.push(HeaderName::CSeq, CSeq::new(number, Method::Ack));
        ack.headers.push(HeaderName::MaxForwards, 70u32);
        let bytes = ack.to_bytes();
        let branch = branch_of(request);
        self.given.insert((branch, "ACK".into()), bytes.clone());
        self.put(bytes);
    }

    fn ack_success(&mut self, i: usize, request: &Request) {
        let branch = format!("z9hG4bK{}", self.token("a"));
        let host = self.host();
        let port = self.at.port();
        let call = &mut self.calls[i];
        let number = request.headers.cseq().map_or(1, |c| c.number);
        let mut ack = Request::new(Method::Ack, call.target.clone());
        ack.headers.push_via(&Via::new(Transport::Udp, HostPort { host, port: Some(port) }, &branch));
        ack.headers.push(HeaderName::MaxForwards, 70u32);
        ack.headers.push(HeaderName::From, &call.local);
        ack.headers.push(HeaderName::To, &call.remote);
        ack.headers.push(HeaderName::CallId, call.call_id.as_str());
        ack.headers.push(HeaderName::CSeq, CSeq::new(number, Method::Ack));
        if call.late_answer {
            ack.headers.push(HeaderName::ContentType, "application/sdp");
            ack.body = call.description(&self.codecs, self.events).into();
        }
        let bytes = ack.to_bytes();
        self.given.insert((branch_of(request), "ACK".into()), bytes.clone());
        self.put(bytes);
    }

    fn acknowledge_again(&mut self, response: &Response, key: &(Bytes, String)) {
        if response.status.is_success() && !self.acks {
            return;
        }
        if let Some(ack) = self.given.get(&(key.0.clone(), "ACK".into())) {
            let ack = ack.clone();
            self.put(ack);
        }
    }

    fn ring(&mut self, i: usize) {
        let invite = self.calls[i].invite.clone();
        let response = self.response(&invite, 180, i);
        self.put(response.to_bytes());
    }

    fn accept(&mut self, i: usize, unusable: bool, now: Mono) {
        let invite = self.calls[i].invite.clone();
        let mut response = self.response(&invite, 200, i);
        let body = if unusable {
            format!("v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio 9000 RTP/AVP 3\r\n", self.at.ip())
        } else {
            self.calls[i].description(&self.codecs, self.events)
        };
        with_body(&mut response, body);
        self.calls[i].phase = Phase::Answered;
        self.calls[i].act_at = None;
        self.finally(i, &invite, response, now);
    }

    fn refuse(&mut self, i: usize, status: u16, now: Mono) {
        let invite = self.calls[i].invite.clone();
        let response = self.response(&invite, status, i);
        self.over(i, now);
        self.finally(i, &invite, response, now);
    }

    /// A final response to an INVITE: again until its ACK.
    fn finally(&mut self, i: usize, invite: &Request, response: Response, now: Mono) {
        let bytes = response.to_bytes();
        let key = (branch_of(invite), "INVITE".to_owned());
        self.note(now, format!("-> {}", response.status.code()));
        self.given.insert(key.clone(), bytes.clone());
        self.repeats.push(Repeat {
            key,
            bytes: bytes.clone(),
            resend_at: now + T1,
            gap: T1,
            until: now + GIVE_UP,
            call: Some(i),
            request: None,
            quiet: false,
            tried_auth: false,
        });
        self.put(bytes);
    }

    fn response(&self, request: &Request, code: u16, i: usize) -> Response {
        let status = Status::new(code).unwrap_or_else(|| panic!("status {code}"));
        let tag = self.calls[i].local.tag().unwrap_or_default().to_vec();
        let mut response = request.response_with_tag(status, tag);
        if code < 300 {
            response.headers.push(HeaderName::Contact, self.contact());
        }
        response
    }

    fn reply(&mut self, request: &Request, code: u16) {
        let status = Status::new(code).unwrap_or_else(|| panic!("status {code}"));
        let tag = self.token("r");
        let bytes = request.response_with_tag(status, tag).to_bytes();
        self.given.insert((branch_of(request), request.method.to_string()), bytes.clone());
        self.put(bytes);
    }

    fn put(&mut self, bytes: Bytes) {
        if !self.dead {
            self.parcels.push((switch(), Parcel::Sip { from: self.at, bytes, transport: Transport::Udp }));
        }
    }

    // ---- sound ----

    fn begin_to_speak(&mut self, i: usize, now: Mono) {
        let call = &mut self.calls[i];
        if call.next_rtp.is_none() && call.phase == Phase::Up {
            call.next_rtp = Some(now);
        }
    }

    fn speak(&mut self, i: usize, now: Mono) {
        let (mute, byte) = (self.mute || self.dead, self.byte);
        let call = &mut self.calls[i];
        let Some(at) = call.next_rtp.filter(|at| *at <= now && call.phase == Phase::Up) else { return };
        call.next_rtp = Some(at + PACKET);
        call.timestamp = call.timestamp.wrapping_add(160);
        if call.pressing.is_none()
            && let Some(digit) = call.digits.pop_front()
        {
            let code = Event::code_of(digit).unwrap_or_else(|| panic!("key {digit}"));
            call.pressing = Some(Press { code, timestamp: call.timestamp, duration: 0, ends: 0 });
        }
        let speaks = call.direction == "sendrecv" && !call.zero && call.peer_listens && !mute;
        let Some(to) = call.rtp_remote.filter(|_| speaks || (call.pressing.is_some() && !mute)) else { return };
        call.sequence = call.sequence.wrapping_add(1);
        let ssrc = 0x1000_0000 + i as u32 * 256 + u32::from(byte);
        let mut fields = Fields { marker: false, payload_type: 0, sequence: call.sequence, timestamp: call.timestamp, ssrc };
        let payload = match &mut call.pressing {
            Some(press) => {
                // 100 ms, and its end three times.
                fields.payload_type = EVENT;
                fields.timestamp = press.timestamp;
                fields.marker = press.duration == 0;
                let end = press.duration >= 800;
                if end {
                    press.ends += 1;
                } else {
                    press.duration += 160;
                }
                let event = Event { code: press.code, end, volume: 10, duration: press.duration };
                if press.ends == 3 {
                    call.pressing = None;
                }
                event.to_bytes().to_vec()
            }
            None => vec![byte; 160],
        };
        if fields.payload_type == 0 {
            fields.payload_type = self.codecs.first().copied().unwrap_or(0);
        }
        let mut packet = vec![0; HEADER];
        if let Some(header) = packet.first_chunk_mut() {
            fields.write(header);
        }
        packet.extend(payload);
        let from = SocketAddr::new(call.rtp.ip(), call.rtp.port() + self.rtp_shift);
        self.parcels.push((to, Parcel::Rtp { from, bytes: packet, rtcp: false }));
    }

    // ---- small things ----

    fn blank(&mut self, outgoing: bool, call_id: String, local: NameAddr, remote: NameAddr, target: Uri, invite: Request) -> Call {
        let port = 40_000 + (self.calls.len() % 5_000) as u16 * 2;
        Call {
            phase: Phase::Calling,
            outgoing,
            call_id,
            local,
            remote,
            cseq: 0,
            target,
            invite,
            invite_branch: Bytes::new(),
            wants_cancel: false,
            rang: false,
            rtp: SocketAddr::new(self.at.ip(), port),
            rtp_remote: None,
            direction: "sendrecv",
            zero: false,
            peer_listens: true,
            version: 1,
            sequence: 100,
            timestamp: 5_000,
            next_rtp: None,
            digits: VecDeque::new(),
            pressing: None,
            heard: Vec::new(),
            act_at: None,
            bye_on_ack: false,
            late_answer: false,
            final_status: None,
        }
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
        self.calls.iter().position(|c| c.call_id == id && c.local.tag() == Some(tag) && matches!(c.phase, Phase::Up | Phase::Answered))
    }

    fn contact(&self) -> NameAddr {
        NameAddr::new(SipUri::new(&self.number, self.host(), Some(self.at.port())))
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

impl Call {
    pub fn rang(&self) -> bool {
        self.rang
    }

    /// The agent's phone shows the queue that it is called for.
    pub fn is_of_a_queue(&self) -> bool {
        let title = self.invite.headers.from().ok().and_then(|f| f.display_text().map(|d| d.into_owned()));
        !self.outgoing && matches!(title.as_deref(), Some("Support" | "Sales"))
    }

    fn description(&self, codecs: &[u8], events: bool) -> String {
        let ip = self.rtp.ip().to_string();
        let at = if self.zero { "0.0.0.0" } else { &ip };
        let mut formats: Vec<String> = codecs.iter().map(u8::to_string).collect();
        let mut attributes = String::new();
        if events {
            formats.push(EVENT.to_string());
            attributes.push_str(&format!("a=rtpmap:{EVENT} telephone-event/8000\r\na=fmtp:{EVENT} 0-15\r\n"));
        }
        format!(
            "v=0\r\no=- 7 {} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {at}\r\nt=0 0\r\nm=audio {} RTP/AVP {}\r\n{attributes}a={}\r\n",
            self.version,
            self.rtp.port(),
            formats.join(" "),
            self.direction,
        )
    }

    fn take_description(&mut self, body: &[u8]) {
        if body.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(body);
        let (mut ip, mut port, mut listens) = (None, None, true);
        for line in text.lines() {
            if let Some(address) = line.strip_prefix("c=IN IP4 ") {
                ip = address.trim().parse::<IpAddr>().ok();
            } else if let Some(rest) = line.strip_prefix("m=audio ") {
                port = rest.split(' ').next().and_then(|p| p.parse().ok());
            } else if matches!(line, "a=sendonly" | "a=inactive") {
                listens = false;
            }
        }
        self.peer_listens = listens;
        if let (Some(ip), Some(port)) = (ip, port) {
            assert!(ip == switch().ip() && port >= 20_000, "a description of somebody else:\n{text}");
            self.rtp_remote = Some(SocketAddr::new(ip, port));
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
