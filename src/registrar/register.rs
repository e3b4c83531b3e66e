//! One REGISTER, all of it or nothing (RFC 3261 §10.3; Path of RFC 3327; devices of RFC 5626 §4.1).
//!
//! | who asks what | gets |
//! |---|---|
//! | no Contact | 200 with what there is |
//! | `Contact: *` without `Expires: 0`, or beside others; a Contact that is no SIP URI | 400 |
//! | an interval below the least | 423 with Min-Expires |
//! | more contacts than a number may have | 403; a device that comes back under a new port takes the place of its oldest from that address |
//! | `reg-id` of a device (RFC 5626 §6) by a first hop that does not keep flows: no `ob` in its Path | 439 |
//! | `reg-id` twice in one REGISTER | 400 |
//! | a CSeq that is not higher, with the Call-ID of a binding it touches | 500: an old request that came late |

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::bindings::{Bindings, Change, Held};
use super::{Binding, Device};
use crate::clock::Now;
use crate::config::Config;
use crate::ids::Number;
use crate::sip::{Contacts, Flow, HeaderName, NameAddr, Request, Response, Status, Transport, Uri};

/// A contact URI longer than this is no phone's; it would be stored, printed and sent back.
const MAX_CONTACT: usize = 512;
/// Proxies between a phone and us.
const MAX_PATH: usize = 8;
/// What is kept of User-Agent, in characters.
const MAX_USER_AGENT: usize = 128;

/// Seconds between a phone's keep-alives, which it then sends by CRLF or STUN (RFC 5626 §4.4): what NATs bear for streams and for datagrams.
const FLOW_TIMER: u32 = 120;
const FLOW_TIMER_UDP: u32 = 25;

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub struct From {
    pub flow: Flow,
    /// By an edge proxy of our own, which stands for many.
    pub is_proxied: bool,
    /// Where that says that it had it from.
    pub reported: Option<SocketAddr>,
}

impl From {
    pub fn source(&self) -> SocketAddr {
        self.reported.unwrap_or(self.flow.remote)
    }

    /// A phone that registered from there is heard again.
    pub fn is_of(&self, binding: &Binding) -> bool {
        let own = &binding.flow;
        match (self.is_proxied, own.connection) {
            (true, _) => own.remote.ip() == self.flow.remote.ip() && binding.reported == self.reported && self.reported.is_some(),
            (false, Some(connection)) => self.flow.connection == Some(connection),
            (false, None) => self.flow.transport == own.transport && self.flow.remote == own.remote,
        }
    }
}

pub(super) struct Limits {
    min: Duration,
    max: Duration,
    default: Duration,
    contacts: usize,
}

impl Limits {
    pub fn of(config: &Config) -> Limits {
        let sip = &config.sip;
        Limits { min: sip.min_expires, max: sip.max_expires, default: sip.default_expires, contacts: sip.max_contacts }
    }
}

/// Why nothing was changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("a bad Contact, or a star beside others or without Expires: 0")]
    BadContact,
    #[error("an interval below {least:?}")]
    TooBrief { least: Duration },
    #[error("more than {limit} contacts")]
    TooMany { limit: usize },
    #[error("an older request came late")]
    OutOfOrder,
    #[error("the first hop keeps no flows")]
    NoFlows,
}

impl Refused {
    fn status(&self) -> Status {
        match self {
            Refused::BadContact => Status::BAD_REQUEST,
            Refused::TooBrief { .. } => Status::INTERVAL_TOO_BRIEF,
            Refused::TooMany { .. } => Status::FORBIDDEN,
            Refused::OutOfOrder => Status::SERVER_INTERNAL_ERROR,
            Refused::NoFlows => Status::FIRST_HOP_LACKS_OUTBOUND_SUPPORT,
        }
    }
}

/// What one Contact asks for; a zero interval removes.
struct Wish {
    uri: Uri,
    printed: Bytes,
    device: Option<Device>,
    lasts: Duration,
    q: u16,
}

/// The order of a REGISTER among those of its Call-ID.
struct Order<'a> {
    call_id: &'a Bytes,
    cseq: u32,
}

impl Order<'_> {
    fn is_late_for(&self, held: &Held) -> bool {
        held.binding.call_id == *self.call_id && held.binding.cseq >= self.cseq
    }
}

