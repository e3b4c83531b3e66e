//! The dialog itself (RFC 3261 §12): who, in what order, and by which way.

use std::net::SocketAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::sip::{Flow, HeaderName, Headers, Host, Method, NameAddr, Request, Response, Status, Transport, Uri, is_private};

/// Max-Forwards of what begins with us (§8.1.1.6), and the most that is taken over from a peer.
pub const MAX_FORWARDS: u32 = 70;

/// What in-dialog requests are sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reach {
    /// Back through the flow that the peer was heard on: right for phones, whose Contact may be an address behind NAT.
    Flow,
    /// To the first Route or the Contact where that is an address, else the flow: right for trunks, whose answer may name another host.
    Target,
}

/// A confirmed or early dialog, from our side.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dialog {
    call_id: Bytes,
    /// From of our requests, To of the peer's.
    local: NameAddr,
    remote: NameAddr,
    local_cseq: u32,
    /// `None` until the peer has sent a request (§12.1.2).
    remote_cseq: Option<u32>,
    remote_target: Uri,
    route_set: Vec<NameAddr>,
    flow: Flow,
    reach: Reach,
}

/// Why a message makes no dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDialog {
    #[error("From, To, Call-ID or CSeq can't be read")]
    BadHeaders,
    #[error("no Contact to send to")]
    NoContact,
    #[error("no tag in To")]
    NoTag,
}

impl Dialog {
    /// As the callee (§12.1.1): the peer's INVITE and the tag that our responses carry.
    pub fn accepted(invite: &Request, tag: &str, flow: Flow, reach: Reach) -> Result<Dialog, NoDialog> {
        let bad = |_| NoDialog::BadHeaders;
        let remote = invite.headers.from().map_err(bad)?;
        let remote_target = match contact(invite.headers.contacts().map_err(bad)?) {
            // RFC 2543 §6.13: no Contact means From. Who speaks so has no cookie in its branch (RFC 3261 §8.1.1.7).
            Err(NoDialog::NoContact) if invite.headers.via().is_ok_and(|via| !via.has_unique_branch()) => remote.uri.clone(),
            contact => contact?,
        };
        Ok(Dialog {
            call_id: invite.headers.call_id().map_err(bad)?.clone(),
            local: invite.headers.to().map_err(bad)?.with_tag(tag),
            remote,
            local_cseq: 0,
            remote_cseq: Some(invite.headers.cseq().map_err(bad)?.number),
            remote_target,
            route_set: invite.headers.record_route().map_err(bad)?,
            flow,
            reach,
        })
    }

    /// As the caller (§12.1.2): our INVITE and a response to it that has a tag.
    pub fn answered(invite: &Request, response: &Response, flow: Flow, reach: Reach) -> Result<Dialog, NoDialog> {
        let bad = |_| NoDialog::BadHeaders;
        let remote = response.headers.to().map_err(bad)?;
        if remote.tag().is_none() {
            return Err(NoDialog::NoTag);
        }
        let mut route_set = response.headers.record_route().map_err(bad)?;
        route_set.reverse();
        // A provisional may come without a Contact; requests in such an early dialog go where the INVITE went.
        let remote_target = contact(response.headers.contacts().map_err(bad)?).unwrap_or_else(|_| invite.uri.clone());
        Ok(Dialog {
            call_id: invite.headers.call_id().map_err(bad)?.clone(),
            local: invite.headers.from().map_err(bad)?,
            remote,
            local_cseq: invite.headers.cseq().map_err(bad)?.number,
            remote_cseq: None,
            remote_target,
            route_set,
            flow,
            reach,
        })
    }

    /// As the caller, from a 2xx alone: one that a proxy's fork brought after the first (§13.2.2.4), whose INVITE nobody keeps any more.
    pub fn forked(response: &Response, flow: Flow, reach: Reach) -> Result<Dialog, NoDialog> {
        let bad = |_| NoDialog::BadHeaders;
        let headers = &response.headers;
        let remote = headers.to().map_err(bad)?;
        if remote.tag().is_none() {
            return Err(NoDialog::NoTag);
        }
        let mut route_set = headers.record_route().map_err(bad)?;
        route_set.reverse();
        Ok(Dialog {
            call_id: headers.call_id().map_err(bad)?.clone(),
            local: headers.from().map_err(bad)?,
            remote,
            local_cseq: headers.cseq().map_err(bad)?.number,
            remote_cseq: None,
            remote_target: contact(headers.contacts().map_err(bad)?)?,
            route_set,
            flow,
            reach,
        })
    }

