//! Lamps: who watches a line, a message count or a registration is told how it is (RFC 6665, RFC 4235, RFC 3842, RFC 3680).

use std::time::Duration;

use cordboard::switch::Command;

use crate::sim::ua::{OnInvite, Phase};
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_lamp_follows_a_line_from_ringing_to_its_end() {
    let mut sim = Sim::new(60);
    let caller = sim.phone("201");
    let line = sim.phone("202");
    let watcher = sim.phone("203");
    sim.set(line, OnInvite::Ring);
    sim.act(watcher, |ua, now| {
        ua.watch("dialog", "202", Some(600), now);
    });
    sim.run_until("the first NOTIFY comes", |sim| sim.ua(watcher).seen(0).is_some());
    assert_eq!(sim.ua(watcher).last_status("SUBSCRIBE"), Some(200));
    let first = sim.ua(watcher).seen(0).expect("one").clone();
    assert_eq!((first.kind.as_str(), first.event.as_str()), ("application/dialog-info+xml", "dialog"));
    assert_eq!((first.state.as_str(), first.attribute("version").as_str()), ("active;expires=600", "0"));
    assert_eq!(first.attribute("entity"), "sip:202@10.0.0.1:5060");
    assert!(first.dialogs().is_empty(), "{first:?}");

    sim.act(caller, |ua, now| {
        ua.call("202", now);
    });
    sim.run_until("the lamp blinks", |sim| sim.ua(watcher).lamp(0) == ["early"]);
    let early = sim.ua(watcher).seen(0).expect("one").clone();
    assert_eq!(early.attribute("direction"), "recipient");
    assert!(early.body.contains("<identity display=\"Olena\">sip:201@10.0.0.1:5060</identity>"), "{}", early.body);
    let call = sim.ua(line).last().expect("a call");
    assert_eq!(early.attribute("call-id"), call.call_id);
    // The tags, as the line has them.
    assert_eq!((early.attribute("local-tag").into_bytes(), early.attribute("remote-tag").into_bytes()), call.tags());

    sim.act(line, |ua, now| ua.answer(now));
    sim.run_until("the lamp is lit", |sim| sim.ua(watcher).lamp(0) == ["confirmed"]);
    sim.run_for(3 * SECOND);
    sim.act(caller, |ua, now| ua.hang_up(now));
    sim.run_until("the lamp is out", |sim| sim.ua(watcher).lamp(0) == ["terminated"]);
    // One document more each time, and none twice.
    let versions: Vec<String> = sim.ua(watcher).notified.iter().map(|n| n.attribute("version")).collect();
    let counted: Vec<String> = (0..versions.len()).map(|n| n.to_string()).collect();
    assert_eq!(versions, counted);

    sim.act(watcher, |ua, now| ua.watch_again(0, Some(0), now));
    sim.run_until("the last NOTIFY comes", |sim| sim.ua(watcher).watches[0].is_over);
    assert_eq!(sim.ua(watcher).seen(0).expect("one").state, "terminated;reason=timeout");
    let told = sim.ua(watcher).notified.len();
    sim.act(caller, |ua, now| {
        ua.call("202", now);
    });
    sim.run_until("it rings again", |sim| sim.ua(line).is_ringing());
    sim.act(caller, |ua, now| ua.hang_up(now));
    sim.run_for(5 * SECOND);
    assert_eq!(sim.ua(watcher).notified.len(), told, "a lamp that was given back is told");
    sim.assert_clean();
}

#[test]
fn the_lamp_of_a_line_that_calls_says_so() {
    let mut sim = Sim::new(61);
    let line = sim.phone("201");
    let callee = sim.phone("202");
    let watcher = sim.phone("203");
    sim.set(callee, OnInvite::Answer(SECOND));
    sim.act(watcher, |ua, now| {
        ua.watch("dialog", "201", None, now);
    });
    sim.act(line, |ua, now| {
        ua.call("202", now);
    });
    sim.run_until("it talks", |sim| sim.ua(watcher).lamp(0) == ["confirmed"]);
    let seen = sim.ua(watcher).seen(0).expect("one");
    assert_eq!(seen.attribute("direction"), "initiator");
    assert!(seen.body.contains("<identity>sip:202@"), "{}", seen.body);
    // Nobody said for how long.
    assert!(seen.state.starts_with("active;expires=35"), "{}", seen.state);
    sim.act(line, |ua, now| ua.hang_up(now));
    sim.act(watcher, |ua, now| ua.watch_again(0, Some(0), now));
    sim.assert_clean();
}

