//! What makes two messages belong together (RFC 3261 §17.1.3, §17.2.3, §8.2.2.2, §13.2.2.4).
//!
//! Keys are flat byte strings: parts with their lengths before them, so that no part can run into the next, and nothing of the
//! datagram that they were read from stays alive.

use bytes::Bytes;

use crate::sip::{HeaderName, Headers, Method, Request, Response, Via};

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(Box<[u8]>);

#[derive(Default)]
struct Parts(Vec<u8>);

impl Parts {
    fn of(kind: u8) -> Parts {
        let mut bytes = Vec::with_capacity(128);
        bytes.push(kind);
        Parts(bytes)
    }

    fn and(mut self, part: &[u8]) -> Parts {
        self.0.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend_from_slice(part);
        self
    }

    fn key(self) -> Key {
        Key(self.0.into_boxed_slice())
    }
}

impl Key {
    /// The server transaction that a request belongs to, as if its method were `method` (INVITE for an ACK, and to find what a CANCEL
    /// cancels). `None` where the mandatory headers can't be read.
    pub fn of_server(request: &Request, method: &Method) -> Option<Key> {
        Key::of_server_by(&request.headers.via().ok()?, request, method)
    }

    /// As [`of_server`](Key::of_server), of a request whose topmost Via was read already.
    pub fn of_server_by(via: &Via, request: &Request, method: &Method) -> Option<Key> {
        let headers = &request.headers;
        if via.has_unique_branch() {
            let branch = via.branch()?;
            let mut sent_by = Vec::with_capacity(64);
            via.sent_by.write(&mut sent_by);
            sent_by.make_ascii_lowercase();
            return Some(Parts::of(b'b').and(branch).and(&sent_by).and(method.as_str().as_bytes()).key());
        }
        // RFC 2543 (§17.2.3): everything that a repeat has in common. Without To's tag, so that the ACK, which has ours, is found too;
        // the sequence number tells requests of one dialog apart. What the source wrote of the Via is `received` and `rport` by now.
        let cseq = headers.cseq().ok()?;
        let mut uri = request.uri.to_string();
        uri.make_ascii_lowercase();
        let parts = Parts::of(b'o')
            .and(uri.as_bytes())
            .and(from_tag(headers).as_deref().unwrap_or_default())
            .and(headers.call_id().ok()?)
            .and(&cseq.number.to_be_bytes())
            .and(via.to_string().as_bytes());
        Some(parts.and(method.as_str().as_bytes()).key())
    }

    /// The client transaction with this branch, which is unique because it is ours, and method.
    pub fn of_client(branch: &[u8], method: &Method) -> Key {
        Parts::of(b'c').and(branch).and(method.as_str().as_bytes()).key()
    }

    pub fn of_response(response: &Response) -> Option<Key> {
        let via = response.headers.via().ok()?;
        Some(Key::of_client(via.branch()?, &response.headers.cseq().ok()?.method))
    }

    /// What a request outside of a dialog shares with another that took a different way here from the same sender (§8.2.2.2).
    pub fn of_merged(request: &Request) -> Option<Key> {
        let headers = &request.headers;
        if matches!(request.method, Method::Ack | Method::Cancel) || headers.to_tag().ok()?.is_some() {
            return None;
        }
        let cseq = headers.cseq().ok()?;
        let parts = Parts::of(b'm').and(&from_tag(headers)?).and(headers.call_id().ok()?).and(&cseq.number.to_be_bytes());
        Some(parts.and(request.method.as_str().as_bytes()).key())
    }

    /// What a 2xx to INVITE and the ACK to it have in common: the dialog and the sequence number. Either message's headers.
    pub fn of_accepted(headers: &Headers) -> Option<Key> {
        let to = headers.to_tag().ok()?;
        let cseq = headers.cseq().ok()?;
        let parts = Parts::of(b'a').and(from_tag(headers).as_deref().unwrap_or_default()).and(to.as_deref().unwrap_or_default());
        Some(parts.and(headers.call_id().ok()?).and(&cseq.number.to_be_bytes()).key())
    }

    /// A tag for the responses that are made here without the core, the same for each repeat of the request (§8.2.7).
    pub fn tag(&self) -> String {
        format!("cb{:08x}", crc32fast::hash(&self.0))
    }
}

fn from_tag(headers: &Headers) -> Option<Bytes> {
    headers.from_tag().ok()?
}

/// Whether a request is outside of any dialog.
pub fn is_initial(request: &Request) -> bool {
    request.headers.to_tag().is_ok_and(|tag| tag.is_none())
}

/// More than one Via: a response that was not meant for us (§8.1.3.3).
pub fn has_more_vias(headers: &Headers) -> bool {
    headers.elements(&HeaderName::Via).nth(1).is_some()
}
