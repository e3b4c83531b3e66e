//! Which messages are whose: what the ladder of a conversation is made from.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::sim::Sim;

/// The Call-ID of each message that the core has sent, in a call that a phone transfers.
#[test]
fn the_core_says_whose_every_dialog_is_and_says_it_of_no_other() {
    let mut sim = Sim::new(1);
    let (phone, other, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    let strangers: BTreeSet<String> = sim.trace.iter().filter_map(|bytes| call_id(bytes)).collect();
    assert!(!strangers.is_empty() && sim.call_ids.is_empty(), "registrations are no conversation's");
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    sim.act(phone, |p, now| p.refer("210", now));
    sim.run_until("the target answers", |s| s.ua(other).is_up());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("call.ended"));
    sim.run_for(Duration::from_secs(40));

    let call = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    assert_eq!(sim.call_ids.values().copied().collect::<BTreeSet<_>>(), BTreeSet::from([call]));
    assert_eq!(sim.call_ids.len(), 3, "a dialog a party");
    for bytes in &sim.trace {
        let call_id = call_id(bytes).expect("a Call-ID");
        assert!(sim.call_ids.contains_key(&call_id) || strangers.contains(&call_id) || is_register(bytes), "{call_id}");
    }
}

fn call_id(message: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(message);
    text.lines().find_map(|line| line.strip_prefix("Call-ID: ")).map(str::to_owned)
}

fn is_register(message: &[u8]) -> bool {
    String::from_utf8_lossy(message).lines().any(|line| line.starts_with("CSeq: ") && line.ends_with(" REGISTER"))
}
