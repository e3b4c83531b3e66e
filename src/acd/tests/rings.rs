//! Several phones for one entry, entries that ask for something, and callbacks.

use super::*;
use crate::config::Strategy;
use crate::ids::CallbackId;

/// As `Centre::of`, with a strategy.
fn centre(agents: usize, strategy: Strategy) -> Centre {
    let mut c = Centre::of(agents);
    c.config.queues.get_mut("support").unwrap().strategy = strategy;
    c.acd.reconfigure(&c.config, at(0));
    c
}

fn ends(told: &[Action]) -> Vec<(&str, OfferEnd)> {
    told.iter()
        .filter_map(|a| match a {
            Action::OfferEnded { offer, end, .. } => Some((offer.agent.as_str(), *end)),
            Action::Offer(_)
            | Action::Overflow { .. }
            | Action::Vanished(_)
            | Action::Owing { .. }
            | Action::AgentChanged { .. } => None,
        })
        .collect()
}

fn waits(c: &mut Centre, n: u64, second: u64, wants: Wants) {
    let who = Arriving { wants, ..Arriving::new(caller(n), at(second).mono) };
    c.acd.enter(&"support".into(), who, at(second)).unwrap();
}

fn levels(given: &[(&str, u8)]) -> Levels {
    given.iter().map(|(skill, level)| ((*skill).into(), *level)).collect()
}

#[test]
fn of_all_who_ring_one_has_the_call_and_nobody_rests_for_it() {
    let mut c = centre(3, Strategy::RingAll);
    c.enter(1, 0);
    c.enter(2, 1);
    let offers = c.offers(1);
    assert_eq!(who(&offers), [("1", 1), ("2", 1), ("3", 1)]);
    let view = c.acd.queue(&"support".into(), &c.hall, at(1)).unwrap();
    let offered_to: Vec<&str> = view.waiting[0].offered_to.iter().map(|a| a.as_str()).collect();
    assert_eq!(offered_to, ["1", "2", "3"]);
    c.answer(&offers[1], 3);
    assert_eq!(
        c.acd.answered(offers[2].id, &offers[2].phones[0], caller(1), at(3)),
        None,
        "a second answer that crossed finds nothing"
    );
    let told = c.settle(3);
    assert_eq!(ends(&told), [("1", OfferEnd::Taken), ("3", OfferEnd::Taken)]);
    assert!(!OfferEnd::Taken.unanswered());
    let next: Vec<Offer> = told.into_iter().filter_map(|a| if let Action::Offer(o) = a { Some(o) } else { None }).collect();
    assert_eq!(who(&next), [("1", 2), ("3", 2)], "free at once, and in their old places in the line of the idle");
    assert_eq!(c.kind("2"), StateKind::Talking);
}

#[test]
fn who_refuses_rests_alone_and_the_others_ring_on() {
    let mut c = centre(3, Strategy::RingAll);
    c.enter(1, 0);
    let offers = c.offers(0);
    c.acd.declined(offers[0].id, Why::Declined, at(2));
    assert_eq!(ends(&c.settle(2)), [("1", OfferEnd::Declined)]);
    assert_eq!([c.kind("1"), c.kind("2"), c.kind("3")], [StateKind::Unanswered, StateKind::Offered, StateKind::Offered]);
    assert_eq!(ends(&c.settle(15)), [("2", OfferEnd::NoAnswer), ("3", OfferEnd::NoAnswer)]);
    assert_eq!(c.acd.position(caller(1)), Some((&"support".into(), 1)));
    assert_eq!(who(&c.offers(32)), [("1", 1)]);
    assert_eq!(who(&c.offers(45)), [("2", 1), ("3", 1)], "who is back rings beside");
}

#[test]
fn a_caller_who_leaves_ends_all_that_ring_for_it() {
    let mut c = centre(3, Strategy::RingAll);
    c.enter(1, 0);
    c.settle(0);
    c.acd.abandon(caller(1), at(4)).unwrap();
    assert_eq!(ends(&c.settle(4)), [("1", OfferEnd::CallerLeft), ("2", OfferEnd::CallerLeft), ("3", OfferEnd::CallerLeft)]);
    assert!(["1", "2", "3"].iter().all(|a| c.state(a) == AgentState::Ready { since: at(0).mono }));
}

