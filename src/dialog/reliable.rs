//! Reliable provisional responses (RFC 3262), as the one who is called: one at a time, repeated until its PRACK.
//!
//! Sent so is whatever the caller requires so, and, where it only supports it, what carries a description: that must not be lost. A 2xx
//! waits for the PRACK of a response that carried the answer (§3); a refusal does not.

use std::time::Duration;

use crate::clock::Mono;
use crate::sip::{HeaderName, Method, Request, Response};
use crate::transaction::TransactionId;

/// T1 (RFC 3261 §17.1.1.1): the first repeat comes after it, each further one after twice the time.
const T1: Duration = Duration::from_millis(500);

/// Without a PRACK for 64·T1 the INVITE is refused (§3).
const PATIENCE: Duration = Duration::from_secs(32);

#[derive(Clone, Debug, Default)]
pub struct Provisionals {
    wish: Wish,
    /// RSeq of the last one; the first is the owner's chance.
    last: u32,
    waiting: Option<Waiting>,
    /// RSeq and CSeq of one that the 2xx went before: repeated no more, and its PRACK is taken all the same (§3).
    overtaken: Option<(u32, u32)>,
    /// What goes when the PRACK is here.
    next: Option<(TransactionId, Response)>,
    /// One with a description went reliably.
    described: bool,
}

/// What the caller's INVITE says of `100rel`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wish {
    #[default]
    None,
    Supported,
    Required,
}

/// Not acknowledged yet.
#[derive(Clone, Debug)]
struct Waiting {
    transaction: TransactionId,
    response: Response,
    cseq: u32,
    interval: Duration,
    resend_at: Mono,
    gives_up: Mono,
}

/// What time brings.
#[allow(clippy::large_enum_variant, reason = "returned and matched at once, never stored")]
#[derive(Debug)]
pub enum Overdue {
    /// Once more.
    Resend(TransactionId, Response),
    /// No PRACK will come: with what waited for it, which had better go than stay.
    Lost(Option<(TransactionId, Response)>),
}

impl Provisionals {
    /// `first`: where the numbers begin (1 to 2^31 - 1, §3).
    pub fn of(invite: &Request, first: u32) -> Provisionals {
        let wish = match (
            invite.headers.lists(&HeaderName::Require, "100rel"),
            invite.headers.lists(&HeaderName::Supported, "100rel"),
        ) {
            (true, _) => Wish::Required,
            (false, true) => Wish::Supported,
            (false, false) => Wish::None,
        };
        Provisionals { wish, last: first & 0x3fff_ffff, waiting: None, overtaken: None, next: None, described: false }
    }

    /// A provisional response above 100 that is to be sent: as it goes now, or nothing while another one waits for its PRACK.
    pub fn provisional(&mut self, transaction: TransactionId, mut response: Response, now: Mono) -> Option<Response> {
        let reliably = match self.wish {
            Wish::None => false,
            Wish::Supported => !response.body.is_empty(),
            Wish::Required => true,
        };
        if !reliably {
            return Some(response);
        }
        if self.waiting.is_some() {
            self.next = Some((transaction, response));
            return None;
        }
        self.last += 1;
        self.described |= !response.body.is_empty();
        response.headers.push(HeaderName::Require, "100rel");
        response.headers.push(HeaderName::RSeq, self.last);
        let cseq = response.headers.cseq().map_or(0, |c| c.number);
        let (resend_at, gives_up) = (now + T1, now + PATIENCE);
        self.waiting = Some(Waiting { transaction, response: response.clone(), cseq, interval: T1, resend_at, gives_up });
        Some(response)
    }

    /// A 2xx that is to be sent: now, or when the description that went before it is acknowledged.
    pub fn success(&mut self, transaction: TransactionId, response: Response) -> Option<Response> {
        match &self.waiting {
            Some(waiting) if !waiting.response.body.is_empty() => {
                self.next = Some((transaction, response));
                None
            }
            // What it told is told by the 2xx.
            Some(_) | None => {
                self.overtaken = self.waiting.take().map(|waiting| (self.last, waiting.cseq));
                self.next = None;
                Some(response)
            }
        }
    }

