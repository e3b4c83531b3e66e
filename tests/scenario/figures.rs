//! What the log is folded into, over the logs of scenarios: live, wherever it is cut, and by the conversations behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cordboard::chance::Chance;
use cordboard::clock::{System, Wall};
use cordboard::event::{ConferenceChange, Event, Kind, LeftWhy};
use cordboard::report::period::Period;
use cordboard::report::{Book, Cell, Dimension, Fact, METRICS, What};
use cordboard::store::database::Memory;
use cordboard::store::disk::RealDisk;
use cordboard::store::figures::{Asked, Figures};
use cordboard::store::log::{Log, LogOptions, Stored};
use cordboard::switch::input::OpenConversation;
use cordboard::switch::{Answer, Command};

use crate::sim::ua::OnInvite;
use crate::sim::{Sim, seed_of};

const SECOND: Duration = Duration::from_secs(1);

/// Of a log that has nothing.
fn empty(database: &Arc<Memory>) -> Figures {
    let folder = tempfile::TempDir::new().expect("a folder");
    let options = LogOptions { reserve_bytes: 0, ..LogOptions::default() };
    let log = Log::open(folder.path(), options, Arc::new(RealDisk), System::start(), Arc::new(|_, _| {})).expect("a log");
    let figures = Figures::open(database.clone()).expect("figures");
    figures.catch_up(&log).expect("nothing to catch up on");
    log.close();
    figures
}

fn sums(figures: &Figures, by: Dimension, time: Period, now: Wall) -> BTreeMap<String, Cell> {
    figures.sums(by, None, time, now).expect("sums")
}

/// Of all that has happened in it: the figures are those of the board, no cut of the fold changes them, and each is the sum over the
/// conversations that are listed behind it.
pub fn check(sim: &mut Sim, seed: u64) {
    let stored: Vec<Arc<Stored>> = (1..).zip(&sim.events).map(|(n, event)| Arc::new(Stored::new(n, event.clone()))).collect();
    let time = Period { from: sim.now.wall - 48 * 1_800 * SECOND, until: sim.now.wall + SECOND };
    let whole = empty(&Arc::default());
    whole.fed().take(&stored);

    let database = Arc::new(Memory::default());
    let (mut cut, mut chance) = (empty(&database), Chance::seeded(seed_of(seed)));
    while cut.position() < stored.len() as u64 {
        let from = cut.position() as usize;
        let to = stored.len().min(from + 1 + chance.below(60) as usize);
        cut.fed().take(&stored[from..to]);
        cut.fed().commit().expect("written");
        if chance.below(3) == 0 {
            let opened = Figures::open(database.clone()).expect("figures");
            cut = if opened.position() == 0 { empty(&database) } else { opened };
        }
    }
    for by in Dimension::ALL {
        let all = sums(&whole, by, time, sim.now.wall);
        assert_eq!(sums(&cut, by, time, sim.now.wall), all, "{by:?}, cut\n{}", sim.story());
    }
    of_whole(sim, &cut, time);
}

/// The same of a long log, which is not cut.
pub fn check_once(sim: &mut Sim) {
    let stored: Vec<Arc<Stored>> = (1..).zip(&sim.events).map(|(n, event)| Arc::new(Stored::new(n, event.clone()))).collect();
    let time = Period { from: sim.now.wall - 48 * 1_800 * SECOND, until: sim.now.wall + SECOND };
    let whole = empty(&Arc::default());
    whole.fed().take(&stored);
    of_whole(sim, &whole, time);
}

fn of_whole(sim: &mut Sim, whole: &Figures, time: Period) {
    for by in Dimension::ALL {
        let all = sums(whole, by, time, sim.now.wall);
        for (name, cell) in &all {
            for metric in METRICS {
                let page = whole.behind(&Asked { by, name, period: time, metric }, 100_000, None).expect("conversations");
                let values = page.items.iter().map(|item| item.value);
                let listed = if *metric == "longest_wait_ms" { values.max().unwrap_or(0) } else { values.sum() };
                assert_eq!(Some(listed), cell.metric(metric), "{metric} of {by:?} {name}\n{}", sim.story());
            }
        }
    }

    let Answer::Queues(queues) = sim.ask(Command::Queues) else { panic!("queues") };
    let folded = sums(whole, Dimension::Queue, time, sim.now.wall);
    for queue in queues {
        let cell = folded.get(queue.name.as_str()).cloned().unwrap_or_default();
        let (board, log) = ((queue.answered, queue.abandoned), (cell.answered, cell.abandoned));
        assert_eq!(log, board, "{}: on the log and on the board\n{}", queue.name, sim.story());
        let level = cordboard::report::Formula::F3.of(cell.waits());
        assert_eq!(level, queue.service_level, "{}\n{}", queue.name, sim.story());
        // Who asks to be called back is counted as a callback, and so are those that nobody waited for.
        let asked = |event: &&Event| matches!(&event.kind, Kind::QueueLeft(left) if left.why == Some(LeftWhy::Callback) && left.queue == queue.name);
        let gone = cell.answered + cell.abandoned + cell.left + cell.lost + sim.events.iter().filter(asked).count() as u64;
        assert_eq!(cell.entered, gone + u64::from(queue.waiting), "{}: who came went\n{}", queue.name, sim.story());
    }
    talk_is_the_sum_of_bridges(sim);
}

