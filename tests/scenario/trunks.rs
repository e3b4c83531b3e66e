//! How trunks are, and which is chosen by that: probes, registrations, limits, priorities.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::config::Source;
use cordboard::event::{Kind, TroubleKind, TrunkDown, TrunkFailure};
use cordboard::sip::{ConnectionId, Transport};
use cordboard::switch::command::TrunkView;
use cordboard::switch::{Answer, Command, Input};

use crate::sim::ua::{OnInvite, Ua};
use crate::sim::{Sim, centre, server};

const SECOND: Duration = Duration::from_secs(1);

/// The centre with this changed in its configuration.
fn centre_with(changes: &[(&str, &str)]) -> Source {
    let mut source = centre();
    for (old, new) in changes {
        assert!(source.main.text.contains(old), "{old}");
        source.main.text = source.main.text.replace(old, new);
    }
    source
}

/// With `carrier` probed every 30 s, and `backup` not at all.
fn probed(seed: u8) -> (Sim, SocketAddr, SocketAddr, SocketAddr) {
    let source = centre_with(&[("peer = \"10.2.0.1\"\nprobe = \"off\"", "peer = \"10.2.0.1\"\nprobe = \"30s\"")]);
    let mut sim = Sim::with(seed, source);
    let carrier = sim.trunk();
    let backup = sim.add(Ua::trunk([10, 2, 0, 2].into()));
    let phone = sim.phone("210");
    (sim, phone, carrier, backup)
}

fn downs(sim: &Sim) -> Vec<TrunkDown> {
    sim.events.iter().filter_map(|e| if let Kind::TrunkDown(down) = &e.kind { Some(down.clone()) } else { None }).collect()
}

fn view(sim: &mut Sim, name: &str) -> TrunkView {
    let Answer::Trunks(all) = sim.ask(Command::Trunks) else { panic!("no list of trunks") };
    all.into_iter().find(|t| t.name.as_str() == name).expect("the trunk")
}

/// The next call outside rings at that trunk first.
#[track_caller]
fn goes_by(sim: &mut Sim, phone: SocketAddr, trunk: SocketAddr) {
    let before = sim.ua(trunk).invites.len();
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(trunk).is_up());
    assert_eq!(sim.ua(trunk).invites.len(), before + 1);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
}

#[test]
fn a_trunk_that_answers_503_or_nothing_is_down_until_it_answers_anything_else() {
    for (trouble, reason, status) in [
        (Some(503), TroubleKind::Refused, Some(503)),
        (Some(408), TroubleKind::Refused, Some(408)),
        (None, TroubleKind::Timeout, None),
    ] {
        let (mut sim, phone, carrier, backup) = probed(1);
        sim.run_until("it is up", |s| s.has("trunk.up"));
        assert_eq!((view(&mut sim, "carrier").state.as_str(), view(&mut sim, "backup").state.as_str()), ("up", "unknown"));
        match trouble {
            Some(status) => sim.act(carrier, |c, _| c.on_options = status),
            None => sim.act(carrier, |c, _| c.dead = true),
        }
        sim.run_until("it is down", |s| s.has("trunk.down"));
        let down = TrunkDown { trunk: "carrier".into(), reason, status, detail: None };
        assert_eq!(downs(&sim), [down]);
        let seen = view(&mut sim, "carrier");
        assert_eq!((seen.state.as_str(), seen.reason), ("down", Some(reason)));
        let Answer::Status(health) = sim.ask(Command::Status) else { panic!("no status") };
        assert!(health.degraded.contains_key("trunk carrier"), "{:?}", health.degraded);
        goes_by(&mut sim, phone, backup);
        assert!(sim.ua(carrier).invites.is_empty(), "the trunk that is down is behind the one that is up");
        sim.run_for(300 * SECOND);
        assert_eq!((downs(&sim).len(), sim.count("trunk.up")), (1, 1), "told once");
        // A method that it does not know is an answer too.
        sim.act(carrier, |c, _| (c.dead, c.on_options) = (false, 405));
        sim.run_until("it is up again", |s| s.count("trunk.up") == 2);
        goes_by(&mut sim, phone, carrier);
    }
}

