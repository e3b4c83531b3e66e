//! Reads the drawing in a machine's header and holds the machine to it, over all pairs of state and event.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::effects::Effects;
use super::timers::{D, GIVE_UP, Resend, T1, T2, T4, TRYING, Wire};
use crate::clock::Mono;
use crate::sip::{Flow, Transport};

/// Rows by name, each with its cells by column.
fn drawing(source: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut lines = source
        .lines()
        .skip_while(|l| !l.contains("```text"))
        .skip(1)
        .take_while(|l| !l.contains("```"))
        .map(|l| l.trim_start_matches("//!").split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let columns = lines.next().expect("a line of events");
    lines
        .map(|mut row| {
            let name = row.remove(0);
            assert_eq!(row.len(), columns.len(), "{name}");
            (name, columns.iter().cloned().zip(row).collect())
        })
        .collect()
}

fn outcome<S: std::fmt::Debug, N>(state: &S, effects: &Effects<N>) -> String {
    let text = format!("{state:?}");
    let name = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    format!("{name}{}{}", if effects.send.is_some() { "+s" } else { "" }, if effects.tell.is_some() { "+t" } else { "" })
}

const NOW: Mono = Mono::from_millis(100_000);

fn bytes() -> Bytes {
    Bytes::from_static(b"x")
}

fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        local: "192.0.2.1:5060".parse().expect("address"),
        remote: "192.0.2.2:5060".parse().expect("address"),
        connection: None,
    }
}

/// Walks every cell; `run` gives the outcome of (state, event), and the two lists are all there are.
fn walk(source: &str, states: &[&str], events: &[&str], run: impl Fn(&str, &str) -> String) {
    let drawing = drawing(source);
    assert_eq!(drawing.len(), states.len());
    for state in states {
        let row = &drawing[*state];
        assert_eq!(row.len(), events.len());
        for event in events {
            assert_eq!(run(state, event), row[*event], "{state} at {event}");
        }
    }
}

/// A repeat that is due, before the end is.
fn due() -> Resend {
    Resend { at: NOW, gap: T1 }
}

#[test]
fn the_invite_client_does_what_its_drawing_says() {
    use super::client_invite::{ClientInvite as S, Event as E, Fork};
    let states = ["Calling", "Proceeding", "Cancelled", "Completed", "Accepted", "Terminated"];
    let events = ["1xx", "2xx", "fail", "resend", "end", "acked", "cancelled", "error"];
    walk(include_str!("client_invite.rs"), &states, &events, |state, event| {
        let end = NOW + GIVE_UP;
        let state = match state {
            "Calling" => S::Calling { request: bytes(), resend: Some(due()), gives_up: end },
            "Proceeding" => S::Proceeding,
            "Cancelled" => S::Cancelled { gives_up: end },
            "Completed" => S::Completed { ack: bytes(), ends: end },
            "Accepted" => S::Accepted { forks: vec![Fork { tag: bytes(), ack: Some((flow(), bytes())) }], ends: end },
            _ => S::Terminated,
        };
        let (event, at) = match event {
            "1xx" => (E::Provisional, NOW),
            "2xx" => (E::Success { tag: bytes() }, NOW),
            "fail" => (E::Failure { ack: bytes() }, NOW),
            "resend" => (E::Tick, NOW),
            "end" => (E::Tick, end),
            "acked" => (E::Acked { tag: bytes(), flow: flow(), ack: bytes() }, NOW),
            "cancelled" => (E::CancelSent, NOW),
            _ => (E::Undeliverable, NOW),
        };
        let (state, effects) = state.handle(event, Wire::Unreliable, at);
        outcome(&state, &effects)
    });
}

#[test]
fn the_other_client_does_what_its_drawing_says() {
    use super::client_non_invite::{ClientNonInvite as S, Event as E};
    let states = ["Trying", "Proceeding", "Completed", "Terminated"];
    let events = ["1xx", "final", "resend", "end", "error"];
    walk(include_str!("client_non_invite.rs"), &states, &events, |state, event| {
        let end = NOW + GIVE_UP;
        let state = match state {
            "Trying" => S::Trying { request: bytes(), resend: Some(due()), gives_up: end },
            "Proceeding" => S::Proceeding { request: bytes(), resend: Some(due()), gives_up: end },
            "Completed" => S::Completed { ends: end },
            _ => S::Terminated,
        };
        let (event, at) = match event {
            "1xx" => (E::Provisional, NOW),
            "final" => (E::Final, NOW),
            "resend" => (E::Tick, NOW),
            "end" => (E::Tick, end),
            _ => (E::Undeliverable, NOW),
        };
        let (state, effects) = state.handle(event, Wire::Unreliable, at);
        outcome(&state, &effects)
    });
}