#[test]
fn who_picks_up_is_talking_and_all_who_rang_are_free() {
    let mut c = centre(3, Strategy::RingAll);
    c.enter(1, 0);
    let offers = c.offers(0);
    c.hall.talks.insert(("203".into(), caller(1)));
    let answered = c.acd.picked_up(offers[0].id, &"3".into(), &"203".into(), caller(1), at(2)).unwrap();
    assert_eq!(answered.offer, offers[0]);
    assert_eq!(ends(&c.settle(2)), [("2", OfferEnd::Taken), ("3", OfferEnd::Taken)], "its own phone rang for the same");
    assert_eq!([c.kind("1"), c.kind("2"), c.kind("3")], [StateKind::Ready, StateKind::Ready, StateKind::Talking]);
}

#[test]
fn all_that_ring_for_a_conversation_ring_for_the_one_that_it_becomes() {
    let mut c = centre(2, Strategy::RingAll);
    c.enter(1, 0);
    let offers = c.offers(0);
    c.acd.merged(caller(1), caller(9), at(1));
    assert!(c.settle(1).iter().all(|a| !matches!(a, Action::OfferEnded { .. })));
    c.hall.talks.insert(("202".into(), caller(9)));
    let answered = c.acd.answered(offers[1].id, &offers[1].phones[0], caller(9), at(2)).unwrap();
    assert_eq!(answered.offer.entry, caller(9).into());
    assert_eq!(ends(&c.settle(2)), [("1", OfferEnd::Taken)]);
    assert_eq!((c.kind("2"), c.acd.position(caller(9))), (StateKind::Talking, None));
}

#[test]
fn a_ring_grows_at_its_steps_and_starts_anew_when_nobody_rings() {
    let mut c = centre(3, Strategy::Progressive);
    c.enter(1, 0);
    assert_eq!((who(&c.offers(0)), c.acd.deadline()), (vec![("1", 1)], Some(at(5).mono)));
    assert!(c.offers(4).is_empty());
    let second = c.offers(5);
    assert_eq!(who(&second), [("2", 1)]);
    assert_eq!(who(&c.offers(10)), [("3", 1)]);
    assert!(c.offers(15).is_empty(), "nobody is left; the first has given up");
    assert_eq!(c.kind("1"), StateKind::Unanswered);
    c.answer(&second[0], 16);
    assert_eq!(ends(&c.settle(16)), [("3", OfferEnd::Taken)]);
    c.hall.talks.clear();
    c.enter(2, 20);
    assert_eq!(who(&c.offers(20)), [("3", 2)]);
}

/// Else two who rest in turn would ring for a caller for ever, and no phone that rings is ever the last.
#[test]
fn nobody_joins_a_ring_for_a_caller_whose_time_is_over() {
    let mut c = centre(2, Strategy::RingAll);
    let q = c.config.queues.get_mut("support").unwrap();
    (q.max_wait, q.rest_after_unanswered) = (Some(s(20)), s(1));
    c.acd.reconfigure(&c.config, at(0));
    c.acd.set(&"2".into(), Wanted::Paused { reason: None }, at(0)).unwrap();
    c.enter(1, 0);
    assert_eq!(who(&c.offers(0)), [("1", 1)]);
    c.acd.set(&"2".into(), Wanted::Ready, at(10)).unwrap();
    assert_eq!(who(&c.offers(10)), [("2", 1)]);
    c.settle(15);
    assert_eq!(who(&c.offers(16)), [("1", 1)]);
    let told = c.settle(25);
    assert_eq!(ends(&told), [("2", OfferEnd::NoAnswer)]);
    assert!(c.offers(26).is_empty());
    assert!(c.settle(31).iter().any(|a| matches!(a, Action::Overflow { why: OverflowWhy::MaxWait, .. })));
}

#[test]
fn a_requirement_relaxes_at_its_time_without_anybodys_help() {
    let mut c = Centre::of(1);
    let relax = vec![Relax { after: s(30), skills: Levels::new() }];
    waits(&mut c, 1, 0, Wants { required: levels(&[("de", 1)]), relax, ..Wants::default() });
    assert!(c.offers(0).is_empty());
    assert_eq!(c.acd.deadline(), Some(at(30).mono));
    assert_eq!(who(&c.offers(30)), [("1", 1)]);
}

