//! Bindings (RFC 3261 §10) and digest authentication (RFC 8760).
