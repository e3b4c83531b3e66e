//! What a queue does, one behaviour a test, on a floor of three phones.

mod limits;
mod rings;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::*;
use crate::chance::Chance;
use crate::clock::{Mono, Now, Wall};
use crate::config::*;
use crate::ids::{ConversationId, Number};
use crate::report::Formula;

pub(super) fn queue(name: &str, agents: &[&str]) -> Queue {
    Queue {
        name: name.into(),
        strategy: Strategy::LongestIdle,
        agents: agents.iter().map(|a| (*a).into()).collect(),
        standing: BTreeMap::new(),
        skills: BTreeMap::new(),
        prefer: BTreeMap::new(),
        relax: vec![],
        priority: 0,
        number: None,
        title: name.to_uppercase(),
        rings: 3,
        ring_cycle: s(5),
        ring_step: s(5),
        wrap_up: s(10),
        wrap_up_most: s(300),
        disposition: vec![],
        disposition_required: false,
        notes_required: false,
        survey: None,
        hold_reminder: None,
        hold_limit: None,
        survey_recorded: true,
        rest_after_unanswered: s(30),
        max_wait: None,
        overflow: Place::Hangup,
        max_length: None,
        overflow_full: Place::Hangup,
        overflow_no_agents: None,
        announce: None,
        callback: crate::config::CallBack::default(),
        service_level: s(20),
        music: None,
        short_abandon: s(5),
        standards: crate::config::Standards::default(),
        record: None,
    }
}

pub(super) fn agent(staff_number: &str, phone: &str) -> Agent {
    Agent {
        staff_number: staff_number.into(),
        name: format!("agent {staff_number}"),
        phones: vec![phone.into()],
        pin: None,
        skills: BTreeMap::new(),
    }
}

pub(super) fn config(queues: Vec<Queue>, agents: Vec<Agent>) -> Config {
    let any: IpAddr = Ipv4Addr::LOCALHOST.into();
    Config {
        site: Site {
            name: "test".into(),
            domain: "cordboard.example".into(),
            time_zone: jiff::tz::TimeZone::get("Europe/Berlin").unwrap(),
            country: Country(*b"DE"),
            emergency: BTreeSet::new(),
            emergency_trunks: vec![],
        },
        sip: Sip {
            digest: vec![DigestAlgorithm::Md5],
            udp: vec![],
            tcp: vec![],
            tls: vec![],
            advertise: Advertised::default(),
            min_expires: s(60),
            max_expires: s(3600),
            default_expires: s(300),
            max_contacts: 10,
            nameservers: Vec::new(),
            proxies: Vec::new(),
            drain: s(30),
            ladder: 200,
            ladder_kept: Duration::from_secs(86_400),
        },
        guard: Guard { ban: s(600) },
        media: Media {
            listen: any,
            advertise: Advertised::default(),
            ports: 20_000..=20_999,
            workers: 1,
            io: Default::default(),
            missing_after: s(3),
            dead_after: s(30),
            degraded_below: 3.6,
            hold_music: None,
            tones: None,
            codecs: crate::config::Codec::DEFAULT.to_vec(),
            srtp: Default::default(),
            ice: Default::default(),
        },
        http: Http { listen: SocketAddr::new(any, 8080), secure: None, origins: Vec::new() },
        turn: None,
        tls: None,
        recording: Recording {
            folder: "recordings".into(),
            inbound: Record::Always,
            outbound: Record::Always,
            internal: Record::Never,
            longest_pause: Duration::from_secs(300),
            sample_rate: RecordingRate::Narrow,
            announcement: None,
            refuse: None,
            supervisors: false,
        },
        spoken: BTreeMap::new(),
        codes: FeatureCodes::default(),
        park: Park::default(),
        voicemail: crate::config::Voicemail::default(),
        mailboxes: BTreeMap::new(),
        mail: None,
        webhooks: BTreeMap::new(),
        standards: crate::config::Standards::default(),
        classes: BTreeMap::new(),
        phones: BTreeMap::new(),
        teams: BTreeMap::new(),
        agents: agents.into_iter().map(|a| (a.staff_number.clone(), a)).collect(),
        queues: queues.into_iter().map(|q| (q.name.clone(), q)).collect(),
        extensions: BTreeMap::new(),
        trunks: BTreeMap::new(),
        inbound: vec![],
        outbound: vec![],
        menus: BTreeMap::new(),
        prompts: vec![],
        users: vec![],
    }
}

