//! Who may not wait, who waits for nobody, and what those who wait can be told.

use super::*;
use crate::ids::CallbackId;

/// One agent, at one queue with these limits.
fn centre(change: impl FnOnce(&mut Queue)) -> Centre {
    let mut queue = queue("support", &["1"]);
    change(&mut queue);
    Centre::with(config(vec![queue], vec![agent("1", "201")]))
}

fn admits(c: &Centre, second: u64) -> Result<(), NotEntered> {
    c.acd.admits(&"support".into(), at(second))
}

fn sent_on(told: &[Action]) -> Vec<(Entry, Place, OverflowWhy)> {
    let one = |a: &Action| if let Action::Overflow { entry, to, why, .. } = a { Some((*entry, to.clone(), *why)) } else { None };
    told.iter().filter_map(one).collect()
}

#[test]
fn a_queue_takes_as_many_as_may_wait() {
    let full = Place::Voicemail("601".into());
    let mut c = centre(|q| (q.max_length, q.overflow_full) = (Some(2), full.clone()));
    for n in 1..=2 {
        assert_eq!(admits(&c, 0), Ok(()));
        c.enter(n, 0);
    }
    assert_eq!(admits(&c, 0), Err(NotEntered::Full(full)));
    let offer = c.offers(0).remove(0);
    c.answer(&offer, 1);
    assert_eq!(admits(&c, 1), Ok(()));
    let gone = NotEntered::NoSuchQueue(NoSuchQueue("sales".into()));
    assert_eq!(c.acd.admits(&"sales".into(), at(1)), Err(gone));
}

#[test]
fn without_anybody_logged_in_for_ten_seconds_callers_are_sent_on_and_callbacks_wait() {
    let elsewhere = Place::Phone("210".into());
    let mut c = centre(|q| q.overflow_no_agents = Some(elsewhere.clone()));
    let set = |c: &mut Centre, wanted, second| c.acd.set(&"1".into(), wanted, at(second)).unwrap();
    set(&mut c, Wanted::Paused { reason: None }, 1);
    c.enter(1, 1);
    let callback = Entry::Callback(CallbackId::from_parts(7, 7));
    c.acd.enter(&"support".into(), Arriving::new(callback, at(1).mono), at(1)).unwrap();
    c.settle(1);
    assert_eq!((c.settle(30), admits(&c, 30)), (vec![], Ok(())), "a pause is no end of work");
    set(&mut c, Wanted::Offline, 40);
    c.settle(40);
    assert_eq!((c.acd.deadline(), admits(&c, 49)), (Some(at(50).mono), Ok(())));
    assert_eq!(sent_on(&c.settle(49)), []);
    assert_eq!(sent_on(&c.settle(50)), [(caller(1).into(), elsewhere.clone(), OverflowWhy::NoAgents)]);
    assert_eq!(admits(&c, 50), Err(NotEntered::NoAgents(elsewhere)));
    assert_eq!(c.acd.deadline(), None, "the callback is nobody to be sent on");
    set(&mut c, Wanted::Ready, 60);
    assert_eq!((c.offers(60).len(), admits(&c, 60)), (1, Ok(())));
}

#[test]
fn a_phone_that_starts_anew_sends_nobody_on() {
    let mut c = centre(|q| q.overflow_no_agents = Some(Place::Hangup));
    c.hall.registered.clear();
    c.enter(1, 5);
    assert_eq!(sent_on(&c.settle(5)), []);
    c.hall.registered.insert("201".into());
    assert_eq!(c.offers(12).len(), 1);
    c.hall.registered.clear();
    c.settle(13);
    assert_eq!(sent_on(&c.settle(22)), []);
    assert_eq!(sent_on(&c.settle(23)).len(), 1);
}

#[test]
fn the_wait_to_expect_goes_by_the_line_and_before_it_moves_by_the_agents() {
    let mut c = centre(|_| ());
    let seen = |c: &Centre, n: u64, second| c.acd.seen(caller(n), at(second)).map(|seen| (seen.position, seen.expected));
    c.enter(1, 0);
    let offer = c.offers(0).remove(0);
    c.answer(&offer, 0);
    c.settle(0);
    c.hall.talks.clear();
    c.settle(50);
    c.settle(60);
    assert_eq!(c.kind("1"), StateKind::Ready);
    // One call of 50 s with a wrap-up of 10 s, and one agent.
    c.acd.set(&"1".into(), Wanted::Paused { reason: None }, at(60)).unwrap();
    c.settle(60);
    for n in 2..=4 {
        c.enter(n, 100);
    }
    c.settle(100);
    assert_eq!(seen(&c, 1, 100), None, "does not wait");
    assert_eq!(seen(&c, 3, 100).map(|(place, _)| place), Some(2));
    // One leaves the line in the first two minutes in which somebody stood in it.
    c.settle(220);
    c.acd.abandon(caller(2), at(220)).unwrap();
    c.settle(220);
    let (place, wait) = seen(&c, 4, 220).unwrap();
    assert_eq!(place, 2);
    // The caller who was served at once departed, too: two in 120 s.
    assert_eq!(wait, Some(s(120)));
}

/// What the log tells of callers who had come before the process began.
#[test]
fn the_figures_of_the_day_go_on_after_a_restart() {
    let config = config(vec![queue("support", &["1"])], vec![agent("1", "201")]);
    let stay = |day: i64, how, waited| PastStay {
        queue: "support".into(),
        ended: Wall::from_micros(at(0).wall.as_micros() + day * 86_400_000_000),
        how,
        waited: s(waited),
        before: s(0),
    };
    let past = vec![
        stay(0, PastEnd::Answered, 5),
        stay(0, PastEnd::Answered, 25),
        stay(0, PastEnd::Abandoned, 3),
        stay(0, PastEnd::Moved, 60),
        stay(-1, PastEnd::Answered, 1),
        PastStay { queue: "gone".into(), ..stay(0, PastEnd::Answered, 1) },
    ];
    let snapshot = Snapshot { past, ..Snapshot::default() };
    let acd = Acd::new(&config, snapshot, Chance::seeded([1; 32]), at(0));
    let tally = acd.queue(&"support".into(), &Hall::default(), at(0)).unwrap().tally;
    assert_eq!((tally.entered, tally.answered, tally.answered_in_time, tally.moved), (4, 2, 1, 1));
    assert_eq!((tally.abandoned, tally.abandoned_short, tally.average_wait()), (1, 1, Some(s(15))));
}

/// A reload takes the only agent out of the queue while the phone rings: the offer goes on, and nothing is due before its end.
#[test]
fn a_phone_that_rings_for_a_queue_without_agents_keeps_nobody_busy() {
    let mut c = centre(|q| (q.overflow_no_agents, q.rings) = (Some(Place::Hangup), 6));
    c.enter(1, 0);
    let offer = c.offers(0).remove(0);
    c.config.queues.get_mut("support").unwrap().agents.clear();
    c.acd.reconfigure(&c.config, at(1));
    c.settle(1);
    assert_eq!(sent_on(&c.settle(12)), []);
    assert_eq!(c.acd.deadline(), Some(offer.until));
    assert_eq!(sent_on(&c.settle(30)), [(caller(1).into(), Place::Hangup, OverflowWhy::NoAgents)]);
}