#[test]
fn an_agents_skills_are_those_of_the_configuration() {
    let mut c = Centre::of(2);
    waits(&mut c, 1, 0, Wants { required: levels(&[("de", 2)]), ..Wants::default() });
    assert!(c.offers(0).is_empty());
    c.config.agents.get_mut("2").unwrap().skills = [("de".to_owned(), 3)].into();
    c.acd.reconfigure(&c.config, at(1));
    assert_eq!(who(&c.offers(1)), [("2", 1)]);
}

#[test]
fn a_pin_that_is_over_lets_all_have_the_caller() {
    let mut c = Centre::of(2);
    c.acd.set(&"2".into(), Wanted::Paused { reason: None }, at(0)).unwrap();
    waits(&mut c, 1, 0, Wants { pinned: Some(Pin { agent: "2".into(), until: at(40).mono }), ..Wants::default() });
    assert!(c.offers(0).is_empty());
    assert_eq!(c.acd.deadline(), Some(at(40).mono));
    assert_eq!(who(&c.offers(40)), [("1", 1)]);
}

#[test]
fn the_line_stands_in_the_order_of_service() {
    let mut c = Centre::of(1);
    c.acd.set(&"1".into(), Wanted::Offline, at(0)).unwrap();
    c.enter(1, 0);
    waits(&mut c, 2, 30, Wants { priority: 1, ..Wants::default() });
    waits(&mut c, 3, 31, Wants { priority: -1, ..Wants::default() });
    c.enter(4, 32);
    let place = |n| c.acd.position(caller(n)).map(|(_, place)| place);
    assert_eq!([1, 2, 3, 4].map(place), [Some(2), Some(1), Some(4), Some(3)]);
    let view = c.acd.queue(&"support".into(), &c.hall, at(40)).unwrap();
    let line: Vec<Entry> = view.waiting.iter().map(|w| w.entry).collect();
    assert_eq!(line, [2, 1, 4, 3].map(|n| Entry::Caller(caller(n))));
    c.acd.set(&"1".into(), Wanted::Ready, at(41)).unwrap();
    let offer = c.offers(41).remove(0);
    let stay = c.answer(&offer, 42).stay;
    assert_eq!((stay.wants.priority, stay.arrived), (1, at(30).mono.into()));
    assert_eq!(c.acd.enter_again(&stay, caller(2), at(50)).unwrap().position, 1, "with the priority that it had");
}

#[test]
fn a_callback_has_the_place_of_its_first_arrival_and_is_held_back_till_it_is_due() {
    let mut c = Centre::of(2);
    c.acd.set(&"2".into(), Wanted::Paused { reason: None }, at(0)).unwrap();
    let callback = CallbackId::from_parts(7, 0);
    // From before the process: its clock stands at one second.
    let arrived = Arrival::at_wall(at(0).wall - s(3_600), at(1));
    let who_comes = Arriving { not_before: Some(at(20).mono), ..Arriving::new(callback, arrived) };
    assert_eq!(c.acd.enter(&"support".into(), who_comes, at(1)).unwrap().position, 1);
    c.enter(1, 2);
    assert_eq!(c.acd.position(caller(1)), Some((&"support".into(), 2)));
    let offer = c.offers(2).remove(0);
    assert_eq!((offer.entry, c.acd.deadline()), (caller(1).into(), Some(offer.until)));
    c.answer(&offer, 3);
    c.settle(3);
    assert_eq!(c.acd.deadline(), Some(at(20).mono));
    c.acd.set(&"2".into(), Wanted::Ready, at(19)).unwrap();
    assert!(c.offers(19).is_empty());
    c.enter(2, 20);
    let offer = c.offers(20).remove(0);
    assert_eq!((offer.agent.as_str(), offer.entry), ("2", callback.into()), "before who came in this run");
    // The call that is made for it is the agent's.
    c.hall.talks.insert(("202".into(), caller(99)));
    let answered = c.acd.answered(offer.id, &offer.phones[0], caller(99), at(22)).unwrap();
    assert_eq!((answered.offer.entry, answered.stay.arrived), (callback.into(), arrived));
    c.settle(22);
    assert_eq!(c.state("2"), AgentState::Talking { caller: caller(99), queue: "support".into(), since: at(22).mono });
    let tally = c.acd.queue(&"support".into(), &c.hall, at(22)).unwrap().tally;
    assert_eq!((tally.entered, tally.answered), (2, 1), "the figures are of those who wait at the phone");
}

