//! SIP transports: UDP and TCP (written by net).
