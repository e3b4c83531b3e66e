//! How calls sound: speech, tones and time through a real media worker on a virtual clock, plain and encrypted, with what strangers send in
//! between. No sockets; the same seed gives the same bytes.
//!
//! `tests/data/speech.wav` was made for this by espeak-ng 1.51 and sox, at 16 kHz: `-v en-gb -s 150 "The caller wants to know when the new
//! telephone will arrive."`, then `-v en-us+f3 -s 150 "Please hold the line, I will ask my colleague in the workshop."`, each with silence
//! around it.

#![allow(clippy::indexing_slicing, reason = "a phone that a test names and did not add is a broken test")]

#[path = "../support/skip.rs"]
mod skip;
#[allow(dead_code, reason = "other suites use the rest")]
#[path = "../support/tab.rs"]
mod tab;
#[allow(dead_code, reason = "clients over real sockets use the rest")]
#[path = "../support/tones.rs"]
mod tones;

// As `tab` names them.
use cordboard::{codec, sdp};

mod attacks;
mod drift;
mod rig;
mod speech;
