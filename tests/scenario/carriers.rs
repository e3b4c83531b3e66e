//! Carriers that are more than one address and port: gateways beside the proxy, several accounts, connections that come and go.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::switch::{Answer, Command};

use crate::sim::Sim;
use crate::sim::ua::Hold;

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
