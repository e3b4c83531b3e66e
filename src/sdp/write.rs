//! Writes our descriptions.
