//! A subscription of a peer to something of ours (RFC 6665 §4.2): we are the notifier.
//!
//! ```text
//! SUBSCRIBE ──2xx──▶ Active ──Expires: 0, time over, or our will──▶ a last NOTIFY (`terminated`) ──▶ over
//!                      └─NOTIFY refused or unanswered──▶ over
//! ```
//!
//! One NOTIFY is on its way at a time: what changes meanwhile is told by the next one, with the newest state. So a slow peer costs one
//! transaction, and states never overtake each other. What is notified is the owner's.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Dialog, Key, Moved, NoDialog, Own, Reach};
use crate::clock::Mono;
use crate::sip::{Flow, HeaderName, Method, NameAddr, Request, Response, Status, SubscriptionState, Uri};

/// Least duration that is granted, in seconds (423 below): a phone that refreshes more often than its registration only costs.
pub const MIN_EXPIRES: u32 = 60;

/// Longest duration, and that of a peer that does not say (RFC 4235 §3.4): a lamp of a phone that was torn out is kept so long at most.
pub const MAX_EXPIRES: u32 = 3_600;

/// A NOTIFY that its subscriber can't take for the moment (500, 503) is sent again after so long, where it does not say how long …
const REST: Duration = Duration::from_secs(5);
/// … or after what it says, up to this …
const LONGEST_REST: Duration = Duration::from_secs(300);
/// … and so often.
const MOST_REFUSED: u8 = 5;

#[derive(Debug)]
pub struct Subscription {
    key: Key,
    dialog: Dialog,
    contact: NameAddr,
    /// As the subscriber wrote it, with its `id`: every NOTIFY says the same (§8.2.1).
    event: Bytes,
    until: Mono,
    notify: Notify,
    /// NOTIFYs one after another that a fault of the subscriber's has refused.
    refused: u8,
    ending: Option<Ending>,
}

/// What of a subscription outlives the process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    dialog: Dialog,
    contact: NameAddr,
    event: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notify {
    /// None is on its way.
    Idle,
    Sent,
    /// One is on its way, and what it says is old.
    SentStale,
    /// The subscriber had a fault of the moment: the next one waits.
    Resting,
}

/// Why a subscription ends, as its last NOTIFY says (§4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its time is over, or the subscriber ended it.
    Timeout,
    /// The subscriber's registration is gone; it may subscribe anew when it has one.
    Deactivated,
    /// What it was to is no more.
    NoResource,
    /// We stop for a while: come back later.
    Probation,
}

/// How long a subscription is to last, by a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Seconds, within what is granted. 0 ends it, or asks once (§4.4.3).
    For(u32),
    /// 423 with [`MIN_EXPIRES`] in Min-Expires.
    TooBrief,
}

impl Wish {
    pub fn of(subscribe: &Request) -> Result<Wish, Status> {
        match subscribe.headers.expires().map_err(|e| e.status())? {
            Some(0) => Ok(Wish::For(0)),
            Some(asked) if asked < MIN_EXPIRES => Ok(Wish::TooBrief),
            Some(asked) => Ok(Wish::For(asked.min(MAX_EXPIRES))),
            None => Ok(Wish::For(MAX_EXPIRES)),
        }
    }
}

/// What the answer to a NOTIFY means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Nothing,
    /// The state has changed meanwhile: notify again.
    Again,
    /// It was not taken: notify again when so much time has gone, after [`rested`](Subscription::rested).
    Later(Duration),
    /// The subscriber is gone, or knows nothing of it (§4.2.2).
    Over,
}

impl Subscription {
    /// A SUBSCRIBE outside of a dialog that is granted for so many seconds. Its first NOTIFY is due at once (§4.2.1.2).
    pub fn accepted(subscribe: &Request, own: Own, flow: Flow, seconds: u32, now: Mono) -> Result<Subscription, NoDialog> {
        let dialog = Dialog::accepted(subscribe, &own.tag, flow, Reach::Flow)?;
        let mut subscription = Subscription {
            key: Key { call_id: dialog.call_id().clone(), tag: Bytes::from(own.tag) },
            dialog,
            contact: own.contact,
            event: subscribe.headers.get(&HeaderName::Event).cloned().unwrap_or_default(),
            until: now,
            notify: Notify::Idle,
            refused: 0,
            ending: None,
        };
        subscription.last(seconds, now);
        Ok(subscription)
    }