    /// The answer to the INVITE's offer went in one of them: a further offer may come before the 2xx (RFC 3311 §5.1).
    pub fn have_described(&self) -> bool {
        self.described
    }

    /// A 2xx waits: the INVITE has no final answer yet.
    pub fn holds_success(&self) -> bool {
        self.next.as_ref().is_some_and(|(_, response)| response.status.is_success())
    }

    /// Nothing waits any more: the 2xx that did, if one did.
    pub fn stop(&mut self) -> Option<(TransactionId, Response)> {
        self.waiting = None;
        self.next.take().filter(|(_, response)| response.status.is_success())
    }

    /// A PRACK: whether it is for what waits, and what goes now.
    pub fn acknowledged(&mut self, prack: &Request, now: Mono) -> Result<Option<(TransactionId, Response)>, Unknown> {
        let rack = prack.headers.get(&HeaderName::RAck).and_then(|value| rack(value)).ok_or(Unknown)?;
        if self.overtaken.take_if(|overtaken| *overtaken == rack).is_some() {
            return Ok(None);
        }
        let waiting = self.waiting.as_ref().ok_or(Unknown)?;
        if rack != (self.last, waiting.cseq) {
            return Err(Unknown);
        }
        self.waiting = None;
        Ok(match self.next.take() {
            Some((transaction, response)) if response.status.is_provisional() => {
                self.provisional(transaction, response, now).map(|response| (transaction, response))
            }
            next => next,
        })
    }

    pub fn deadline(&self) -> Option<Mono> {
        self.waiting.as_ref().map(|waiting| waiting.resend_at.min(waiting.gives_up))
    }

    pub fn overdue(&mut self, now: Mono) -> Option<Overdue> {
        let waiting = self.waiting.as_mut()?;
        if waiting.gives_up <= now {
            self.overtaken = self.waiting.take().map(|waiting| (self.last, waiting.cseq));
            return Some(Overdue::Lost(self.next.take().filter(|(_, response)| response.status.is_success())));
        }
        if waiting.resend_at > now {
            return None;
        }
        waiting.interval *= 2;
        waiting.resend_at = now + waiting.interval;
        Some(Overdue::Resend(waiting.transaction, waiting.response.clone()))
    }
}

/// A PRACK for nothing that waits: 481 (§3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown;

/// `RAck: 776656 1 INVITE` (§7.2): RSeq and CSeq number.
fn rack(value: &[u8]) -> Option<(u32, u32)> {
    let mut words = std::str::from_utf8(value).ok()?.split_ascii_whitespace();
    let (rseq, cseq, method) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?);
    (method == Method::Invite.as_str() && words.next().is_none()).then_some((rseq, cseq))
}