    pub fn call_id(&self) -> &Bytes {
        &self.call_id
    }

    /// What the peer called us.
    pub fn local_uri(&self) -> &Uri {
        &self.local.uri
    }

    /// The peer's Contact.
    pub fn remote_target(&self) -> &Uri {
        &self.remote_target
    }

    pub fn local_tag(&self) -> &[u8] {
        self.local.tag().unwrap_or_default()
    }

    pub fn remote_tag(&self) -> &[u8] {
        self.remote.tag().unwrap_or_default()
    }

    /// The number of our latest request.
    pub fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    /// That of the peer's; `None` until it has sent one.
    pub fn remote_cseq(&self) -> Option<u32> {
        self.remote_cseq
    }

    /// The same dialog: both tags and the Call-ID (§12).
    pub fn owns(&self, request: &Request) -> bool {
        request.headers.from_tag().is_ok_and(|from| from.as_deref().unwrap_or_default() == self.remote_tag())
            && request.headers.to_tag().is_ok_and(|to| to.as_deref().unwrap_or_default() == self.local_tag())
    }

    /// A request of ours (§12.2.1.1), without Via, Contact and body. ACK takes the number of the INVITE that it acknowledges, by
    /// [`Dialog::ack`].
    pub fn request(&mut self, method: Method) -> Request {
        let number = self.next_cseq();
        self.build(method, number)
    }

    /// The number of a request of ours that is made from an earlier one.
    pub fn next_cseq(&mut self) -> u32 {
        self.local_cseq += 1;
        self.local_cseq
    }

    /// The ACK to a 2xx of our INVITE with this number (§13.2.2.4).
    pub fn ack(&self, invite_cseq: u32) -> Request {
        self.build(Method::Ack, invite_cseq)
    }

    fn build(&self, method: Method, cseq: u32) -> Request {
        // A first hop that is no loose router gets the request as RFC 2543 had it: its URI in front, the target at the end.
        let strict = self.route_set.first().is_some_and(|r| r.uri.sip().is_some_and(|u| !u.is_loose()));
        let mut routes = self.route_set.clone();
        let uri = if strict {
            routes.push(NameAddr::new(self.remote_target.clone()));
            routes.remove(0).uri
        } else {
            self.remote_target.clone()
        };
        let mut request = Request::new(method.clone(), uri);
        for route in &routes {
            request.headers.push(HeaderName::Route, route);
        }
        request.headers.push(HeaderName::MaxForwards, MAX_FORWARDS);
        request.headers.push(HeaderName::From, &self.local);
        request.headers.push(HeaderName::To, &self.remote);
        request.headers.push(HeaderName::CallId, &self.call_id);
        request.headers.push(HeaderName::CSeq, crate::sip::CSeq::new(cseq, method));
        request
    }

    /// A request of the peer in this dialog: its order is checked (§12.2.2), its Contact becomes the target if it is an INVITE, UPDATE or SUBSCRIBE.
    pub fn receive(&mut self, request: &Request, flow: Flow) -> Result<(), Status> {
        let number = request.headers.cseq().map_err(|e| e.status())?.number;
        if request.method != Method::Ack && request.method != Method::Cancel {
            if self.remote_cseq.is_some_and(|last| number <= last) {
                return Err(Status::SERVER_INTERNAL_ERROR);
            }
            self.remote_cseq = Some(number);
        }
        if matches!(request.method, Method::Invite | Method::Update | Method::Subscribe)
            && let Ok(target) = request.headers.contacts().map_err(|_| NoDialog::BadHeaders).and_then(contact)
        {
            self.remote_target = target;
        }
        self.flow = flow;
        Ok(())
    }

    /// Our next request comes after this one.
    pub fn count_from(&mut self, cseq: u32) {
        self.local_cseq = self.local_cseq.max(cseq);
    }

