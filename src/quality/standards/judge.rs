//! From what was gathered to verdicts.

use std::time::Duration;

use super::spans::Span;
use super::trial::{Bridged, MovedEnd, Quiet, RangEnd, Trial};
use super::{Evidence, Outcome, Rule, Verdict, Why};
use crate::clock::Wall;
use crate::event::{By, Part, RecordingMeasured, StandardLimits};
use crate::ids::{QueueName, StaffNumber};
use crate::route::{Cause, Direction};

/// What was said about a hold or a transfer was said within so long before it.
const BEFORE: Duration = Duration::from_secs(10);
/// Three rings of five seconds: of logs from before an offer told its limit.
const ANSWER_MS: u64 = 15_000;
/// Of less talk the level says little.
const LEAST_TALK_MS: u64 = 3_000;
/// And who talks how much is asked of a conversation.
const LEAST_CONVERSATION_MS: u64 = 20_000;
/// A part of a recording is an agent's if so much of it is.
const MOSTLY: f64 = 0.9;
/// A part begins with a bridge where it does so within this: a recorder hears of it that much later.
const ABOUT: Duration = Duration::from_millis(500);

impl Trial {
    /// What can be judged by now, by the limits that the events have told.
    pub fn verdicts(&self) -> Vec<Verdict> {
        if self.merged || !matches!(self.direction, Some(Direction::Inbound | Direction::Outbound)) {
            return Vec::new();
        }
        let default = StandardLimits::default();
        let mut out = Vec::new();
        self.answers(&mut out);
        for (n, bridge) in self.bridges.iter().enumerate().filter(|(_, bridge)| bridge.agent.is_some()) {
            let limits = bridge.limits.as_deref().unwrap_or(&default);
            self.holds(n, bridge, limits, &mut out);
            self.mutes(n, bridge, limits, &mut out);
            self.transfers(n, bridge, &mut out);
            let mut was_heard = false;
            for (sequence, measured) in &self.sounds {
                was_heard |= Heard { trial: self, bridge, n, sequence: *sequence, measured, limits }.judge(&mut out);
            }
            if !was_heard && self.ended.is_some() {
                let evidence = || Evidence { sequences: vec![bridge.sequence], ..Evidence::default() };
                let unheard = [Rule::Greeting, Rule::Silence, Rule::Overtalk, Rule::Level];
                out.extend(unheard.map(|rule| Who::of(bridge).unknown(rule, Why::NotMeasured, None, evidence())));
            }
        }
        self.hang_up(&mut out);
        out
    }

    /// S1.
    fn answers(&self, out: &mut Vec<Verdict>) {
        for rang in &self.rings {
            let most = rang.within_ms.unwrap_or(ANSWER_MS);
            let who = Who { agent: Some(&rang.agent), queue: Some(&rang.queue) };
            let evidence = Evidence { sequences: rang.sequences.clone(), ..Evidence::default() };
            let outcome = match rang.end {
                RangEnd::Answered => kept_if(rang.rang_ms <= most),
                RangEnd::LeftAlone => Outcome::Violated,
                RangEnd::Failed => {
                    out.push(who.unknown(Rule::Answer, Why::PhoneFailed, Some(rang.rang_ms), evidence));
                    continue;
                }
            };
            out.push(who.verdict(Rule::Answer, outcome, Some(rang.rang_ms), Some(most), evidence));
        }
    }

    /// S3 and S4.
    fn holds(&self, n: usize, bridge: &Bridged, limits: &StandardLimits, out: &mut Vec<Verdict>) {
        for hold in self.holds.iter().filter(|hold| hold.bridge == n && !hold.by_customer) {
            let Some(to) = hold.to else { continue };
            let (length, most) = (Span { from: hold.from, to }.ms(), limits.hold_ms);
            let who = Who::of(bridge);
            let evidence = self.evidence(&hold.sequences, &[hold.from]);
            out.push(who.verdict(Rule::Hold, kept_if(length <= most), Some(length), Some(most), evidence));
            let words = self.evidence(&hold.sequences, &[bridge.from.max(hold.from - BEFORE), to]);
            out.push(who.unknown(Rule::HoldWords, Why::NeedsListening, Some(length), words));
        }
    }

