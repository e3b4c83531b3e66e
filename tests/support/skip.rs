//! What this machine can't run.

/// Names the permission to leave tests out: for machines without network namespaces or IPv6.
const PERMISSION: &str = "CORDBOARD_MAY_SKIP";

/// A test that can't be run fails, since nobody would notice that it is not there, unless it is permitted to be left out.
#[track_caller]
pub fn skipped(what: &str, why: &str) {
    assert!(
        std::env::var_os(PERMISSION).is_some(),
        "{what} can't be tested here: {why} ({PERMISSION}=1 permits to leave it out)"
    );
    println!("SKIPPED {what}: {why}");
}
