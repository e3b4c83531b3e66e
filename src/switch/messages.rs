//! Text from phone to phone (RFC 3428): taken from who has proven its number, given to every device of the other number.
//!
//! The sender gets the answer of the first device that takes it, else what the last one said; nothing is stored. What is given on is the
//! text and its type, under the sender's own number, whatever its From said.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::hub::{AGENT, Cx, Purpose};
use super::outgoing::host;
use crate::clock::{Mono, Now};
use crate::ids::Number;
use crate::registrar::Binding;
use crate::sip::{Flow, HeaderName, Method, NameAddr, Request, Response, SipUri, Status, Transport, Uri};
use crate::transaction::TransactionId;

/// §8: the longest by UDP, which has no congestion control.
const MOST_BY_DATAGRAM: usize = 1_300;

/// The longest by streams; what is longer is a file, and not a message.
const MOST_BY_STREAM: usize = 16_384;

/// A phone may send so many in [`WINDOW`]: a person who types, with what phones send of themselves ("is typing", receipts) on top.
const MOST_OF_A_PHONE: u32 = 60;
const WINDOW: Duration = Duration::from_secs(60);

/// Of the last [`PATIENCE`], of all phones.
const MOST: usize = 1_000;

/// A device that says nothing is given up then: before the sender's own transaction ends (64·T1), after which no answer is of use
/// (RFC 4320 §4.1).
const PATIENCE: Duration = Duration::from_secs(20);

/// A message that waits for the answers of devices.
#[derive(Debug)]
struct Relayed {
    request: Request,
    /// Devices that have not answered.
    waiting: usize,
}

#[derive(Debug, Default)]
pub(super) struct Messages {
    /// By the sender's transaction.
    relayed: BTreeMap<TransactionId, Relayed>,
    /// When each is given up, in order; one that is answered stays here till then.
    due: VecDeque<(Mono, TransactionId)>,
    /// Of each phone: since when, and how many. No more than there are phones.
    sent: BTreeMap<Number, (Mono, u32)>,
}

impl Messages {
    pub fn len(&self) -> usize {
        self.relayed.len() + self.due.len()
    }

    pub fn deadline(&self) -> Option<Mono> {
        self.due.front().map(|(at, _)| *at)
    }

    /// Seconds to wait where it is too many.
    fn counts(&mut self, phone: &Number, now: Now) -> Result<(), u32> {
        let (since, count) = self.sent.entry(phone.clone()).or_insert((now.mono, 0));
        if *since + WINDOW <= now.mono {
            (*since, *count) = (now.mono, 0);
        }
        *count = count.saturating_add(1);
        if *count <= MOST_OF_A_PHONE {
            return Ok(());
        }
        Err(u32::try_from((*since + WINDOW).since(now.mono).as_secs()).unwrap_or(0).saturating_add(1))
    }
}