#[test]
fn a_trunk_that_cannot_be_reached_is_down_and_is_tried_all_the_same_where_it_is_the_only_one() {
    let source = centre_with(&[
        ("peer = \"10.2.0.1\"\nprobe = \"off\"", "peer = \"10.2.0.1\"\nprobe = \"30s\""),
        ("trunk = [\"carrier\", \"backup\"]", "trunk = [\"carrier\"]"),
    ]);
    let mut sim = Sim::with(2, source);
    let (phone, carrier) = (sim.phone("210"), sim.trunk());
    sim.unreachable.insert(carrier);
    sim.run_until("it is down", |s| s.has("trunk.down"));
    assert_eq!(downs(&sim)[0].reason, TroubleKind::Unreachable);
    sim.unreachable.clear();
    goes_by(&mut sim, phone, carrier);
    assert_eq!(downs(&sim).len(), 1);
}

#[test]
fn probes_come_as_often_as_the_configuration_says_and_end_with_the_switch() {
    let (mut sim, _, carrier, backup) = probed(3);
    sim.run_until("the first", |s| s.ua(carrier).options == 1);
    sim.run_for(300 * SECOND);
    let asked = sim.ua(carrier).options;
    assert!((10..=11).contains(&asked), "{asked}");
    assert_eq!(sim.ua(backup).options, 0, "off");
    sim.input(cordboard::switch::Input::Drain);
    sim.run_for(300 * SECOND);
    assert_eq!(sim.ua(carrier).options, asked);
    sim.assert_clean();
}

/// RFC 5626 §4.5: later and later, by chance; RFC 3261 §20.33: not before it says.
#[test]
fn a_registration_that_fails_puts_the_trunk_last_and_is_tried_later_and_later() {
    let source = centre_with(&[(
        "peer = \"10.2.0.1\"\nprobe = \"off\"",
        "peer = \"10.2.0.1\"\nprobe = \"off\"\nuser = \"490301\"\nsecret = \"s\"\nregister = true",
    )]);
    let mut sim = Sim::with(4, source);
    let carrier = sim.trunk();
    let backup = sim.add(Ua::trunk([10, 2, 0, 2].into()));
    let phone = sim.phone("210");
    sim.run_until("it is up", |s| s.has("trunk.up"));
    assert_eq!(view(&mut sim, "carrier").registered, Some(true));
    sim.act(carrier, |c, _| c.on_register = 403);
    sim.run_until("it is down", |s| s.has("trunk.down"));
    assert_eq!(downs(&sim)[0].reason, TroubleKind::Registration);
    goes_by(&mut sim, phone, backup);
    let failures = |s: &Sim| -> Vec<TrunkFailure> {
        s.events
            .iter()
            .filter_map(|e| if let Kind::TrunkRegistrationFailed(f) = &e.kind { Some(f.clone()) } else { None })
            .collect()
    };
    sim.run_until("five failures", |s| failures(s).len() == 5);
    let pauses: Vec<u64> = failures(&sim).iter().map(|f| f.retry_in_s).collect();
    for (pause, most) in pauses.iter().zip([30, 60, 120, 240, 480]) {
        assert!((most / 2 - 1..=most).contains(pause), "{pauses:?}");
    }
    assert!(pauses.iter().any(|p| !p.is_multiple_of(15)), "no chance in it: {pauses:?}");
    sim.act(carrier, |c, _| c.retry_after = Some(1_200));
    sim.run_until("one more", |s| failures(s).len() == 6);
    assert!((1_200..=1_320).contains(&failures(&sim)[5].retry_in_s), "{:?}", failures(&sim));
    let asked = sim.ua(carrier).registers;
    sim.run_for(1_199 * SECOND);
    assert_eq!(sim.ua(carrier).registers, asked, "before the time that it said");
    sim.act(carrier, |c, _| (c.on_register, c.retry_after) = (200, None));
    sim.run_until("it is up again", |s| s.count("trunk.up") == 2);
    goes_by(&mut sim, phone, carrier);
    assert_eq!((downs(&sim).len(), sim.ua(backup).invites.len()), (1, 1));
    sim.set(carrier, OnInvite::Refuse(486));
}

/// The centre with a registration at `carrier`, which asks for an hour.
fn registers(seed: u8, more: &str) -> (Sim, SocketAddr) {
    let lines = format!(
        "peer = \"10.2.0.1\"\n{}user = \"490301\"\nsecret = \"s\"\nregister = true\nrefresh = \"1h\"\n{more}",
        if more.contains("probe") { "" } else { "probe = \"off\"\n" }
    );
    let mut sim = Sim::with(seed, centre_with(&[("peer = \"10.2.0.1\"\nprobe = \"off\"", &lines)]));
    let carrier = sim.trunk();
    (sim, carrier)
}

