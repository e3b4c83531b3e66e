//! Class of service in the core: asks [`class`](crate::route::class), tells what was refused, and keeps the minutes.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Output;
use super::hub::Cx;
use crate::config::Phone;
use crate::conversation::{Conversation, Stage};
use crate::event::{ClassRefused, Kind};
use crate::ids::{ConversationId, LegId, Number};
use crate::route::class::{Denied, has_calls_left, may_call_outside};
use crate::route::{self, Caller, Target};

/// Minutes of calls that go on are kept so often.
const KEEP_EVERY: Duration = Duration::from_secs(60);

impl Cx<'_> {
    /// Whether a phone may begin a call to where it has dialled.
    pub fn may_begin(&mut self, number: &Number, target: &Target) -> Result<(), Denied> {
        let config = self.config();
        let Some(phone) = config.phones.get(number) else { return Ok(()) };
        self.may_reach(Caller::Phone(phone), target)?;
        // One that rings at several devices of it, or that it has sent on, is one call.
        let calls: BTreeSet<ConversationId> = self.hub.index.of_phone(number).map(|(_, at)| at.conversation).collect();
        let calls = calls.len();
        match target {
            Target::Code(_) | Target::Hangup => Ok(()),
            Target::Outside(outside) if outside.is_emergency() => Ok(()),
            Target::Phone(to) | Target::Voicemail(to) | Target::Slot(to) => {
                self.told(phone, to.as_str(), has_calls_left(&config, phone, calls))
            }
            Target::Queue(name) | Target::Callback(name) => {
                self.told(phone, name.as_str(), has_calls_left(&config, phone, calls))
            }
            Target::Menu(name) => self.told(phone, name.as_str(), has_calls_left(&config, phone, calls)),
            Target::Outside(outside) => {
                let number = outside.attempts.first().map_or("", |a| a.number.as_str());
                self.told_outside(phone, number, has_calls_left(&config, phone, calls))
            }
        }
    }

    /// Whether the one on whose right it is dialled may reach this.
    pub fn may_reach(&mut self, who: Caller<'_>, target: &Target) -> Result<(), Denied> {
        let (Caller::Phone(phone), Target::Outside(outside)) = (who, target) else { return Ok(()) };
        // No class holds for it.
        if outside.is_emergency() {
            return Ok(());
        }
        let config = self.config();
        let used = self.hub.ledger.used(&phone.number, self.now.wall, &config.site.time_zone);
        // All trunks get the same number.
        let number = outside.attempts.first().map_or("", |a| a.number.as_str());
        self.told_outside(phone, number, may_call_outside(&config, phone, number, self.now.wall, used))
    }

    /// A refusal is an event.
    pub fn told(&mut self, phone: &Phone, number: &str, allowed: Result<(), Denied>) -> Result<(), Denied> {
        self.refused(phone, number, None, allowed)
    }

    /// The same of a number that a trunk would get.
    fn told_outside(&mut self, phone: &Phone, number: &str, allowed: Result<(), Denied>) -> Result<(), Denied> {
        let e164 = route::on_trunk(number, self.hub.config.site.country);
        self.refused(phone, number, e164, allowed)
    }

    fn refused(&mut self, phone: &Phone, number: &str, e164: Option<String>, allowed: Result<(), Denied>) -> Result<(), Denied> {
        if let Err(denied) = allowed {
            let (customer_e164, called_e164) = (e164.clone(), e164);
            let data =
                ClassRefused { phone: phone.number.clone(), denied, number: number.to_owned(), customer_e164, called_e164 };
            self.tell(None, Kind::ClassRefused(data));
        }
        allowed
    }

    /// Whether a call that is outside already may be sent on to this number there, by whoever carries it.
    pub fn may_be_sent_on(&mut self, conv: &Conversation, number: &str) -> Result<(), Denied> {
        let config = self.config();
        let Some(phone) = payer(conv).and_then(|payer| config.phones.get(&payer)) else { return Ok(()) };
        let used = self.hub.ledger.used(&phone.number, self.now.wall, &config.site.time_zone);
        self.told_outside(phone, number, may_call_outside(&config, phone, number, self.now.wall, used))
    }

    /// A leg outside is dialled, on somebody's account.
    pub fn pays(&mut self, conv: &mut Conversation, leg: LegId) {
        let Some(phone) = payer(conv) else { return };
        if let Stage::Dialling(dialling) = &mut conv.stage {
            dialling.payer.get_or_insert_with(|| phone.clone());
        }
        self.hub.ledger.dialled(leg, phone);
    }

    /// From here on a leg outside costs.
    pub fn costs(&mut self, leg: LegId) {
        self.hub.ledger.answered(leg, self.now.wall);
        if self.hub.ledger.runs() {
            self.hub.minutes_at.get_or_insert(self.now.mono + KEEP_EVERY);
        }
    }

    /// What goes on is kept as if it ended now: a kill costs a minute of it.
    pub fn minutes_due(&mut self) {
        if self.hub.minutes_at.is_none_or(|at| at > self.now.mono) {
            return;
        }
        for phone in self.hub.ledger.payers() {
            self.keep_minutes(&phone);
        }
        self.hub.minutes_at = self.hub.ledger.runs().then(|| self.now.mono + KEEP_EVERY);
    }

    fn keep_minutes(&mut self, phone: &Number) {
        let config = self.config();
        let spent = self.hub.ledger.spent(phone, self.now.wall, &config.site.time_zone);
        // A date and a number have a JSON form.
        let spent = serde_json::to_vec(&spent).unwrap_or_default();
        self.out.push(Output::Minutes { phone: phone.clone(), spent: spent.into() });
    }

    /// What the last run kept.
    pub fn restore_minutes(&mut self, kept: Vec<(Number, bytes::Bytes)>) {
        let config = self.config();
        for (phone, spent) in kept {
            if let Ok(spent) = serde_json::from_slice(&spent) {
                self.hub.ledger.restore(phone, &spent, self.now.wall, &config.site.time_zone);
            }
        }
    }

    pub fn paid(&mut self, leg: LegId) {
        let config = self.config();
        if let Some(phone) = self.hub.ledger.ended(leg, self.now.wall, &config.site.time_zone) {
            self.keep_minutes(&phone);
        }
    }
}

/// On whose account a leg outside is: of the phone that forwards or transfers the call, or of the one that is sent there. Whoever began
/// to dial pays for each further trunk too.
fn payer(conv: &Conversation) -> Option<Number> {
    let payer = match &conv.stage {
        Stage::Dialling(dialling) if dialling.payer.is_some() => return dialling.payer.clone(),
        Stage::Dialling(dialling) => dialling.transfer.as_ref().map_or(conv.subject, |transfer| transfer.from),
        Stage::Originating { .. }
        | Stage::Routing
        | Stage::Menu { .. }
        | Stage::Queue { .. }
        | Stage::Arranging(_)
        | Stage::Announcing { .. }
        | Stage::Bridged { .. }
        | Stage::Parked { .. }
        | Stage::Offering { .. }
        | Stage::Leaving { .. }
        | Stage::Listening { .. }
        | Stage::Studio { .. }
        | Stage::LoggingIn { .. }
        | Stage::Ending => conv.subject,
    };
    let forwards = conv.diverted.last().map(|d| &d.phone);
    forwards.or_else(|| conv.leg(payer).and_then(|l| l.peer.phone())).cloned()
}