pub(super) fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn caller(n: u64) -> ConversationId {
    ConversationId::from_parts(n, 0)
}

pub(super) fn at(seconds: u64) -> Now {
    Now { mono: Mono::from_millis(seconds * 1_000), wall: Wall::from_micros(1_795_338_000_000_000) + s(seconds) }
}

/// Phones and conversations as a test sets them.
#[derive(Default)]
pub(super) struct Hall {
    pub registered: BTreeSet<Number>,
    pub elsewhere: BTreeMap<Number, Elsewhere>,
    pub talks: BTreeSet<(Number, ConversationId)>,
    pub gone: BTreeSet<ConversationId>,
}

impl Floor for Hall {
    fn registered(&self, phone: &Number) -> bool {
        self.registered.contains(phone)
    }

    fn elsewhere(&self, phone: &Number) -> Elsewhere {
        self.elsewhere.get(phone).copied().unwrap_or(Elsewhere::Nothing)
    }

    fn talks(&self, phone: &Number, caller: ConversationId) -> bool {
        self.talks.contains(&(phone.clone(), caller))
    }

    fn present(&self, caller: ConversationId) -> bool {
        !self.gone.contains(&caller)
    }
}

/// An acd with its floor, driven second by second.
struct Centre {
    acd: Acd,
    hall: Hall,
    config: Config,
}

impl Centre {
    /// Agents 1, 2, 3 … at phones 201, 202, 203 …, all registered, in one queue "support".
    fn of(agents: usize) -> Self {
        let staff: Vec<Agent> = (1..=agents).map(|n| agent(&n.to_string(), &(200 + n).to_string())).collect();
        let numbers: Vec<String> = staff.iter().map(|a| a.staff_number.to_string()).collect();
        let in_queue: Vec<&str> = numbers.iter().map(String::as_str).collect();
        Centre::with(config(vec![queue("support", &in_queue)], staff))
    }

    fn with(config: Config) -> Self {
        let hall = Hall { registered: config.agents.values().flat_map(|a| a.phones.clone()).collect(), ..Hall::default() };
        let acd = Acd::new(&config, Snapshot::default(), Chance::seeded([1; 32]), at(0));
        let mut centre = Centre { acd, hall, config };
        centre.settle(0);
        centre
    }

    fn settle(&mut self, second: u64) -> Vec<Action> {
        let mut out = Vec::new();
        self.acd.settle(&self.hall, at(second), &mut out);
        out
    }

    fn offers(&mut self, second: u64) -> Vec<Offer> {
        self.settle(second).into_iter().filter_map(|a| if let Action::Offer(o) = a { Some(o) } else { None }).collect()
    }

    fn enter(&mut self, n: u64, second: u64) {
        self.acd.enter(&"support".into(), Arriving::new(caller(n), at(second).mono), at(second)).unwrap();
    }

    fn answer(&mut self, offer: &Offer, second: u64) -> Answered {
        let call = offer.entry.conversation().unwrap();
        self.hall.talks.insert((offer.phones[0].clone(), call));
        self.acd.answered(offer.id, &offer.phones[0], call, at(second)).unwrap()
    }

    fn state(&self, staff_number: &str) -> AgentState {
        self.acd.agent_state(&staff_number.into(), &self.hall).unwrap()
    }

    fn kind(&self, staff_number: &str) -> StateKind {
        self.state(staff_number).kind()
    }
}

