//! SIP messages: bytes to values and back.