    /// The peer's next request comes after this one.
    pub fn peer_counts_from(&mut self, cseq: Option<u32>) {
        self.remote_cseq = self.remote_cseq.max(cseq);
    }

    /// As it is after a restart: its connection is gone with the process.
    pub fn without_connection(mut self) -> Dialog {
        self.flow.connection = None;
        self
    }

    /// Where our next request goes.
    pub fn next_hop(&self) -> Flow {
        let target = match (self.reach, self.flow.transport) {
            (Reach::Flow, _) => None,
            // Whose certificate it would have to show there is not said: the connection that there is, is the way to it.
            (Reach::Target, Transport::Tls | Transport::Ws | Transport::Wss) => None,
            (Reach::Target, Transport::Udp | Transport::Tcp) => self.place(),
        };
        match target {
            Some(at) if at != self.flow.remote => Flow { remote: at, connection: None, ..self.flow },
            Some(_) | None => self.flow,
        }
    }

    /// Where the peer has said that requests reach it (§12.2.1.1): the first hop of the route set, or its Contact, where that is an address.
    /// A peer on the public network that names a private one is behind NAT: its flow is the only way to it.
    pub fn place(&self) -> Option<SocketAddr> {
        let uri = self.route_set.first().map_or(&self.remote_target, |route| &route.uri);
        let at = address_of(uri, self.flow.transport)?;
        (!is_private(at.ip()) || is_private(self.flow.remote.ip())).then_some(at)
    }

    /// Its flow is gone, and this is the way to the peer now.
    pub fn goes_by(&mut self, flow: Flow) {
        self.flow = flow;
    }

    /// Where the peer has said that it is: its Contact, and the hosts on the way to it.
    pub(super) fn said(&self) -> impl Iterator<Item = Uri> {
        self.route_set.iter().map(|route| &route.uri).chain([&self.remote_target]).cloned()
    }

    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    /// Goes with its device; whether it is one of those that do.
    pub fn device_moved(&mut self, moved: &Moved) -> bool {
        let target = moved.takes(&self.remote_target, &self.flow).filter(|_| self.reach == Reach::Flow);
        let goes = target.is_some();
        if let Some(target) = target {
            self.remote_target = target;
            self.flow = moved.flow;
        }
        goes
    }
}

/// A device is reached by another way now: a new connection, another port of its NAT, and maybe by another contact.
#[derive(Clone, Debug)]
pub struct Moved {
    /// The contact that its dialogs know it by.
    pub from: Uri,
    pub to: Uri,
    /// By which it was reached, if that was its alone.
    pub was: Option<Flow>,
    pub flow: Flow,
    /// Flows by which devices with the same contact are reached still: what is on one of these stays there.
    pub others: Vec<Flow>,
}

impl Moved {
    /// Of what is with this contact, on this flow: the contact that it has from now on, if it goes with the device. Some phones have
    /// another one in their calls than they register, which is good for as long as they say no other.
    pub fn takes(&self, contact: &Uri, flow: &Flow) -> Option<Uri> {
        if self.others.contains(flow) {
            None
        } else if contact.equivalent(&self.from) {
            Some(self.to.clone())
        } else {
            (self.was == Some(*flow)).then(|| contact.clone())
        }
    }
}

fn contact(contacts: crate::sip::Contacts) -> Result<Uri, NoDialog> {
    match contacts {
        crate::sip::Contacts::Star => Err(NoDialog::NoContact),
        crate::sip::Contacts::List(list) => list.into_iter().next().map(|c| c.uri).ok_or(NoDialog::NoContact),
    }
}

/// Where the sender of these headers has said that it is.
pub(super) fn said(headers: &Headers) -> Vec<Uri> {
    let route = headers.record_route().unwrap_or_default();
    let target = headers.contacts().ok().and_then(|contacts| contact(contacts).ok());
    route.into_iter().map(|route| route.uri).chain(target).collect()
}

pub(super) fn address_of(uri: &Uri, transport: Transport) -> Option<SocketAddr> {
    let uri = uri.sip()?;
    match uri.host {
        Host::Ip(ip) => Some(SocketAddr::new(ip, uri.port.unwrap_or(transport.default_port()))),
        Host::Name(_) => None,
    }
}
