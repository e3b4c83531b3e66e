//! How calls sound over bad networks, and why nothing is heard.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::event::{Kind, MissingCause};
use cordboard::media::{Quality, Way};
use cordboard::rtp::rtcp;
use cordboard::switch::{Answer, Command};

use crate::sim::Sim;
use crate::sim::network::Weather;

const SECOND: Duration = Duration::from_secs(1);

fn talking(seed: u8) -> (Sim, SocketAddr, SocketAddr) {
    let mut sim = Sim::new(seed);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    sim.run_for(20 * SECOND);
    (sim, phone, trunk)
}

fn ended(mut sim: Sim, trunk: SocketAddr) -> (Sim, Vec<Quality>) {
    sim.network.weather = Weather::default();
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("told", |s| s.has("call.ended"));
    let qualities = sim.ended()[0].legs.iter().filter_map(|l| l.quality).collect();
    sim.assert_clean();
    (sim, qualities)
}

fn causes(sim: &Sim) -> Vec<(bool, MissingCause)> {
    let told = sim.events.iter().filter_map(|e| match &e.kind {
        Kind::MediaMissing(m) => Some((true, m.cause?)),
        Kind::MediaPresent(m) => Some((false, m.cause?)),
        _ => None,
    });
    told.collect()
}

fn degraded(sim: &mut Sim) -> u64 {
    let Answer::Status(status) = sim.ask(Command::Status) else { panic!("status") };
    status.legs_degraded
}

#[test]
fn a_good_network_is_rated_so_from_end_to_end() {
    let (sim, _, trunk) = talking(1);
    let (sim, qualities) = ended(sim, trunk);
    assert_eq!(qualities.len(), 2);
    for q in qualities {
        assert!(q.mos.unwrap_or_default() > 4.35 && q.rating.unwrap_or_default() > 90.0, "{q:?}");
        assert_eq!((q.packets_lost, q.packets_discarded, q.burst_ms, q.worst_mos), (0, 0, 0.0, q.mos));
    }
    assert_eq!((sim.count("media.degraded"), sim.count("media.missing")), (0, 0));
}

#[test]
fn loss_degrades_both_legs_until_it_is_over() {
    let (mut sim, _, trunk) = talking(2);
    sim.network.weather = Weather { lost: 200, ..Weather::default() };
    sim.run_for(20 * SECOND);
    assert_eq!((sim.count("media.degraded"), degraded(&mut sim)), (2, 2), "{}", sim.story());
    let first = sim.events.iter().find_map(|e| if let Kind::MediaDegraded(m) = &e.kind { Some(m.clone()) } else { None });
    let Some(first) = first else { panic!() };
    assert!((1.5..3.6).contains(&first.mos) && first.way == Some(Way::FromPeer), "{first:?}");
    sim.network.weather = Weather::default();
    sim.run_for(30 * SECOND);
    assert_eq!((sim.count("media.recovered"), degraded(&mut sim)), (2, 0), "{}", sim.story());
    let (mut sim, qualities) = ended(sim, trunk);
    for q in &qualities {
        assert!(q.packets_lost > 100 && q.burst_density > 0.1 && q.gap_density < 0.05, "{q:?}");
        assert!(q.worst_mos.unwrap_or(5.0) < 3.6 && q.mos > q.worst_mos, "{q:?}");
    }
    let Answer::Status(status) = sim.ask(Command::Status) else { panic!("status") };
    let lost: i64 = qualities.iter().map(|q| q.packets_lost).sum();
    assert_eq!(status.counters["media_packets_lost_total"], lost as u64);
    assert_eq!((status.counters["media_legs_rated_total"], status.counters["media_degraded_total"]), (2, 2));
    let mean = status.counters["media_mos_hundredths_total"] as f64 / 200.0;
    assert!((2.0..4.4).contains(&mean), "{mean}");
}

#[test]
fn jitter_that_no_buffer_can_bear_degrades_although_nothing_is_lost() {
    let (mut sim, _, trunk) = talking(3);
    sim.network.weather = Weather { jitter: Duration::from_millis(60), ..Weather::default() };
    sim.run_for(30 * SECOND);
    assert_eq!(sim.count("media.degraded"), 0, "a buffer bears this\n{}", sim.story());
    sim.network.weather = Weather { jitter: Duration::from_millis(250), ..Weather::default() };
    sim.run_for(30 * SECOND);
    assert_eq!(sim.count("media.degraded"), 2, "{}", sim.story());
    let (_, qualities) = ended(sim, trunk);
    for q in qualities {
        assert!(q.packets_discarded > 100 && q.jitter_ms > 20.0, "{q:?}");
    }
}

#[test]
fn a_muted_phone_that_goes_on_sending_is_told_of_once_it_never_spoke() {
    let mut sim = Sim::new(4);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    // Zero of the µ-law.
    sim.act(phone, |p, _| p.byte = 0xff);
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    sim.run_for(15 * SECOND);
    assert_eq!(causes(&sim), []);
    sim.run_for(15 * SECOND);
    assert_eq!(causes(&sim), [(true, MissingCause::Silence)]);
    sim.act(phone, |p, _| p.byte = 0x21);
    sim.run_for(SECOND);
    assert_eq!(causes(&sim)[1..], [(false, MissingCause::Silence)]);
    ended(sim, trunk);
}

#[test]
fn whose_private_address_is_to_blame_is_said() {
    // The switch is at a private address, and gives it: to a phone next to it, and to one outside.
    for (seed, ip, cause) in
        [(5, [10, 1, 0, 201], MissingCause::NeverCame), (6, [203, 0, 113, 9], MissingCause::OurAddressIsPrivate)]
    {
        let mut sim = Sim::new(seed);
        let (phone, trunk) = (sim.phone_at("201", ip), sim.trunk());
        sim.act(phone, |p, _| p.mute = true);
        sim.act(trunk, |t, now| {
            t.call("+4930555201", now);
        });
        sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
        sim.run_for(10 * SECOND);
        assert_eq!(causes(&sim), [(true, cause)]);
        ended(sim, trunk);
    }
}

#[test]
fn what_a_phone_says_by_rtcp_names_the_cause() {
    let (mut sim, phone, trunk) = talking(7);
    sim.act(phone, |p, _| p.mute = true);
    sim.run_for(SECOND);
    sim.act(phone, |p, _| p.report(&rtcp::compound(9, None, None, "x", false)));
    sim.run_for(5 * SECOND);
    assert_eq!(causes(&sim), [(true, MissingCause::OnlyReports)]);
    sim.act(phone, |p, _| p.mute = false);
    sim.run_for(SECOND);
    assert_eq!(causes(&sim)[1..], [(false, MissingCause::OnlyReports)]);
    // It speaks, and its reports count nothing of what it is sent.
    for _ in 0..4 {
        sim.run_for(5 * SECOND);
        sim.act(phone, |p, _| p.report(&rtcp::compound(9, None, None, "x", false)));
    }
    sim.run_for(5 * SECOND);
    assert_eq!(causes(&sim)[2..], [(true, MissingCause::Unheard)]);
    let (mut sim, _) = ended(sim, trunk);
    let Answer::Status(status) = sim.ask(Command::Status) else { panic!("status") };
    for cause in ["only_reports", "unheard"] {
        assert_eq!(status.counters[&format!("media_missing_total{{cause=\"{cause}\"}}")], 1);
    }
}