fn who(offers: &[Offer]) -> Vec<(&str, u64)> {
    offers.iter().map(|o| (o.agent.as_str(), o.entry.conversation().map_or(0, |c| c.timestamp_ms()))).collect()
}

#[test]
fn the_longest_idle_agent_is_offered_first_and_ties_go_by_staff_number() {
    let mut c = Centre::of(3);
    c.enter(1, 1);
    let first = c.offers(1);
    assert_eq!(who(&first), [("1", 1)]);
    c.answer(&first[0], 2);
    c.hall.talks.clear();
    c.settle(3);
    assert_eq!(c.kind("1"), StateKind::WrapUp);
    c.settle(13);
    for n in 2..=4 {
        c.enter(n, 20);
    }
    assert_eq!(who(&c.offers(20)), [("2", 2), ("3", 3), ("1", 4)]);
}

#[test]
fn an_offer_shows_the_queues_title_and_lasts_three_rings() {
    let mut c = Centre::of(1);
    c.enter(1, 0);
    let offer = c.offers(2).remove(0);
    assert_eq!((offer.title.as_str(), offer.phones[0].as_str()), ("SUPPORT", "201"));
    assert_eq!((offer.until.since(offer.began), offer.waited), (s(15), s(2)));
    assert_eq!(c.acd.deadline(), Some(offer.until));
}

#[test]
fn an_unanswered_offer_ends_by_itself_and_the_caller_keeps_the_place() {
    let mut c = Centre::of(1);
    c.enter(1, 0);
    c.enter(2, 1);
    let offer = c.offers(1).remove(0);
    let told = c.settle(16);
    assert!(matches!(&told[0], Action::OfferEnded { offer: o, end: OfferEnd::NoAnswer, rang } if *o == offer && *rang == s(15)));
    assert_eq!(c.state("1"), AgentState::Unanswered { until: at(46).mono });
    assert_eq!(c.acd.position(caller(1)), Some((&"support".into(), 1)));
    assert!(c.offers(45).is_empty());
    assert_eq!(who(&c.offers(46)), [("1", 1)], "ready again without anybody's help, for the same caller first");
}

#[test]
fn a_colleague_takes_an_offer_and_nobody_is_the_worse_for_it() {
    let mut c = Centre::of(3);
    c.enter(1, 0);
    c.enter(2, 1);
    let offers = c.offers(1);
    assert_eq!(who(&offers), [("1", 1), ("2", 2)]);
    // The second one takes the first one's, while it is rung itself.
    c.hall.talks.insert(("202".into(), caller(1)));
    let answered = c.acd.picked_up(offers[0].id, &"2".into(), &"202".into(), caller(1), at(3)).unwrap();
    assert_eq!((answered.offer.entry, answered.stay.waited, answered.rang), (caller(1).into(), s(3), s(2)));
    assert!(c.acd.is_talking(&"2".into()));
    let told = c.settle(3);
    assert!(told.iter().any(|a| matches!(a, Action::OfferEnded { offer, end: OfferEnd::OtherCall, .. } if *offer == offers[1])));
    let next: Vec<Offer> = told.into_iter().filter_map(|a| if let Action::Offer(o) = a { Some(o) } else { None }).collect();
    assert_eq!(who(&next), [("1", 2)], "whose phone rang in vain is still idle for longest, and has the caller who was left");
    // Nobody has two; one's own offer is answered, not picked up; and an offer is picked up once.
    assert!(c.acd.picked_up(next[0].id, &"2".into(), &"202".into(), caller(1), at(4)).is_none());
    assert!(c.acd.picked_up(next[0].id, &"1".into(), &"201".into(), caller(1), at(4)).is_none());
    assert!(c.acd.picked_up(offers[0].id, &"3".into(), &"203".into(), caller(1), at(4)).is_none());
    c.hall.talks.clear();
    c.settle(60);
    assert_eq!(c.kind("2"), StateKind::WrapUp);
}

