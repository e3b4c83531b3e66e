//! Writes what the tap copies to stereo WAV.

pub mod timeline;
