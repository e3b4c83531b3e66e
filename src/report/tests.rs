//! Events in, figures out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::period::{Period, Quarter};
use super::*;
use crate::clock::Wall;
use crate::event::*;
use crate::ids::{ConversationId, LegId};
use crate::route::Cause;

/// A full quarter of an hour.
const START: i64 = 1_795_338_000_000;

fn id(n: u64) -> ConversationId {
    ConversationId::from_parts(START as u64 + n, u128::from(n))
}

fn at(ms: i64) -> Wall {
    Wall::from_micros((START + ms) * 1_000)
}

fn event(ms: i64, conversation: Option<ConversationId>, kind: Kind) -> Event {
    Event { at: at(ms), conversation, kind }
}

fn started() -> Kind {
    Kind::CallStarted(CallStarted {
        direction: Direction::Inbound,
        leg: LegId(1),
        trunk: Some("carrier".into()),
        phone: None,
        customer_number: "+4930123456".into(),
        called: "100".into(),
        customer_e164: None,
        called_e164: None,
    })
}

fn entered(waited_before_ms: u64) -> Kind {
    Kind::QueueEntered(QueueEntered { queue: "support".into(), position: 1, waited_before_ms })
}

fn answered(waited_ms: u64) -> Kind {
    let (queue, agent) = ("support".into(), "1024".into());
    Kind::QueueAnswered(QueueAnswered { queue, agent, waited_ms, rang_ms: 1_000, threshold_ms: Some(20_000), callback: None })
}

fn abandoned(waited_ms: u64) -> Kind {
    let left = QueueLeft::of("support".into(), waited_ms);
    Kind::QueueAbandoned(QueueLeft { threshold_ms: Some(20_000), short_ms: Some(5_000), ..left })
}

fn bridge() -> Bridge {
    Bridge {
        legs: [LegId(1), LegId(2)],
        phone: Some("201".into()),
        agent: Some("1024".into()),
        customer_agent: None,
        limits: None,
    }
}

fn hold() -> LegAction {
    LegAction { leg: LegId(2), agent: Some("1024".into()), by: By::Phone }
}

fn ended(cause: Cause) -> Kind {
    Kind::CallEnded(CallEnded { cause, status: None, by: By::Customer, answered_ms: None, talk_ms: 0, legs: Vec::new() })
}

fn agent(kind: fn(AgentState) -> Kind) -> Kind {
    kind(AgentState {
        agent: "1024".into(),
        phone: "201".into(),
        phones: vec!["201".into()],
        team: None,
        by: None,
        reason: None,
        until: None,
        queue: None,
        conversation: None,
        owes: false,
    })
}

fn system_started() -> Kind {
    let version = "0".to_owned();
    Kind::SystemStarted(SystemStarted { version, recovered_conversations: 0, repaired_recordings: 0, registrations: 0 })
}

/// A caller who waits 4 s, is talked to with a hold in it, and wrapped up after.
fn call() -> Vec<Event> {
    let one = Some(id(1));
    vec![
        event(0, None, agent(Kind::AgentReady)),
        event(0, one, started()),
        event(100, one, Kind::CallAnswered(CallProgress { leg: LegId(1) })),
        event(1_000, one, entered(0)),
        event(
            2_000,
            one,
            Kind::QueueOffered(QueueOffered {
                queue: "support".into(),
                agent: "1024".into(),
                phone: "201".into(),
                phones: vec!["201".into()],
                waited_ms: 1_000,
                rings_for_ms: 15_000,
                callback: None,
                answer_within_ms: None,
            }),
        ),
        event(2_000, None, agent(Kind::AgentRinging)),
        event(5_000, one, answered(4_000)),
        event(5_000, one, Kind::CallBridged(bridge())),
        event(5_000, None, agent(Kind::AgentTalking)),
        event(15_000, one, Kind::CallHeld(hold())),
        event(18_000, one, Kind::CallResumed(hold())),
        event(25_000, one, Kind::CallUnbridged(bridge())),
        event(25_000, one, ended(Cause::Normal)),
        event(25_000, None, agent(Kind::AgentWrapup)),
        event(35_000, None, agent(Kind::AgentReady)),
    ]
}

fn fold(events: &[Event]) -> (Book, Vec<Fact>) {
    let (mut book, mut facts) = (Book::default(), Vec::new());
    for event in events {
        book.take(event, &mut facts);
    }
    (book, facts)
}

/// All that was counted for each name.
fn sums(facts: &[Fact], by: Dimension) -> BTreeMap<String, Cell> {
    let mut sums: BTreeMap<String, Cell> = BTreeMap::new();
    for fact in facts {
        if let Some(name) = fact.of.name(by) {
            sums.entry(name.to_owned()).or_default().count(fact);
        }
    }
    sums
}