    /// S5.
    fn mutes(&self, n: usize, bridge: &Bridged, limits: &StandardLimits, out: &mut Vec<Verdict>) {
        let holds: Vec<Span> = self.holds_of(n).collect();
        for mute in self.mutes.iter().filter(|mute| mute.bridge == n && !mute.by_customer) {
            let Some(whole) = span(mute) else { continue };
            // What is left of one that was on hold meanwhile.
            let Some(worst) = whole.without(&holds).into_iter().max_by_key(|left| left.ms()) else { continue };
            let most = limits.mute_ms;
            let evidence = self.evidence(&mute.sequences, &[worst.from]);
            out.push(Who::of(bridge).verdict(Rule::Mute, kept_if(worst.ms() <= most), Some(worst.ms()), Some(most), evidence));
        }
    }

    /// S6 and S7.
    fn transfers(&self, n: usize, bridge: &Bridged, out: &mut Vec<Verdict>) {
        for moved in self.transfers.iter().filter(|moved| moved.bridge == n) {
            let who = Who::of(bridge);
            let words = self.evidence(&moved.sequences, &[bridge.from.max(moved.at - BEFORE)]);
            out.push(who.unknown(Rule::TransferWords, Why::NeedsListening, None, words));
            let alone = match moved.end {
                MovedEnd::Answered(ms) => (kept_if(ms == 0), ms),
                MovedEnd::Failed(ms) => (Outcome::Violated, ms),
                MovedEnd::Pending | MovedEnd::Place => continue,
            };
            let evidence = self.evidence(&moved.sequences, &[moved.at]);
            out.push(who.verdict(Rule::Transfer, alone.0, Some(alone.1), Some(0), evidence));
        }
    }

    /// S9. Nobody is to blame for an end that came by itself.
    fn hang_up(&self, out: &mut Vec<Verdict>) {
        // With whom the customer was last: where it has left others who talked on, theirs is not judged.
        let mut last = self.bridges.iter().rev().skip_while(|b| self.customer_left.is_some() && b.agent.is_none());
        let Some((ended, bridge)) = self.ended.as_ref().zip(last.next().filter(|b| b.agent.is_some())) else { return };
        if self.moved_on {
            return;
        }
        let last = self.customer_left.unwrap_or(ended.sequence);
        let evidence = self.evidence(&[last], &[bridge.to.unwrap_or(ended.at)]);
        let who = Who::of(bridge);
        if self.customer_left.is_some() {
            return out.push(who.verdict(Rule::HangUp, Outcome::Kept, None, None, evidence));
        }
        if self.surveyed {
            return out.push(who.unknown(Rule::HangUp, Why::LeftToSurvey, None, evidence));
        }
        out.push(match (&ended.by, ended.cause) {
            (By::Customer, Cause::Normal) => who.verdict(Rule::HangUp, Outcome::Kept, None, None, evidence),
            (By::Phone, Cause::Normal) => who.verdict(Rule::HangUp, Outcome::Violated, None, None, evidence),
            _ => who.unknown(Rule::HangUp, Why::NobodyHungUp, None, evidence),
        });
    }

    /// Both sides'.
    fn holds_of(&self, n: usize) -> impl Iterator<Item = Span> {
        let forever = Wall::from_micros(i64::MAX);
        self.holds.iter().filter(move |hold| hold.bridge == n).map(move |h| Span { from: h.from, to: h.to.unwrap_or(forever) })
    }

    /// These events, and where these moments are in the recording that has the first of them.
    fn evidence(&self, sequences: &[u64], moments: &[Wall]) -> Evidence {
        let has = |measured: &&RecordingMeasured, at: Wall| {
            let length = self.lengths.iter().find(|(id, _)| *id == measured.recording).map(|(_, ms)| *ms);
            measured.started_at <= at && length.is_none_or(|length| offset(measured, at) <= length)
        };
        let sounds = || self.sounds.iter().map(|(_, measured)| measured);
        let found = moments.first().and_then(|first| sounds().find(|measured| has(measured, *first)));
        let at_ms = found
            .map_or(Vec::new(), |found| moments.iter().filter(|at| has(&found, **at)).map(|at| offset(found, *at)).collect());
        Evidence { sequences: sequences.to_vec(), recording: found.map(|found| found.recording), at_ms }
    }
}

/// One recording in one bridge.
struct Heard<'a> {
    trial: &'a Trial,
    bridge: &'a Bridged,
    n: usize,
    sequence: u64,
    measured: &'a RecordingMeasured,
    limits: &'a StandardLimits,
}