/// RSeq of a provisional response that its sender wants acknowledged.
pub fn rseq(response: &Response) -> Option<u32> {
    if !response.status.is_provisional() || !response.headers.lists(&HeaderName::Require, "100rel") {
        return None;
    }
    std::str::from_utf8(response.headers.get(&HeaderName::RSeq)?).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{CSeq, SipUri, Status};

    const ID: TransactionId = TransactionId(7);

    fn invite(header: HeaderName) -> Request {
        let mut request = Request::new(Method::Invite, SipUri::new("1", crate::sip::Host::Ip([10, 0, 0, 1].into()), None));
        request.headers.push(HeaderName::CSeq, CSeq::new(9, Method::Invite));
        request.headers.push(header, "timer, 100rel");
        request
    }

    fn answer(status: Status, body: &'static str) -> Response {
        let mut response = invite(HeaderName::Supported).response(status);
        response.body = body.into();
        response
    }

    fn prack(rack: &str) -> Request {
        let mut request = invite(HeaderName::Supported);
        request.headers.push(HeaderName::RAck, rack);
        request
    }

    fn at(ms: u64) -> Mono {
        Mono::from_millis(ms)
    }

    #[test]
    fn what_is_supported_is_used_for_descriptions_and_what_is_required_for_all() {
        for (header, status, body, reliably) in [
            (HeaderName::Supported, Status::RINGING, "", false),
            (HeaderName::Supported, Status::SESSION_PROGRESS, "v=0", true),
            (HeaderName::Require, Status::RINGING, "", true),
            (HeaderName::Allow, Status::SESSION_PROGRESS, "v=0", false),
        ] {
            let mut p = Provisionals::of(&invite(header.clone()), 100);
            let sent = p.provisional(ID, answer(status, body), at(0)).unwrap();
            assert_eq!(rseq(&sent), reliably.then_some(101), "{header:?} {body}");
            assert_eq!(p.deadline(), reliably.then_some(at(500)));
        }
    }

    #[test]
    fn one_is_repeated_until_its_prack_and_the_next_waits_for_it() {
        let mut p = Provisionals::of(&invite(HeaderName::Require), u32::MAX);
        let first = p.provisional(ID, answer(Status::RINGING, ""), at(0)).unwrap();
        let number = rseq(&first).unwrap();
        assert_eq!(number, 0x4000_0000, "it never runs over");
        assert!(p.provisional(ID, answer(Status::SESSION_PROGRESS, "v=0"), at(100)).is_none());
        assert!(p.overdue(at(499)).is_none());
        for (time, next) in [(500, 1_500), (1_500, 3_500)] {
            assert!(matches!(p.overdue(at(time)), Some(Overdue::Resend(ID, r)) if rseq(&r) == Some(number)));
            assert_eq!(p.deadline(), Some(at(next)));
        }
        for wrong in [format!("{} 9 INVITE", number + 1), format!("{number} 8 INVITE"), format!("{number} 9 UPDATE"), "x".into()]
        {
            assert_eq!(p.acknowledged(&prack(&wrong), at(1_600)).map(|_| ()), Err(Unknown), "{wrong}");
        }
        let (_, next) = p.acknowledged(&prack(&format!("{number} 9 INVITE")), at(1_600)).unwrap().unwrap();
        assert_eq!((next.status, rseq(&next)), (Status::SESSION_PROGRESS, Some(number + 1)));
        // The answer in it holds the 2xx back.
        assert!(p.success(ID, answer(Status::OK, "v=0")).is_none());
        let (_, next) = p.acknowledged(&prack(&format!("{} 9 INVITE", number + 1)), at(1_700)).unwrap().unwrap();
        assert_eq!((next.status, p.deadline()), (Status::OK, None));
        assert_eq!(p.acknowledged(&prack(&format!("{} 9 INVITE", number + 1)), at(1_800)).map(|_| ()), Err(Unknown));
    }

    #[test]
    fn a_2xx_does_not_wait_for_the_prack_of_what_it_says_itself_and_none_waits_for_ever() {
        let mut p = Provisionals::of(&invite(HeaderName::Require), 1);
        p.provisional(ID, answer(Status::RINGING, ""), at(0));
        assert!(p.success(ID, answer(Status::OK, "v=0")).is_some());
        assert_eq!(p.deadline(), None);
        // Its PRACK may have crossed the 2xx.
        assert!(matches!(p.acknowledged(&prack("2 9 INVITE"), at(100)), Ok(None)));
        assert_eq!(p.acknowledged(&prack("2 9 INVITE"), at(100)).map(|_| ()), Err(Unknown));

        let mut p = Provisionals::of(&invite(HeaderName::Supported), 1);
        p.provisional(ID, answer(Status::SESSION_PROGRESS, "v=0"), at(0));
        assert!(p.success(ID, answer(Status::OK, "v=0")).is_none());
        assert!(matches!(p.overdue(at(32_000)), Some(Overdue::Lost(Some((ID, r)))) if r.status == Status::OK));

        let mut p = Provisionals::of(&invite(HeaderName::Supported), 1);
        p.provisional(ID, answer(Status::SESSION_PROGRESS, "v=0"), at(0));
        assert!(p.success(ID, answer(Status::OK, "v=0")).is_none());
        assert!(p.stop().is_some() && p.deadline().is_none());
    }
}