#[test]
fn who_rested_stands_at_the_end_of_the_line_of_the_idle() {
    let mut c = Centre::of(2);
    c.enter(1, 0);
    assert_eq!(who(&c.offers(0)), [("1", 1)]);
    let second = c.offers(15);
    assert_eq!(who(&second), [("2", 1)]);
    c.answer(&second[0], 16);
    c.hall.talks.clear();
    c.settle(17);
    c.settle(60);
    c.enter(2, 60);
    assert_eq!(who(&c.offers(60)), [("2", 2)], "2 is idle since 27, 1 since 45");
}

#[test]
fn a_late_answer_finds_no_offer() {
    let mut c = Centre::of(1);
    c.enter(1, 0);
    let offer = c.offers(0).remove(0);
    c.settle(15);
    assert_eq!(c.acd.answered(offer.id, &offer.phones[0], caller(1), at(16)), None);
    c.acd.declined(offer.id, Why::Busy, at(16));
    assert_eq!(c.state("1"), AgentState::Unanswered { until: at(45).mono }, "a late report moves no deadline");
}

#[test]
fn a_phone_that_refuses_at_once_is_not_offered_in_a_circle() {
    let mut c = Centre::of(1);
    c.config.queues.get_mut("support").unwrap().rest_after_unanswered = Duration::ZERO;
    c.acd.reconfigure(&c.config, at(0));
    c.enter(1, 0);
    let offer = c.offers(0).remove(0);
    c.acd.declined(offer.id, Why::Unreachable, at(0));
    assert!(c.offers(0).is_empty());
    assert_eq!(c.offers(1).len(), 1);
}

#[test]
fn a_caller_who_hangs_up_stops_the_ringing_and_costs_the_agent_nothing() {
    let mut c = Centre::of(2);
    c.enter(1, 0);
    let offer = c.offers(3).remove(0);
    let left = c.acd.abandon(caller(1), at(5)).unwrap();
    assert_eq!((left.waited, left.short), (s(5), true));
    let told = c.settle(5);
    assert!(matches!(&told[0], Action::OfferEnded { offer: o, end: OfferEnd::CallerLeft, .. } if *o == offer));
    assert_eq!(c.state("1"), AgentState::Ready { since: at(0).mono }, "the place in the line of the idle is kept");
    assert_eq!(c.acd.abandon(caller(1), at(6)), None);
    assert_eq!(c.acd.queue(&"support".into(), &c.hall, at(6)).unwrap().tally.abandoned_short, 1);
}

#[test]
fn an_agent_who_unregisters_while_it_rings_gives_the_caller_to_the_next() {
    let mut c = Centre::of(2);
    c.enter(1, 0);
    c.settle(0);
    c.hall.registered.remove("201");
    assert_eq!(who(&c.offers(1)), [("2", 1)]);
    assert_eq!(c.kind("1"), StateKind::NotRegistered);
}

#[test]
fn a_pause_while_it_rings_takes_the_offer_back_and_names_its_reason() {
    let mut c = Centre::of(1);
    c.enter(1, 0);
    c.settle(0);
    c.acd.set(&"1".into(), Wanted::Paused { reason: Some("lunch".into()) }, at(1)).unwrap();
    let told = c.settle(1);
    assert!(matches!(&told[0], Action::OfferEnded { end: OfferEnd::AgentLeft, .. }));
    assert_eq!(c.state("1"), AgentState::Paused { reason: Some("lunch".into()) });
    c.acd.set(&"1".into(), Wanted::Ready, at(2)).unwrap();
    assert_eq!(c.offers(2).len(), 1);
    assert!(c.acd.set(&"9".into(), Wanted::Ready, at(2)).is_err());
}