/// RFC 3261 §10.2.4: a registrar behind whose NAT handling we stand lists another contact than ours.
#[test]
fn a_registration_is_kept_up_where_the_registrar_lists_our_contact_as_it_sees_it() {
    let (mut sim, carrier) = registers(17, "");
    sim.act(carrier, |c, _| c.lists = Some("<sip:490301@203.0.113.9:31022>;expires=60".to_owned()));
    sim.run_until("it is up", |s| s.has("trunk.up"));
    let asked = sim.ua(carrier).registers;
    sim.run_for(600 * SECOND);
    let renewed = sim.ua(carrier).registers - asked;
    assert!((18..=24).contains(&renewed), "{renewed} refreshes of 60 s in ten minutes");
    assert!(!sim.has("trunk.down"), "{}", sim.story());
}

/// RFC 5626 §4.5.
#[test]
fn a_registration_is_made_anew_when_its_connection_is_gone_and_a_flapping_one_is_no_flood() {
    let (mut sim, carrier) = registers(18, "");
    sim.connection = Some(ConnectionId(77));
    sim.run_until("it is up", |s| s.has("trunk.up"));
    sim.run_for(60 * SECOND);
    assert_eq!(sim.ua(carrier).registers, 1);
    sim.input(Input::ConnectionClosed { connection: ConnectionId(76) });
    sim.run_for(60 * SECOND);
    assert_eq!(sim.ua(carrier).registers, 1, "another one's connection");
    sim.input(Input::ConnectionClosed { connection: ConnectionId(77) });
    sim.run_for(3 * SECOND);
    assert_eq!(sim.ua(carrier).registers, 2);
    for _ in 0..600 {
        sim.input(Input::ConnectionClosed { connection: ConnectionId(77) });
        sim.run_for(SECOND);
    }
    let asked = sim.ua(carrier).registers - 2;
    assert!((3..=6).contains(&asked), "{asked} in ten minutes");
    assert!(!sim.has("trunk.down"));
}

/// RFC 3261 §10.2.2: what was registered before is taken back in the same request.
#[test]
fn a_registration_is_made_anew_when_our_address_changes() {
    let (mut sim, carrier) = registers(19, "");
    sim.run_until("it is up", |s| s.has("trunk.up"));
    sim.run_for(120 * SECOND);
    assert_eq!(sim.ua(carrier).registers, 1);
    sim.local = Some([10, 0, 0, 9].into());
    // Until the address is asked for again, and a little.
    sim.run_for(63 * SECOND);
    let last = sim.ua(carrier).accepted.last().cloned();
    let contacts = ["<sip:490301@10.0.0.9:5060>", "<sip:490301@10.0.0.1:5060>;expires=0"].map(str::to_owned).to_vec();
    assert_eq!(last, Some((contacts, Some(3_600))));
    sim.run_for(600 * SECOND);
    assert_eq!(sim.ua(carrier).registers, 2, "once");
}

#[test]
fn a_registration_is_made_anew_when_the_trunk_has_come_back() {
    let (mut sim, carrier) = registers(20, "probe = \"30s\"\n");
    sim.run_until("it is up", |s| s.has("trunk.up"));
    sim.act(carrier, |c, _| c.dead = true);
    sim.run_until("it is down", |s| s.has("trunk.down"));
    assert_eq!(sim.ua(carrier).registers, 1);
    sim.act(carrier, |c, _| c.dead = false);
    sim.run_until("it is up again", |s| s.count("trunk.up") == 2);
    sim.run_for(3 * SECOND);
    assert_eq!(sim.ua(carrier).registers, 2);
}

/// RFC 3261 §10.2.2, with a carrier that takes each nonce once.
#[test]
fn a_registration_is_taken_back_at_the_end_although_the_carrier_asks_for_proof_anew() {
    let (mut sim, carrier) = registers(21, "");
    sim.act(carrier, |c, _| c.one_nonce_each = true);
    sim.run_until("it is up", |s| s.has("trunk.up"));
    sim.input(Input::Drain);
    assert!(!sim.switch.is_quiet(), "the answer is awaited");
    sim.run_until("nothing is awaited", |s| s.switch.is_quiet());
    let last = sim.ua(carrier).accepted.last().cloned();
    assert_eq!(last, Some((vec!["<sip:490301@10.0.0.1:5060>".to_owned()], Some(0))));
    sim.run_for(4_000 * SECOND);
    assert_eq!(sim.ua(carrier).accepted.len(), 2, "and not registered again");
}

