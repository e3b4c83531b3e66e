//! What those who wait in a queue are told between the music: their place, the wait to expect, words of comfort.
//!
//! When is the [`Announcer`](crate::acd::Announcer)'s to know; here it becomes clips of the caller's language, and sound. Of what has no
//! clip in that language, nor in English, nothing is said.

use super::hub::Cx;
use crate::acd::{Announcer, Part};
use crate::conversation::{Conversation, Stage};
use crate::ivr::say::{self, Language, Saying, Unit};
use crate::media::{Audio, ClipName};

impl Cx<'_> {
    /// The announcer's time has come.
    pub fn announce_in_queue(&mut self, conv: &mut Conversation) {
        let seen = self.hub.acd.seen(conv.id, self.now);
        let config = self.hub.config.clone();
        let Stage::Queue { queue, announcer: slot, .. } = &mut conv.stage else { return };
        let rules = config.queues.get(queue).and_then(|queue| queue.announce.as_ref());
        let (Some(rules), Some(seen), Some(announcer)) = (rules, seen, slot.as_mut()) else {
            // A reload has taken the announcements away.
            *slot = None;
            return;
        };
        let parts = announcer.due(rules, seen, self.now.mono);
        let clips: Vec<ClipName> = parts.iter().filter_map(|part| self.words(conv, part)).flatten().collect();
        if !clips.is_empty() {
            let said = self.play(conv, conv.subject, Audio::Prompt(clips));
            if let Stage::Queue { play, .. } = &mut conv.stage {
                *play = Some(said);
            }
        } else if !parts.is_empty() {
            self.announced_in_queue(conv);
        }
    }

    /// A reload may have given its queue announcements: who waits already hears them as who comes now.
    pub fn is_told_from_now_on(&mut self, conv: &mut Conversation) {
        if let Stage::Queue { queue, announcer: slot @ None, .. } = &mut conv.stage {
            let rules = self.hub.config.queues.get(queue).and_then(|queue| queue.announce.as_ref());
            *slot = rules.map(|rules| Box::new(Announcer::new(rules, self.now.mono)));
        }
    }

    /// It is over: the music goes on.
    pub fn announced_in_queue(&mut self, conv: &mut Conversation) {
        let config = self.hub.config.clone();
        let Stage::Queue { queue, announcer, play, .. } = &mut conv.stage else { return };
        *play = None;
        let rules = config.queues.get(queue).and_then(|queue| queue.announce.as_ref());
        match (announcer.as_mut(), rules) {
            (Some(announcer), Some(rules)) => announcer.ended(rules, self.now.mono),
            _ => *announcer = None,
        }
        if !self.hears_news(conv) {
            self.play(conv, conv.subject, Audio::Music(self.music_of(conv)));
        }
    }

    /// All clips of it, or none: words and number in one language, the caller's or English.
    fn words(&self, conv: &Conversation, part: &Part) -> Option<Vec<ClipName>> {
        let (prompt, number) = match part {
            Part::Position(place) => ("queue-position", Some(Saying::Number(i64::from(*place)))),
            Part::Minutes(minutes) => ("queue-wait", Some(Saying::Counted(*minutes, Unit::Minute))),
            Part::Comfort(prompt) => (prompt.as_str(), None),
        };
        let Some(number) = number else { return self.prompt(conv, prompt).ok().map(|clip| vec![clip]) };
        let says = |folder: &str| -> Option<Vec<ClipName>> {
            let clips = say::clips(Language::of(folder)?, &number);
            let names = std::iter::once(prompt).chain(clips.iter().map(String::as_str));
            names.map(|clip| self.prompt(conv, &format!("{folder}/{clip}")).ok()).collect()
        };
        says(&conv.language).or_else(|| says("en"))
    }
}
