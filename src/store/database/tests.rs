//! Both databases do the same.

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::clock::System;

#[test]
fn the_key_behind_a_prefix_is_behind_all_that_begin_with_it() {
    assert_eq!(behind(b"ab"), Some(b"ac".to_vec()));
    assert_eq!(behind(&[1, 255]), Some(vec![2]));
    assert_eq!(behind(&[255, 255]), None);
    assert!(named("a") < named("ab") && !named("ab").starts_with(&named("a")));
}

#[test]
fn what_was_flushed_is_there_after_opening_again_and_a_second_opener_is_told_that_it_is_in_use() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("index");
    let opened = SledDatabase::open(&path, System::start()).unwrap();
    assert!(opened.fresh);
    opened.database.commit(&[Change::Put(Tree::Numbers, b"k".to_vec(), b"v".to_vec())]).unwrap();
    opened.database.flush().unwrap();
    assert!(matches!(SledDatabase::open(&path, System::start()), Err(DatabaseError::Locked { .. })));
    drop(opened);
    let again = SledDatabase::open(&path, System::start()).unwrap();
    assert!(!again.fresh);
    assert_eq!(again.database.get(Tree::Numbers, b"k").unwrap(), Some(b"v".to_vec()));
}

#[test]
fn a_damaged_index_is_put_aside_and_begins_anew() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("index");
    drop(SledDatabase::open(&path, System::start()).unwrap());
    std::fs::write(path.join("conf"), b"this was no configuration of sled").unwrap();
    let opened = SledDatabase::open(&path, System::start()).unwrap();
    assert!(opened.fresh && opened.put_aside.unwrap().exists());
}

/// `mount -t tmpfs -o size=12m none DIR`, then `SMALL_DISK=DIR cargo test -- --ignored sled_goes_on`
#[test]
#[ignore = "needs a small file system"]
fn sled_goes_on_after_a_full_disk() {
    let Some(small) = std::env::var_os("SMALL_DISK").map(std::path::PathBuf::from) else { return };
    let database = SledDatabase::open(&small.join("index"), System::start()).unwrap().database;
    let put = |n: u32| {
        let change = Change::Put(Tree::Numbers, n.to_be_bytes().to_vec(), vec![n as u8; 4_000]);
        database.commit(&[change]).and_then(|()| database.flush())
    };
    put(0).unwrap();
    let filler = small.join("filler");
    let mut bytes = 32 << 20;
    while bytes > 1_000 {
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&filler).unwrap();
        if file.write_all(&vec![0; bytes]).is_err() {
            bytes /= 2;
        }
    }
    let full = (1..5_000).find(|n| put(*n).is_err()).unwrap();
    println!("full at {full}: {:?}", put(full));
    std::fs::remove_file(&filler).unwrap();
    let clock = System::start();
    while let Err(error) = put(full) {
        assert!(clock.mono() < crate::clock::Mono::from_millis(20_000), "{error}");
        std::thread::yield_now();
    }
    assert!((0..=full).all(|n| database.get(Tree::Numbers, &n.to_be_bytes()).unwrap().is_some()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sled_and_memory_answer_alike(
        changes in prop::collection::vec((0usize..3, 0u8..20, prop::option::of(0u8..9)), 0..80),
        ranges in prop::collection::vec((0u8..22, prop::option::of(0u8..22), any::<bool>(), 0usize..30), 1..20),
    ) {
        let folder = TempDir::new().unwrap();
        let sled = SledDatabase::open(&folder.path().join("index"), System::start()).unwrap().database;
        let memory = Memory::default();
        for batch in changes.chunks(7) {
            let batch: Vec<Change> = batch
                .iter()
                .map(|(tree, key, value)| match value {
                    Some(value) => Change::Put(Tree::ALL[*tree], vec![*key], vec![*value]),
                    None => Change::Remove(Tree::ALL[*tree], vec![*key]),
                })
                .collect();
            sled.commit(&batch).unwrap();
            memory.commit(&batch).unwrap();
        }
        for (from, to, up, most) in ranges {
            let order = if up { Order::Ascending } else { Order::Descending };
            let to = to.map(|t| vec![t]);
            for tree in &Tree::ALL[..3] {
                prop_assert_eq!(
                    sled.page(*tree, &[from], to.as_deref(), order, most).unwrap(),
                    memory.page(*tree, &[from], to.as_deref(), order, most).unwrap()
                );
            }
        }
    }
}