    /// To go on from by another process, whose requests count on from so many after the last one of ours: as many may be sent before it is
    /// kept again.
    pub fn keep(&self, ahead: u32) -> Kept {
        let mut dialog = self.dialog.clone();
        dialog.count_from(self.dialog.local_cseq().saturating_add(ahead));
        Kept { dialog, contact: self.contact.clone(), event: self.event.clone() }
    }

    /// As it was kept, for what is left of its time.
    pub fn restored(kept: Kept, left: Duration, now: Mono) -> Subscription {
        let Kept { dialog, contact, event } = kept;
        let key = Key { call_id: dialog.call_id().clone(), tag: Bytes::copy_from_slice(dialog.local_tag()) };
        let dialog = dialog.without_connection();
        Subscription { key, dialog, contact, event, until: now + left, notify: Notify::Idle, refused: 0, ending: None }
    }

    /// The number of the last request of ours in it.
    pub fn cseq(&self) -> u32 {
        self.dialog.local_cseq()
    }

    pub fn key(&self) -> &Key {
        &self.key
    }

    /// A SUBSCRIBE in the dialog: whose it is and its order are checked here, how long it is to last by [`Wish`].
    pub fn receive(&mut self, subscribe: &Request, flow: Flow) -> Result<Wish, Status> {
        if !self.dialog.owns(subscribe) || self.ending.is_some() {
            return Err(Status::CALL_TRANSACTION_DOES_NOT_EXIST);
        }
        let wish = Wish::of(subscribe)?;
        self.dialog.receive(subscribe, flow)?;
        Ok(wish)
    }

    /// Lasts so long from now; not at all with 0.
    pub fn last(&mut self, seconds: u32, now: Mono) {
        self.until = now + Duration::from_secs(u64::from(seconds));
        if seconds == 0 {
            self.end(Ending::Timeout);
        }
    }

    /// The 200 to a SUBSCRIBE, the first or a further one.
    pub fn accept(&self, subscribe: &Request, seconds: u32) -> Response {
        let mut response = subscribe.response_with_tag(Status::OK, self.dialog.local_tag());
        response.headers.push(HeaderName::Contact, &self.contact);
        response.headers.push(HeaderName::Expires, seconds);
        response
    }

    /// The next NOTIFY is the last one.
    pub fn end(&mut self, why: Ending) {
        self.ending.get_or_insert(why);
    }

    pub fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// When its time is over.
    pub fn until(&self) -> Mono {
        self.until
    }

    /// Whether a NOTIFY may go out now. If one is on its way still, [`answered`](Subscription::answered) will ask for it.
    pub fn may_notify(&mut self) -> bool {
        match self.notify {
            Notify::Idle => true,
            // What is so then is told then.
            Notify::Resting => false,
            Notify::Sent | Notify::SentStale => {
                self.notify = Notify::SentStale;
                false
            }
        }
    }

    /// The NOTIFY, and its way.
    pub fn notify(&mut self, content_type: &str, body: Bytes, now: Mono) -> (Request, Flow) {
        let mut request = self.dialog.request(Method::Notify);
        let state = match self.ending {
            None => {
                let left = self.until.since(now).as_secs();
                SubscriptionState::active(u32::try_from(left).unwrap_or(MAX_EXPIRES))
            }
            Some(Ending::Timeout) => SubscriptionState::terminated("timeout"),
            Some(Ending::Deactivated) => SubscriptionState::terminated("deactivated"),
            Some(Ending::NoResource) => SubscriptionState::terminated("noresource"),
            Some(Ending::Probation) => SubscriptionState::terminated("probation"),
        };
        request.headers.push(HeaderName::Contact, &self.contact);
        request.headers.push(HeaderName::Event, &self.event);
        request.headers.push(HeaderName::SubscriptionState, &state);
        request.headers.push(HeaderName::ContentType, content_type);
        request.body = body;
        self.notify = Notify::Sent;
        (request, self.dialog.next_hop())
    }

