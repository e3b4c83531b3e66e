//! A day of a call centre on a bad network: ten thousand calls of every kind, transferred, parked, forwarded and watched, while one SIP
//! message in twenty is lost. Nothing of any of them is left in the end. There is no sound, which would be most of the work.
//!
//! Two seeds in the test run; `scripts/soak` runs as many as it is told (`CORDBOARD_DAYS`).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use cordboard::chance::Chance;
use cordboard::clock::Mono;
use cordboard::config::Source;
use cordboard::route::Forwarding;
use cordboard::switch::{Answer, Command};

use crate::sim::network::Weather;
use crate::sim::ua::{Hold, OnInvite, Phase};
use crate::sim::{Sim, centre, seed_of};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// Extensions beside those of the centre.
const MORE: std::ops::Range<u16> = 220..236;

/// What somebody does later in a call.
#[derive(Clone, Copy, Debug)]
enum Then {
    HangsUp,
    Holds,
    Resumes,
    TransfersBlind,
    Consults,
    Joins,
    Parks(&'static str),
    Fetches(&'static str),
}

/// Where calls are parked: in the slots of the centre, and in any that is free.
const SLOTS: [&str; 4] = ["701", "702", "703", "*70"];

/// What each phone watches of itself.
const OWN: [&str; 2] = ["message-summary", "reg"];

#[derive(Default)]
struct Tally {
    started: usize,
    ended: usize,
    bridged: usize,
    transferred: usize,
    merged: usize,
    parked: usize,
    retrieved: usize,
    forwarded: usize,
    /// NOTIFYs by the package of their event.
    told: BTreeMap<String, usize>,
}

fn large_centre() -> Source {
    let mut source = centre();
    for number in MORE {
        source.main.text.push_str(&format!("\n[[phone]]\nnumber = \"{number}\"\nsecret = \"secret-{number}\"\n"));
    }
    source
}

const CALLS: usize = 10_000;
/// Some callers are in two calls already and leave it at that; others make one more, and ask before they transfer.
const ATTEMPTS: u64 = 10_000;

#[test]
fn nothing_is_left_of_a_day_on_a_bad_network() {
    whole_day(0);
}

#[test]
fn nothing_is_left_of_a_second_day() {
    whole_day(1);
}

/// None in the test run.
#[test]
fn nothing_is_left_of_as_many_days_as_are_asked_for() {
    let days = std::env::var("CORDBOARD_DAYS").ok().and_then(|days| days.parse().ok()).unwrap_or(0);
    for seed in 2..2 + days {
        whole_day(seed);
    }
}

fn whole_day(seed: u64) {
    let tally = day(seed);
    println!(
        "seed {seed}: {} calls, {} bridges, {} transfers, {} joined, {} parked, {} retrieved, {} forwarded, NOTIFYs {:?}",
        tally.started, tally.bridged, tally.transferred, tally.merged, tally.parked, tally.retrieved, tally.forwarded, tally.told
    );
    assert_eq!(tally.started, tally.ended, "seed {seed}");
    assert!(tally.started >= CALLS, "seed {seed}: {} calls", tally.started);
    // A fifth and less of what such days have.
    assert!(tally.bridged > tally.started / 4, "seed {seed}: {} bridges", tally.bridged);
    for (what, count) in [
        ("transferred", tally.transferred),
        ("merged", tally.merged),
        ("parked", tally.parked),
        ("retrieved", tally.retrieved),
        ("forwarded", tally.forwarded),
    ] {
        assert!(count > 50, "seed {seed}: {count} {what}");
    }
    for package in ["dialog"].iter().chain(&OWN) {
        assert!(tally.told.get(*package).is_some_and(|told| *told > 500), "seed {seed}: {package} {:?}", tally.told);
    }
}

fn day(seed: u64) -> Tally {
    let mut sim = Sim::seeded(seed, large_centre());
    sim.deaf = true;
    let mut chance = Chance::seeded(seed_of(seed).map(|octet| octet ^ 0x5a));
    let numbers: Vec<String> = ["210", "211"].iter().map(ToString::to_string).chain(MORE.map(|n| n.to_string())).collect();
    let mut phones: Vec<SocketAddr> = numbers.iter().map(|n| sim.phone(n)).collect();
    // Two have a second device.
    for (i, number) in numbers.iter().take(2).enumerate() {
        phones.push(sim.phone_at(number, [10, 1, 9, i as u8 + 1]));
    }
    let trunk = sim.trunk();
    for at in phones.iter().copied().chain([trunk]) {
        sim.act(at, |u, _| u.mute = true);
    }
    // Everybody watches himself, and somebody everybody.
    let watched = numbers.iter().zip(&phones).flat_map(|(number, at)| OWN.map(|package| (*at, package, number)));
    for (at, package, number) in watched.chain(numbers.iter().map(|number| (phones[0], "dialog", number))) {
        sim.act(at, |p, now| {
            p.watch(package, number, Some(3_600), now);
        });
    }
    sim.network.weather = Weather { lost: 50, doubled: 20, jitter: Duration::from_millis(40) };
    let gap = DAY.as_millis() as u64 / ATTEMPTS;
    let mut tally = Tally::default();
    let mut later: BTreeMap<(Mono, u64), (SocketAddr, Then)> = BTreeMap::new();
    let mut nth = 0;
    for call in 0..ATTEMPTS {
        let next = sim.now.mono + Duration::from_millis(chance.below(2 * gap + 1));
        while let Some((&(at, id), _)) = later.first_key_value()
            && at <= next
        {
            let (who, then) = later.remove(&(at, id)).unwrap_or((trunk, Then::HangsUp));
            sim.run_for(at.since(sim.now.mono));
            act(&mut sim, &numbers, who, then, &mut chance, &mut later, &mut nth);
        }
        sim.run_for(next.since(sim.now.mono));
        begin(&mut sim, &phones, &numbers, trunk, &mut chance, &mut later, &mut nth);
        if call % 10 == 0 {
            forwards(&mut sim, &numbers, &mut chance);
        }
        // Each half an hour.
        if call % 200 == 0 {
            watch_again(&mut sim, &phones, Some(3_600));
        }
        if call % 50 == 0 {
            count(&mut sim, &mut tally);
        }
    }
    sim.network.weather = Weather::default();
    for at in phones.iter().copied().chain([trunk]) {
        sim.set(at, OnInvite::Refuse(486));
        for i in 0..sim.ua(at).calls.len() {
            sim.act(at, |u, now| u.end(i, now));
        }
    }
    watch_again(&mut sim, &phones, Some(0));
    sim.run_for(60 * SECOND);
    for at in &phones {
        assert!(sim.ua(*at).watches.iter().all(|watch| watch.is_over), "seed {seed}: {at} still watches");
    }
    sim.act(phones[0], |p, now| p.unregister(now));
    sim.run_for(240 * SECOND);
    for at in phones.iter().copied().chain([trunk]) {
        assert!(sim.ua(at).is_idle(), "seed {seed}: {at} is not idle");
    }
    count(&mut sim, &mut tally);
    sim.assert_clean();
    tally
}

/// All subscriptions for longer, or (0) no more.
fn watch_again(sim: &mut Sim, phones: &[SocketAddr], expires: Option<u32>) {
    for at in phones {
        for i in 0..sim.ua(*at).watches.len() {
            sim.act(*at, |p, now| p.watch_again(i, expires, now));
        }
    }
}

/// One phone's calls go elsewhere from now on, or (mostly) not any more.
fn forwards(sim: &mut Sim, numbers: &[String], chance: &mut Chance) {
    let mut any = || numbers[chance.below(numbers.len() as u64) as usize].clone();
    let (phone, other) = (any(), any());
    let to = (phone != other).then_some(other);
    let none = Forwarding::default();
    let forwarding = match chance.below(10) {
        0 => Forwarding { always: to, ..none },
        1 => Forwarding { busy: to, ..none },
        2 => Forwarding { no_answer: to, no_answer_after_s: 5, ..none },
        3 => Forwarding { unregistered: to, ..none },
        4 => Forwarding { do_not_disturb: true, ..none },
        _ => none,
    };
    assert_eq!(sim.ask(Command::SetForwarding { phone: phone.as_str().into(), forwarding }), Answer::Done);
}

/// Adds up what has happened, and forgets it.
fn count(sim: &mut Sim, tally: &mut Tally) {
    tally.started += sim.count("call.started");
    tally.ended += sim.count("call.ended");
    tally.bridged += sim.count("call.bridged");
    tally.transferred += sim.count("call.transferred");
    tally.merged += sim.count("call.merged");
    tally.parked += sim.count("call.parked");
    tally.retrieved += sim.count("call.retrieved");
    tally.forwarded += sim.count("call.forwarded");
    sim.forget();
    for ua in sim.uas.values_mut() {
        for notified in &ua.notified {
            *tally.told.entry(notified.event.clone()).or_default() += 1;
        }
        ua.forget();
        ua.log.clear();
        ua.notified.clear();
    }
}

fn begin(
    sim: &mut Sim,
    phones: &[SocketAddr],
    numbers: &[String],
    trunk: SocketAddr,
    chance: &mut Chance,
    later: &mut BTreeMap<(Mono, u64), (SocketAddr, Then)>,
    nth: &mut u64,
) {
    let answers = [
        OnInvite::Answer(2 * SECOND),
        OnInvite::Answer(Duration::from_millis(300)),
        OnInvite::Answer(6 * SECOND),
        OnInvite::Ring,
        OnInvite::Refuse(486),
        OnInvite::RefuseAfter(603, 2 * SECOND),
        OnInvite::AnswerThenBye(SECOND),
        OnInvite::Ignore,
    ];
    let caller = phones[chance.below(phones.len() as u64) as usize];
    let callee = chance.below(numbers.len() as u64) as usize;
    for at in [phones[callee], phones[phones.len() - 1], trunk] {
        // The first three more often than the others.
        let what = if chance.below(3) > 0 { chance.below(3) } else { chance.below(answers.len() as u64) };
        sim.set(at, answers[what as usize]);
    }
    let (from, dialled) = match chance.below(10) {
        0..=1 if sim.ua(trunk).open_calls() < 20 => (trunk, "+4930555201".to_owned()),
        2..=3 => (caller, "04940123".to_owned()),
        _ => (caller, numbers[callee].clone()),
    };
    if sim.ua(from).open_calls() > 1 && from != trunk {
        return;
    }
    sim.act(from, |u, now| {
        u.call(&dialled, now);
    });
    let mut plan = |after: u64, who: SocketAddr, then: Then| {
        *nth += 1;
        later.insert((sim.now.mono + Duration::from_millis(after), *nth), (who, then));
    };
    let mut ends = 3_000 + chance.below(60_000);
    match chance.below(8) {
        // Cancelled, or soon over.
        0 => plan(chance.below(4_000), from, Then::HangsUp),
        1 => {
            plan(ends / 3, from, Then::Holds);
            plan(ends / 2, from, Then::Resumes);
        }
        2 => plan(ends / 2, from, Then::TransfersBlind),
        3..=4 => {
            plan(ends / 3, from, Then::Consults);
            plan(ends / 3 + 4_000 + chance.below(4_000), from, Then::Joins);
        }
        // Fetched in time, or after it has come back.
        5 => {
            let slot = SLOTS[chance.below(SLOTS.len() as u64) as usize];
            let fetcher = phones[chance.below(phones.len() as u64) as usize];
            let fetched = ends / 3 + 3_000 + chance.below(90_000);
            plan(ends / 3, phones[callee], Then::Parks(slot));
            plan(fetched, fetcher, Then::Fetches(if slot == "*70" { "701" } else { slot }));
            plan(fetched + 20_000, fetcher, Then::HangsUp);
            ends += 100_000;
        }
        _ => {}
    }
    plan(ends, from, Then::HangsUp);
    plan(ends + 1_000, phones[callee], Then::HangsUp);
    plan(ends + 20_000, from, Then::HangsUp);
}

fn act(
    sim: &mut Sim,
    numbers: &[String],
    who: SocketAddr,
    then: Then,
    chance: &mut Chance,
    later: &mut BTreeMap<(Mono, u64), (SocketAddr, Then)>,
    nth: &mut u64,
) {
    let other = numbers[chance.below(numbers.len() as u64) as usize].clone();
    match then {
        Then::HangsUp => sim.act(who, |u, now| u.hang_up(now)),
        Then::Holds => sim.act(who, |u, now| u.hold(Hold::SendOnly, now)),
        Then::Resumes => sim.act(who, |u, now| u.resume(now)),
        Then::TransfersBlind => sim.act(who, |u, now| u.refer(&other, now)),
        Then::Parks(slot) => sim.act(who, |u, now| u.refer(slot, now)),
        Then::Fetches(slot) => {
            if sim.ua(who).open_calls() == 0 {
                sim.act(who, |u, now| {
                    u.call(slot, now);
                });
            }
        }
        Then::Consults => {
            if sim.ua(who).is_up() && sim.ua(who).open_calls() == 1 {
                sim.act(who, |u, now| {
                    u.hold(Hold::SendOnly, now);
                    u.call(&other, now);
                });
                *nth += 1;
                later.insert((sim.now.mono + 90 * SECOND, *nth), (who, Then::HangsUp));
            }
        }
        Then::Joins => sim.act(who, |u, now| {
            let up: Vec<usize> = (0..u.calls.len()).filter(|i| u.calls[*i].phase == Phase::Up).collect();
            if let [on, other, ..] = up[..] {
                u.refer_call(on, other, now);
            }
        }),
    }
}