#[allow(clippy::too_many_arguments, reason = "the parts of the registrar, then those of the request")]
pub(super) fn register(
    bindings: &mut Bindings,
    limits: &Limits,
    number: &Number,
    request: &Request,
    from: From,
    tag: &str,
    now: Now,
    changes: &mut Vec<Change>,
) -> Response {
    let before = bindings.held(number);
    match carry_out(before, limits, number, request, from, now) {
        Ok((after, what)) => {
            bindings.replace(number, after);
            changes.extend(what);
            granted(bindings.held(number), request, from.flow, tag, now)
        }
        Err(refused) => {
            let mut response = request.response_with_tag(refused.status(), tag);
            if let Refused::TooBrief { least } = refused {
                response.headers.push(HeaderName::MinExpires, seconds(least));
            }
            response
        }
    }
}

fn carry_out(
    before: &[Held],
    limits: &Limits,
    number: &Number,
    request: &Request,
    from: From,
    now: Now,
) -> Result<(Vec<Held>, Vec<Change>), Refused> {
    let headers = &request.headers;
    let flow = from.flow;
    let (Ok(call_id), Ok(cseq), Ok(contacts)) = (headers.call_id(), headers.cseq(), headers.contacts()) else {
        return Err(Refused::BadContact);
    };
    let order = Order { call_id, cseq: cseq.number };
    let mut after = before.to_vec();
    let mut changes = Vec::new();
    let wishes = match contacts {
        Contacts::Star => {
            if headers.expires() != Ok(Some(0)) {
                return Err(Refused::BadContact);
            }
            if after.iter().any(|held| order.is_late_for(held)) {
                return Err(Refused::OutOfOrder);
            }
            changes.extend(after.drain(..).map(|held| Change::Removed(number.clone(), held.binding)));
            return Ok((after, changes));
        }
        Contacts::List(list) if list.len() > limits.contacts => return Err(Refused::TooMany { limit: limits.contacts }),
        Contacts::List(list) => list.iter().map(|contact| wish(contact, request, limits)).collect::<Result<Vec<_>, _>>()?,
    };
    let of_flows = |wish: &&Wish| wish.device.as_ref().is_some_and(|d| d.reg_id.is_some()) && !wish.lasts.is_zero();
    match wishes.iter().filter(of_flows).count() {
        0 => {}
        1 if keeps_flows(request) => {}
        1 => return Err(Refused::NoFlows),
        _ => return Err(Refused::BadContact),
    }
    for wish in wishes {
        // Of two devices that have swapped their addresses one has the contact that the other had: it is in the place of both.
        let (mut known, others): (Vec<Held>, Vec<Held>) =
            after.into_iter().partition(|held| held.is_same(&wish.uri, wish.device.as_ref()));
        after = others;
        if known.iter().any(|held| order.is_late_for(held)) {
            return Err(Refused::OutOfOrder);
        }
        let own = known.iter().enumerate().min_by_key(|(_, held)| held.distance(wish.device.as_ref()));
        let old = own.map(|(index, _)| index).map(|index| known.remove(index));
        changes.extend(known.into_iter().map(|held| Change::Removed(number.clone(), held.binding)));
        if wish.lasts.is_zero() {
            changes.extend(old.map(|held| Change::Removed(number.clone(), held.binding)));
            continue;
        }
        if after.len() >= limits.contacts {
            changes.push(Change::Removed(number.clone(), make_room(&mut after, &from, limits)?));
        }
        let binding = Binding {
            contact: wish.printed,
            flow,
            user_agent: user_agent(request),
            call_id: Bytes::copy_from_slice(call_id),
            cseq: cseq.number,
            expires_at: now.wall + wish.lasts,
            q: wish.q,
            path: headers.elements(&HeaderName::Path).take(MAX_PATH).map(|p| Bytes::copy_from_slice(&p)).collect(),
            device: wish.device,
            reported: from.reported,
        };
        match old {
            Some(held) if held.binding.key() == binding.key() => {
                changes.push(Change::Refreshed(number.clone(), held.binding.flow, binding.clone()));
            }
            Some(held) => {
                changes.push(Change::Replaced(number.clone(), Box::new(held.binding), binding.clone()));
            }
            None => changes.push(Change::Added(number.clone(), binding.clone())),
        }
        after.push(Held { binding, until: now.mono + wish.lasts });
    }
    Ok((after, changes))
}

