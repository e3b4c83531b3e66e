//! Sees to it that each worker's thread comes round, and says where one does not: its calls have no sound meanwhile, and whoever runs the
//! switch is to know why.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::{Mono, System};

use super::{Counters, Outlets};

/// How often the threads are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A worker's thread comes round each second at the latest. One that has not for so long stands still.
const STALLED_AFTER: Duration = Duration::from_secs(3);

/// What is wrong with the workers, of which one may be told and another not.
pub(super) fn trouble(counters: &Counters, now: Mono) -> Option<String> {
    let stands = |beat: u64| now.since(Mono::from_micros(beat)) > STALLED_AFTER;
    let mut trouble = None;
    for (worker, share) in counters.workers.iter().enumerate() {
        let refused = share.refused.swap(false, Relaxed);
        if stands(share.beat.load(Relaxed)) {
            trouble.get_or_insert_with(|| format!("media worker {worker} stands still: its calls have no sound"));
        } else if refused {
            trouble
                .get_or_insert_with(|| format!("media worker {worker} does not take commands: calls without sound were ended"));
        }
    }
    trouble
}

/// Begins the watch; it ends when it is unparked with `counters.stop` set.
pub(super) fn start<O: Outlets>(counters: Arc<Counters>, clock: System, outlets: O) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("media-watch".to_owned()).spawn(move || {
        let mut told = false;
        while !counters.stop.load(Relaxed) {
            std::thread::park_timeout(LOOK_EVERY);
            match trouble(&counters, clock.mono()) {
                Some(reason) if !told => {
                    counters.stalls.fetch_add(1, Relaxed);
                    outlets.trouble(Some(&reason));
                    told = true;
                }
                None if told => {
                    outlets.trouble(None);
                    told = false;
                }
                Some(_) | None => {}
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_does_not_come_round_is_told_of_until_it_does() {
        let counters = Counters::new(2);
        let at = |seconds: u64| Mono::from_micros(seconds * 1_000_000);
        counters.workers[0].beat.store(at(10).as_micros(), Relaxed);
        counters.workers[1].beat.store(at(12).as_micros(), Relaxed);
        assert_eq!(trouble(&counters, at(13)), None);
        let still = trouble(&counters, at(14)).unwrap();
        assert!(still.starts_with("media worker 0 stands still"), "{still}");
        counters.workers[0].beat.store(at(14).as_micros(), Relaxed);
        counters.workers[1].refused.store(true, Relaxed);
        let refused = trouble(&counters, at(14)).unwrap();
        assert!(refused.starts_with("media worker 1 does not take commands"), "{refused}");
        assert_eq!(trouble(&counters, at(14)), None, "it is said of what was refused since");
    }
}