/// RFC 3261 §10.2.2: by UDP, and by the connection that it was made by.
#[test]
fn a_reload_takes_back_the_registration_of_a_trunk_that_is_gone_or_registers_no_more() {
    let trunk = "peer = \"10.2.0.1\"\nprobe = \"off\"\nuser = \"490301\"\nsecret = \"s\"\nregister = true\nrefresh = \"1h\"\n";
    let no_more = "peer = \"10.2.0.1\"\nprobe = \"off\"\nuser = \"490301\"\nsecret = \"s\"\n";
    let elsewhere = trunk.replace("10.2.0.1", "10.2.0.2");
    for transport in ["udp", "tcp"] {
        for (what, lines) in [("not registered", no_more.to_owned()), ("elsewhere", elsewhere.clone())] {
            let transport = format!("transport = \"{transport}\"\n");
            let (mut sim, carrier) = registers(151, &transport);
            sim.act(carrier, |c, _| c.one_nonce_each = true);
            sim.run_until("it is up", |s| s.has("trunk.up"));
            sim.reload(centre_with(&[("peer = \"10.2.0.1\"\nprobe = \"off\"\n", &(lines + &transport))]));
            sim.run_for(10 * SECOND);
            let contact = match transport.contains("tcp") {
                true => "<sip:490301@10.0.0.1:5060;transport=tcp>",
                false => "<sip:490301@10.0.0.1:5060>",
            };
            let last = sim.ua(carrier).accepted.last().cloned();
            assert_eq!(last, Some((vec![contact.to_owned()], Some(0))), "{what} {transport}");
            sim.run_for(4_000 * SECOND);
            assert_eq!(sim.ua(carrier).accepted.len(), 2, "{what} {transport}");
        }
    }
}

#[test]
fn an_account_that_another_trunk_registers_after_a_reload_is_not_taken_back() {
    let (mut sim, carrier) = registers(152, "");
    sim.run_until("it is up", |s| s.has("trunk.up"));
    // Asked for by another secret, and a longer time: the same account.
    let lines = "peer = \"10.2.0.1\"\nprobe = \"off\"\nuser = \"490301\"\nsecret = \"t\"\nregister = true\nrefresh = \"2h\"\n";
    sim.reload(centre_with(&[("peer = \"10.2.0.1\"\nprobe = \"off\"\n", lines)]));
    sim.run_for(60 * SECOND);
    let asked: Vec<Option<u32>> = sim.ua(carrier).accepted.iter().map(|(_, expires)| *expires).collect();
    assert_eq!(asked, [Some(3_600), Some(7_200)]);
    // By another transport the Contact is another one: the old one goes with the new REGISTER.
    let lines = format!("{lines}transport = \"tcp\"\n");
    sim.reload(centre_with(&[("peer = \"10.2.0.1\"\nprobe = \"off\"\n", &lines)]));
    sim.run_for(60 * SECOND);
    let contacts = ["<sip:490301@10.0.0.1:5060;transport=tcp>", "<sip:490301@10.0.0.1:5060>;expires=0"].map(str::to_owned);
    assert_eq!(sim.ua(carrier).accepted.last(), Some(&(contacts.to_vec(), Some(7_200))));
}

/// A REGISTER that is out when the reload comes: nothing is sent before its answer (RFC 3261 §10.2), which is no other trunk's.
#[test]
fn a_registration_that_is_being_made_during_a_reload_is_taken_back_when_it_is_made() {
    let (mut sim, carrier) = registers(153, "");
    sim.act(carrier, |c, _| c.dead = true);
    sim.run_for(3 * SECOND);
    let lines = "peer = \"10.2.0.1\"\nprobe = \"off\"\n";
    sim.reload(centre_with(&[("peer = \"10.2.0.1\"\nprobe = \"off\"\n", lines)]));
    assert!(!sim.switch.is_quiet(), "its answer is awaited");
    sim.act(carrier, |c, _| c.dead = false);
    sim.run_for(60 * SECOND);
    let asked: Vec<Option<u32>> = sim.ua(carrier).accepted.iter().map(|(_, expires)| *expires).collect();
    assert_eq!(asked, [Some(3_600), Some(0)]);
    assert!(sim.switch.is_quiet());
}

