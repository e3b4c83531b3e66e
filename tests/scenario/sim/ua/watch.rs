//! What a user agent does outside of calls: SUBSCRIBE and the NOTIFYs that come of it (RFC 6665), MESSAGE (RFC 3428).

use bytes::Bytes;
use cordboard::clock::Mono;
use cordboard::sip::{CSeq, HeaderName, Method, NameAddr, Request, Response, SipUri, Uri};

use super::{Ua, branch_of, call_id, contact_of, switch_host};
use crate::sim::switch;

/// A subscription of a user agent, while it has not been told that it is over.
pub struct Watch {
    call_id: String,
    local: NameAddr,
    remote: NameAddr,
    target: Uri,
    event: String,
    cseq: u32,
    /// By the last NOTIFY.
    pub is_over: bool,
}

/// A NOTIFY that came.
#[derive(Clone, Debug)]
pub struct Notified {
    pub watch: usize,
    /// Subscription-State.
    pub state: String,
    pub event: String,
    pub kind: String,
    pub body: String,
    /// The same request again.
    pub branch: Bytes,
}

impl Notified {
    /// The states of the dialogs, in their order.
    pub fn dialogs(&self) -> Vec<String> {
        let states = self.body.split("<state>").skip(1);
        states.filter_map(|rest| rest.split('<').next().map(str::to_owned)).collect()
    }

    /// What stands in an attribute the first time.
    pub fn attribute(&self, name: &str) -> String {
        let document = self.body.split_once("?>").map_or(self.body.as_str(), |(_, rest)| rest);
        let rest = document.split(&format!(" {name}=\"")).nth(1).unwrap_or_default();
        rest.split('"').next().unwrap_or_default().to_owned()
    }
}

impl Ua {
    /// SUBSCRIBE to a number's state; its index is what the others take.
    pub fn watch(&mut self, event: &str, number: &str, expires: Option<u32>, now: Mono) -> usize {
        let tag = self.token("f");
        let local = NameAddr::new(SipUri::new(&self.number, switch_host(), None)).with_tag(&tag);
        let target: Uri = SipUri::new(number, switch_host(), Some(switch().port())).into();
        let watch = Watch {
            call_id: self.token("w"),
            local,
            remote: NameAddr::new(target.clone()),
            target,
            event: event.to_owned(),
            cseq: 0,
            is_over: false,
        };
        self.watches.push(watch);
        self.watch_again(self.watches.len() - 1, expires, now);
        self.watches.len() - 1
    }

    /// The same in its dialog, if it has one: longer, or (0) no more.
    pub fn watch_again(&mut self, i: usize, expires: Option<u32>, now: Mono) {
        self.register_cseq += 1;
        let cseq = self.register_cseq;
        let contact = self.contact();
        let watch = &mut self.watches[i];
        watch.cseq = cseq;
        let mut request = Request::new(Method::Subscribe, watch.target.clone());
        request.headers.push(HeaderName::MaxForwards, 70u32);
        request.headers.push(HeaderName::From, &watch.local);
        request.headers.push(HeaderName::To, &watch.remote);
        request.headers.push(HeaderName::CallId, watch.call_id.as_str());
        request.headers.push(HeaderName::CSeq, CSeq::new(cseq, Method::Subscribe));
        request.headers.push(HeaderName::Contact, contact);
        request.headers.push(HeaderName::Event, watch.event.as_str());
        if let Some(expires) = expires {
            request.headers.push(HeaderName::Expires, expires);
        }
        self.start(request, None, false, now);
    }

    pub(super) fn watch_answered(&mut self, response: &Response) {
        let id = call_id(&response.headers);
        let Some(watch) = self.watches.iter_mut().find(|w| w.call_id == id) else { return };
        if response.status.is_success() {
            if let Ok(to) = response.headers.to() {
                watch.remote = to;
            }
            if let Some(target) = contact_of(&response.headers) {
                watch.target = target;
            }
        }
    }

    /// A NOTIFY of a subscription; whether it was one.
    pub(super) fn notified(&mut self, request: &Request) -> bool {
        let id = call_id(&request.headers);
        let Some(i) = self.watches.iter().position(|w| w.call_id == id) else { return false };
        let text =
            |name: &HeaderName| request.headers.get(name).map(|v| String::from_utf8_lossy(v).into_owned()).unwrap_or_default();
        let notified = Notified {
            watch: i,
            state: text(&HeaderName::SubscriptionState),
            event: text(&HeaderName::Event),
            kind: text(&HeaderName::ContentType),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            branch: branch_of(request),
        };
        self.watches[i].is_over |= notified.state.starts_with("terminated");
        if self.notified.last().is_none_or(|last| last.branch != notified.branch) {
            self.notified.push(notified);
        }
        if let Some(status) = self.on_notify {
            self.reply(request, status);
        }
        true
    }

    /// The newest NOTIFY of a subscription.
    pub fn seen(&self, watch: usize) -> Option<&Notified> {
        self.notified.iter().rfind(|n| n.watch == watch)
    }

    /// The newest states of the dialogs that it watches.
    pub fn lamp(&self, watch: usize) -> Vec<String> {
        self.seen(watch).map(Notified::dialogs).unwrap_or_default()
    }

    /// A text to a number; `from` is what its From says.
    pub fn message(&mut self, number: &str, from: &str, text: &str, now: Mono) {
        self.register_cseq += 1;
        let tag = self.token("f");
        let target: Uri = SipUri::new(number, switch_host(), Some(switch().port())).into();
        let mut request = Request::new(Method::Message, target.clone());
        request.headers.push(HeaderName::MaxForwards, 70u32);
        let local = NameAddr::new(SipUri::new(from, switch_host(), None)).with_display("Not me");
        request.headers.push(HeaderName::From, local.with_tag(&tag));
        request.headers.push(HeaderName::To, NameAddr::new(target));
        request.headers.push(HeaderName::CallId, self.token("m"));
        request.headers.push(HeaderName::CSeq, CSeq::new(self.register_cseq, Method::Message));
        request.headers.push(HeaderName::ContentType, "text/plain;charset=UTF-8");
        request.body = text.to_owned().into();
        self.start(request, None, false, now);
    }

    pub(super) fn messaged(&mut self, request: &Request) {
        let text =
            |name: &HeaderName| request.headers.get(name).map(|v| String::from_utf8_lossy(v).into_owned()).unwrap_or_default();
        let from = text(&HeaderName::From).split(";tag=").next().unwrap_or_default().to_owned();
        let body = String::from_utf8_lossy(&request.body).into_owned();
        if let Some(status) = self.on_message {
            self.messages.push((from, text(&HeaderName::ContentType), body));
            self.reply(request, status);
        }
    }
}
