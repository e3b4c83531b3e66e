//! Service standards over whole calls with their sound: what is planted is found, and nothing else.
//!
//! Each call is drawn from a seed of its own: phrases that espeak-ng spoke (the shipped prompts, in six languages), noise of a room on both
//! sides, music on hold. Violations are planted with a margin to their limit, near misses as close on the other side. The seed of a run is
//! drawn anew and printed; `CORDBOARD_SEED` repeats it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cordboard::codec::G711;
use cordboard::config::Source;
use cordboard::event::Kind;
use cordboard::ids::ConversationId;
use cordboard::media::Clips;
use cordboard::quality::standards::{Outcome, Rule, Trial, Verdict, Why};
use cordboard::switch::command::{Member, WantedState};
use cordboard::switch::{Answer, Command};

use crate::sim::ua::{Hold, OnInvite};
use crate::sim::{Sim, centre};

const RATE: u64 = 8_000;

/// A moment that was measured may be off by so much; a length has two of them.
const OFF_MS: u64 = 150;

/// Calls of each of the tests below, which run beside each other.
const CALLS: u64 = 25;

/// Short limits, so that a call need not be long.
fn source() -> Source {
    let mut source = centre();
    let standards = "[standards]\nhold = '8s'\nmute = '4s'\nsilence = '5s'\novertalk = '1s'\nlevel = [-35, -18]\n\n[[queue]]";
    source.main.text =
        source.main.text.replacen("[[queue]]", standards, 1).replacen("number = \"601\"", "number = \"601\"\nrings = 6", 1);
    source
}

/// Numbers of a call.
struct Dice(u64);

impl Dice {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from + 1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    fn of(&mut self, all: &[&'static str]) -> &'static str {
        all[self.next() as usize % all.len()]
    }
}

/// What is planted of a rule, beside what is always well within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plant {
    Violated,
    Near,
}

const PHRASES: [&str; 4] = ["welcome", "extension", "invalid", "unavailable"];
const LANGUAGES: [&str; 6] = ["de", "en", "it", "sv", "uk", "zh"];
/// Longer than any overtalk that is planted, and without such a pause either.
const LONG: &str = "no-voicemail";

fn mean_power(samples: &[f32]) -> f32 {
    samples.iter().map(|s| s * s).sum::<f32>() / samples.len() as f32
}

/// Phrases by file, from their first loud moment to their last, the mean power of their talk 1.
struct Voices(BTreeMap<String, Vec<f32>>);

impl Voices {
    fn load() -> Voices {
        let names =
            LANGUAGES.iter().flat_map(|language| PHRASES.iter().chain([&LONG]).map(move |name| format!("{language}/{name}")));
        Voices(names.map(|name| (name.clone(), Voices::phrase(&name))).collect())
    }

    fn phrase(name: &str) -> Vec<f32> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/prompts/{name}.wav"));
        let mut wav = hound::WavReader::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let samples: Vec<f32> = wav.samples::<i16>().map(|s| f32::from(s.unwrap()) / 32_768.0).collect();
        let powers: Vec<f32> = samples.chunks(80).map(mean_power).collect();
        let loudest = powers.iter().copied().fold(0.0, f32::max);
        let spoken: Vec<f32> = powers.iter().copied().filter(|p| *p > loudest * 1e-3).collect();
        let mean = spoken.iter().sum::<f32>() / spoken.len() as f32;
        // What is more than 10 dB below the rest no rule can find in noise that is as loud.
        let from = powers.iter().position(|p| *p > mean * 0.1).unwrap() * 80;
        let to = powers.iter().rposition(|p| *p > mean * 0.1).unwrap() * 80 + 80;
        samples[from..to.min(samples.len())].iter().map(|s| s / mean.sqrt()).collect()
    }

    fn of(&self, language: &str, name: &str) -> &[f32] {
        &self.0[&format!("{language}/{name}")]
    }
}

fn gain(db: f32) -> f32 {
    10f32.powf(db / 20.0)
}

/// One side of a call in the making, full scale 1.0.
#[derive(Default)]
struct Track(Vec<f32>);

impl Track {
    /// Says it, and when it has ended.
    fn say(&mut self, at_ms: u64, phrase: &[f32], db: f32) -> u64 {
        let from = (at_ms * RATE / 1_000) as usize;
        if self.0.len() < from + phrase.len() {
            self.0.resize(from + phrase.len(), 0.0);
        }
        for (here, sample) in self.0[from..].iter_mut().zip(phrase) {
            *here += sample * gain(db);
        }
        at_ms + phrase.len() as u64 * 1_000 / RATE
    }

