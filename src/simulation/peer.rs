//! Phones and trunks without a network: what they are sent they answer at once, and nothing is lost.
//!
//! A called one rings, and answers after a while; everything else within a call or beside it is fine with them. Timers and repeats are
//! not theirs: there is nothing to repeat.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Mono;
use crate::sip::{HeaderName, Message, Method, Request, Response, Status, Uri};

/// All who are not the switch.
pub struct Peers {
    /// How long a called one rings; `None`: nobody answers.
    answers_after: Option<Duration>,
    /// INVITEs that ring, by Call-ID and branch.
    ringing: BTreeMap<Bytes, Rings>,
    tags: u32,
}

struct Rings {
    at: SocketAddr,
    tag: u32,
    invite: Request,
    until: Mono,
}

/// What a caller knows of its own call.
pub struct Caller {
    pub at: SocketAddr,
    pub invite: Request,
    pub is_up: bool,
    /// Status of a refusal.
    pub refused: Option<u16>,
}

impl Peers {
    pub fn new(answers_after: Option<Duration>) -> Peers {
        Peers { answers_after, ringing: BTreeMap::new(), tags: 0 }
    }

    /// What comes back from the one at `at`, which was sent a request.
    pub fn asked(&mut self, request: &Request, at: SocketAddr, now: Mono) -> Vec<Message> {
        let is_new = request.headers.to().is_ok_and(|to| to.tag().is_none());
        match &request.method {
            Method::Ack => Vec::new(),
            Method::Invite if is_new => {
                self.tags += 1;
                let ringing = response(request, Status::RINGING, at, self.tags);
                if let Some(after) = self.answers_after {
                    let rings = Rings { at, tag: self.tags, invite: request.clone(), until: now + after };
                    self.ringing.insert(key(request), rings);
                }
                vec![Message::Response(ringing)]
            }
            Method::Invite => vec![Message::Response(described(response(request, Status::OK, at, 0), at))],
            Method::Cancel => {
                let mut back = vec![Message::Response(request.response(Status::OK))];
                if let Some(rings) = self.ringing.remove(&key(request)) {
                    back.push(Message::Response(response(&rings.invite, Status::REQUEST_TERMINATED, at, rings.tag)));
                }
                back
            }
            _ => vec![Message::Response(request.response(Status::OK))],
        }
    }

    pub fn deadline(&self) -> Option<Mono> {
        self.ringing.values().map(|rings| rings.until).min()
    }

    /// Who has rung long enough answers: from where, and with what.
    pub fn answered(&mut self, now: Mono) -> Vec<(SocketAddr, Message)> {
        let due = self.ringing.iter().filter(|(_, rings)| rings.until <= now).map(|(key, _)| key.clone());
        let due: Vec<Bytes> = due.collect();
        let answer = |rings: Rings| {
            let response = response(&rings.invite, Status::OK, rings.at, rings.tag);
            (rings.at, Message::Response(described(response, rings.at)))
        };
        due.into_iter().filter_map(|key| self.ringing.remove(&key)).map(answer).collect()
    }
}

fn response(request: &Request, status: Status, at: SocketAddr, tag: u32) -> Response {
    let mut response = request.response_with_tag(status, format!("peer{tag}"));
    response.headers.push(HeaderName::Contact, format!("<sip:peer@{at}>"));
    response
}

fn described(mut response: Response, at: SocketAddr) -> Response {
    response.headers.push(HeaderName::ContentType, "application/sdp");
    response.body = description(at).into();
    response
}

impl Caller {
    /// Who calls `to`, as `from`.
    pub fn new(at: SocketAddr, switch: SocketAddr, from: &str, to: &str, nth: u32) -> Option<Caller> {
        let uri = Uri::parse(format!("sip:{to}@{switch}")).ok()?;
        let mut invite = Request::new(Method::Invite, uri);
        let headers = &mut invite.headers;
        headers.push(HeaderName::Via, format!("SIP/2.0/UDP {at};branch=z9hG4bKcaller{nth}"));
        headers.push(HeaderName::MaxForwards, "70");
        headers.push(HeaderName::From, format!("<sip:{from}@{at}>;tag=caller{nth}"));
        headers.push(HeaderName::To, format!("<sip:{to}@{switch}>"));
        headers.push(HeaderName::CallId, format!("caller{nth}@simulation"));
        headers.push(HeaderName::CSeq, "1 INVITE");
        headers.push(HeaderName::Contact, format!("<sip:caller@{at}>"));
        headers.push(HeaderName::ContentType, "application/sdp");
        invite.body = description(at).into();
        Some(Caller { at, invite, is_up: false, refused: None })
    }

    /// What it sends on a response to its INVITE.
    pub fn told(&mut self, response: &Response) -> Option<Message> {
        if response.headers.get(&HeaderName::CSeq).is_none_or(|cseq| !cseq.ends_with(b"INVITE")) || !response.status.is_final() {
            return None;
        }
        let mut ack = self.invite.clone();
        ack.method = Method::Ack;
        ack.headers.set(HeaderName::CSeq, "1 ACK");
        if let Some(to) = response.headers.get(&HeaderName::To) {
            ack.headers.set(HeaderName::To, to);
        }
        ack.headers.remove(&HeaderName::ContentType);
        ack.body = Bytes::new();
        if response.status.is_success() {
            self.is_up = true;
            let contact = String::from_utf8_lossy(response.headers.get(&HeaderName::Contact)?).into_owned();
            let inner =
                contact.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(contact.as_str(), |(uri, _)| uri);
            ack.uri = Uri::parse(inner.to_owned()).ok()?;
            ack.headers.set(HeaderName::Via, format!("SIP/2.0/UDP {};branch=z9hG4bKack{}", self.at, ack.headers.len()).as_str());
        } else {
            self.refused = Some(response.status.code());
        }
        Some(Message::Request(ack))
    }
}

/// Call-ID and branch: what CANCEL and INVITE have in common.
fn key(request: &Request) -> Bytes {
    let of = |name| request.headers.get(&name).cloned().unwrap_or_default();
    [of(HeaderName::CallId), of(HeaderName::Via)].concat().into()
}

fn description(at: SocketAddr) -> Vec<u8> {
    let ip = at.ip();
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8 0 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"
    )
    .into_bytes()
}