#[test]
fn a_subscription_that_is_not_refreshed_ends_by_itself() {
    let mut sim = Sim::new(62);
    let watcher = sim.phone("203");
    sim.act(watcher, |ua, now| {
        ua.watch("dialog", "202", Some(60), now);
    });
    sim.run_for(50 * SECOND);
    sim.act(watcher, |ua, now| ua.watch_again(0, Some(60), now));
    sim.run_for(50 * SECOND);
    assert!(!sim.ua(watcher).watches[0].is_over, "it was refreshed");
    assert_eq!(sim.ua(watcher).notified.len(), 2, "a refresh is answered by a NOTIFY too");
    sim.run_until("it is over", |sim| sim.ua(watcher).watches[0].is_over);
    sim.act(watcher, |ua, now| ua.watch_again(0, Some(60), now));
    sim.run_until("a refresh is too late", |sim| sim.ua(watcher).last_status("SUBSCRIBE") == Some(481));
    sim.assert_clean();
}

#[test]
fn what_cannot_be_watched_is_refused_with_its_reason() {
    let mut sim = Sim::new(63);
    let phone = sim.phone("203");
    for (event, number, expires, status) in [
        ("presence", "202", None, 489),
        ("dialog", "299", None, 404),
        ("dialog", "601", None, 404),
        ("dialog", "202", Some(30), 423),
        ("message-summary", "202", None, 403),
        ("reg", "202", None, 403),
    ] {
        sim.act(phone, |ua, now| {
            ua.statuses.clear();
            ua.watch(event, number, expires, now);
        });
        sim.run_until("an answer", |sim| sim.ua(phone).last_status("SUBSCRIBE").is_some_and(|s| s != 401));
        assert_eq!(sim.ua(phone).last_status("SUBSCRIBE"), Some(status), "{event} {number} {expires:?}");
    }
    // Of whom no secret is known nothing is told.
    let stranger = sim.phone("204");
    sim.act(stranger, |ua, now| {
        ua.secret = "wrong".into();
        ua.statuses.clear();
        ua.watch("dialog", "202", None, now);
    });
    sim.run_until("401", |sim| sim.ua(stranger).last_status("SUBSCRIBE") == Some(401));
    assert!(sim.ua(phone).notified.is_empty() && sim.ua(stranger).notified.is_empty());
    sim.assert_clean();
}

#[test]
fn asking_once_is_answered_once() {
    let mut sim = Sim::new(64);
    let phone = sim.phone("203");
    sim.act(phone, |ua, now| {
        ua.watch("dialog", "202", Some(0), now);
    });
    sim.run_until("the NOTIFY", |sim| sim.ua(phone).watches[0].is_over);
    assert_eq!(sim.ua(phone).notified.len(), 1);
    sim.assert_clean();
}

/// A slow subscriber gets the newest state when it has answered, and not each one between.
#[test]
fn one_notify_is_on_its_way_at_a_time() {
    let mut sim = Sim::new(65);
    let caller = sim.phone("201");
    let line = sim.phone("202");
    let watcher = sim.phone("203");
    sim.set(line, OnInvite::Answer(2 * SECOND));
    sim.act(watcher, |ua, now| {
        ua.watch("dialog", "202", None, now);
    });
    sim.run_until("watching", |sim| sim.ua(watcher).seen(0).is_some());
    sim.run_for(SECOND);
    sim.act(watcher, |ua, _| ua.on_notify = None);
    sim.act(caller, |ua, now| {
        ua.call("202", now);
    });
    sim.run_for(10 * SECOND);
    assert_eq!(sim.ua(watcher).notified.len(), 2, "{:?}", sim.ua(watcher).notified);
    sim.act(watcher, |ua, _| ua.on_notify = Some(200));
    sim.run_until("the newest state", |sim| sim.ua(watcher).lamp(0) == ["confirmed"]);
    sim.act(caller, |ua, now| ua.hang_up(now));
    sim.run_for(SECOND);
    sim.act(watcher, |ua, now| ua.watch_again(0, Some(0), now));
    sim.assert_clean();
}