    /// Noise of a room from the beginning to the end, more of it below than above; as µ-law.
    fn in_noise(mut self, end_ms: u64, db: f32, dice: &mut Dice) -> Arc<[u8]> {
        self.0.resize((end_ms * RATE / 1_000) as usize, 0.0);
        let mut slow = 0.0;
        let mut noise = Vec::with_capacity(self.0.len());
        for _ in 0..self.0.len() {
            let drawn = dice.next();
            let white = ((drawn & 0xffff) as f32 + (drawn >> 16 & 0xffff) as f32) / 65_536.0 - 1.0;
            slow = 0.8 * slow + white;
            noise.push(slow);
        }
        let scale = gain(db) / mean_power(&noise).sqrt();
        let sample = |(voice, noise): (&f32, &f32)| ((voice + noise * scale) * 32_768.0).clamp(-32_768.0, 32_767.0) as i16;
        self.0.iter().zip(&noise).map(sample).map(|sample| G711::Pcmu.encode(sample)).collect()
    }
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Hold,
    Resume,
    Mute(bool),
    Transfer,
    CustomerHangsUp,
    AgentHangsUp,
}

/// A call as it is to be: in ms from when they talk.
struct Script {
    rings: Duration,
    said: Arc<[u8]>,
    heard: Arc<[u8]>,
    deeds: Vec<(u64, Deed)>,
    /// With the value, and where in the talk, where they are to the tolerance.
    planted: BTreeMap<Rule, (u64, Option<u64>)>,
}

fn script(dice: &mut Dice, voices: &Voices) -> Script {
    let mut plan: BTreeMap<Rule, Plant> = BTreeMap::new();
    for rule in [Rule::Answer, Rule::Hold, Rule::Mute, Rule::Transfer, Rule::HangUp, Rule::Silence, Rule::Overtalk, Rule::Level] {
        // A quarter each: violated, nearly, and twice nothing of it.
        match dice.within(0, 3) {
            0 => drop(plan.insert(rule, Plant::Violated)),
            1 => drop(plan.insert(rule, Plant::Near)),
            _ => {}
        }
    }
    let mut planted = BTreeMap::new();
    let mut plant = |rule: Rule, value: u64, at: Option<u64>| {
        if plan.get(&rule) == Some(&Plant::Violated) {
            planted.insert(rule, (value, at));
        }
    };
    let mut drawn = |rule: Rule, violated: (u64, u64), near: (u64, u64)| match plan.get(&rule) {
        Some(Plant::Violated) => Some(dice.within(violated.0, violated.1)),
        Some(Plant::Near) => Some(dice.within(near.0, near.1)),
        None => None,
    };
    let rings = drawn(Rule::Answer, (16_000, 25_000), (13_500, 14_500));
    let hold = drawn(Rule::Hold, (8_500, 11_000), (7_000, 7_600));
    let mute = drawn(Rule::Mute, (4_400, 6_000), (3_000, 3_600));
    let silence = drawn(Rule::Silence, (5_400, 8_000), (4_000, 4_600));
    let overtalk = drawn(Rule::Overtalk, (1_350, 1_600), (300, 650));
    let level = drawn(Rule::Level, (0, 1), (2, 3));
    let [moves, leaves] = [Rule::Transfer, Rule::HangUp].map(|rule| plan.get(&rule).copied());
    let rings = rings.unwrap_or_else(|| dice.within(1_000, 8_000));
    plant(Rule::Answer, rings, None);
    // Faint, loud; nearly so.
    // One who is faint and talks into what the customer says is not heard there.
    let level = level.map(|n| if n == 0 && plan.get(&Rule::Overtalk) == Some(&Plant::Violated) { 1 } else { n });
    let agent_db: f32 = [-41.0, -12.0, -32.0, -21.0, -26.0][level.map_or(4, |n| n as usize)];
    plant(Rule::Level, 0, None);
    // Of two of whom one is 25 dB below the other it would be taken for the echo.
    let customer_db = -(match agent_db {
        ..-30.0 => dice.within(26, 30),
        -18.0.. => dice.within(18, 22),
        _ => dice.within(20, 30),
    } as f32);
    // Of a faint voice the edges are lost in a louder one.
    let noise_db = -(if agent_db < -30.0 { dice.within(61, 66) } else { dice.within(54, 62) } as f32);

    let language = dice.of(&LANGUAGES);
    let phrase = |dice: &mut Dice| voices.of(language, dice.of(&PHRASES));
    let (mut said, mut heard) = (Track::default(), Track::default());
    let mut deeds = Vec::new();
    let mut at = heard.say(dice.within(500, 1_500), phrase(dice), agent_db);
    let pause = |dice: &mut Dice, at: u64| at + dice.within(400, 1_500);
    let turns = |at: u64, said: &mut Track, heard: &mut Track, dice: &mut Dice| {
        let at = pause(dice, at);
        let until = said.say(at, phrase(dice), customer_db);
        let at = pause(dice, until);
        heard.say(at, phrase(dice), agent_db)
    };
    for step in 0..4 {
        at = turns(at, &mut said, &mut heard, dice);
        match step {
            0 => {
                if let Some(length) = silence {
                    plant(Rule::Silence, length, Some(at));
                    at = said.say(at + length, phrase(dice), customer_db);
                }
            }
            1 => {
                if let Some(length) = overtalk {
                    at = pause(dice, at);
                    let long = voices.of(language, LONG);
                    let until = if plan.get(&Rule::Overtalk) == Some(&Plant::Near) && dice.one_in(2) {
                        // The customer may interrupt for as long as it likes.
                        let until = heard.say(at, long, agent_db);
                        said.say(until - 1_500, long, customer_db).max(until)
                    } else {
                        // One begins while the other goes on, and ends after it.
                        let until = said.say(at, long, customer_db);
                        plant(Rule::Overtalk, length, Some(until - length));
                        heard.say(until - length, long, agent_db).max(until)
                    };
                    at = turns(until, &mut said, &mut heard, dice);
                }
            }
            2 => {
                if let Some(length) = hold {
                    at += 700;
                    plant(Rule::Hold, length, Some(at));
                    deeds.extend([(at, Deed::Hold), (at + length, Deed::Resume)]);
                    at += length + 700;
                }
            }
            _ => {
                if let Some(length) = mute {
                    at += 700;
                    plant(Rule::Mute, length, Some(at));
                    deeds.extend([(at, Deed::Mute(true)), (at + length, Deed::Mute(false))]);
                    // The customer goes on, and the agent is heard by nobody.
                    let mut talks = at;
                    while talks < at + length {
                        talks = said.say(talks + 900, phrase(dice), customer_db);
                    }
                    at = talks.max(at + length) + 500;
                }
            }
        }
    }
    at += 700;
    let transfers = moves == Some(Plant::Violated);
    if transfers {
        plant(Rule::Transfer, 2_000, None);
        deeds.push((at, Deed::Transfer));
        at += 4_000;
    }
    if leaves == Some(Plant::Violated) {
        plant(Rule::HangUp, 0, None);
    }
    deeds.push((at, if leaves == Some(Plant::Violated) { Deed::AgentHangsUp } else { Deed::CustomerHangsUp }));
    let end = at + 1_000;
    let (said, heard) = (said.in_noise(end, noise_db, dice), heard.in_noise(end, noise_db, dice));
    Script { rings: Duration::from_millis(rings), said, heard, deeds, planted }
}

