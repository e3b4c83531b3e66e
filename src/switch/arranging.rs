//! A caller who would rather be called back than wait: asked where, and let go.
//!
//! ```text
//!   in a queue, the key ──+
//!   `callback:QUEUE` ─────+──> Whether (the number shown is right) ──1──> accepted, hangs up
//!                         |        | 2
//!                         +──> Which (another number, then #) ──────────> accepted, hangs up
//!   star, or nothing keyed: back to the music, with the place kept; who had none hangs up
//! ```
//!
//! Who waits keeps the place meanwhile and is offered to nobody ([`Acd::hold`](crate::acd::Acd::hold)); the callback has it from then on. It is
//! accepted before the caller hears so.

use std::time::Duration;

use super::callbacks::{Wished, can_be_called, may_be_keyed};
use super::hub::Cx;
use super::queueing::millis;
use crate::config::Place;
use crate::conversation::{Arranging, Asked, Conversation, Stage};
use crate::event::{By, Kind, LeftWhy, QueueLeft};
use crate::ids::QueueName;
use crate::ivr::say::{self, Language, Saying};
use crate::media::{Audio, ClipName};
use crate::route::{self, Cause};

/// From the beginning of a question to its first key: what is asked takes up to half of it.
const TO_ANSWER: Duration = Duration::from_secs(30);

/// From one key of a number to the next.
const TO_KEY: Duration = Duration::from_secs(10);

/// Longer than any number (ITU-T E.164 §6.2.1: 15 digits) with the prefixes to dial it.
const MOST_DIGITS: usize = 24;

/// Numbers that can't be called, until the caller is asked no more.
const MOST_WRONG: u8 = 3;