    /// The final answer to the NOTIFY that is on its way, with its Retry-After in seconds; without one, [`Status::REQUEST_TIMEOUT`].
    pub fn answered(&mut self, status: Status, retry_after: Option<u32>) -> Then {
        let stale = self.notify == Notify::SentStale;
        self.notify = Notify::Idle;
        match status {
            // A fault of the moment (§4.2.2): the lamp would be wrong until the next change.
            Status::SERVER_INTERNAL_ERROR | Status::SERVICE_UNAVAILABLE if self.refused < MOST_REFUSED => {
                self.refused += 1;
                self.notify = Notify::Resting;
                let asked =
                    retry_after.map(|seconds| Duration::from_secs(seconds.into()).clamp(Duration::from_secs(1), LONGEST_REST));
                return Then::Later(asked.unwrap_or(REST));
            }
            // It has had its chances; the next change is another.
            Status::SERVER_INTERNAL_ERROR | Status::SERVICE_UNAVAILABLE => {}
            status if status.is_success() => self.refused = 0,
            _ => return Then::Over,
        }
        if stale { Then::Again } else { Then::Nothing }
    }

    /// The time is over that [`Then::Later`] has said, or the subscriber asks: whether it was waited for.
    pub fn rested(&mut self) -> bool {
        let rests = self.notify == Notify::Resting;
        if rests {
            self.notify = Notify::Idle;
        }
        rests
    }

    /// The NOTIFY that was on its way has found none.
    pub fn not_sent(&mut self) {
        self.notify = Notify::Idle;
    }

    /// The way to the subscriber.
    pub fn flow(&self) -> &Flow {
        self.dialog.flow()
    }

    /// What the subscriber called us, without parameters: how it writes our address.
    pub fn resource(&self) -> &Uri {
        self.dialog.local_uri()
    }

    /// The same device, by its Contact, the same event: a phone that was restarted and has forgotten its subscription.
    pub fn is_repeated_by(&self, newer: &Subscription) -> bool {
        self.event == newer.event && self.dialog.remote_target().equivalent(newer.dialog.remote_target())
    }