/// RFC 3261 §21.5.4.
#[test]
fn a_trunk_that_says_503_with_retry_after_rests_for_that_long() {
    let mut sim = Sim::new(5);
    let (carrier, backup) = (sim.trunk(), sim.add(Ua::trunk([10, 2, 0, 2].into())));
    let phone = sim.phone("210");
    sim.act(carrier, |c, _| (c.on_invite, c.retry_after) = (OnInvite::Refuse(503), Some(60)));
    goes_by(&mut sim, phone, backup);
    assert_eq!(sim.ua(carrier).invites.len(), 1);
    sim.act(carrier, |c, _| (c.on_invite, c.retry_after) = (OnInvite::Answer(SECOND), None));
    goes_by(&mut sim, phone, backup);
    assert_eq!(sim.ua(carrier).invites.len(), 1, "it rests");
    sim.run_for(60 * SECOND);
    goes_by(&mut sim, phone, carrier);
    // Without a time it is asked again at once.
    sim.act(carrier, |c, _| c.on_invite = OnInvite::Refuse(503));
    goes_by(&mut sim, phone, backup);
    sim.act(carrier, |c, _| c.on_invite = OnInvite::Answer(SECOND));
    goes_by(&mut sim, phone, carrier);
    sim.assert_clean();
}

#[test]
fn a_trunk_that_says_nothing_costs_one_caller_five_seconds_and_not_the_next() {
    let mut sim = Sim::new(6);
    let (carrier, backup) = (sim.trunk(), sim.add(Ua::trunk([10, 2, 0, 2].into())));
    let phone = sim.phone("210");
    sim.set(carrier, OnInvite::Ignore);
    goes_by(&mut sim, phone, backup);
    let asked = sim.ua(carrier).invites.len();
    assert!(asked > 0);
    let before = sim.now.mono;
    goes_by(&mut sim, phone, backup);
    assert!(sim.now.mono.since(before) < 5 * SECOND);
    assert_eq!(sim.ua(carrier).invites.len(), asked);
    sim.set(carrier, OnInvite::Answer(SECOND));
    sim.run_for(60 * SECOND);
    goes_by(&mut sim, phone, carrier);
    sim.assert_clean();
}