/// One silence or overtalk, as far as it is to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Piece {
    ms: u64,
    at_ms: u64,
}

impl Heard<'_> {
    /// Whether any of it is of this bridge.
    fn judge(&self, out: &mut Vec<Verdict>) -> bool {
        let sound = &self.measured.sound;
        let windows = self.windows();
        let listened = |part: &Part| self.common(&windows, part.at_ms, part.length_ms).map(|piece| piece.ms).sum::<u64>();
        if sound.parts.iter().map(listened).sum::<u64>() == 0 {
            return false;
        }
        self.greeting(out);

        // The lists have the longest: what they left out is no longer than their shortest.
        let is_whole = |count: u64, listed: &[(u64, u64)], most: u64| {
            count <= listed.len() as u64 || listed.iter().any(|(_, length)| *length <= most)
        };
        let (silence, overtalk) = (self.limits.silence_ms, self.limits.overtalk_ms);
        let silences: Vec<_> = sound.silences.iter().map(|s| (s.at_ms, s.length_ms)).collect();
        let is_complete = is_whole(sound.silences_count, &silences, silence);
        self.stretches(&windows, Rule::Silence, &silences, is_complete, silence, out);
        let overtalks: Vec<_> = sound.overtalks.iter().map(|o| (o.at_ms, o.length_ms)).collect();
        let is_complete = is_whole(sound.overtalks_count, &overtalks, overtalk);
        let begun: Vec<_> = sound.overtalks.iter().filter(|o| o.by == Some(By::Phone)).map(|o| (o.at_ms, o.length_ms)).collect();
        self.stretches(&windows, Rule::Overtalk, &begun, is_complete, overtalk, out);

        let own: Vec<&Part> = sound.parts.iter().filter(|part| listened(part) as f64 >= MOSTLY * part.length_ms as f64).collect();
        self.level(&own, out);
        self.share(&own, out);
        true
    }

    /// Where this agent talks with the customer.
    fn windows(&self) -> Vec<Span> {
        let to = self.bridge.to.unwrap_or(Wall::from_micros(i64::MAX));
        let apart: Vec<Span> = self.trial.holds_of(self.n).chain(self.trial.apart(self.measured.recording)).collect();
        Span { from: self.bridge.from, to }.without(&apart)
    }

    fn common<'a>(&self, windows: &'a [Span], at_ms: u64, length_ms: u64) -> impl Iterator<Item = Piece> + use<'a> {
        let started_at = self.measured.started_at;
        let from = started_at + Duration::from_millis(at_ms);
        let stretch = Span { from, to: from + Duration::from_millis(length_ms) };
        let piece = move |both: Span| Piece { ms: both.ms(), at_ms: millis(both.from.since(started_at)) };
        windows.iter().filter_map(move |window| window.and(stretch)).map(piece)
    }

    /// S2: in the part that begins with the bridge the agent's first words are the first that the customer hears.
    fn greeting(&self, out: &mut Vec<Verdict>) {
        let began = |part: &&Part| {
            let from = self.measured.started_at + Duration::from_millis(part.at_ms);
            from.since(self.bridge.from) <= ABOUT && self.bridge.from.since(from) <= ABOUT
        };
        let Some(first_ms) = self.measured.sound.parts.iter().find(began).and_then(|part| part.first_ms[1]) else { return };
        let bridged_ms = offset(self.measured, self.bridge.from);
        let evidence = self.evidence(vec![first_ms]);
        let value = first_ms.saturating_sub(bridged_ms);
        out.push(Who::of(self.bridge).unknown(Rule::Greeting, Why::NeedsListening, Some(value), evidence));
    }

    /// S11.
    fn stretches(
        &self,
        windows: &[Span],
        rule: Rule,
        listed: &[(u64, u64)],
        is_complete: bool,
        most: u64,
        out: &mut Vec<Verdict>,
    ) {
        let pieces: Vec<Piece> = listed.iter().flat_map(|(at, length)| self.common(windows, *at, *length)).collect();
        let who = Who::of(self.bridge);
        let too_long: Vec<&Piece> = pieces.iter().filter(|piece| piece.ms > most).collect();
        for piece in &too_long {
            out.push(who.verdict(rule, Outcome::Violated, Some(piece.ms), Some(most), self.evidence(vec![piece.at_ms])));
        }
        if !too_long.is_empty() {
            return;
        }
        let longest = pieces.iter().max();
        let evidence = self.evidence(longest.map(|piece| piece.at_ms).into_iter().collect());
        let value = Some(longest.map_or(0, |piece| piece.ms));
        out.push(match is_complete {
            true => who.verdict(rule, Outcome::Kept, value, Some(most), evidence),
            false => who.unknown(rule, Why::TooMany, value, evidence),
        });
    }

    /// S12: the mean power of the agent's talk.
    fn level(&self, own: &[&Part], out: &mut Vec<Verdict>) {
        let heard = || own.iter().filter_map(|part| Some((part.talk_ms[1], f64::from(part.level_dbfs[1]?))));
        let talk: u64 = heard().map(|(talk, _)| talk).sum();
        let energy: f64 = heard().map(|(talk, db)| talk as f64 * 10f64.powf(db / 10.0)).sum();
        let [least, most] = self.limits.level_dbfs.map(f64::from);
        // To a hundredth, as nobody hears less.
        let level = (talk > 0).then(|| (1_000.0 * (energy / talk as f64).log10()).round() / 100.0);
        let outcome = match level {
            Some(level) if talk >= LEAST_TALK_MS => kept_if((least..=most).contains(&level)),
            Some(_) | None => Outcome::Unknown,
        };
        let evidence = self.evidence(own.iter().filter_map(|part| part.first_ms[1]).take(1).collect());
        let verdict = Who::of(self.bridge).verdict(Rule::Level, outcome, None, None, evidence);
        let why = (outcome == Outcome::Unknown).then_some(Why::LittleTalk);
        out.push(Verdict { why, value: level, least: Some(least), most: Some(most), ..verdict });
    }

    /// S12.
    fn share(&self, own: &[&Part], out: &mut Vec<Verdict>) {
        let Some([least, most]) = self.limits.talk_share.map(|limits| limits.map(f64::from)) else { return };
        let talk = |side: usize| own.iter().map(|part| part.talk_ms[side]).sum::<u64>();
        let both = talk(0) + talk(1);
        let share = (both > 0).then(|| talk(1) as f64 / both as f64);
        let outcome = match share {
            Some(share) if both >= LEAST_CONVERSATION_MS => kept_if((least..=most).contains(&share)),
            Some(_) | None => Outcome::Unknown,
        };
        let verdict = Who::of(self.bridge).verdict(Rule::TalkShare, outcome, None, None, self.evidence(Vec::new()));
        let why = (outcome == Outcome::Unknown).then_some(Why::LittleTalk);
        out.push(Verdict { why, value: share, least: Some(least), most: Some(most), ..verdict });
    }

    fn evidence(&self, at_ms: Vec<u64>) -> Evidence {
        let sequences = vec![self.bridge.sequence, self.sequence];
        Evidence { sequences, recording: Some(self.measured.recording), at_ms }
    }
}

