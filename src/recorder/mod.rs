//! Writes what the tap copies to stereo WAV, and keeps files, sidecars and index in step.
//!
//! ```text
//!                                                                    layer ──> sidecar and WAV, unsynced
//!                                                                 begin ^ │ laid
//! media workers ── frames (bounded; dropped and counted when full) ──┐  │ v
//! core ────────── commands (bounded) ────────────────────────────────┴─> writer ──> page cache, every 200 ms
//!                                                                         │ begin, laid, describe, sync, finish
//!                                                                         v
//!                                                                        clerk ──> fsync, sidecar, row, report
//!                                                                         │ ^
//!                                                                         v │ hash
//!                                                                        sealer
//! ```
//! The rule: audio never waits for a disk, and nothing is reported that is not durable. What was spoken reaches the page cache within
//! 0.4 s and so survives a kill of the process, however far behind the syncs are. For a power cut, `Started` is reported when files,
//! folder and row are synced; what is spoken is synced every ten seconds and at the end. On trouble with the disk the calls go on, the
//! file's length stays the time that has passed, and the part `recording` is reported as degraded.
//!
//! A recording's time goes on as its media workers read, not as the writer wakes: after a moment in which the whole machine stood still,
//! packets of that moment lie in the sockets yet, and silence must not take their place (`threads::horizon`).

pub mod catalogue;
mod clerk;
pub mod command_line;
mod export;
mod hushed;
pub mod import;
mod layer;
pub mod measure;
pub mod repair;
#[cfg(test)]
mod rig;
mod session;
mod sidecar;
mod tap;
mod threads;
pub mod timeline;
pub mod verify;
mod voice;
mod wav;
mod writer;

pub use tap::{Dropped, FRAMES, Reach, Tap};
pub use threads::{COMMANDS, Losses, Recorder};

/// Where reports to the core go.
pub type Reports<'a> = dyn FnMut(crate::switch::input::RecorderReport) + 'a;