#[test]
fn a_pause_during_the_call_begins_after_the_wrap_up_and_ready_ends_the_wrap_up() {
    let mut c = Centre::of(1);
    c.enter(1, 0);
    let offer = c.offers(0).remove(0);
    c.answer(&offer, 1);
    c.acd.set(&"1".into(), Wanted::Paused { reason: None }, at(2)).unwrap();
    c.settle(2);
    assert_eq!(c.kind("1"), StateKind::Talking);
    c.hall.talks.clear();
    c.settle(3);
    assert_eq!(c.state("1"), AgentState::WrapUp { queue: "support".into(), until: at(13).mono });
    c.settle(13);
    assert_eq!(c.kind("1"), StateKind::Paused);
    c.acd.set(&"1".into(), Wanted::Ready, at(14)).unwrap();
    c.hall.talks.clear();
    c.enter(2, 14);
    let offer = c.offers(14).remove(0);
    c.answer(&offer, 15);
    c.hall.talks.clear();
    c.settle(16);
    c.acd.set(&"1".into(), Wanted::Ready, at(17)).unwrap();
    assert_eq!(c.kind("1"), StateKind::Ready);
}

#[test]
fn a_phone_that_answers_and_hangs_up_at_once_leaves_nothing_behind() {
    let mut c = Centre::of(1);
    c.enter(1, 0);
    let offer = c.offers(0).remove(0);
    c.acd.answered(offer.id, &offer.phones[0], caller(1), at(1)).unwrap();
    c.settle(1);
    assert_eq!(c.kind("1"), StateKind::WrapUp);
    c.settle(11);
    assert_eq!(c.kind("1"), StateKind::Ready);
    assert_eq!(c.acd.deadline(), None);
}

#[test]
fn an_agent_on_another_call_is_not_offered_and_then_stands_at_the_end() {
    let mut c = Centre::of(2);
    c.hall.elsewhere.insert("201".into(), Elsewhere::Talks);
    c.settle(1);
    assert_eq!(c.kind("1"), StateKind::Busy);
    c.hall.elsewhere.clear();
    c.settle(9);
    c.enter(1, 10);
    assert_eq!(who(&c.offers(10)), [("2", 1)]);
}

#[test]
fn a_colleague_who_rings_an_offered_phone_does_not_take_the_offer_away() {
    let mut c = Centre::of(1);
    c.enter(1, 0);
    c.settle(0);
    c.hall.elsewhere.insert("201".into(), Elsewhere::Rings);
    assert!(c.settle(1).is_empty());
    c.hall.elsewhere.insert("201".into(), Elsewhere::Talks);
    assert!(matches!(&c.settle(2)[0], Action::OfferEnded { end: OfferEnd::OtherCall, .. }));
    assert_eq!(c.kind("1"), StateKind::Busy);
}

#[test]
fn an_agent_in_several_queues_takes_the_caller_who_came_first() {
    let mut c = Centre::with(config(vec![queue("a", &["1"]), queue("b", &["1"])], vec![agent("1", "201")]));
    c.acd.enter(&"b".into(), Arriving::new(caller(1), at(1).mono), at(1)).unwrap();
    c.acd.enter(&"a".into(), Arriving::new(caller(2), at(2).mono), at(2)).unwrap();
    assert_eq!(who(&c.offers(3)), [("1", 1)]);
}

#[test]
fn a_caller_who_comes_from_another_queue_keeps_the_time_of_arrival() {
    let mut c = Centre::of(1);
    c.enter(1, 5);
    let entered = c.acd.enter(&"support".into(), Arriving::new(caller(2), at(1).mono), at(6)).unwrap();
    assert_eq!(entered.position, 1);
    assert_eq!(who(&c.offers(6)), [("1", 2)]);
    c.acd.withdraw(caller(2), at(8));
    let view = c.acd.queue(&"support".into(), &c.hall, at(8)).unwrap();
    assert_eq!((view.waiting.len(), view.longest_wait, view.tally.moved), (1, Some(s(3)), 1));
}

