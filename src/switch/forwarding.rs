//! Call forwarding and do-not-disturb: what a phone's user has set, by API or feature code, and 3xx answers.
//!
//! A forwarded call is dialled anew, with the rights of the phone that forwards it. It has a history (`Conversation::diverted`) that the next
//! INVITE tells in Diversion and History-Info; a phone that stands in it already, or a history that is too long, ends it there.

use std::net::SocketAddr;

use super::Output;
use super::hub::Cx;
use crate::conversation::{Conversation, Dialling, Peer, Stage, Transferring, Try, Way};
use crate::event::{CallForwarded, Kind};
use crate::ids::{LegId, Number};
use crate::route::{self, Attempt, Caller, Cause, Diverted, Forwarding, MOST_FORWARDS, Target, When, Why};
use crate::sip::{Contacts, Flow, HeaderName, Request, Response, SipUri, Status};

/// Contacts of a 3xx that are looked at.
const MOST_CONTACTS: usize = 4;

/// Redirections by trunks that one call follows.
const MOST_REDIRECTS: u8 = 3;

/// A forwarding that can't be set.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unset {
    NoPhone,
    NotDiallable(String),
    BadTime,
}

impl Cx<'_> {
    pub fn forwarding(&self, phone: &Number) -> Forwarding {
        self.hub.forwarding.get(phone).cloned().unwrap_or_default()
    }

    /// What a phone's user wants from now on; it outlives the process.
    pub fn set_forwarding(&mut self, phone: &Number, forwarding: Forwarding) -> Result<(), Unset> {
        let config = self.config();
        let own = config.phones.get(phone).ok_or(Unset::NoPhone)?;
        if !(5..=60).contains(&forwarding.no_answer_after_s) {
            return Err(Unset::BadTime);
        }
        for number in forwarding.numbers() {
            let fits = match route::forward(&config, own, number) {
                Ok(Target::Phone(to)) => to != *phone,
                Ok(Target::Code(_) | Target::Slot(_) | Target::Hangup) | Err(_) => false,
                Ok(Target::Queue(_) | Target::Menu(_) | Target::Voicemail(_) | Target::Callback(_) | Target::Outside(_)) => true,
            };
            if !fits {
                return Err(Unset::NotDiallable(number.to_owned()));
            }
        }
        let settings = match forwarding.is_default() {
            true => Vec::new(),
            false => serde_json::to_vec(&forwarding).unwrap_or_default(),
        };
        self.out.push(Output::PhoneSettings { phone: phone.clone(), settings: settings.into() });
        match forwarding.is_default() {
            true => self.hub.forwarding.remove(phone),
            false => self.hub.forwarding.insert(phone.clone(), forwarding),
        };
        Ok(())
    }

    /// Sends a call on that `phone` does not take. `Err` gives the transfer back: it goes nowhere, and the caller is told why not.
    pub fn forward(
        &mut self,
        conv: &mut Conversation,
        phone: &Number,
        (why, to): (Why, &str),
        transfer: Option<Transferring>,
    ) -> Result<(), Option<Transferring>> {
        let config = self.config();
        let Some(own) = config.phones.get(phone) else { return Err(transfer) };
        let went_through = |phone: &Number| conv.diverted.iter().any(|d| d.phone == *phone);
        let target = match route::forward(&config, own, to) {
            // It has come back by a way round outside.
            Ok(_) if went_through(phone) => Err("loop"),
            Ok(Target::Phone(next)) if next == *phone || went_through(&next) => Err("loop"),
            // Also by way of menus and queues, where its history is forgotten.
            Ok(_) if conv.forwards >= MOST_FORWARDS => Err("loop"),
            Ok(Target::Code(_) | Target::Slot(_)) | Err(_) => Err("not_diallable"),
            // A class of service holds for what is forwarded as for what is dialled.
            Ok(target) => self.may_reach(Caller::Phone(own), &target).map(|()| target).map_err(|_| "not_permitted"),
        };
        let target = match target {
            Ok(target) => target,
            Err(why) => {
                self.count(format!("calls_not_forwarded_total{{reason=\"{why}\"}}"));
                return Err(transfer);
            }
        };
        // Whoever it reaches now has not been asked to answer by itself.
        conv.intercom = false;
        conv.forwards += 1;
        conv.diverted.push(Diverted { phone: phone.clone(), why });
        let data = CallForwarded { phone: phone.clone(), to: to.to_owned(), reason: why };
        self.tell(Some(conv.id), Kind::CallForwarded(data));
        self.to(conv, target, transfer);
        Ok(())
    }

    /// A 3xx (RFC 3261 §21.3). Of a phone: the first of its contacts that can be dialled from there. Of a carrier: all that are its own, the
    /// preferred first, the next one after any refusal but one for all (6xx). Whether the call goes on by it.
    pub fn redirected(&mut self, conv: &mut Conversation, id: LegId, response: &Response) -> bool {
        if let Stage::Dialling(Dialling { comes_back: Some(_), .. }) = conv.stage {
            return false;
        }
        let Some(peer) = conv.leg(id).map(|l| l.peer.clone()) else { return false };
        let numbers = numbers_of(response);
        match peer {
            Peer::Phone(phone) => {
                let Stage::Dialling(dialling) = &mut conv.stage else { return false };
                let mut transfer = dialling.transfer.take();
                for (to, _) in numbers {
                    match self.forward(conv, &phone, (Why::Redirected, &to), transfer) {
                        Ok(()) => {
                            // Its user has decided, for all the phone's devices.
                            let others = conv.legs.values().filter(|l| l.is_ringing() && l.peer.phone() == Some(&phone));
                            let others: Vec<LegId> = others.map(|l| l.id).collect();
                            for other in others {
                                self.release(conv, other, Cause::Moved, Status::REQUEST_TERMINATED, None);
                            }
                            return true;
                        }
                        Err(back) => transfer = back,
                    }
                }
                if let Stage::Dialling(dialling) = &mut conv.stage {
                    dialling.transfer = transfer;
                }
                false
            }
            Peer::Trunk(name) => {
                let config = self.config();
                let Some(trunk) = config.trunks.get(&name) else { return false };
                // Within the carrier only: another host is nobody that we have a contract with.
                let own = |host: &str| {
                    let of = trunk.peer.host.trim_start_matches('[').trim_end_matches(']');
                    host.eq_ignore_ascii_case(of) || host.parse().is_ok_and(|ip| route::has_address(trunk, ip, &self.hub.hosts))
                };
                // The address of its own that it names, or whichever we would go to.
                let here = self.way_to(trunk);
                let elsewhere = |(host, port): At| {
                    let here = here?;
                    let port = port.filter(|port| *port != 0 && *port != here.remote.port());
                    let ip = host.parse().unwrap_or(here.remote.ip());
                    let at = SocketAddr::new(ip, port.unwrap_or(here.remote.port()));
                    (at != here.remote).then_some(Way::Named(Flow { remote: at, connection: None, ..here }, port))
                };
                let places = numbers.into_iter().filter(|(_, at)| at.as_ref().is_none_or(|(host, _)| own(host)));
                let places = places.map(|(number, at)| (number, at.and_then(elsewhere).unwrap_or(Way::Any)));
                let mut places: Vec<(String, Way)> = places.collect();
                let Stage::Dialling(dialling) = &conv.stage else { return false };
                let Some(tried) = dialling.trying.clone() else { return false };
                if dialling.redirects >= MOST_REDIRECTS {
                    return false;
                }
                // Whoever pays is not made to pay for what it may not dial.
                places.retain(|(number, _)| tried.emergency || self.may_be_sent_on(conv, number).is_ok());
                let Stage::Dialling(dialling) = &mut conv.stage else { return false };
                // Its further addresses were for the number that has moved.
                dialling.trunks.leave_trunk();
                let waits = |(number, by): &(String, Way)| {
                    dialling.trunks.0.iter().any(|next| next.redirected && next.attempt.number == *number && next.by == *by)
                };
                places.retain(|place| !waits(place));
                if places.is_empty() {
                    return false;
                }
                dialling.redirects += 1;
                for (number, by) in places.into_iter().rev() {
                    let attempt = Attempt { number, ..tried.clone() };
                    dialling.trunks.0.push_front(Try { attempt, by, redirected: true });
                }
                self.next_trunk(conv, Cause::Moved, Status::TEMPORARILY_UNAVAILABLE);
                true
            }
        }
    }

    /// What a forwarded call's INVITE tells of its way: Diversion, the latest first (RFC 5806), and History-Info (RFC 7044), whose last
    /// address is this INVITE's.
    pub fn tell_history(&self, conv: &Conversation, request: &mut Request, target: &str) {
        if conv.diverted.is_empty() {
            return;
        }
        let domain = &self.hub.config.site.domain;
        let address = |user: &str| SipUri::new(user, super::outgoing::host(domain), None).to_string();
        for d in conv.diverted.iter().rev() {
            let value = format!("<{}>;reason={};counter=1", address(d.phone.as_str()), d.why.reason());
            request.headers.push(HeaderName::Diversion, value);
        }
        let mut index = "1".to_owned();
        let mut entries = Vec::with_capacity(conv.diverted.len() + 1);
        let mut came_by = None;
        for d in &conv.diverted {
            let cause = came_by.map(|cause| format!(";cause={cause}")).unwrap_or_default();
            let left = d.why.cause();
            entries.push(format!("<{}{cause}?Reason=SIP%3Bcause%3D{left}>;index={index}", address(d.phone.as_str())));
            index.push_str(".1");
            came_by = Some(left);
        }
        let cause = came_by.map(|cause| format!(";cause={cause}")).unwrap_or_default();
        entries.push(format!("<{}{cause}>;index={index}", address(target)));
        request.headers.push(HeaderName::HistoryInfo, entries.join(", "));
    }

    /// A feature code: sets one of a phone's forwardings, or ends it.
    pub fn set_by_code(&mut self, phone: &Number, when: When, to: Option<String>) -> Result<&'static str, Unset> {
        let mut forwarding = self.forwarding(phone);
        let prompt = if to.is_some() { "forwarding-on" } else { "forwarding-off" };
        forwarding.set(when, to);
        self.set_forwarding(phone, forwarding).map(|()| prompt)
    }

    pub fn disturb_by_code(&mut self, phone: &Number, on: bool) -> Result<&'static str, Unset> {
        let forwarding = Forwarding { do_not_disturb: on, ..self.forwarding(phone) };
        let prompt = if on { "do-not-disturb-on" } else { "do-not-disturb-off" };
        self.set_forwarding(phone, forwarding).map(|()| prompt)
    }
}

/// Host and port.
type At = (String, Option<u16>);

/// What a 3xx names, the preferred first (`q`, RFC 3261 §20.10): a number each, and the host and port that it is at (a `tel:` has none).
fn numbers_of(response: &Response) -> Vec<(String, Option<At>)> {
    // 305 and 380 name no other place for the call.
    if !matches!(response.status.code(), 300..=302) {
        return Vec::new();
    }
    let Ok(Contacts::List(mut contacts)) = response.headers.contacts() else { return Vec::new() };
    contacts.sort_by_key(|c| std::cmp::Reverse(c.q()));
    let number = |c: &crate::sip::NameAddr| {
        let host = c.uri.sip().map(|uri| (uri.host.to_string().trim_matches(['[', ']']).to_owned(), uri.port));
        Some((c.uri.dialled().filter(|n| !n.is_empty())?, host))
    };
    contacts.iter().take(MOST_CONTACTS).filter_map(number).collect()
}