#[test]
fn a_call_is_counted_for_its_queue_its_agent_and_its_trunk() {
    let (_, facts) = fold(&call());
    let of_queue = Cell {
        entered: 1,
        answered: 1,
        answered_in_time: 1,
        waited_ms: 4_000,
        longest_wait_ms: 4_000,
        rung: 1,
        talk_ms: 17_000,
        hold_ms: 3_000,
        wrapup_ms: 10_000,
        ..Cell::default()
    };
    assert_eq!(sums(&facts, Dimension::Queue), BTreeMap::from([("support".to_owned(), of_queue.clone())]));
    let of_trunk = Cell { inbound: 1, connected: 1, line_ms: 25_000, ..of_queue.clone() };
    assert_eq!(sums(&facts, Dimension::Trunk), BTreeMap::from([("carrier".to_owned(), of_trunk)]));
    let states = Cell { ready_ms: 2_000, ringing_ms: 3_000, talking_ms: 20_000, in_wrapup_ms: 10_000, ..Cell::default() };
    let mut of_agent = Cell { entered: 0, ..of_queue };
    of_agent.add(&states);
    assert_eq!(sums(&facts, Dimension::Agent), BTreeMap::from([("1024".to_owned(), of_agent.clone())]));

    let figures = Figures::of(&of_agent);
    assert_eq!((figures.offered, figures.asa_ms, figures.aht_ms), (1, Some(4_000), Some(30_000)));
    assert_eq!(figures.occupancy, Some(30.0 / 35.0));
    assert_eq!(Figures::COLUMNS.len(), figures.columns().len());
    assert_eq!(figures.columns()[1], "1", "answered stands second: {:?}", &Figures::COLUMNS[..2]);
}

#[test]
fn who_talk_on_after_the_customer_do_so_neither_for_the_queue_nor_over_the_trunk() {
    let mut events = call();
    let party = |leg: u64, change| {
        let legs = vec![LegId(2), LegId(3)];
        Kind::CallConferenced(CallConferenced {
            change,
            leg: Some(LegId(leg)),
            to: "202".into(),
            legs,
            by: By::Phone,
            cause: None,
        })
    };
    let on = Bridge { legs: [LegId(3), LegId(2)], ..bridge() };
    let goes_on = [
        event(19_000, Some(id(1)), party(3, ConferenceChange::Joined)),
        event(20_000, Some(id(1)), Kind::CallUnbridged(bridge())),
        event(20_000, Some(id(1)), Kind::CallBridged(on)),
        event(20_000, Some(id(1)), party(1, ConferenceChange::Left)),
    ];
    let until = events.iter().position(|event| event.at > at(19_000)).unwrap();
    events.splice(until..until, goes_on);
    let (_, facts) = fold(&events);
    let (queue, trunk) = (&sums(&facts, Dimension::Queue)["support"], &sums(&facts, Dimension::Trunk)["carrier"]);
    assert_eq!((queue.talk_ms, queue.hold_ms, trunk.line_ms), (12_000, 3_000, 20_000));
    let agent = &sums(&facts, Dimension::Agent)["1024"];
    assert_eq!((agent.talk_ms, agent.direct_talk_ms), (12_000, 5_000));
}

#[test]
fn handling_is_counted_in_the_quarter_of_the_answer_and_states_where_they_were() {
    // The answer comes 10 s before a full quarter.
    let shifted = |event: Event| Event { at: event.at + Duration::from_secs(900 - 15), ..event };
    let (_, facts) = fold(&call().into_iter().map(shifted).collect::<Vec<_>>());
    let quarter = |at: Wall| Quarter::of(at) == Quarter::of(self::at(0));
    let (before, after): (Vec<Fact>, Vec<Fact>) = facts.into_iter().partition(|fact| quarter(fact.at));
    let (before, after) = (&sums(&before, Dimension::Agent)["1024"], &sums(&after, Dimension::Agent)["1024"]);
    assert_eq!((before.talk_ms, before.hold_ms, before.wrapup_ms), (17_000, 3_000, 10_000));
    assert_eq!((before.talking_ms, after.talking_ms), (10_000, 10_000));
    assert_eq!((after.talk_ms, after.in_wrapup_ms), (0, 10_000));
}

