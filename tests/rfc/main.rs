//! What the RFCs say, one file a section.

mod torture;
mod torture_core;