#[test]
fn the_invite_server_does_what_its_drawing_says() {
    use super::server_invite::{Event as E, ServerInvite as S};
    let states = ["Arrived", "Proceeding", "Unacked", "Accepted", "Completed", "Confirmed", "Terminated"];
    let events = ["repeat", "1xx", "2xx", "fail", "ack", "resend", "end"];
    walk(include_str!("server_invite.rs"), &states, &events, |state, event| {
        let end = NOW + GIVE_UP;
        let state = match state {
            "Arrived" => S::Arrived { trying: bytes(), trying_at: end },
            "Proceeding" => S::Proceeding { last: bytes() },
            "Unacked" => S::Unacked { response: bytes(), resend: due(), ends: end },
            "Accepted" => S::Accepted { ends: end },
            "Completed" => S::Completed { response: bytes(), resend: Some(due()), gives_up: end },
            "Confirmed" => S::Confirmed { ends: end },
            _ => S::Terminated,
        };
        let (event, at) = match event {
            "repeat" => (E::Repeat, NOW),
            "1xx" => (E::Provisional(bytes()), NOW),
            "2xx" => (E::Success(bytes()), NOW),
            "fail" => (E::Failure(bytes()), NOW),
            "ack" => (E::Ack, NOW),
            "resend" => (E::Tick, NOW),
            _ => (E::Tick, end),
        };
        let (state, effects) = state.handle(event, Wire::Unreliable, at);
        outcome(&state, &effects)
    });
}

#[test]
fn the_other_server_does_what_its_drawing_says() {
    use super::server_non_invite::{Event as E, ServerNonInvite as S};
    let states = ["Trying", "Proceeding", "Completed", "Terminated"];
    let events = ["repeat", "1xx", "final", "end"];
    walk(include_str!("server_non_invite.rs"), &states, &events, |state, event| {
        let end = NOW + GIVE_UP;
        let state = match state {
            "Trying" => S::Trying,
            "Proceeding" => S::Proceeding { last: bytes() },
            "Completed" => S::Completed { response: bytes(), ends: end },
            _ => S::Terminated,
        };
        let (event, at) = match event {
            "repeat" => (E::Repeat, NOW),
            "1xx" => (E::Provisional(bytes()), NOW),
            "final" => (E::Final(bytes()), NOW),
            _ => (E::Tick, end),
        };
        let (state, effects) = state.handle(event, Wire::Unreliable, at);
        outcome(&state, &effects)
    });
}

/// Table 4 of RFC 3261: over a reliable transport D, I, J and K are zero and A, E and G never fire.
#[test]
fn over_a_reliable_transport_nothing_is_repeated_and_nothing_lingers() {
    use super::{client_invite as ci, client_non_invite as cn, server_invite as si, server_non_invite as sn};
    let wire = Wire::Reliable;
    let (state, _) = ci::ClientInvite::start(bytes(), wire, NOW);
    assert_eq!(state.deadline(), Some(NOW + GIVE_UP));
    let (state, _) = state.handle(ci::Event::Failure { ack: bytes() }, wire, NOW);
    assert_eq!(state, ci::ClientInvite::Terminated);

    let (state, _) = cn::ClientNonInvite::start(bytes(), wire, NOW);
    assert_eq!(state.deadline(), Some(NOW + GIVE_UP));
    let (state, _) = state.handle(cn::Event::Final, wire, NOW);
    assert_eq!(state, cn::ClientNonInvite::Terminated);

    let state = si::ServerInvite::start(bytes(), NOW);
    assert_eq!(state.deadline(), Some(NOW + TRYING));
    let (state, _) = state.handle(si::Event::Failure(bytes()), wire, NOW);
    assert_eq!(state.deadline(), Some(NOW + GIVE_UP), "timer H runs over any transport");
    let (state, _) = state.handle(si::Event::Ack, wire, NOW);
    assert_eq!(state, si::ServerInvite::Terminated);

    let (state, _) = sn::ServerNonInvite::start().handle(sn::Event::Final(bytes()), wire, NOW);
    assert_eq!(state, sn::ServerNonInvite::Terminated);
}

#[test]
fn over_an_unreliable_one_the_timers_have_the_values_of_the_table() {
    use super::{client_invite as ci, client_non_invite as cn, server_invite as si, server_non_invite as sn};
    let wire = Wire::Unreliable;
    let (state, _) = ci::ClientInvite::start(bytes(), wire, NOW);
    assert_eq!(state.deadline(), Some(NOW + T1), "A");
    let (done, _) = state.clone().handle(ci::Event::Failure { ack: bytes() }, wire, NOW);
    assert_eq!(done.deadline(), Some(NOW + D), "D");
    let (done, _) = state.handle(ci::Event::Success { tag: bytes() }, wire, NOW);
    assert_eq!(done.deadline(), Some(NOW + GIVE_UP), "M");

    let (state, _) = cn::ClientNonInvite::start(bytes(), wire, NOW);
    let (state, _) = state.handle(cn::Event::Provisional, wire, NOW);
    let (state, _) = state.handle(cn::Event::Tick, wire, NOW + T1);
    assert_eq!(state.deadline(), Some(NOW + T1 + T2), "E once a 1xx came");
    let (state, _) = state.handle(cn::Event::Final, wire, NOW);
    assert_eq!(state.deadline(), Some(NOW + T4), "K");

    let (state, _) = si::ServerInvite::start(bytes(), NOW).handle(si::Event::Failure(bytes()), wire, NOW);
    assert_eq!(state.deadline(), Some(NOW + T1), "G");
    let (state, _) = state.handle(si::Event::Ack, wire, NOW);
    assert_eq!(state.deadline(), Some(NOW + T4), "I");

    let (state, _) = sn::ServerNonInvite::start().handle(sn::Event::Final(bytes()), wire, NOW);
    assert_eq!(state.deadline(), Some(NOW + GIVE_UP), "J");
}