impl Cx<'_> {
    /// A MESSAGE outside of a dialog.
    pub fn message(&mut self, transaction: TransactionId, request: Request, flow: Flow) {
        let Some(phone) = self.authenticate(transaction, &request, flow) else { return };
        let refusal = match self.hub.messages_relayed.counts(&phone, self.now) {
            Err(wait) => Some((Status::SERVICE_UNAVAILABLE, Some(wait))),
            Ok(()) if self.hub.messages_relayed.len() >= MOST => Some((Status::SERVICE_UNAVAILABLE, Some(5))),
            Ok(()) => self.relay(transaction, &phone, &request, flow).err().map(|status| (status, None)),
        };
        let Some((status, retry_after)) = refusal else { return };
        let mut response = request.response_with_tag(status, self.hub.transactions.tag(transaction));
        if let Some(seconds) = retry_after {
            response.headers.push(HeaderName::RetryAfter, seconds);
        }
        self.respond(transaction, &response);
    }

    fn relay(&mut self, transaction: TransactionId, from: &Number, request: &Request, flow: Flow) -> Result<(), Status> {
        let config = self.config();
        let to = request.uri.dialled().unwrap_or_default();
        let Some((to, _)) = config.phones.get_key_value(to.as_str()) else { return Err(Status::NOT_FOUND) };
        let kind = match request.headers.get(&HeaderName::ContentType) {
            Some(kind) if request.headers.content_type().is_ok() => kind.clone(),
            Some(_) => return Err(Status::BAD_REQUEST),
            // §7: what it is has to be said.
            None if !request.body.is_empty() => return Err(Status::BAD_REQUEST),
            None => bytes::Bytes::new(),
        };
        // A device with several flows gets it once.
        let targets = self.hub.registrar.targets(to, self.now);
        let bindings: Vec<Binding> = targets.into_iter().filter_map(|flows| flows.into_iter().next()).collect();
        if bindings.is_empty() {
            return Err(Status::TEMPORARILY_UNAVAILABLE);
        }
        let by_datagram = flow.transport == Transport::Udp || bindings.iter().any(|b| b.flow.transport == Transport::Udp);
        if request.body.len() > if by_datagram { MOST_BY_DATAGRAM } else { MOST_BY_STREAM } {
            return Err(Status::REQUEST_ENTITY_TOO_LARGE);
        }
        let mut waiting = 0;
        for binding in &bindings {
            let Some(message) = self.given_on(from, binding, request, &kind) else { continue };
            self.request(message, binding.flow, Purpose::Message(transaction));
            waiting += 1;
        }
        if waiting == 0 {
            return Err(Status::TEMPORARILY_UNAVAILABLE);
        }
        self.count("sip_messages_relayed_total");
        let messages = &mut self.hub.messages_relayed;
        messages.relayed.insert(transaction, Relayed { request: request.clone(), waiting });
        messages.due.push_back((self.now.mono + PATIENCE, transaction));
        Ok(())
    }

    fn given_on(&mut self, from: &Number, to: &Binding, sent: &Request, kind: &bytes::Bytes) -> Option<Request> {
        let target = Uri::parse(to.contact.clone()).ok()?;
        let domain = self.hub.config.site.domain.clone();
        let mut sender = NameAddr::new(SipUri::new(from.as_str(), host(&domain), None));
        if let Some(name) = self.hub.config.phones.get(from).and_then(|p| p.name.clone()) {
            sender = sender.with_display(name);
        }
        let mut request = Request::new(Method::Message, target.clone());
        for hop in &to.path {
            request.headers.push(HeaderName::Route, hop.clone());
        }
        request.headers.push(HeaderName::MaxForwards, super::incoming::hops_left(sent));
        request.headers.push(HeaderName::From, sender.with_tag(self.hub.chance.token()));
        request.headers.push(HeaderName::To, NameAddr::new(target));
        request.headers.push(HeaderName::CallId, format!("{}@{domain}", self.hub.chance.token()));
        request.headers.push(HeaderName::CSeq, crate::sip::CSeq::new(1, Method::Message));
        request.headers.push(HeaderName::UserAgent, AGENT);
        if !kind.is_empty() {
            request.headers.push(HeaderName::ContentType, kind);
        }
        request.body = sent.body.clone();
        Some(request)
    }

    /// Messages that no device has answered in time.
    pub fn messages_due(&mut self) {
        while let Some((_, transaction)) = self.hub.messages_relayed.due.pop_front_if(|(at, _)| *at <= self.now.mono) {
            if let Some(message) = self.hub.messages_relayed.relayed.get_mut(&transaction) {
                message.waiting = 1;
                self.message_answered(transaction, Status::REQUEST_TIMEOUT);
            }
        }
    }

    /// A device's final answer; without one, 408.
    pub fn message_answered(&mut self, transaction: TransactionId, status: Status) {
        let relayed = &mut self.hub.messages_relayed.relayed;
        let Some(message) = relayed.get_mut(&transaction) else { return };
        message.waiting = message.waiting.saturating_sub(1);
        let answer = match status {
            status if status.is_success() => status,
            _ if message.waiting > 0 => return,
            // That a device is not there, or wants to know who we are, is nothing that the sender could mend.
            Status::REQUEST_TIMEOUT | Status::UNAUTHORIZED | Status::PROXY_AUTHENTICATION_REQUIRED => {
                Status::TEMPORARILY_UNAVAILABLE
            }
            status if status.is_failure() => status,
            _ => Status::TEMPORARILY_UNAVAILABLE,
        };
        let Some(message) = relayed.remove(&transaction) else { return };
        let tag = self.hub.transactions.tag(transaction);
        let response: Response = message.request.response_with_tag(answer, tag);
        self.respond(transaction, &response);
    }
}