#[test]
fn the_five_formulas_give_the_products_vector_through_events() {
    let mut events = Vec::new();
    let mut caller = |n: u64, end: Kind| {
        let one = Some(id(n));
        events.extend([
            event(0, one, started()),
            event(0, one, entered(0)),
            event(0, one, end),
            event(0, one, ended(Cause::Normal)),
        ]);
    };
    // A wait of exactly T is in time, and one of exactly `short` is short.
    (0..860).for_each(|n| caller(n, answered(20_000)));
    (860..1_000).for_each(|n| caller(n, answered(20_001)));
    (1_000..1_010).for_each(|n| caller(n, abandoned(5_000)));
    (1_010..1_020).for_each(|n| caller(n, abandoned(5_001)));
    (1_020..1_060).for_each(|n| caller(n, abandoned(20_001)));
    let (_, facts) = fold(&events);
    let figures = Figures::of(&sums(&facts, Dimension::Queue)["support"]);
    let percent: Vec<String> = figures.service_level.values().map(|level| format!("{:.2}", level.unwrap() * 100.0)).collect();
    assert_eq!(percent, ["83.02", "86.00", "81.13", "82.69", "82.08"]);
    assert_eq!((figures.offered, figures.abandoned_short, figures.longest_wait_ms), (1_060, 10, 20_001));
}

#[test]
fn a_kill_loses_the_wait_and_ends_the_rest_with_the_last_that_was_heard() {
    let mut events = call();
    events.truncate(10);
    events.extend([event(16_000, Some(id(2)), started()), event(16_000, Some(id(2)), entered(0)), event(17_000, None, lost())]);
    // Three minutes later.
    events.push(event(200_000, None, system_started()));
    events.push(event(200_000, Some(id(1)), ended(Cause::Restart)));
    events.push(event(200_000, Some(id(2)), ended(Cause::Restart)));
    let (book, facts) = fold(&events);
    let queue = &sums(&facts, Dimension::Queue)["support"];
    assert_eq!((queue.entered, queue.answered, queue.abandoned, queue.left, queue.lost), (2, 1, 0, 0, 1));
    assert_eq!((queue.talk_ms, queue.hold_ms), (10_000, 2_000));
    assert_eq!(sums(&facts, Dimension::Agent)["1024"].talking_ms, 12_000);
    assert!(
        book.running(Period { from: at(0), until: at(900_000) }, at(300_000), None).is_empty(),
        "no state lasts over a restart"
    );
}

/// Something that is heard, and counts nowhere.
fn lost() -> Kind {
    Kind::LogLost(LogLost { events: 0 })
}

#[test]
fn a_consultation_that_waits_and_becomes_part_of_a_call_has_entered_once() {
    let (parent, child) = (Some(id(1)), Some(id(2)));
    let merged = || Kind::CallMerged(CallMerged { parent: id(1), child: id(2), leg: LegId(2), by: By::Phone });
    let gone = QueueLeft { why: Some(LeftWhy::Merged), ..QueueLeft::of("support".into(), 3_000) };
    let events = [
        event(0, parent, started()),
        event(1_000, child, started()),
        event(1_000, child, entered(0)),
        event(4_000, child, Kind::QueueLeft(gone)),
        event(4_000, child, merged()),
        event(4_000, child, ended(Cause::Transferred)),
        event(4_000, parent, merged()),
        event(4_000, parent, entered(0)),
        event(6_000, parent, answered(5_000)),
        // What it enters later, it enters.
        event(7_000, parent, entered(5_000)),
        event(9_000, parent, answered(7_000)),
    ];
    let (_, facts) = fold(&events);
    let queue = &sums(&facts, Dimension::Queue)["support"];
    assert_eq!((queue.entered, queue.answered, queue.left), (2, 2, 0));
    assert_eq!(queue.waited_ms, 5_000 + 2_000, "each second of waiting once");
}

#[test]
fn who_is_not_let_in_has_not_left() {
    let one = Some(id(1));
    let left = |why| Kind::QueueLeft(QueueLeft { why: Some(why), ..QueueLeft::of("support".into(), 0) });
    let events = [
        event(0, one, started()),
        event(0, one, left(LeftWhy::Length)),
        event(0, one, left(LeftWhy::NoAgents)),
        event(0, one, entered(0)),
        event(9, one, left(LeftWhy::NoAgents)),
    ];
    let (_, facts) = fold(&events);
    let queue = &sums(&facts, Dimension::Queue)["support"];
    assert_eq!((queue.turned_away, queue.left, queue.entered), (2, 1, 1));
}