/// The call, and what it is judged to be.
fn carried_out(seed: u64, script: &Script) -> (Sim, Vec<Verdict>) {
    let mut sim = Sim::seeded(seed, source());
    sim.measures = true;
    // The music that is built in, on hold.
    sim.clips = Clips::new(BTreeMap::new(), None);
    let (phone, other, trunk) = (sim.phone("201"), sim.phone("202"), sim.trunk());
    let offline = Command::SetAgent { agent: "1002".into(), state: WantedState::Offline, reason: None };
    assert_eq!(sim.ask(offline), Answer::Done);
    sim.set(phone, OnInvite::Answer(script.rings));
    sim.set(other, OnInvite::Answer(Duration::from_secs(2)));
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_until("they talk", |s| s.ua(phone).is_up() && s.has("call.bridged"));
    let id = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    let began = sim.now.mono;
    for (at, words) in [(trunk, &script.said), (phone, &script.heard)] {
        sim.act(at, |ua, _| ua.words = Some((began, words.clone())));
    }
    sim.act(other, |ua, now| ua.words = Some((now, Arc::default())));
    let mut last = phone;
    for (at_ms, deed) in &script.deeds {
        let due = began + Duration::from_millis(*at_ms);
        sim.run_for(due.since(sim.now.mono));
        act(&mut sim, *deed, id, [phone, other, trunk], &mut last);
    }
    sim.run_until("over", |s| s.has("recording.finished"));
    let mut trial = Trial::default();
    for (n, event) in sim.events.iter().enumerate().filter(|(_, event)| event.conversation == Some(id)) {
        trial.take(n as u64 + 1, event);
    }
    let verdicts = trial.verdicts();
    (sim, verdicts)
}

