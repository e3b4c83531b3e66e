//! Gives memory back after a busy time.
//!
//! Over UDP each transaction is remembered for 32 s (RFC 3261, timers H, J and L), so a burst of calls leaves a heap full of holes. glibc
//! keeps the pages of holes for ever unless it is told to look; a machine that also runs something else wants them back.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

/// About as long as what a call leaves behind lives.
const EVERY: Duration = Duration::from_secs(30);

pub async fn give_back() {
    #[allow(clippy::disallowed_methods, reason = "nothing but memory depends on when this happens")]
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        trim();
    }
}

/// Threads that allocate in the arena at hand wait meanwhile.
#[cfg(target_env = "gnu")]
fn trim() {
    // SAFETY: takes no pointer, and may be called at any time from any thread (malloc_trim(3): MT-Safe).
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
fn trim() {}