#[test]
fn a_subscriber_that_knows_nothing_of_it_or_says_nothing_is_forgotten() {
    for (seed, on_notify) in [(66, Some(481)), (67, None)] {
        let mut sim = Sim::new(seed);
        let caller = sim.phone("201");
        let line = sim.phone("202");
        let watcher = sim.phone("203");
        sim.set(line, OnInvite::Answer(SECOND));
        sim.act(watcher, |ua, now| {
            ua.on_notify = on_notify;
            ua.watch("dialog", "202", None, now);
        });
        sim.run_until("the first NOTIFY", |sim| sim.ua(watcher).seen(0).is_some());
        sim.run_for(40 * SECOND);
        let told = sim.ua(watcher).notified.len();
        sim.act(caller, |ua, now| {
            ua.call("202", now);
        });
        sim.run_until("they talk", |sim| sim.ua(caller).is_up());
        sim.act(caller, |ua, now| ua.hang_up(now));
        sim.run_for(SECOND);
        assert_eq!(sim.ua(watcher).notified.len(), told);
        sim.assert_clean();
    }
}

#[test]
fn subscriptions_end_with_the_registration_that_they_came_by() {
    let mut sim = Sim::new(68);
    let watcher = sim.phone("203");
    let other = sim.phone("204");
    for at in [watcher, other] {
        sim.act(at, |ua, now| {
            ua.watch("dialog", "202", None, now);
            ua.watch("message-summary", if ua.number == "203" { "203" } else { "204" }, None, now);
        });
    }
    sim.run_until("all four", |sim| sim.ua(watcher).notified.len() == 2 && sim.ua(other).notified.len() == 2);
    sim.act(watcher, |ua, now| ua.unregister(now));
    sim.run_until("they are over", |sim| sim.ua(watcher).watches.iter().all(|w| w.is_over));
    assert_eq!(sim.ua(watcher).seen(0).expect("one").state, "terminated;reason=deactivated");
    assert!(sim.ua(other).watches.iter().all(|w| !w.is_over), "the other phone's go on");
    // A number that is taken away ends the other's lamp for it, and the phone's own subscriptions with its bindings.
    let mut source = centre();
    source.main.text = source.main.text.replace("[[phone]]\nnumber = \"202\"\nsecret = \"secret-202\"\n", "");
    source.main.text = source.main.text.replace("[[agent]]\nstaff_number = \"1002\"\nname = \"Jonas\"\nphone = \"202\"\n", "");
    source.main.text = source.main.text.replace("\"1001\", \"1002\", \"1003\"", "\"1001\", \"1003\"");
    sim.reload(source);
    sim.run_until("there is no 202", |sim| sim.ua(other).watches[0].is_over);
    assert_eq!(sim.ua(other).seen(0).expect("one").state, "terminated;reason=noresource");
    assert!(!sim.ua(other).watches[1].is_over);
    // Out of power: nothing can be said any more, and nothing is kept.
    sim.act(other, |ua, _| ua.dead = true);
    sim.run_for(Duration::from_secs(3_700));
    sim.assert_clean();
}

#[test]
fn a_phone_that_was_restarted_has_one_subscription_and_not_two() {
    let mut sim = Sim::new(69);
    let watcher = sim.phone("203");
    for _ in 0..300 {
        sim.act(watcher, |ua, now| {
            ua.watch("dialog", "202", None, now);
        });
        sim.run_for(SECOND);
    }
    assert_eq!(sim.switch.residue(), 1, "{}", sim.story());
    sim.act(watcher, |ua, now| ua.watch_again(299, Some(0), now));
    sim.assert_clean();
}

