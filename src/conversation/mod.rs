//! Conversations: legs, bridges, hold, transfer.