#[test]
fn two_agents_at_one_phone_have_one_call() {
    let mut c = Centre::with(config(vec![queue("support", &["1", "2"])], vec![agent("1", "201"), agent("2", "201")]));
    c.enter(1, 0);
    c.enter(2, 0);
    assert_eq!(who(&c.offers(0)), [("1", 1)]);
    assert_eq!(c.kind("2"), StateKind::Busy);
    assert_eq!(c.acd.agent_at(&"201".into()), Some(&"1".into()));
}

#[test]
fn who_waits_too_long_goes_to_the_overflow_but_not_while_a_phone_rings() {
    let mut q = queue("support", &["1"]);
    q.max_wait = Some(s(10));
    q.overflow = Place::Menu("sorry".into());
    let mut c = Centre::with(config(vec![q], vec![agent("1", "201")]));
    c.enter(1, 0);
    c.enter(2, 0);
    c.settle(0);
    let told = c.settle(10);
    let over = |a: &Action| if let Action::Overflow { entry, to, why, .. } = a { Some((*entry, to.clone(), *why)) } else { None };
    let sorry = Place::Menu("sorry".into());
    assert_eq!(told.iter().filter_map(over).collect::<Vec<_>>(), [(caller(2).into(), sorry.clone(), OverflowWhy::MaxWait)]);
    let told = c.settle(15);
    assert_eq!(told.iter().filter_map(over).collect::<Vec<_>>(), [(caller(1).into(), sorry, OverflowWhy::MaxWait)]);
}

#[test]
fn a_reload_moves_no_wrap_up_and_ends_no_offer() {
    let mut c = Centre::of(2);
    c.enter(1, 0);
    let offer = c.offers(0).remove(0);
    c.answer(&offer, 1);
    c.hall.talks.clear();
    c.settle(2);
    c.enter(2, 2);
    let ringing = c.offers(2).remove(0);
    let q = c.config.queues.get_mut("support").unwrap();
    (q.wrap_up, q.rings, q.agents) = (s(99), 1, vec!["1".into()]);
    c.config.agents.get_mut("2").unwrap().phones = vec!["299".into()];
    c.acd.reconfigure(&c.config, at(3));
    assert_eq!(c.settle(3), []);
    assert_eq!(c.state("1"), AgentState::WrapUp { queue: "support".into(), until: at(12).mono });
    assert_eq!(c.state("2"), AgentState::Offered { entry: caller(2).into(), queue: "support".into(), until: ringing.until });
    assert_eq!(c.answer(&ringing, 4).offer.phones[0].as_str(), "202");
}

#[test]
fn a_removed_queue_drains_into_its_overflow_and_a_removed_agent_ends_the_call_first() {
    let mut c = Centre::of(1);
    c.enter(1, 0);
    let offer = c.offers(0).remove(0);
    c.enter(2, 0);
    c.config.queues.clear();
    c.config.agents.clear();
    c.acd.reconfigure(&c.config, at(1));
    let told = c.settle(1);
    assert!(matches!(&told[..], [Action::Overflow { entry, why: OverflowWhy::QueueRemoved, .. }] if *entry == caller(2).into()));
    assert!(c.acd.enter(&"support".into(), Arriving::new(caller(3), at(1).mono), at(1)).is_err());
    c.answer(&offer, 2);
    c.settle(2);
    assert_eq!(c.kind("1"), StateKind::Talking);
    assert!(c.acd.queues(&c.hall, at(2)).is_empty());
    c.hall.talks.clear();
    let told = c.settle(3);
    assert!(matches!(&told[..], [Action::AgentChanged { to: AgentState::Offline, .. }]));
    assert!(c.acd.agents(&c.hall).is_empty());
}

