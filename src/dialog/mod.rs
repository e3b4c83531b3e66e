//! SIP dialogs (RFC 3261 §12) and the INVITE usage of them.