#[test]
fn the_message_light_follows_the_count() {
    let mut sim = Sim::new(70);
    let phone = sim.phone("201");
    sim.act(phone, |ua, now| {
        ua.watch("message-summary", "201", None, now);
    });
    sim.run_until("the first", |sim| sim.ua(phone).seen(0).is_some());
    let first = sim.ua(phone).seen(0).expect("one").clone();
    assert_eq!(first.kind, "application/simple-message-summary");
    assert!(first.body.starts_with("Messages-Waiting: no\r\n") && first.body.contains("Voice-Message: 0/0"), "{}", first.body);
    let caller = sim.phone("210");
    sim.act(caller, |ua, now| {
        ua.call("*98201", now);
    });
    sim.run_until("the tone is over", |sim| !sim.recordings.is_empty());
    sim.run_for(3 * SECOND);
    sim.act(caller, |ua, now| ua.hang_up(now));
    sim.run_until("the light", |sim| sim.ua(phone).seen(0).is_some_and(|n| n.body.contains("Voice-Message: 1/0")));
    assert!(sim.ua(phone).seen(0).is_some_and(|n| n.body.starts_with("Messages-Waiting: yes")));
    let recording = *sim.recordings.keys().next().expect("one");
    sim.ask(Command::DeleteMessage { number: "201".into(), recording });
    sim.run_until("it is off", |sim| sim.ua(phone).seen(0).is_some_and(|n| n.body.contains("Voice-Message: 0/0")));
    sim.act(phone, |ua, now| ua.watch_again(0, Some(0), now));
    sim.assert_clean();
}

#[test]
fn a_phone_sees_its_own_registration_and_its_second_device() {
    let mut sim = Sim::new(71);
    let phone = sim.phone("203");
    sim.act(phone, |ua, now| {
        ua.watch("reg", "203", None, now);
    });
    let contacts = |sim: &Sim, n: usize| sim.ua(phone).seen(0).is_some_and(|s| s.body.matches("<contact ").count() == n);
    sim.run_until("one device", |sim| contacts(sim, 1));
    let second = sim.phone_at("203", [10, 1, 1, 3]);
    sim.run_until("two devices", |sim| contacts(sim, 2));
    sim.act(second, |ua, now| ua.unregister(now));
    sim.run_until("one again", |sim| contacts(sim, 1));
    sim.act(phone, |ua, now| ua.watch_again(0, Some(0), now));
    sim.assert_clean();
}

/// The lamp of a line with lost messages on the way is right in the end, and nothing is left behind.
#[test]
fn a_lamp_comes_to_the_truth_on_a_network_that_loses() {
    let mut sim = Sim::new(72);
    let caller = sim.phone("201");
    let line = sim.phone("202");
    let watcher = sim.phone("203");
    sim.act(watcher, |ua, now| {
        ua.watch("dialog", "202", None, now);
    });
    sim.run_until("watching", |sim| sim.ua(watcher).seen(0).is_some());
    sim.network.weather.lost = 200;
    for _ in 0..10 {
        sim.set(line, OnInvite::Answer(2 * SECOND));
        sim.act(caller, |ua, now| {
            ua.call("202", now);
        });
        sim.run_for(20 * SECOND);
        sim.act(caller, |ua, now| ua.hang_up(now));
        sim.run_for(40 * SECOND);
    }
    sim.network.weather.lost = 0;
    sim.run_for(120 * SECOND);
    assert!(sim.ua(line).calls.iter().all(|c| c.phase == Phase::Over));
    let lamp = sim.ua(watcher).lamp(0);
    assert!(lamp.iter().all(|state| state == "terminated"), "{lamp:?}");
    if !sim.ua(watcher).watches[0].is_over {
        sim.act(watcher, |ua, now| ua.watch_again(0, Some(0), now));
    }
    sim.assert_clean();
}

fn last_notify(sim: &Sim, at: std::net::SocketAddr) -> Option<u32> {
    sim.ua(at).cseqs.iter().rfind(|(method, _)| method == "NOTIFY").map(|(_, number)| *number)
}