/// Of calls by trunks, as `call.ended` tells it.
fn talk_is_the_sum_of_bridges(sim: &Sim) {
    let (mut book, mut facts) = (Book::default(), Vec::<Fact>::new());
    for event in &sim.events {
        book.take(event, &mut facts);
    }
    let mut talked: BTreeMap<_, u64> = BTreeMap::new();
    for fact in facts.iter().filter(|fact| fact.of.trunk.is_some()) {
        if let (Some(id), What::Talk { ms } | What::Hold { ms }) = (fact.of.conversation, fact.what) {
            *talked.entry(id).or_default() += ms;
        }
    }
    let mut by_trunk = BTreeMap::new();
    // Colleagues who talk on when the customer has left do so for no trunk.
    let mut left = BTreeSet::new();
    for event in &sim.events {
        let Some(id) = event.conversation else { continue };
        match &event.kind {
            Kind::CallStarted(started) if started.trunk.is_some() => {
                by_trunk.insert(id, 0);
            }
            Kind::CallConferenced(party) if party.change == ConferenceChange::Left => drop(left.insert(id)),
            Kind::CallBridged(_) => *by_trunk.entry(id).or_insert(1_000_000) += 1,
            Kind::CallEnded(ended) => {
                // Each bridge is rounded to milliseconds by itself.
                if let Some(bridges) = by_trunk.remove(&id).filter(|bridges| *bridges < 1_000_000) {
                    let folded = talked.remove(&id).unwrap_or(0);
                    let is_right = folded.abs_diff(ended.talk_ms) <= bridges || left.contains(&id) && folded < ended.talk_ms;
                    assert!(is_right, "{id}: {folded} and {}\n{}", ended.talk_ms, sim.story());
                }
            }
            _ => {}
        }
    }
}

#[test]
fn a_morning_of_callers_is_counted_the_same_live_and_folded() {
    let mut sim = Sim::new(61);
    let phones = ["201", "202", "203"].map(|number| sim.phone(number));
    let trunk = sim.trunk();
    let mut chance = Chance::seeded(seed_of(61));
    for _ in 0..40 {
        for phone in phones {
            let all = [OnInvite::Answer(SECOND), OnInvite::Answer(8 * SECOND), OnInvite::Ring, OnInvite::Refuse(486)];
            sim.set(phone, all[chance.below(4) as usize]);
        }
        sim.act(trunk, |t, now| {
            t.call(["+4930555600", "+4930555700"][chance.below(2) as usize], now);
        });
        sim.run_for(Duration::from_millis(chance.below(30_000)));
        match chance.below(3) {
            0 => sim.act(trunk, |t, now| t.hang_up(now)),
            1 => sim.act(phones[chance.below(3) as usize], |p, now| p.hang_up(now)),
            _ => {}
        }
        check(&mut sim, 61);
    }
    assert!(sim.count("queue.answered") > 5 && sim.count("queue.abandoned") > 2, "{}", sim.story());
}

#[test]
fn who_waited_when_the_switch_was_killed_is_lost_and_neither_answered_nor_abandoned() {
    let mut sim = Sim::new(62);
    let (agent, trunk) = (sim.phone("201"), sim.trunk());
    sim.set(agent, OnInvite::Ring);
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_until("it rings", |s| s.ua(agent).is_ringing());
    sim.run_for(5 * SECOND);
    let (at, heard) = (sim.now.wall, sim.events.last().expect("events").at);
    let conversation = sim.events.iter().find_map(|event| event.conversation).expect("a call");
    // Ten minutes without power.
    sim.now = sim.now + 600 * SECOND;
    sim.restart(vec![OpenConversation { conversation, started_at: at, answered_at: Some(at), talk_ms: 0, last_at: heard }]);
    let (mut book, mut facts) = (Book::default(), Vec::new());
    for event in &sim.events {
        book.take(event, &mut facts);
    }
    let of_queue: Vec<_> = facts.iter().filter(|fact| fact.of.queue.is_some()).map(|fact| (fact.at, fact.what)).collect();
    assert_eq!(of_queue.last(), Some(&(heard, What::Lost)), "{}", sim.story());
    assert!(!of_queue.iter().any(|(_, what)| matches!(what, What::Answered { .. } | What::Abandoned { .. } | What::Left { .. })));
    let rang: u64 = facts
        .iter()
        .filter_map(|fact| match fact.what {
            What::State { state: cordboard::report::State::Ringing, ms } => Some(ms),
            _ => None,
        })
        .sum();
    assert!(rang < 6_000, "the agent's phone did not ring for as long as the power was out: {rang} ms");
}
