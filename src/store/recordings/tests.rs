//! Search against a filter over all rows.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::clock::Wall;
use crate::ids::{ConversationId, QueueName, StaffNumber};
use crate::route::Direction;
use crate::store::database::Memory;

const NUMBERS: [&str; 7] = ["+4930123456", "030123456", "030987654321", "anonymous", "201", "+15551234567", "84951234567"];

/// Of the last one no digits but the E.164 lead to it from abroad.
const E164: [Option<&str>; 7] =
    [Some("+4930123456"), Some("+4930123456"), None, None, None, Some("+15551234567"), Some("+74951234567")];

fn row(seed: (u64, usize, Vec<usize>, usize, usize, u64)) -> Recording {
    let (minute, number, agents, queue, direction, duration_s) = seed;
    let ms = 1_795_338_000_000 + minute * 60_000;
    Recording {
        id: RecordingId::from_parts(ms, u128::from(duration_s) << 64 | (number as u128) << 8 | direction as u128),
        conversation: ConversationId::from_parts(ms, 1),
        started_at: Wall::from_micros(ms as i64 * 1_000),
        duration_ms: duration_s * 1_000,
        direction: [Direction::Inbound, Direction::Outbound, Direction::Internal][direction],
        customer_number: NUMBERS[number].to_owned(),
        called: "100".into(),
        customer_e164: E164[number].map(str::to_owned),
        called_e164: None,
        agents: agents.into_iter().map(|a| StaffNumber::new(format!("10{a}"))).collect(),
        queue: [None, Some(QueueName::new("support")), Some(QueueName::new("sales"))][queue].clone(),
        channels: 2,
        sample_rate: 8_000,
        bytes: 44,
        sha256: None,
        state: State::Finished,
        rule: String::new(),
        lost_ms: [0, 0],
        paused_ms: 0,
        refused: false,
        kind: Kind::Conversation,
        mailbox: None,
        heard: false,
        kept: true,
        sound: None,
    }
}

fn rows() -> impl Strategy<Value = Vec<Recording>> {
    let seed = (0u64..4_000, 0usize..7, prop::collection::vec(0usize..3, 0..3), 0usize..3, 0usize..3, 0u64..300);
    prop::collection::vec(seed.prop_map(row), 0..120)
}

fn filters() -> impl Strategy<Value = Filter> {
    let number = prop::sample::select(vec![
        "030123456",
        "+4930123456",
        "3456",
        "6",
        "Anonymous",
        "201",
        "1",
        "5551234567",
        "+74951234567",
    ]);
    (
        (prop::option::of(0usize..4), prop::option::of(0usize..3), prop::option::of(number), prop::option::of(0usize..3)),
        (prop::option::of(0u64..4_000), prop::option::of(0u64..4_000), prop::option::of(0u64..300), prop::option::of(0u64..300)),
        1usize..20,
    )
        .prop_map(|((agent, queue, number, direction), (from, to, min_s, max_s), limit)| {
            let at = |minute: u64| Wall::from_micros((1_795_338_000_000 + minute as i64 * 60_000) * 1_000);
            Filter {
                agent: agent.map(|a| StaffNumber::new(format!("10{a}"))),
                queue: queue.map(|q| QueueName::new(["support", "sales", "none"][q])),
                number: number.map(str::to_owned),
                direction: direction.map(|d| [Direction::Inbound, Direction::Outbound, Direction::Internal][d]),
                kind: None,
                from: from.map(at),
                to: to.map(at),
                min_s,
                max_s,
                limit,
                cursor: None,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_search_page_by_page_finds_what_a_filter_over_all_rows_finds(rows in rows(), filter in filters(), changed in rows()) {
        let table = Recordings::new(Arc::new(Memory::default()));
        let mut all = std::collections::BTreeMap::new();
        for row in rows {
            table.put(&row, true).unwrap();
            all.insert(row.id, row);
        }
        // Described again: agents, queue and number of an id change, and some rows go.
        for (i, (id, other)) in all.keys().copied().collect::<Vec<_>>().into_iter().zip(changed).enumerate() {
            if i % 3 == 0 {
                table.remove(id).unwrap();
                all.remove(&id);
            } else if let Some(row) = all.get_mut(&id) {
                *row = Recording { id, started_at: row.started_at, ..other };
                table.put(row, true).unwrap();
            }
        }
        let expected: Vec<Recording> = all.values().rev().filter(|r| filter.matches(r)).cloned().collect();
        let mut found = Vec::new();
        let mut page = filter.clone();
        loop {
            let Page { items, next } = table.search(&page).unwrap();
            prop_assert!(items.len() <= filter.limit);
            found.extend(items);
            let Some(next) = next else { break };
            page.cursor = Some(next);
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn nothing_is_left_in_any_index_when_all_rows_are_removed(rows in rows(), again in rows()) {
        let database = Arc::new(Memory::default());
        let table = Recordings::new(database.clone());
        for row in rows.iter().chain(&again) {
            table.put(row, false).unwrap();
        }
        for row in rows.iter().chain(&again) {
            table.remove(row.id).unwrap();
        }
        for tree in Tree::ALL {
            prop_assert_eq!(database.page(tree, &[], None, Order::Ascending, 10).unwrap(), vec![]);
        }
    }
}

#[test]
fn a_page_stays_in_place_while_newer_recordings_come() {
    let table = Recordings::new(Arc::new(Memory::default()));
    let at = |minute| row((minute, 0, vec![], 0, 0, 5));
    for minute in 0..10 {
        table.put(&at(minute), true).unwrap();
    }
    let first = table.search(&Filter { limit: 4, ..Filter::default() }).unwrap();
    table.put(&at(99), true).unwrap();
    let second = table.search(&Filter { limit: 4, cursor: first.next, ..Filter::default() }).unwrap();
    let minutes: Vec<u64> = second.items.iter().map(|r| (r.id.timestamp_ms() - 1_795_338_000_000) / 60_000).collect();
    assert_eq!(minutes, [5, 4, 3, 2]);
}

#[test]
fn a_sidecar_reads_back_as_the_row_that_it_was() {
    let row = row((5, 1, vec![1, 2], 1, 0, 9));
    let json = serde_json::to_string(&row).unwrap();
    assert_eq!(serde_json::from_str::<Recording>(&json).unwrap(), row);
    assert!(json.contains("\"started_at\":\"2026-11-22T09:05:00.000Z\""));
}

#[test]
fn a_row_that_cannot_be_read_can_be_taken_out() {
    let database = Arc::new(Memory::default());
    let table = Recordings::new(database.clone());
    let row = row((1, 0, vec![], 0, 0, 1));
    table.put(&row, false).unwrap();
    database.commit(&[Change::Put(Tree::Recordings, row.id.to_bytes().to_vec(), b"{".to_vec())]).unwrap();
    assert!(matches!(table.row(row.id), Err(DatabaseError::Row { .. })));
    table.delete(row.id).unwrap();
    assert_eq!((table.row(row.id).unwrap(), table.unannounced().unwrap()), (None, vec![]));
}