fn wish(contact: &NameAddr, request: &Request, limits: &Limits) -> Result<Wish, Refused> {
    let uri = match &contact.uri {
        Uri::Sip(uri) => Uri::Sip(uri.clone().without_headers()),
        Uri::Tel(_) | Uri::Other(_) => return Err(Refused::BadContact),
    };
    let printed = Bytes::from(uri.to_string());
    if printed.len() > MAX_CONTACT {
        return Err(Refused::BadContact);
    }
    // A value that can't be read counts as absent (§20.10 would have 3600, which is our default's range).
    let asked = match contact.params.has("expires") {
        true => contact.params.number("expires"),
        false => request.headers.expires().ok().flatten(),
    };
    let lasts = match asked {
        Some(0) => Duration::ZERO,
        Some(asked) if Duration::from_secs(asked.into()) < limits.min => {
            return Err(Refused::TooBrief { least: limits.min });
        }
        Some(asked) => Duration::from_secs(asked.into()).min(limits.max),
        None => limits.default,
    };
    let instance = contact.params.text("+sip.instance").filter(|i| !i.is_empty() && i.len() <= MAX_USER_AGENT);
    // RFC 5626 §4.2: 1 to 2^31 - 1. Of a phone that does not say that it does as the RFC says it is nothing to go by.
    let reg_id = contact.params.number("reg-id").filter(|id| (1..1 << 31).contains(id));
    let reg_id = reg_id.filter(|_| request.headers.lists(&HeaderName::Supported, "outbound"));
    let device = instance.map(|instance| Device { instance, reg_id });
    Ok(Wish { uri, printed, device, lasts, q: contact.q() })
}

/// A phone that sends to us is heard on its flow; else the first proxy on its way keeps it, and says so (RFC 5626 §5.1, §6).
fn keeps_flows(request: &Request) -> bool {
    let is_direct = request.headers.vias().is_ok_and(|vias| vias.len() == 1);
    let first_hop = || request.headers.path().ok()?.pop();
    is_direct || first_hop().is_some_and(|hop| hop.uri.sip().is_some_and(|uri| uri.params().has("ob")))
}

/// A phone that starts anew with another port and without an instance leaves its old contact behind: the oldest one from its address
/// goes. Contacts from elsewhere are somebody's, and stay.
fn make_room(after: &mut Vec<Held>, from: &From, limits: &Limits) -> Result<Binding, Refused> {
    let source = from.source();
    let oldest = after
        .iter()
        .enumerate()
        .filter(|(_, held)| held.binding.source().ip() == source.ip())
        .filter(|(_, held)| (held.binding.flow, held.binding.reported) != (from.flow, from.reported))
        .min_by_key(|(_, held)| held.until)
        .map(|(index, _)| index);
    match oldest {
        Some(index) => Ok(after.remove(index).binding),
        None => Err(Refused::TooMany { limit: limits.contacts }),
    }
}

fn granted(held: &[Held], request: &Request, flow: Flow, tag: &str, now: Now) -> Response {
    let mut response = request.response_with_tag(Status::OK, tag);
    let own = |h: &&Held| request.headers.call_id().is_ok_and(|id| *id == h.binding.call_id) && h.binding.flow == flow;
    let keeps_flow = held.iter().filter(own).any(|h| h.binding.device_of_flows().is_some());
    for Held { binding, until } in held.iter().filter(|h| h.until > now.mono) {
        let Ok(uri) = Uri::parse(binding.contact.clone()) else { continue };
        let mut contact = NameAddr::new(uri).with_param("expires", seconds(until.since(now.mono)).to_string());
        if binding.q < 1_000 {
            contact = contact.with_param("q", format!("0.{:03}", binding.q));
        }
        if let Some(Device { instance, reg_id }) = &binding.device {
            contact = contact.with_param("+sip.instance", instance);
            if let Some(reg_id) = reg_id {
                contact = contact.with_param("reg-id", reg_id.to_string());
            }
        }
        response.headers.push(HeaderName::Contact, contact);
    }
    response.headers.push(HeaderName::Supported, "path, outbound");
    if keeps_flow {
        response.headers.push(HeaderName::Require, "outbound");
        if request.headers.vias().is_ok_and(|vias| vias.len() == 1) {
            let timer = if flow.transport == Transport::Udp { FLOW_TIMER_UDP } else { FLOW_TIMER };
            response.headers.push(HeaderName::FlowTimer, timer);
        }
    }
    if request.headers.contains(&HeaderName::Path) && request.headers.lists(&HeaderName::Supported, "path") {
        response.headers.copy(&HeaderName::Path, &request.headers);
    }
    response
}

/// Rounded up: what is granted is at least what was asked for.
fn seconds(lasts: Duration) -> u32 {
    u32::try_from(lasts.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX)
}

fn user_agent(request: &Request) -> Option<String> {
    let raw = request.headers.get(&HeaderName::UserAgent)?;
    Some(String::from_utf8_lossy(raw).chars().filter(|c| !c.is_control()).take(MAX_USER_AGENT).collect())
}