    /// See [`Dialog::device_moved`].
    pub fn device_moved(&mut self, moved: &Moved) -> bool {
        self.dialog.device_moved(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{Message, SipUri, Transport, parse_datagram};

    fn now() -> Mono {
        Mono::from_millis(1_000)
    }

    fn flow() -> Flow {
        let at = |text: &str| text.parse().expect("address");
        Flow { transport: Transport::Udp, local: at("10.0.0.1:5060"), remote: at("10.1.0.2:5060"), connection: None }
    }

    fn subscribe(cseq: u32, to_tag: &str, more: &str) -> Request {
        let text = format!(
            "SUBSCRIBE sip:201@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.2:5060;branch=z9hG4bK{cseq}\r\nMax-Forwards: 70\r\n\
             From: <sip:202@10.0.0.1>;tag=f\r\nTo: <sip:201@10.0.0.1>{to_tag}\r\nCall-ID: c\r\nCSeq: {cseq} SUBSCRIBE\r\n\
             Contact: <sip:202@10.1.0.2>\r\nEvent: dialog;id=7\r\n{more}\r\n"
        );
        match parse_datagram(text.as_bytes()) {
            Ok(Message::Request(request)) => request,
            _ => panic!("{text}"),
        }
    }

    fn subscription(seconds: u32) -> Subscription {
        let own =
            Own { tag: "t".into(), contact: NameAddr::new(SipUri::new("201", std::net::IpAddr::from([10, 0, 0, 1]), None)) };
        Subscription::accepted(&subscribe(1, "", ""), own, flow(), seconds, now()).expect("a dialog")
    }

    fn state(request: &Request) -> String {
        String::from_utf8_lossy(request.headers.get(&HeaderName::SubscriptionState).expect("there is one")).into_owned()
    }

    #[test]
    fn a_wish_is_kept_within_bounds() {
        for (expires, wish) in [
            ("", Wish::For(MAX_EXPIRES)),
            ("Expires: 0\r\n", Wish::For(0)),
            ("Expires: 59\r\n", Wish::TooBrief),
            ("Expires: 60\r\n", Wish::For(60)),
            ("Expires: 99999999999\r\n", Wish::For(MAX_EXPIRES)),
        ] {
            assert_eq!(Wish::of(&subscribe(1, "", expires)), Ok(wish), "{expires}");
        }
        assert_eq!(Wish::of(&subscribe(1, "", "Expires: soon\r\n")), Err(Status::BAD_REQUEST));
    }

    #[test]
    fn one_notify_is_out_at_a_time_and_the_next_follows_its_answer() {
        let mut s = subscription(600);
        assert!(s.may_notify());
        let (first, to) = s.notify("text/plain", Bytes::from_static(b"a"), now());
        assert_eq!((state(&first).as_str(), to), ("active;expires=600", flow()));
        assert_eq!(first.headers.get(&HeaderName::Event).map(|e| &e[..]), Some(&b"dialog;id=7"[..]));
        assert!(!s.may_notify());
        assert!(!s.may_notify());
        assert_eq!(s.answered(Status::OK, None), Then::Again);
        assert!(s.may_notify());
        s.notify("text/plain", Bytes::new(), now());
        assert_eq!(s.answered(Status::CALL_TRANSACTION_DOES_NOT_EXIST, None), Then::Over);
    }

    #[test]
    fn a_notify_that_is_not_taken_for_the_moment_waits_and_goes_again_a_few_times() {
        let mut s = subscription(600);
        let mut refused = |retry_after| {
            assert!(s.may_notify());
            s.notify("text/plain", Bytes::new(), now());
            let then = s.answered(Status::SERVICE_UNAVAILABLE, retry_after);
            assert_eq!(s.may_notify(), then == Then::Nothing, "what changes meanwhile waits with it");
            assert_eq!(s.rested(), then != Then::Nothing);
            then
        };
        for (retry_after, seconds) in [(None, 5), (Some(20), 20), (Some(0), 1), (Some(86_400), 300), (None, 5)] {
            assert_eq!(refused(retry_after), Then::Later(Duration::from_secs(seconds)));
        }
        assert_eq!(refused(None), Then::Nothing);
        s.notify("text/plain", Bytes::new(), now());
        assert_eq!(s.answered(Status::OK, None), Then::Nothing);
        s.notify("text/plain", Bytes::new(), now());
        assert_eq!(s.answered(Status::SERVER_INTERNAL_ERROR, None), Then::Later(REST), "it begins anew");
    }

    #[test]
    fn a_subscription_of_no_time_says_so_once() {
        let mut s = subscription(0);
        assert!(s.is_ending());
        assert_eq!(state(&s.notify("text/plain", Bytes::new(), now()).0), "terminated;reason=timeout");
    }

    #[test]
    fn a_refresh_is_checked_for_its_dialog_and_order() {
        let mut s = subscription(60);
        assert_eq!(s.receive(&subscribe(2, ";tag=x", ""), flow()), Err(Status::CALL_TRANSACTION_DOES_NOT_EXIST));
        assert_eq!(s.receive(&subscribe(2, ";tag=t", "Expires: 120\r\n"), flow()), Ok(Wish::For(120)));
        s.last(120, now());
        assert_eq!(s.until(), now() + Duration::from_secs(120));
        assert_eq!(s.receive(&subscribe(2, ";tag=t", ""), flow()), Err(Status::SERVER_INTERNAL_ERROR));
        assert_eq!(s.receive(&subscribe(3, ";tag=t", "Expires: 0\r\n"), flow()), Ok(Wish::For(0)));
        s.last(0, now());
        assert_eq!(s.receive(&subscribe(4, ";tag=t", ""), flow()), Err(Status::CALL_TRANSACTION_DOES_NOT_EXIST));
    }
}
