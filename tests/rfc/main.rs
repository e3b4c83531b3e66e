//! What the RFCs say, one file a section.

mod torture;