#[test]
fn more_calls_a_second_than_a_trunk_has_are_refused_inbound_and_go_elsewhere_outbound() {
    let source = centre_with(&[(
        "peer = \"10.2.0.1\"\nprobe = \"off\"",
        "peer = \"10.2.0.1\"\nprobe = \"off\"\nmax_calls_per_second = 2",
    )]);
    let mut sim = Sim::with(7, source);
    let (carrier, backup) = (sim.trunk(), sim.add(Ua::trunk([10, 2, 0, 2].into())));
    let (phone, other) = (sim.phone("210"), sim.phone("201"));
    sim.act(carrier, |c, now| {
        for _ in 0..3 {
            c.call("+4930555000", now);
        }
    });
    sim.run_until("the third is refused", |s| s.ua(carrier).calls[2].final_status.is_some());
    assert_eq!(sim.ua(carrier).calls[2].final_status, Some(503));
    let refusal = sim.trace.iter().find(|bytes| bytes.starts_with(b"SIP/2.0 503")).expect("a 503");
    assert!(String::from_utf8_lossy(refusal).contains("Retry-After: 1\r\n"));
    assert_ne!(sim.ua(carrier).calls[1].final_status, Some(503));
    // What both directions had counts for the next one out.
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("it rings elsewhere", |s| s.ua(backup).is_ringing());
    assert!(sim.ua(carrier).invites.is_empty());
    sim.run_for(SECOND);
    sim.act(other, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("a second later there is room", |s| s.ua(carrier).is_ringing());
    for at in [phone, other] {
        sim.act(at, |p, now| p.hang_up(now));
    }
    sim.act(carrier, |c, now| {
        for i in 0..2 {
            c.end(i, now);
        }
    });
    sim.run_for(SECOND);
    sim.assert_clean();
}

/// RFC 2782.
#[test]
fn trunks_of_one_priority_share_calls_by_their_weights_and_others_stand_behind() {
    let source = centre_with(&[(
        "trunk = [\"carrier\", \"backup\"]",
        "trunk = [{ name = \"carrier\", weight = 3 }, { name = \"backup\", priority = 1 }, \"partner\"]",
    )]);
    let mut sim = Sim::with(8, source);
    let trunks = [1, 2, 3].map(|last| sim.add(Ua::trunk([10, 2, 0, last].into())));
    let phone = sim.phone("210");
    for _ in 0..60 {
        goes_by_any(&mut sim, phone);
    }
    let [carrier, backup, partner] = trunks.map(|t| sim.ua(t).invites.len());
    assert_eq!((carrier + backup, partner), (60, 0));
    assert!((36..=54).contains(&carrier), "{carrier} of 60");
    sim.set(trunks[0], OnInvite::Refuse(503));
    sim.set(trunks[1], OnInvite::Refuse(503));
    goes_by(&mut sim, phone, trunks[2]);
    sim.assert_clean();
}

/// Whichever is the first of them in the file.
#[test]
fn a_trunk_among_those_that_share_calls_says_whether_its_own_are_recorded() {
    let shared = "trunk = [{ name = \"carrier\", priority = 1 }, { name = \"backup\", priority = 1 }]";
    for (nth, silent) in ["carrier", "backup"].into_iter().enumerate() {
        let [name, other] = [format!("name = \"{silent}\"\n"), format!("name = \"{silent}\"\nrecord = false\n")];
        let source = centre_with(&[("trunk = [\"carrier\", \"backup\"]", shared), (&name, &other)]);
        let mut sim = Sim::with(9, source);
        let trunks = [1, 2].map(|last| sim.add(Ua::trunk([10, 2, 0, last].into())));
        let phone = sim.phone("210");
        for _ in 0..20 {
            goes_by_any(&mut sim, phone);
        }
        let had = trunks.map(|t| sim.ua(t).invites.len());
        assert!(had.iter().all(|calls| *calls > 0), "{had:?}");
        assert_eq!(sim.recordings.len(), had[1 - nth], "{had:?}, {silent}");
        // Who has it at last decides.
        for at in [1 - nth, nth] {
            sim.set(trunks[at], OnInvite::Refuse(503));
            sim.set(trunks[1 - at], OnInvite::Answer(Duration::ZERO));
            let before = sim.recordings.len();
            for _ in 0..3 {
                goes_by_any(&mut sim, phone);
            }
            let are_recorded = if at == nth { 3 } else { 0 };
            assert_eq!(sim.recordings.len() - before, are_recorded, "{silent}");
        }
        sim.assert_clean();
    }
}

fn goes_by_any(sim: &mut Sim, phone: SocketAddr) {
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("they talk", |s| s.ua(phone).is_up());
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
}

/// The centre with `carrier` at a domain whose records name three servers, 10.2.1.1 first, then 10.2.1.2 and 10.2.1.3 in any order.
fn by_name(seed: u8, more: &str) -> (Sim, SocketAddr, [SocketAddr; 3], SocketAddr) {
    let mut source = centre_with(&[("peer = \"10.2.0.1\"\nprobe = \"off\"", &format!("peer = \"sip.carrier.example\"\n{more}"))]);
    source.main.text.push_str("\n[[inbound]]\ntrunk = \"carrier\"\nnumber = \"+4930555202\"\nto = \"phone:202\"\n");
    let mut sim = Sim::with(seed, source);
    let servers = [1, 2, 3].map(|last| sim.add(Ua::trunk([10, 2, 1, last].into())));
    let records = [(0, 0), (1, 10), (1, 10)];
    let all = servers.iter().zip(records).map(|(at, (priority, weight))| server(Transport::Udp, priority, weight, *at));
    sim.names.insert("sip.carrier.example".to_owned(), all.collect());
    let backup = sim.add(Ua::trunk([10, 2, 0, 2].into()));
    let phone = sim.phone("210");
    // The name was asked for before there was an answer.
    sim.run_for(10 * SECOND);
    sim.forget();
    (sim, phone, servers, backup)
}

/// RFC 3263 §4.3: 503, no answer, and no way there.
#[test]
fn the_next_server_of_the_same_trunk_is_tried_after_503_silence_and_a_dead_flow() {
    for what in ["503", "silence", "dead flow"] {
        let (mut sim, phone, servers, backup) = by_name(9, "probe = \"off\"");
        let called = sim.now.mono;
        match what {
            "503" => sim.set(servers[0], OnInvite::Refuse(503)),
            "silence" => sim.set(servers[0], OnInvite::Ignore),
            _ => drop(sim.unreachable.insert(servers[0])),
        }
        sim.act(phone, |p, now| {
            p.call("04940123", now);
        });
        sim.run_until("one of the others rings", |s| servers[1..].iter().any(|at| s.ua(*at).is_ringing()));
        let waited = sim.now.mono.since(called);
        let most = if what == "silence" { 6 * SECOND } else { SECOND };
        assert!(waited < most, "{what}: {waited:?}");
        let uri = servers[1..].iter().find_map(|at| sim.ua(*at).invites.first()).map(|seen| seen.uri.clone());
        assert_eq!(uri.as_deref(), Some("sip:4940123@sip.carrier.example"), "the domain, not the server (RFC 3263 §4)");
        sim.run_until("they talk", |s| s.ua(phone).is_up());
        assert!(sim.ua(backup).invites.is_empty(), "{what}");
        sim.act(phone, |p, now| p.hang_up(now));
        sim.run_for(SECOND);
        assert!(servers.iter().all(|at| sim.ua(*at).is_idle()));
        sim.assert_clean();
    }
}

#[test]
fn the_next_trunk_comes_after_all_servers_of_one_and_at_once_after_a_500() {
    for (status, tried) in [(503, 3), (500, 1)] {
        let (mut sim, phone, servers, backup) = by_name(10, "probe = \"off\"");
        for at in servers {
            sim.set(at, OnInvite::Refuse(status));
        }
        goes_by(&mut sim, phone, backup);
        assert_eq!(servers.iter().map(|at| sim.ua(*at).invites.len()).sum::<usize>(), tried, "{status}");
        sim.assert_clean();
    }
}

#[test]
fn a_refusal_about_the_callee_goes_to_no_other_server() {
    let (mut sim, phone, servers, backup) = by_name(11, "probe = \"off\"");
    sim.set(servers[0], OnInvite::Refuse(486));
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("over", |s| s.ua(phone).is_idle());
    assert_eq!(sim.ua(phone).final_status(), Some(486));
    assert!([servers[1], servers[2], backup].iter().all(|at| sim.ua(*at).invites.is_empty()));
    sim.assert_clean();
}

#[test]
fn calls_come_from_every_server_of_a_trunk_and_a_name_server_that_is_down_changes_nothing() {
    let (mut sim, phone, servers, _) = by_name(12, "probe = \"off\"");
    let called = sim.phone("202");
    sim.names.clear();
    sim.run_for(600 * SECOND);
    for at in servers {
        sim.act(at, |s, now| {
            s.call("+4930555202", now);
        });
        sim.run_until("they talk", |s| s.ua(called).is_up() && s.ua(at).is_up());
        sim.act(at, |s, now| s.hang_up(now));
        sim.run_for(SECOND);
    }
    goes_by(&mut sim, phone, servers[0]);
    let asked: Vec<_> = sim.asked.iter().filter(|w| w.host == "sip.carrier.example").collect();
    assert!((10..20).contains(&asked.len()), "{} questions in ten minutes", asked.len());
    assert_eq!((asked[0].port, asked[0].transports.as_slice()), (None, [Transport::Udp, Transport::Tcp].as_slice()));
    sim.assert_clean();
}

/// RFC 3263 §4.2: what is found where a question of the chain fails may be an old A record.
#[test]
fn a_look_up_that_fails_in_part_changes_nothing_unless_nothing_was_known() {
    let (mut sim, phone, servers, _) = by_name(22, "probe = \"off\"");
    let called = sim.phone("202");
    sim.dns_fails = true;
    let part = vec![server(Transport::Udp, 0, 0, servers[2])];
    sim.names.insert("sip.carrier.example".to_owned(), part.clone());
    sim.run_for(600 * SECOND);
    goes_by(&mut sim, phone, servers[0]);
    sim.act(servers[1], |s, now| {
        s.call("+4930555202", now);
    });
    sim.run_until("they talk", |s| s.ua(called).is_up() && s.ua(servers[1]).is_up());
    sim.act(servers[1], |s, now| s.hang_up(now));
    // For an hour.
    sim.run_for(3_100 * SECOND);
    goes_by(&mut sim, phone, servers[2]);

    let source = centre_with(&[("peer = \"10.2.0.1\"\nprobe = \"off\"", "peer = \"sip.carrier.example\"\nprobe = \"off\"")]);
    let mut sim = Sim::with(23, source);
    let only = sim.add(Ua::trunk([10, 2, 1, 3].into()));
    (sim.dns_fails, sim.names) = (true, [("sip.carrier.example".to_owned(), part)].into());
    let phone = sim.phone("210");
    sim.run_for(10 * SECOND);
    goes_by(&mut sim, phone, only);
}

#[test]
fn calls_come_for_an_hour_from_an_address_that_has_left_the_records() {
    let (mut sim, phone, servers, _) = by_name(24, "probe = \"off\"");
    let called = sim.phone("202");
    sim.names.insert("sip.carrier.example".to_owned(), vec![server(Transport::Udp, 0, 0, servers[2])]);
    sim.run_for(1_800 * SECOND);
    goes_by(&mut sim, phone, servers[2]);
    sim.act(servers[0], |s, now| {
        s.call("+4930555202", now);
    });
    sim.run_until("they talk", |s| s.ua(called).is_up() && s.ua(servers[0]).is_up());
    sim.act(servers[0], |s, now| s.hang_up(now));
    sim.run_for(1_900 * SECOND);
    let calls = sim.count("call.started");
    sim.act(servers[0], |s, now| {
        s.call("+4930555202", now);
    });
    sim.run_for(10 * SECOND);
    assert_eq!(sim.count("call.started"), calls, "a stranger by now");
}

#[test]
fn a_trunk_is_down_when_no_server_answers_a_probe_and_when_its_name_has_none() {
    let (mut sim, _, servers, _) = by_name(13, "probe = \"30s\"");
    assert_eq!(view(&mut sim, "carrier").state, "up");
    for at in &servers[..2] {
        sim.act(*at, |s, _| s.dead = true);
    }
    sim.run_for(300 * SECOND);
    assert!(!sim.has("trunk.down"), "{}", sim.story());
    sim.act(servers[2], |s, _| s.dead = true);
    sim.run_until("it is down", |s| s.has("trunk.down"));
    assert_eq!(downs(&sim)[0].reason, TroubleKind::Timeout);

    let source = centre_with(&[("peer = \"10.2.0.1\"\nprobe = \"off\"", "peer = \"nowhere.example\"\nprobe = \"30s\"")]);
    let mut sim = Sim::with(14, source);
    sim.run_until("it is down", |s| s.has("trunk.down"));
    assert_eq!(downs(&sim)[0].reason, TroubleKind::Unresolved);
}

#[test]
fn a_registration_goes_to_the_next_server_when_the_first_is_gone() {
    let (mut sim, _, servers, _) = by_name(16, "probe = \"off\"\nuser = \"490301\"\nsecret = \"s\"\nregister = true");
    assert_eq!((sim.ua(servers[0]).registers, view(&mut sim, "carrier").registered), (1, Some(true)));
    sim.act(servers[0], |s, _| s.dead = true);
    sim.run_until("another has it", |s| servers[1..].iter().any(|at| s.ua(*at).registers > 0));
    sim.run_for(SECOND);
    assert_eq!(view(&mut sim, "carrier").state, "up");
    assert!(!sim.has("trunk.down"), "within the time that the first one granted");
}

/// Inside they are told the address that routes there, outside the public one.
#[test]
fn who_is_told_which_address_goes_by_the_network_that_the_peer_is_in() {
    let table = "advertise = { \"10.2.0.0/16\" = \"203.0.113.7\", \"10.2.0.2/32\" = \"auto\" }\n";
    let source = centre_with(&[
        ("udp = [\"10.0.0.1:5060\"]", &format!("{table}udp = [\"10.0.0.1:5060\"]")),
        ("listen = \"10.0.0.1\"", &format!("{}listen = \"10.0.0.1\"", table.replace("203.0.113.7", "203.0.113.8"))),
    ]);
    let mut sim = Sim::with(15, source);
    let (carrier, _) = (sim.trunk(), sim.add(Ua::trunk([10, 2, 0, 2].into())));
    let phone = sim.phone("210");
    // It would wonder about an address that is not the switch's.
    sim.set(carrier, OnInvite::Ignore);
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("they talk", |s| s.ua(phone).is_up());
    let sent = |start: &str| -> String {
        let found = sim.trace.iter().map(|bytes| String::from_utf8_lossy(bytes)).find(|text| text.starts_with(start));
        found.unwrap_or_else(|| panic!("no {start}")).into_owned()
    };
    let outside = sent("INVITE sip:4940123@10.2.0.1");
    assert!(outside.contains("Via: SIP/2.0/UDP 203.0.113.7:5060;") && outside.contains("c=IN IP4 203.0.113.8\r\n"), "{outside}");
    assert!(outside.contains("@203.0.113.7:5060>\r\n"), "the Contact: {outside}");
    for inside in [sent("INVITE sip:4940123@10.2.0.2"), sent("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.1.0.210")] {
        assert!(!inside.contains("203.0.113."), "{inside}");
    }
    let answer = sim.trace.iter().map(|b| String::from_utf8_lossy(b)).find(|t| t.contains("10.1.0.210") && t.contains("m=audio"));
    assert!(answer.is_some_and(|t| t.contains("c=IN IP4 10.0.0.1\r\n")));
}
