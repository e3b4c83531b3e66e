//! `Output::Resolve`.

use super::*;
use crate::switch::output::{Resolved, Wanted};

fn wanted(host: &str) -> Wanted {
    Wanted { host: host.to_owned(), port: Some(5_070), transports: vec![Over::Udp] }
}

async fn answer(rig: &mut Rig, host: &str) -> Vec<Resolved> {
    rig.transport.resolve(QueryId(7), wanted(host));
    match rig.input().await {
        Input::Resolved { query: QueryId(7), servers, .. } => servers.into_iter().flat_map(|s| s.addresses).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_literal_comes_with_its_port_and_our_address_that_routes_to_it() {
    let mut rig = udp_rig("0.0.0.0:0").await;
    let here = Resolved { remote: ([127, 0, 0, 1], 5070).into(), local: [127, 0, 0, 1].into(), connection: None };
    assert_eq!(answer(&mut rig, "127.0.0.1").await, [here]);
    assert_eq!(answer(&mut rig, "localhost").await, [here]);
    assert_eq!(answer(&mut rig, "[::1]").await, [], "nothing listens there");
}

#[tokio::test]
async fn a_name_that_is_none_has_no_addresses() {
    let mut rig = udp_rig("0.0.0.0:0").await;
    for odd in ["", "a b", "\0", "nobody.invalid", &"x".repeat(5_000)] {
        assert_eq!(answer(&mut rig, odd).await, []);
    }
    assert_eq!(rig.counter("lookups_failed"), 5);
}

/// More than may wait for a lookup, and fewer than may wait for the core.
#[tokio::test]
async fn every_one_of_many_queries_is_answered() {
    let mut rig = udp_rig("0.0.0.0:0").await;
    for n in 0..1_000 {
        rig.transport.resolve(QueryId(n), wanted("127.0.0.1"));
    }
    let mut answered = Vec::new();
    for _ in 0..1_000 {
        match rig.input().await {
            Input::Resolved { query, .. } => answered.push(query.0),
            other => panic!("{other:?}"),
        }
    }
    answered.sort_unstable();
    assert_eq!(answered, (0..1_000).collect::<Vec<_>>());
}
