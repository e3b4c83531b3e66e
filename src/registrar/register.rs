//! One REGISTER, all of it or nothing (RFC 3261 §10.3; Path of RFC 3327; devices of RFC 5626 §4.1).
//!
//! | who asks what | gets |
//! |---|---|
//! | no Contact | 200 with what there is |
//! | `Contact: *` without `Expires: 0`, or beside others; a Contact that is no SIP URI | 400 |
//! | an interval below the least | 423 with Min-Expires |
//! | more contacts than a number may have | 403; a device that comes back under a new port takes the place of its oldest from that address |
//! | a CSeq that is not higher, with the Call-ID of a binding it touches | 500: an old request that came late |

use std::time::Duration;

use bytes::Bytes;

use super::Binding;
use super::bindings::{Bindings, Change, Held};
use crate::clock::Now;
use crate::config::Config;
use crate::ids::Number;
use crate::sip::{Contacts, Flow, HeaderName, NameAddr, Request, Response, Status, Uri};

/// A contact URI longer than this is no phone's; it would be stored, printed and sent back.
const MAX_CONTACT: usize = 512;
/// Proxies between a phone and us.
const MAX_PATH: usize = 8;
/// What is kept of User-Agent, in characters.
const MAX_USER_AGENT: usize = 128;

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
}

impl Refused {
    fn status(&self) -> Status {
        match self {
            Refused::BadContact => Status::BAD_REQUEST,
            Refused::TooBrief { .. } => Status::INTERVAL_TOO_BRIEF,
            Refused::TooMany { .. } => Status::FORBIDDEN,
            Refused::OutOfOrder => Status::SERVER_INTERNAL_ERROR,
        }
    }
}

/// What one Contact asks for; a zero interval removes.
struct Wish {
    uri: Uri,
    printed: Bytes,
    instance: Option<String>,
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
    flow: Flow,
    tag: &str,
    now: Now,
    changes: &mut Vec<Change>,
) -> Response {
    let before = bindings.held(number);
    match carry_out(before, limits, number, request, flow, now) {
        Ok((after, what)) => {
            bindings.replace(number, after);
            changes.extend(what);
            granted(bindings.held(number), request, tag, now)
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
    flow: Flow,
    now: Now,
) -> Result<(Vec<Held>, Vec<Change>), Refused> {
    let headers = &request.headers;
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
    for wish in wishes {
        let known = after.iter().position(|held| held.is_same(&wish.uri, wish.instance.as_deref()));
        let old = known.map(|index| after.remove(index));
        if old.as_ref().is_some_and(|held| order.is_late_for(held)) {
            return Err(Refused::OutOfOrder);
        }
        if wish.lasts.is_zero() {
            changes.extend(old.map(|held| Change::Removed(number.clone(), held.binding)));
            continue;
        }
        if after.len() >= limits.contacts {
            changes.push(Change::Removed(number.clone(), make_room(&mut after, &flow, limits)?));
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
        };
        match old {
            Some(held) if held.binding.contact == binding.contact => {
                changes.push(Change::Refreshed(number.clone(), binding.clone()));
            }
            Some(held) => {
                changes.push(Change::Removed(number.clone(), held.binding));
                changes.push(Change::Added(number.clone(), binding.clone()));
            }
            None => changes.push(Change::Added(number.clone(), binding.clone())),
        }
        after.push(Held { binding, until: now.mono + wish.lasts, instance: wish.instance });
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
    Ok(Wish { uri, printed, instance, lasts, q: contact.q() })
}

/// A phone that starts anew with another port and without an instance leaves its old contact behind: the oldest one from its address
/// goes. Contacts from elsewhere are somebody's, and stay.
fn make_room(after: &mut Vec<Held>, flow: &Flow, limits: &Limits) -> Result<Binding, Refused> {
    let oldest = after
        .iter()
        .enumerate()
        .filter(|(_, held)| held.binding.flow.remote.ip() == flow.remote.ip() && held.binding.flow != *flow)
        .min_by_key(|(_, held)| held.until)
        .map(|(index, _)| index);
    match oldest {
        Some(index) => Ok(after.remove(index).binding),
        None => Err(Refused::TooMany { limit: limits.contacts }),
    }
}

fn granted(held: &[Held], request: &Request, tag: &str, now: Now) -> Response {
    let mut response = request.response_with_tag(Status::OK, tag);
    for Held { binding, until, instance: _ } in held.iter().filter(|h| h.until > now.mono) {
        let Ok(uri) = Uri::parse(binding.contact.clone()) else { continue };
        let mut contact = NameAddr::new(uri).with_param("expires", seconds(until.since(now.mono)).to_string());
        if binding.q < 1_000 {
            contact = contact.with_param("q", format!("0.{:03}", binding.q));
        }
        response.headers.push(HeaderName::Contact, contact);
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