#[derive(Clone, Copy)]
struct Who<'a> {
    agent: Option<&'a StaffNumber>,
    queue: Option<&'a QueueName>,
}

impl<'a> Who<'a> {
    fn of(bridge: &'a Bridged) -> Who<'a> {
        Who { agent: bridge.agent.as_ref(), queue: bridge.queue.as_ref() }
    }

    fn unknown(self, rule: Rule, why: Why, value: Option<u64>, evidence: Evidence) -> Verdict {
        Verdict { why: Some(why), ..self.verdict(rule, Outcome::Unknown, value, None, evidence) }
    }

    fn verdict(self, rule: Rule, outcome: Outcome, value: Option<u64>, most: Option<u64>, evidence: Evidence) -> Verdict {
        Verdict {
            standard: rule.standard(),
            rule,
            outcome,
            why: None,
            value: value.map(|value| value as f64),
            least: None,
            most: most.map(|most| most as f64),
            agent: self.agent.cloned(),
            queue: self.queue.cloned(),
            evidence,
        }
    }
}

fn kept_if(is_kept: bool) -> Outcome {
    if is_kept { Outcome::Kept } else { Outcome::Violated }
}

fn span(quiet: &Quiet) -> Option<Span> {
    quiet.to.map(|to| Span { from: quiet.from, to })
}

fn offset(measured: &RecordingMeasured, at: Wall) -> u64 {
    millis(at.since(measured.started_at))
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
