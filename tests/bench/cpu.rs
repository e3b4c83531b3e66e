//! The clock of CPU time.

use std::time::Duration;

/// CPU that this thread has had. By the system call itself: /proc would cost more than what some measure with it.
#[allow(unsafe_code, reason = "std has no clock of CPU time")]
pub fn cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // Sound: the pointer is to a timespec of ours that lives through the call.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(done, 0, "no clock of CPU time");
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