/// A process that is killed says goodbye to nobody: its successor goes on in the same dialogs (RFC 6665 §4.4.1), with higher numbers.
#[test]
fn lamps_go_on_after_the_process_was_killed() {
    let mut sim = Sim::new(73);
    let (caller, line, watcher) = (sim.phone("201"), sim.phone("202"), sim.phone("203"));
    sim.act(watcher, |ua, now| {
        ua.watch("dialog", "202", Some(600), now);
        ua.watch("message-summary", "203", Some(600), now);
    });
    sim.act(caller, |ua, now| {
        ua.call("202", now);
    });
    sim.run_until("the lamp is on", |sim| sim.ua(watcher).lamp(0) == ["confirmed"]);
    sim.run_for(SECOND);
    assert_eq!(sim.subscriptions.len(), 2);
    let version = |sim: &Sim| sim.ua(watcher).seen(0).and_then(|n| n.attribute("version").parse::<u32>().ok()).expect("a number");
    let (number, before, came) = (last_notify(&sim, watcher), version(&sim), sim.ua(watcher).notified.len());
    sim.restart(Vec::new());
    // The calls are gone with the process, and the lamps show it.
    sim.run_until("both are told", |sim| sim.ua(watcher).notified.len() == came + 2);
    assert!(sim.ua(watcher).lamp(0).iter().all(|state| state == "terminated"), "{:?}", sim.ua(watcher).seen(0));
    assert!(sim.ua(watcher).seen(0).is_some_and(|n| n.state.starts_with("active;expires=5") && n.attribute("state") == "full"));
    assert!(version(&sim) > before && last_notify(&sim, watcher) > number);
    for ua in [caller, line] {
        sim.act(ua, |ua, now| ua.hang_up(now));
    }
    sim.run_for(SECOND);
    sim.act(caller, |ua, now| {
        ua.call("202", now);
    });
    sim.run_until("it follows the line", |sim| sim.ua(watcher).lamp(0).last().is_some_and(|state| state == "confirmed"));
    // As often as one likes; and it is refreshed and given back in its dialog.
    let number = last_notify(&sim, watcher);
    sim.restart(Vec::new());
    sim.run_until("told again", |sim| last_notify(sim, watcher) > number);
    sim.act(watcher, |ua, now| ua.watch_again(0, Some(900), now));
    sim.run_for(SECOND);
    assert_eq!(sim.ua(watcher).last_status("SUBSCRIBE"), Some(200));
    for watch in [0, 1] {
        sim.act(watcher, |ua, now| ua.watch_again(watch, Some(0), now));
    }
    sim.run_for(SECOND);
    assert!(sim.subscriptions.is_empty(), "{:?}", sim.subscriptions);
    for ua in [caller, line] {
        sim.act(ua, |ua, now| ua.hang_up(now));
    }
    sim.assert_clean();
}

#[test]
fn a_subscription_that_ends_while_nobody_runs_is_forgotten_and_one_in_bad_shape_does_no_harm() {
    let mut sim = Sim::new(74);
    let watcher = sim.phone("203");
    sim.act(watcher, |ua, now| {
        ua.watch("dialog", "202", Some(60), now);
    });
    sim.run_until("watching", |sim| sim.ua(watcher).seen(0).is_some());
    sim.subscriptions.insert(bytes::Bytes::from_static(b"torn"), bytes::Bytes::from_static(b"{\"phone\":"));
    let came = sim.ua(watcher).notified.len();
    sim.now = sim.now + 61 * SECOND;
    sim.restart(Vec::new());
    sim.run_for(SECOND);
    assert_eq!((sim.ua(watcher).notified.len(), sim.subscriptions.len()), (came, 1));
    sim.assert_clean();
}