impl Cx<'_> {
    /// Who has waited long enough hears of the key.
    pub fn offer_callback(&mut self, conv: &mut Conversation) {
        let Stage::Queue { queue, offers_at, .. } = &mut conv.stage else { return };
        *offers_at = None;
        let digit = self.hub.config.queues.get(queue).and_then(|queue| queue.callback.digit);
        // A reload has taken it away.
        let Some(digit) = digit else { return };
        let Some(clips) = self.words_and(conv, "callback-offer", &digit.to_string()) else { return };
        let said = self.play(conv, conv.subject, Audio::Prompt(clips));
        if let Stage::Queue { play, .. } = &mut conv.stage {
            *play = Some(said);
        }
    }

    /// When one who enters now is told of the key.
    pub fn offers_callback_at(&self, queue: &QueueName) -> Option<crate::clock::Mono> {
        let rules = &self.hub.config.queues.get(queue)?.callback;
        rules.digit.map(|_| self.now.mono + rules.offer_after)
    }

    /// A key of one who waits.
    pub fn queue_digit(&mut self, conv: &mut Conversation, digit: char) {
        let Stage::Queue { queue, .. } = &conv.stage else { return };
        let asks = self.hub.config.queues.get(queue).is_some_and(|queue| queue.callback.digit == Some(digit));
        if asks {
            let queue = queue.clone();
            self.hub.acd.hold(conv.id, self.now);
            self.hub.stirred = true;
            self.ask(conv, queue, true);
        }
    }

    /// Sent here: by a menu, or by a queue that has not answered.
    pub fn arrange(&mut self, conv: &mut Conversation, queue: &QueueName) {
        if self.answer(conv) {
            self.ask(conv, queue.clone(), false);
        }
    }

    fn ask(&mut self, conv: &mut Conversation, queue: QueueName, waits: bool) {
        let rules = self.hub.config.queues.get(&queue).map(|queue| queue.callback.clone()).unwrap_or_default();
        let customer = (conv.customer_number.as_str(), conv.customer_e164.as_ref());
        let is_known = !conv.anonymous && can_be_called(&self.hub.config, customer, &queue);
        let number = Some(conv.customer_number.clone()).filter(|_| is_known);
        let asked = Asked::Which { keyed: String::new(), wrong: 0 };
        conv.stage = Stage::Arranging(Arranging { queue, waits, asked, until: self.now.mono + TO_ANSWER });
        match number {
            Some(number) if rules.confirm => self.ask_whether(conv, number),
            Some(number) => self.arranged(conv, number),
            None => self.ask_which(conv, 0),
        }
    }

    fn ask_whether(&mut self, conv: &mut Conversation, number: String) {
        let mut clips = self.words_and(conv, "callback-confirm", &number).unwrap_or_default();
        clips.extend(self.clips(conv, &["callback-options"]));
        self.asks(conv, clips, Asked::Whether(number));
    }

    fn ask_which(&mut self, conv: &mut Conversation, wrong: u8) {
        let prompts: &[&str] = if wrong == 0 { &["callback-number"] } else { &["invalid", "callback-number"] };
        let clips = self.clips(conv, prompts);
        self.asks(conv, clips, Asked::Which { keyed: String::new(), wrong });
    }

    fn asks(&mut self, conv: &mut Conversation, clips: Vec<ClipName>, what: Asked) {
        self.play(conv, conv.subject, Audio::Prompt(clips));
        if let Stage::Arranging(Arranging { asked, until, .. }) = &mut conv.stage {
            *asked = what;
            *until = self.now.mono + TO_ANSWER;
        }
    }

    pub fn arranging_digit(&mut self, conv: &mut Conversation, digit: char) {
        let Stage::Arranging(Arranging { asked, until, .. }) = &mut conv.stage else { return };
        match (asked, digit) {
            (Asked::Whether(number), '1') => {
                let number = std::mem::take(number);
                self.arranged(conv, number);
            }
            (Asked::Whether(_), '2') => self.ask_which(conv, 0),
            (Asked::Whether(_), '*') => self.not_arranged(conv),
            (Asked::Which { keyed, .. }, '*') if keyed.is_empty() => self.not_arranged(conv),
            (Asked::Which { keyed, .. }, '*') => keyed.clear(),
            (Asked::Which { .. }, '#') => self.number_keyed(conv),
            (Asked::Which { keyed, .. }, '0'..='9') if keyed.len() < MOST_DIGITS => {
                keyed.push(digit);
                *until = self.now.mono + TO_KEY;
            }
            (Asked::Whether(_) | Asked::Which { .. }, _) => {}
        }
    }

    /// Nothing more was keyed.
    pub fn arranging_expired(&mut self, conv: &mut Conversation) {
        match &conv.stage {
            Stage::Arranging(Arranging { asked: Asked::Which { keyed, .. }, .. }) if !keyed.is_empty() => self.number_keyed(conv),
            _ => self.not_arranged(conv),
        }
    }

    fn number_keyed(&mut self, conv: &mut Conversation) {
        let Stage::Arranging(Arranging { queue, asked: Asked::Which { keyed, wrong }, .. }) = &mut conv.stage else { return };
        let (number, wrong) = (std::mem::take(keyed), wrong.saturating_add(1));
        if may_be_keyed(&self.hub.config, &number, queue) {
            self.ask_whether(conv, number);
        } else if wrong < MOST_WRONG {
            self.ask_which(conv, wrong);
        } else {
            self.not_arranged(conv);
        }
    }

    /// The place is the callback's from here on.
    fn arranged(&mut self, conv: &mut Conversation, number: String) {
        let Stage::Arranging(Arranging { queue, .. }) = &conv.stage else { return };
        let queue = queue.clone();
        let e164 = match number == conv.customer_number {
            true => conv.customer_e164.clone(),
            false => route::normal(&number, self.hub.config.site.country),
        };
        let wished = Wished {
            queue: queue.clone(),
            number,
            e164,
            arrived_at: conv.came_at.unwrap_or(self.now.wall),
            due_at: None,
            owner: None,
            conversation: Some(conv.id),
            by: By::Customer,
        };
        let Ok(id) = self.wish_callback(wished) else { return self.not_arranged(conv) };
        if let Some(left) = self.hub.acd.withdraw(conv.id, self.now) {
            let to = Some(format!("callback {id}"));
            let data = QueueLeft { to, why: Some(LeftWhy::Callback), ..QueueLeft::of(left.queue, millis(left.waited)) };
            self.tell(Some(conv.id), Kind::QueueLeft(data));
        }
        conv.stage = Stage::Routing;
        self.hub.stirred = true;
        self.announce(conv, "callback-accepted", Place::Hangup, Cause::Normal);
    }

    /// It waits on as before; who did not wait goes.
    fn not_arranged(&mut self, conv: &mut Conversation) {
        let Stage::Arranging(Arranging { queue, waits, .. }) = &conv.stage else { return };
        let (queue, waits) = (queue.clone(), *waits);
        if waits && self.hub.acd.position(conv.id).is_some() {
            self.hub.acd.unhold(conv.id);
            self.hub.stirred = true;
            self.waits(conv, &queue);
            if let Stage::Queue { offers_at, .. } = &mut conv.stage {
                *offers_at = None;
            }
            return;
        }
        conv.stage = Stage::Routing;
        self.announce(conv, "goodbye", Place::Hangup, Cause::Normal);
    }

    /// Words and digits in one language, the caller's or English; `None` where clips are missing in both.
    fn words_and(&self, conv: &Conversation, prompt: &str, digits: &str) -> Option<Vec<ClipName>> {
        let says = |folder: &str| -> Option<Vec<ClipName>> {
            let clips = say::clips(Language::of(folder)?, &Saying::Digits(digits.to_owned()));
            let names = std::iter::once(prompt).chain(clips.iter().map(String::as_str));
            names.map(|clip| self.prompt(conv, &format!("{folder}/{clip}")).ok()).collect()
        };
        says(&conv.language).or_else(|| says("en"))
    }
}
