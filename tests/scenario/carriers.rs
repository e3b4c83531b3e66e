//! Carriers that are more than one address and port: gateways beside the proxy, several accounts, connections that come and go.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::switch::event::CallStarted;
use cordboard::switch::{Answer, Command, Kind};

use crate::sim::ua::{Hold, Ua};
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

fn at(text: &str) -> SocketAddr {
    text.parse().expect("address")
}

fn strikes(sim: &mut Sim) -> u64 {
    let Answer::Status(status) = sim.ask(Command::Status) else { panic!("no status") };
    status.counters.iter().filter(|(name, _)| name.starts_with("guard_strikes_total")).map(|(_, count)| count).sum()
}

/// RFC 3261 §12.2: a proxy that sets calls up need not stay in them. Its gateway's requests come from where the Contact says.
#[test]
fn a_carriers_gateway_speaks_for_the_call_that_its_proxy_has_set_up() {
    for inbound in [true, false] {
        let mut sim = Sim::new(140);
        let (trunk, phone) = (sim.trunk(), sim.phone("201"));
        let gateway = at("10.2.0.77:5060");
        sim.act(trunk, |ua, _| ua.names = Some(gateway));
        match inbound {
            true => sim.act(trunk, |ua, now| {
                ua.call("+4930555201", now);
            }),
            false => sim.act(phone, |ua, now| {
                ua.call("04940123", now);
            }),
        }
        sim.run_until("it is answered", |sim| sim.ua(phone).is_up());
        // From here on it is there, and what is sent to its Contact arrives.
        sim.behind.insert(trunk, gateway);
        sim.run_until("they talk", |sim| sim.ua(phone).is_up() && sim.ua(trunk).is_up());
        sim.run_for(SECOND);
        sim.act(trunk, |ua, now| ua.hold(Hold::SendOnly, now));
        sim.run_until("held", |sim| sim.ua(trunk).last_status("INVITE") == Some(200) && sim.has("call.held"));
        sim.run_for(SECOND);
        sim.act(trunk, |ua, now| ua.resume(now));
        sim.run_until("resumed", |sim| sim.has("call.resumed"));
        sim.run_for(SECOND);
        sim.act(trunk, |ua, now| ua.update(None, now));
        sim.run_until("200 to UPDATE", |sim| sim.ua(trunk).last_status("UPDATE") == Some(200));
        sim.act(trunk, |ua, now| ua.digit_by_info('5', now));
        sim.run_until("200 to INFO", |sim| sim.ua(trunk).last_status("INFO") == Some(200));
        sim.act(trunk, |ua, now| ua.hang_up(now));
        sim.run_until("200 to BYE", |sim| sim.ua(trunk).last_status("BYE") == Some(200));
        sim.run_until("the phone is let go", |sim| sim.ua(phone).is_idle());
        assert_eq!(strikes(&mut sim), 0, "inbound: {inbound}");
        sim.assert_clean();
    }
}

/// Two accounts at one carrier, which has a rule for any number each, and for some one of the two.
fn accounts() -> (Sim, SocketAddr, SocketAddr, SocketAddr) {
    let mut source = centre();
    for (name, user) in [("one", "490301"), ("other", "490302")] {
        source.main.text += &format!(
            "\n[[trunk]]\nname = \"{name}\"\npeer = \"10.2.0.9\"\nprobe = \"off\"\nuser = \"{user}\"\nsecret = \"s\"\nregister = true\n"
        );
    }
    for (name, number, to) in [
        ("one", "490301", "201"),
        ("other", "490302", "202"),
        ("one", "+4930777*", "201"),
        ("other", "+4930888*", "202"),
        ("one", "+49305550*", "201"),
        ("other", "+49305550*", "202"),
    ] {
        source.main.text += &format!("\n[[inbound]]\ntrunk = \"{name}\"\nnumber = \"{number}\"\nto = \"phone:{to}\"\n");
    }
    let mut sim = Sim::with(141, source);
    let carrier = sim.add(Ua::trunk([10, 2, 0, 9].into()));
    let (first, second) = (sim.phone("201"), sim.phone("202"));
    (sim, carrier, first, second)
}

/// RFC 3261 §16.5: the Request-URI of a call to an account is the Contact that it has registered.
#[test]
fn each_account_at_a_carrier_has_its_own_calls() {
    let (mut sim, carrier, first, second) = accounts();
    for (called, phone, trunk) in [
        ("490301", first, "one"),
        ("490302", second, "other"),
        ("+4930777123", first, "one"),
        ("+4930888123", second, "other"),
        ("+49305550", first, "one"),
    ] {
        let before = sim.ua(phone).invites.len();
        sim.act(carrier, |ua, now| {
            ua.call(called, now);
        });
        sim.run_until(&format!("{called} rings"), |sim| sim.ua(phone).invites.len() > before);
        let started = sim.events.iter().rev().find_map(|e| if let Kind::CallStarted(s) = &e.kind { Some(s) } else { None });
        let CallStarted { trunk: by, .. } = started.expect("a call");
        assert_eq!(by.as_ref().map(|name| name.as_str()), Some(trunk), "{called}");
        sim.act(carrier, |ua, now| ua.hang_up(now));
        sim.run_for(SECOND);
    }
    sim.act(carrier, |ua, now| {
        ua.call("490303", now);
    });
    sim.run_until("nobody's", |sim| sim.ua(carrier).final_status() == Some(404));
    sim.assert_clean();
}