#[test]
fn the_fold_goes_on_wherever_it_was_cut() {
    let mut events = call();
    events.push(event(40_000, None, system_started()));
    let (_, whole) = fold(&events);
    for cut in 0..=events.len() {
        let (mut book, mut facts) = fold(&events[..cut]);
        let kept = book.keep();
        let json = |keep: &Keep| {
            let stays: Vec<_> = keep.stays.iter().map(|(id, stay)| (*id, serde_json::to_string(stay).unwrap())).collect();
            let shifts: Vec<_> =
                keep.shifts.iter().map(|(agent, shift)| (agent.clone(), serde_json::to_string(shift).unwrap())).collect();
            (serde_json::to_string(&keep.head).unwrap(), stays, shifts)
        };
        let (head, stays, shifts) = json(&kept);
        let stays = stays.into_iter().filter_map(|(id, stay)| Some((id, serde_json::from_str::<Option<Stay>>(&stay).unwrap()?)));
        let shifts = shifts.into_iter().map(|(agent, shift)| (agent, serde_json::from_str(&shift).unwrap()));
        let mut book = Book::open(serde_json::from_str(&head).unwrap(), stays.collect(), shifts.collect());
        assert!(book.keep().stays.is_empty(), "nothing is new");
        for event in &events[cut..] {
            book.take(event, &mut facts);
        }
        assert_eq!(facts, whole, "cut behind {cut}");
    }
}

#[test]
fn a_state_is_cut_at_quarters_and_a_clock_that_was_set_makes_no_millions() {
    let ready = event(600_000, None, agent(Kind::AgentReady));
    let (book, _) = fold(&[ready]);
    let within = |from: i64, until: i64, now: i64| {
        let period = Period { from: at(from), until: at(until) };
        book.running(period, at(now), Some("1024")).iter().map(|fact| fact.what).collect::<Vec<_>>()
    };
    let pieces = |now: i64| within(0, 9_000_000, now);
    let ms = |ms| What::State { state: State::Ready, ms };
    assert!(pieces(600_000).is_empty());
    assert_eq!(pieces(2_000_000), [ms(300_000), ms(900_000), ms(200_000)]);
    assert_eq!(within(900_000, 1_800_000, 2_000_000), [ms(900_000)], "of the time that is asked for");
    assert!(book.running(Period { from: at(0), until: at(9_000_000) }, at(2_000_000), Some("1025")).is_empty());
    let early = Event { at: Wall::from_micros(0), conversation: None, kind: agent(Kind::AgentReady) };
    let (_, facts) = fold(&[early, event(0, None, agent(Kind::AgentPaused))]);
    assert_eq!(facts.len(), 31 * 96);
    let all = Period { from: at(0) - Duration::from_secs(31 * 86_400), until: at(0) };
    assert_eq!(facts.len(), all.quarters().count());
}

#[test]
fn a_state_that_lasts_is_counted_with_each_quarter_that_ends() {
    let ready = event(600_000, None, agent(Kind::AgentReady));
    let of_another = |ms| event(ms, Some(id(1)), started());
    let (mut book, facts) = fold(&[ready, of_another(899_999)]);
    assert!(facts.iter().all(|fact| !matches!(fact.what, What::State { .. })), "the quarter has not ended");
    let states = |book: &mut Book, event: &Event| {
        let mut facts = Vec::new();
        book.take(event, &mut facts);
        facts.retain(|fact| matches!(fact.what, What::State { .. }));
        facts.iter().map(|fact| (fact.at, fact.what)).collect::<Vec<_>>()
    };
    let ms = |ms| What::State { state: State::Ready, ms };
    assert_eq!(states(&mut book, &of_another(1_900_000)), [(at(0), ms(300_000)), (at(900_000), ms(900_000))]);
    assert_eq!(book.keep().shifts.len(), 1, "kept with the sums: after a kill it is not counted again");
    let running = book.running(Period { from: at(0), until: at(9_000_000) }, at(2_000_000), None);
    assert_eq!(running.iter().map(|fact| fact.what).collect::<Vec<_>>(), [ms(200_000)], "the rest");
    assert!(states(&mut book, &of_another(600_000)).is_empty(), "a clock that was set back");
    let expired = Registration {
        number: "201".into(),
        contact: String::new(),
        transport: "udp".into(),
        user_agent: None,
        source: String::new(),
        reason: None,
    };
    let system = event(9_000_000, None, Kind::RegistrationExpired(expired));
    assert!(states(&mut book, &system).is_empty(), "told of while nobody was there");
    let paused = event(2_000_000, None, agent(Kind::AgentPaused));
    assert_eq!(states(&mut book, &paused), [(at(1_800_000), ms(200_000))]);
}

#[test]
fn answers_to_surveys_are_counted_and_averaged() {
    let mut cell = Cell::default();
    for score in [5, 4, 2] {
        let fact = Fact { at: Wall::from_micros(0), of: Of::default(), what: What::Surveyed { score } };
        fact.add_to(&mut cell);
    }
    let figures = Figures::of(&cell);
    assert_eq!((figures.surveyed, figures.survey_points, figures.survey_mean), (3, 11, Some(11.0 / 3.0)));
    assert_eq!(Figures::of(&Cell::default()).survey_mean, None);
}