fn act(sim: &mut Sim, deed: Deed, conversation: ConversationId, [phone, other, trunk]: [SocketAddr; 3], last: &mut SocketAddr) {
    match deed {
        Deed::Hold => sim.act(phone, |p, now| p.hold(Hold::SendOnly, now)),
        Deed::Resume => sim.act(phone, |p, now| p.resume(now)),
        Deed::Mute(muted) => {
            let mute = Command::Mute { conversation, who: Member::Number("201".into()), muted };
            assert_eq!(sim.ask(mute), Answer::Done);
        }
        Deed::Transfer => {
            sim.act(phone, |p, now| p.refer("202", now));
            *last = other;
        }
        Deed::CustomerHangsUp => sim.act(trunk, |t, now| t.hang_up(now)),
        Deed::AgentHangsUp => sim.act(*last, |p, now| p.hang_up(now)),
    }
}

fn judge(seed: u64, voices: &Voices) {
    let script = script(&mut Dice(seed), voices);
    let (sim, verdicts) = carried_out(seed, &script);
    let what = || format!("the call of {seed}\n{:?}\n{:#?}\n{verdicts:#?}\n{}", script.planted, script.deeds, sim.story());
    let violated: Vec<&Verdict> = verdicts.iter().filter(|v| v.outcome == Outcome::Violated).collect();
    let found: BTreeSet<Rule> = violated.iter().map(|v| v.rule).collect();
    assert_eq!(found, script.planted.keys().copied().collect::<BTreeSet<_>>(), "found, planted\n{}", what());
    assert_eq!(violated.len(), found.len(), "each once\n{}", what());
    let bridged = sim.events.iter().find(|e| matches!(e.kind, Kind::CallBridged(_))).map(|e| e.at).expect("a talk");
    let measured = sim.events.iter().find_map(|e| if let Kind::RecordingMeasured(m) = &e.kind { Some(m) } else { None });
    let measured = measured.unwrap_or_else(|| panic!("nothing was measured\n{}", what()));
    let offset = bridged.since(measured.started_at).as_millis() as u64;
    for verdict in &violated {
        let (value, at) = script.planted[&verdict.rule];
        let off = match verdict.rule {
            Rule::Transfer | Rule::Answer => 600,
            Rule::HangUp | Rule::Level => continue,
            _ => 2 * OFF_MS,
        };
        let found = verdict.value.expect("a length") as u64;
        assert!(found.abs_diff(value) <= off, "{:?}: found {found}, planted {value}\n{}", verdict.rule, what());
        if let Some(at) = at {
            let found = verdict.evidence.at_ms.first().copied().unwrap_or(0);
            assert!(
                found.abs_diff(offset + at) <= OFF_MS + 60,
                "{:?} at {found}, planted {}\n{}",
                verdict.rule,
                offset + at,
                what()
            );
        }
    }
    // What can be known of the first agent is.
    for rule in [Rule::Silence, Rule::Overtalk, Rule::Level, Rule::Greeting] {
        let of = |v: &&Verdict| v.rule == rule && v.agent.as_ref().is_some_and(|a| a.as_str() == "1001");
        let verdict = verdicts.iter().find(of).unwrap_or_else(|| panic!("no verdict on {rule:?}\n{}", what()));
        let is_known = verdict.outcome != Outcome::Unknown || verdict.why == Some(Why::NeedsListening);
        assert!(is_known, "{rule:?} is unknown\n{}", what());
    }
}

/// Another one each time.
fn seed() -> u64 {
    let given = std::env::var("CORDBOARD_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| RandomState::new().build_hasher().finish())
}

/// The `nth` part of the calls.
fn part(nth: u64) {
    let (first, voices) = (seed(), Voices::load());
    println!("CORDBOARD_SEED={first}");
    for call in nth * CALLS..(nth + 1) * CALLS {
        judge(Dice(first.wrapping_add(call)).next(), &voices);
    }
}

#[test]
fn what_is_planted_is_found_and_nothing_else_part_1() {
    part(0);
}

#[test]
fn what_is_planted_is_found_and_nothing_else_part_2() {
    part(1);
}

#[test]
fn what_is_planted_is_found_and_nothing_else_part_3() {
    part(2);
}

#[test]
fn what_is_planted_is_found_and_nothing_else_part_4() {
    part(3);
}

#[test]
fn what_is_planted_is_found_and_nothing_else_part_5() {
    part(4);
}

#[test]
fn what_is_planted_is_found_and_nothing_else_part_6() {
    part(5);
}

#[test]
fn what_is_planted_is_found_and_nothing_else_part_7() {
    part(6);
}

#[test]
fn what_is_planted_is_found_and_nothing_else_part_8() {
    part(7);
}