#[test]
fn the_fewest_calls_are_those_of_the_day() {
    let mut c = centre(2, Strategy::FewestCalls);
    let mut call = |n: u64, second: u64| {
        c.enter(n, second);
        let offer = c.offers(second).remove(0);
        c.answer(&offer, second + 1);
        c.hall.talks.clear();
        c.settle(second + 2);
        c.settle(second + 20);
        offer.agent.to_string()
    };
    assert_eq!([call(1, 0), call(2, 100), call(3, 200)], ["1", "2", "1"], "of equal numbers the longest idle");
    // 10:00 in Berlin; 15 hours later it is another day there: the longest idle again, though 1 had two.
    assert_eq!([call(4, 54_000), call(5, 54_100), call(6, 54_200)], ["2", "1", "2"]);
}

#[test]
fn who_talked_least_today_is_next() {
    let mut c = centre(2, Strategy::LeastTalk);
    let mut call = |n: u64, second: u64, talk: u64| {
        c.enter(n, second);
        let offer = c.offers(second).remove(0);
        c.answer(&offer, second);
        c.settle(second);
        c.hall.talks.clear();
        c.settle(second + talk);
        c.settle(second + talk + 20);
        offer.agent.to_string()
    };
    assert_eq!([call(1, 0, 60), call(2, 100, 10), call(3, 200, 10), call(4, 300, 50)], ["1", "2", "2", "2"]);
    assert_eq!(call(5, 400, 5), "1", "60 s against 70");
}

#[test]
fn the_same_seed_picks_the_same_agents() {
    let run = |seed: u8| {
        let config = centre(4, Strategy::Random).config;
        let mut c = Centre::with(config);
        c.acd = Acd::new(&c.config, Snapshot::default(), Chance::seeded([seed; 32]), at(0));
        let picks = (0..16).map(|n| {
            c.enter(n, n);
            let offer = c.offers(n).remove(0);
            c.acd.withdraw(caller(n), at(n)).unwrap();
            c.settle(n);
            offer.agent.to_string()
        });
        picks.collect::<Vec<_>>()
    };
    assert!(run(1) == run(1) && run(1) != run(2));
    let before = centre(4, Strategy::Random);
    let mut restarted = before.acd.clone();
    restarted.restart(&before.config, Snapshot::default(), at(3));
    assert_eq!(restarted.snapshot(), before.acd.snapshot());
}

#[test]
fn a_reload_while_several_ring_ends_none_of_them() {
    let mut c = centre(3, Strategy::RingAll);
    c.enter(1, 0);
    let offers = c.offers(0);
    let q = c.config.queues.get_mut("support").unwrap();
    (q.strategy, q.agents) = (Strategy::LongestIdle, vec!["2".into()]);
    c.config.agents.remove("3");
    c.acd.reconfigure(&c.config, at(1));
    assert_eq!(c.settle(1), []);
    c.answer(&offers[2], 2);
    assert_eq!(ends(&c.settle(2)), [("1", OfferEnd::Taken), ("2", OfferEnd::Taken)]);
    assert_eq!(c.kind("3"), StateKind::Talking);
}

#[test]
fn what_a_queue_asks_it_asks_of_all_that_enter_and_a_caller_adds_to_it() {
    let mut c = Centre::of(2);
    c.config.agents.get_mut("2").unwrap().skills = [("de".to_owned(), 2), ("uk".to_owned(), 1)].into();
    let q = c.config.queues.get_mut("support").unwrap();
    q.skills = [("de".to_owned(), 1)].into();
    q.relax = vec![crate::config::RelaxStep { after: s(30), skills: BTreeMap::new() }];
    q.priority = 2;
    c.acd.reconfigure(&c.config, at(0));
    waits(&mut c, 1, 0, Wants { required: levels(&[("de", 2), ("uk", 1)]), priority: 1, ..Wants::default() });
    c.enter(2, 1);
    let offer = c.offers(1).remove(0);
    assert_eq!((offer.agent.as_str(), offer.entry), ("2", caller(1).into()));
    let stay = c.answer(&offer, 2).stay;
    assert_eq!((stay.wants.priority, &stay.wants.required), (3, &levels(&[("de", 2), ("uk", 1)])));
    assert!(c.offers(2).is_empty(), "1 knows no German");
    assert_eq!(who(&c.offers(31)), [("1", 2)], "relaxed");
    c.acd.enter_again(&stay, caller(1), at(32)).unwrap();
    let view = c.acd.queue(&"support".into(), &c.hall, at(32)).unwrap();
    assert_eq!(view.waiting.len(), 2);
}
