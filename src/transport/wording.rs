//! How a message is called in the log: by its method or status, never with numbers, names or bodies.

use crate::sip::Message;

pub fn of(message: &Message) -> String {
    match message {
        Message::Request(request) => request.method.to_string(),
        Message::Response(response) => response.status.to_string(),
    }
}

/// Of bytes that we printed: the method, or the status with its reason.
pub fn of_bytes(bytes: &[u8]) -> String {
    let line = bytes.split(|&b| b == b'\r').next().unwrap_or_default();
    let words = match line.strip_prefix(b"SIP/2.0 ") {
        Some(status) => status,
        None => line.split(|&b| b == b' ').next().unwrap_or_default(),
    };
    String::from_utf8_lossy(words).into_owned()
}

/// Printed by us: a response goes back by the way that its request came.
pub fn is_response(bytes: &[u8]) -> bool {
    bytes.starts_with(b"SIP/2.0 ")
}

/// Printed by us, and a sign that the switch deals with whom it is sent to: a request, or success with a registration or a call. Success
/// with OPTIONS is none; anybody gets that.
pub fn shows_trust(bytes: &[u8]) -> bool {
    if !is_response(bytes) {
        return true;
    }
    let head = &bytes[..memchr::memmem::find(bytes, b"\r\n\r\n").unwrap_or(bytes.len())];
    let method = memchr::memmem::find(head, b"\r\nCSeq: ").and_then(|at| {
        let line = head[at + 2..].split(|&b| b == b'\r').next()?;
        line.rsplit(|&b| b == b' ').next()
    });
    bytes.starts_with(b"SIP/2.0 2") && matches!(method, Some(b"REGISTER" | b"INVITE" | b"SUBSCRIBE"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_gets_the_method_or_the_status_and_no_number() {
        assert_eq!(of_bytes(b"INVITE sip:+491701234567@a SIP/2.0\r\nVia: x\r\n\r\n"), "INVITE");
        assert_eq!(of_bytes(b"SIP/2.0 486 Busy Here\r\nVia: x\r\n\r\n"), "486 Busy Here");
        assert_eq!(of_bytes(b""), "");
    }

    #[test]
    fn success_with_options_shows_no_trust() {
        let response =
            |status: u16, method: &str| format!("SIP/2.0 {status} x\r\nCSeq: 1 {method}\r\nTo: a\r\n\r\nCSeq: 1 REGISTER");
        assert!(shows_trust(response(200, "REGISTER").as_bytes()));
        assert!(shows_trust(response(200, "INVITE").as_bytes()));
        assert!(!shows_trust(response(200, "OPTIONS").as_bytes()));
        assert!(!shows_trust(response(401, "REGISTER").as_bytes()));
        assert!(shows_trust(b"BYE sip:a@b SIP/2.0\r\n\r\n"));
    }
}
