//! Devices that name themselves, and their flows (RFC 5626).

use super::*;

/// RFC 5626 §4.1.
#[test]
fn a_device_that_names_itself_has_one_binding() {
    let mut desk = Desk::new();
    for port in [6_000, 6_001] {
        let contact = format!("<sip:201@10.0.0.9:{port}>;+sip.instance=\"<urn:uuid:f81d4fae>\";expires=90");
        desk.register(&[(HeaderName::Contact, &contact)], PHONE, port);
    }
    assert_eq!(desk.contacts(), ["sip:201@10.0.0.9:6001"]);
    assert!(matches!(&desk.changes[..], [Change::Replaced(..)]));
}

/// Two phones of one number whose router has given each the address that the other had.
#[test]
fn devices_that_swap_their_addresses_have_one_binding_each_in_the_end() {
    let mut desk = Desk::new();
    let at = |desk: &mut Desk, instance: &str, host: u8| {
        let contact = format!("<sip:201@10.0.0.{host}>;+sip.instance=\"<urn:uuid:{instance}>\";expires=90");
        let ok = desk.register(&[(HeaderName::Contact, &contact)], &format!("10.0.0.{host}:5060"), 0);
        let all = desk.registrar.bindings(&Number::from("201"), now(0));
        let mut keys: Vec<String> = all.iter().map(Binding::key).collect();
        keys.sort();
        let (before, all) = (keys.len(), {
            keys.dedup();
            keys.len()
        });
        assert_eq!((ok.status, before), (Status::OK, all), "each key once");
        desk.changes
            .iter()
            .map(|change| match change {
                Change::Added(_, new) | Change::Refreshed(_, _, new) => (None, Some(new.key())),
                Change::Replaced(_, old, new) => (Some(old.key()), Some(new.key())),
                Change::Removed(_, old) | Change::Expired(_, old) | Change::Lost(_, old) => (Some(old.key()), None),
            })
            .collect::<Vec<_>>()
    };
    let (x, y) = ("sip:201@10.0.0.1".to_owned(), "sip:201@10.0.0.2".to_owned());
    at(&mut desk, "a", 1);
    at(&mut desk, "b", 2);
    // What is taken away is said before what comes in its place: it has the same key on disk.
    assert_eq!(at(&mut desk, "a", 2), [(Some(y.clone()), None), (Some(x.clone()), Some(y.clone()))]);
    assert_eq!(at(&mut desk, "b", 1), [(None, Some(x.clone()))]);
    // And each is refreshed by itself from there on.
    assert_eq!(at(&mut desk, "a", 2), [(None, Some(y))]);
    assert_eq!(at(&mut desk, "b", 1), [(None, Some(x))]);
    assert!(desk.changes.iter().all(|change| matches!(change, Change::Refreshed(..))));
    assert_eq!(desk.contacts().len(), 2);
}

/// RFC 5626 §4.2, §6.
#[test]
fn the_flows_of_a_device_are_told_apart_and_each_is_replaced_by_its_own() {
    let mut desk = Desk::new();
    let mut flow = |instance: &str, reg_id: u32, contact: &str| {
        let contact = format!("<{contact};ob>;+sip.instance=\"<urn:uuid:{instance}>\";reg-id={reg_id};expires=90");
        let ok = desk.register(&[(HeaderName::Contact, &contact), (HeaderName::Supported, "path, outbound")], PHONE, 0);
        let required = ok.headers.lists(&HeaderName::Require, "outbound");
        let timer = ok.headers.get(&HeaderName::FlowTimer).cloned();
        assert_eq!((ok.status, required, timer.as_deref()), (Status::OK, true, Some(&b"25"[..])));
        let said = ok.headers.contacts();
        let Ok(Contacts::List(said)) = said else { panic!("{said:?}") };
        assert!(said.iter().all(|c| c.params.text("+sip.instance").is_some() && c.params.number("reg-id").is_some()));
        let targets = desk.registrar.targets(&Number::from("201"), now(0));
        let mut flows: Vec<usize> = targets.iter().map(Vec::len).collect();
        flows.sort_unstable();
        flows
    };
    assert_eq!(flow("a", 1, "sip:201@10.0.0.9"), [1]);
    // The same contact by another proxy; then a restart with another address, which leaves the second flow alone.
    assert_eq!(flow("a", 2, "sip:201@10.0.0.9"), [2]);
    assert_eq!(flow("a", 1, "sip:201@10.0.0.10"), [2]);
    assert_eq!(flow("b", 1, "sip:201@10.0.0.10"), [1, 2]);
    let mut contacts = desk.contacts();
    contacts.sort();
    assert_eq!(contacts, ["sip:201@10.0.0.10;ob", "sip:201@10.0.0.10;ob", "sip:201@10.0.0.9;ob"]);
    // One is taken back by its name, not by its contact.
    let gone = "<sip:201@10.0.0.10;ob>;+sip.instance=\"<urn:uuid:b>\";reg-id=1;expires=0";
    let ok = desk.register(&[(HeaderName::Contact, gone), (HeaderName::Supported, "outbound")], PHONE, 0);
    assert_eq!((ok.status, desk.contacts().len()), (Status::OK, 2));
    assert_eq!(desk.registrar.targets(&Number::from("201"), now(0)).iter().map(Vec::len).collect::<Vec<_>>(), [2]);
}

#[test]
fn flows_by_a_first_hop_that_keeps_none_are_refused_and_who_does_not_ask_for_them_is_not() {
    let mut desk = Desk::new();
    let contact = "<sip:201@10.0.0.9>;+sip.instance=\"<urn:uuid:a>\";reg-id=1;expires=90";
    let via = "SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKy";
    for (supported, path, status) in [
        ("path, outbound", None, 439),
        ("path, outbound", Some("<sip:edge.example;lr>"), 439),
        ("path, outbound", Some("<sip:core.example;lr;ob>, <sip:edge.example;lr>"), 439),
        ("path, outbound", Some("<sip:core.example;lr>, <sip:edge.example;lr;ob>"), 200),
        ("path", Some("<sip:edge.example;lr>"), 200),
    ] {
        let mut lines = vec![(HeaderName::Via, via), (HeaderName::Contact, contact), (HeaderName::Supported, supported)];
        lines.extend(path.map(|path| (HeaderName::Path, path)));
        let answer = desk.register(&lines, PHONE, 0);
        assert_eq!(answer.status.code(), status, "{supported} {path:?}");
        assert!(!answer.headers.contains(&HeaderName::FlowTimer), "we are not its first hop");
    }
    let twice = format!("{contact}, <sip:201@10.0.0.9:5070>;+sip.instance=\"<urn:uuid:a>\";reg-id=2");
    let answer = desk.register(&[(HeaderName::Contact, &twice), (HeaderName::Supported, "outbound")], PHONE, 0);
    assert_eq!(answer.status, Status::BAD_REQUEST);
}
