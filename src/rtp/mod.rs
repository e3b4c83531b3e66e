//! RTP and RTCP packets (RFC 3550), telephone-event (RFC 4733).