/// With the place and the time that it had: late is late, and no second stands in the sum twice.
#[test]
fn a_caller_who_comes_back_has_its_place_and_the_time_that_it_waited() {
    let mut c = Centre::of(1);
    c.acd.set(&"1".into(), Wanted::Paused { reason: None }, at(0)).unwrap();
    c.enter(1, 0);
    c.acd.set(&"1".into(), Wanted::Ready, at(30)).unwrap();
    let offer = c.offers(30).remove(0);
    let stay = c.answer(&offer, 32).stay;
    assert_eq!((stay.arrived, stay.waited), (at(0).mono.into(), s(32)));
    c.enter(2, 40);
    c.hall.talks.clear();
    assert!(c.settle(100).is_empty() || c.kind("1") == StateKind::WrapUp);
    assert_eq!(c.acd.enter_again(&stay, caller(1), at(100)).unwrap().position, 1, "before who came later");
    let view = c.acd.queue(&"support".into(), &c.hall, at(101)).unwrap();
    assert_eq!(view.longest_wait, Some(s(61)), "the other's; this one has waited 33 s, and talked between");
    c.acd.set(&"1".into(), Wanted::Ready, at(104)).unwrap();
    let offer = c.offers(104).remove(0);
    assert_eq!((offer.entry, offer.waited), (caller(1).into(), s(36)));
    assert_eq!(c.answer(&offer, 106).stay.waited, s(38));
    let tally = c.acd.queue(&"support".into(), &c.hall, at(106)).unwrap().tally;
    assert_eq!((tally.answered, tally.answered_in_time, tally.answered_wait), (2, 0, s(38)));
    // Who gives up after all that has not called by mistake.
    c.hall.talks.clear();
    c.acd.enter_again(&stay, caller(1), at(200)).unwrap();
    assert!(!c.acd.abandon(caller(1), at(201)).unwrap().short);
}

#[test]
fn a_caller_whose_conversation_is_gone_is_no_ghost() {
    let mut c = Centre::of(1);
    c.enter(1, 0);
    c.settle(0);
    c.hall.gone.insert(caller(1));
    let told = c.settle(2);
    assert!(told.iter().any(|a| matches!(a, Action::Vanished(left) if left.entry == caller(1).into())));
    assert!(told.iter().any(|a| matches!(a, Action::OfferEnded { end: OfferEnd::CallerLeft, .. })));
    assert_eq!(c.kind("1"), StateKind::Ready);
}

#[test]
fn what_agents_wanted_and_the_days_figures_outlive_the_process() {
    let mut c = Centre::of(2);
    c.acd.set(&"2".into(), Wanted::Paused { reason: Some("lunch".into()) }, at(1)).unwrap();
    c.enter(1, 1);
    let offer = c.offers(1).remove(0);
    c.answer(&offer, 2);
    let text = serde_json::to_string(&c.acd.snapshot()).unwrap();
    let again = Acd::new(&c.config, serde_json::from_str(&text).unwrap(), Chance::seeded([1; 32]), at(3));
    assert_eq!(again.snapshot(), c.acd.snapshot());
    let view = again.queue(&"support".into(), &c.hall, at(3)).unwrap();
    assert_eq!(view.tally.service_level(Formula::F3), Some(1.0));
    assert_eq!(view.agents, BTreeMap::from([(StateKind::Ready, 1), (StateKind::Paused, 1)]));
}

#[test]
fn the_figures_start_anew_at_the_sites_midnight() {
    let mut c = Centre::of(1);
    c.enter(1, 0);
    c.acd.abandon(caller(1), at(1)).unwrap();
    // 10:00 in Berlin; 14 hours later it is midnight there and 23:00 in Greenwich.
    let entered = |c: &Centre, hours: u64| c.acd.queue(&"support".into(), &c.hall, at(hours * 3_600)).unwrap().tally.entered;
    assert_eq!((entered(&c, 13), entered(&c, 14)), (1, 0));
}

#[test]
fn changes_are_told_once() {
    let mut c = Centre::of(1);
    c.enter(1, 1);
    let told = c.settle(1);
    assert!(matches!(
        &told[..],
        [Action::Offer(_), Action::AgentChanged { from: AgentState::Ready { .. }, to: AgentState::Offered { .. }, .. }]
    ));
    assert_eq!(c.settle(1), []);
}
