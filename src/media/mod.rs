//! The pure audio path of a leg.
