//! Queues, agents and offers.