/// RFC 6665 §4.2.2: a fault of the moment. The line changes no more, so that nothing else would put the lamp right.
#[test]
fn a_lamp_that_was_not_taken_comes_again_when_the_phone_has_said_or_a_few_seconds_later() {
    for (seed, status, retry_after, seconds) in [(70, 503, Some(20), 20), (71, 500, None, 5)] {
        let mut sim = Sim::new(seed);
        let (caller, line, watcher) = (sim.phone("201"), sim.phone("202"), sim.phone("203"));
        sim.act(watcher, |ua, now| {
            ua.watch("dialog", "202", None, now);
        });
        sim.run_until("watching", |sim| sim.ua(watcher).seen(0).is_some());
        sim.run_for(SECOND);
        sim.act(watcher, |ua, _| (ua.on_notify, ua.retry_after) = (Some(status), retry_after));
        sim.set(line, OnInvite::Answer(SECOND / 10));
        sim.act(caller, |ua, now| {
            ua.call("202", now);
        });
        sim.run_until("they talk", |sim| sim.ua(line).is_up());
        let told = sim.ua(watcher).notified.len();
        sim.run_for((seconds - 2) * SECOND);
        assert_eq!(sim.ua(watcher).notified.len(), told, "{status}: it is let alone, whatever the line does");
        sim.act(watcher, |ua, _| ua.on_notify = Some(200));
        sim.run_for(4 * SECOND);
        assert_eq!((sim.ua(watcher).notified.len(), sim.ua(watcher).lamp(0)), (told + 1, vec!["confirmed".to_owned()]));
        sim.act(caller, |ua, now| ua.hang_up(now));
        sim.run_for(SECOND);
        // A phone that never takes it is not told for ever; and the subscription goes on.
        sim.act(watcher, |ua, _| (ua.on_notify, ua.retry_after) = (Some(status), None));
        let told = sim.ua(watcher).notified.len();
        sim.act(caller, |ua, now| {
            ua.call("202", now);
        });
        sim.run_for(200 * SECOND);
        assert_eq!(sim.ua(watcher).notified.len(), told + 6, "{status}");
        sim.act(watcher, |ua, _| ua.on_notify = Some(200));
        sim.act(caller, |ua, now| ua.hang_up(now));
        sim.run_until("the lamp is dark", |sim| sim.ua(watcher).lamp(0) == ["terminated"]);
        sim.act(watcher, |ua, now| ua.watch_again(0, Some(0), now));
        sim.assert_clean();
    }
}

/// RFC 3842, of a mailbox that is nobody's own.
#[test]
fn agents_watch_their_queues_mailbox_and_the_code_of_mailboxes_is_ones_own() {
    let mut sim = Sim::new(72);
    let (agent, stranger, trunk) = (sim.phone("202"), sim.phone("210"), sim.trunk());
    // 204 has an agent, of another queue; and 602 has no mailbox.
    let other = sim.phone("204");
    let asked = [
        (agent, "601", 200),
        (agent, "*97601", 200),
        (agent, "*97", 200),
        (agent, "602", 404),
        (agent, "*97201", 403),
        (stranger, "601", 403),
        (other, "*97601", 403),
        (stranger, "*97", 200),
    ];
    for (phone, number, status) in asked {
        sim.act(phone, |ua, now| {
            ua.watch("message-summary", number, Some(600), now);
        });
        sim.run_for(SECOND);
        assert_eq!(sim.ua(phone).last_status("SUBSCRIBE"), Some(status), "{number}");
    }
    let voice = |sim: &Sim, phone, watch| {
        let body = sim.ua(phone).seen(watch).map(|n| n.body.clone()).unwrap_or_default();
        body.lines().find_map(|line| line.strip_prefix("Voice-Message: ")).unwrap_or_default().to_owned()
    };
    // Of one device the newer subscription to the same is in the place of the older.
    assert_eq!([1, 2].map(|watch| voice(&sim, agent, watch)), ["0/0 (0/0)"; 2]);
    sim.act(trunk, |t, now| {
        t.call("+4930555000", now);
    });
    sim.run_until("the menu", |s| s.has("menu.entered"));
    sim.run_for(SECOND);
    sim.act(trunk, |t, _| t.digit('6'));
    sim.run_until("the tone is over", |s| s.recordings.values().any(|r| r.about.mailbox.is_some()));
    sim.run_for(3 * SECOND);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("it is left", |s| s.has("voicemail.left"));
    sim.run_for(SECOND);
    assert_eq!([1, 2].map(|watch| voice(&sim, agent, watch)), ["1/0 (0/0)", "0/0 (0/0)"]);
    // Who is no agent of it any more sees it no more.
    let mut source = crate::sim::centre();
    source.main.text = source.main.text.replace("agents = [\"1001\", \"1002\", \"1003\"]", "agents = [\"1001\", \"1003\"]");
    sim.reload(source);
    sim.run_for(SECOND);
    let over = [1, 2].map(|watch| sim.ua(agent).seen(watch).is_some_and(|n| n.state.starts_with("terminated")));
    assert_eq!(over, [true, false]);
}
