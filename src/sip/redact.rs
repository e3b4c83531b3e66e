//! A message as it may be shown: without what lets its reader in somewhere or hear something.
//!
//! | where | what goes |
//! |---|---|
//! | Authorization, Proxy-Authorization, Authentication-Info, Proxy-Authentication-Info, Identity | the whole value: `…`, or `Digest …` |
//! | `sip:user:password@host`, in any line of the head | the password: `…` |
//! | a line of the head that is no header, or has no end | the whole line: `…` |
//! | SDP: `a=crypto` beyond tag and suite (RFC 4568), `a=ice-pwd`, `a=key-mgmt`, `k=` | each octet: `x` |
//! | keys that were pressed (`application/dtmf…` and the like, INFO without a type); what somebody wrote; a body that is encoded, and so cannot be looked through | each octet: `x` |
//!
//! A body keeps its length, so that Content-Length stays true. What is not understood is cut and never shown.

use super::text::is_token;

/// Stands for what was taken out of a line of the head.
const CUT: &str = "…";

/// Their values are credentials, or are made with them.
const SECRET: [&str; 5] =
    ["Authorization", "Proxy-Authorization", "Authentication-Info", "Proxy-Authentication-Info", "Identity"];

/// Attributes of a description that hold keys, with how many fields of each may be seen; so does the line `k=`.
const KEYS: [(&[u8], usize); 3] = [(b"crypto", 2), (b"ice-pwd", 0), (b"key-mgmt", 0)];

/// `message` as we print messages ([`Message::to_bytes`](super::Message::to_bytes)), or the beginning of one.
pub fn redacted(message: &[u8]) -> Vec<u8> {
    let (head, body) = match memchr::memmem::find(message, b"\r\n\r\n") {
        Some(at) => message.split_at(at + 4),
        None => (message, &[][..]),
    };
    let mut out = Vec::with_capacity(message.len() + 8);
    // What an INFO holds that does not say what it is may be a key.
    let mut opaque = head.get(..5).is_some_and(|method| method.eq_ignore_ascii_case(b"INFO ")) && !has_type(head);
    for (index, line) in head.split_inclusive(|&b| b == b'\n').enumerate() {
        let (line, end) = line.split_at(line.len() - line.iter().rev().take_while(|b| matches!(b, b'\r' | b'\n')).count());
        let header = line.iter().position(|&b| b == b':').map(|colon| line.split_at(colon));
        match header {
            // Cut in its middle: a password whose end is not there looks like a port.
            _ if end.is_empty() => out.extend_from_slice(CUT.as_bytes()),
            Some((name, value)) if index > 0 && is_token(name.trim_ascii_end()) => {
                let name = name.trim_ascii_end();
                opaque |= hides_its_body(name, value, body);
                if SECRET.iter().any(|secret| secret.as_bytes().eq_ignore_ascii_case(name)) {
                    out.extend_from_slice(name);
                    out.extend_from_slice(b": ");
                    // Who reads a capture expects a scheme.
                    if value
                        .get(1..)
                        .is_some_and(|v| v.trim_ascii_start().get(..7).is_some_and(|d| d.eq_ignore_ascii_case(b"Digest ")))
                    {
                        out.extend_from_slice(b"Digest ");
                    }
                    out.extend_from_slice(CUT.as_bytes());
                } else {
                    without_passwords(line, &mut out);
                }
            }
            _ if index == 0 => without_passwords(line, &mut out),
            _ if line.is_empty() => {}
            Some(_) | None => out.extend_from_slice(CUT.as_bytes()),
        }
        out.extend_from_slice(end);
    }
    if opaque {
        out.resize(out.len() + body.len(), b'x');
    } else {
        for line in body.split_inclusive(|b| matches!(b, b'\r' | b'\n')) {
            without_keys(line, &mut out);
        }
    }
    out
}

/// Whether this header says that the body cannot be looked through for keys, or is nothing but what somebody pressed.
fn hides_its_body(name: &[u8], value: &[u8], body: &[u8]) -> bool {
    let has = |text: &[u8], what: &[u8]| memchr::memmem::find(&text.to_ascii_lowercase(), what).is_some();
    if name.eq_ignore_ascii_case(b"Content-Encoding") {
        return !has(value, b"identity");
    }
    if name.eq_ignore_ascii_case(b"Content-Type") {
        // What somebody pressed, or wrote to somebody.
        return [&b"dtmf"[..], b"telephone-event", b"digits", b"kpml"].into_iter().any(|keys| has(value, keys))
            || has(value, b"text/")
            || has(value, b"cpim")
            || has(value, b"multipart/") && has(body, b"base64");
    }
    false
}

fn has_type(head: &[u8]) -> bool {
    head.split(|&b| b == b'\n').any(|line| {
        let name = line.split(|&b| b == b':').next().unwrap_or_default();
        name.trim_ascii_end().eq_ignore_ascii_case(b"Content-Type")
    })
}

/// RFC 3261 §19.1.1. Rather too much is taken out than too little.
fn without_passwords(line: &[u8], out: &mut Vec<u8>) {
    let mut rest = line;
    while let Some(at) = scheme(rest) {
        let (front, uri) = rest.split_at(at);
        out.extend_from_slice(front);
        let end = uri.iter().position(|b| matches!(b, b' ' | b'\t' | b'<' | b'>' | b'"')).unwrap_or(uri.len());
        let (uri, behind) = uri.split_at(end);
        match uri.iter().rposition(|&b| b == b'@').map(|at| uri.split_at(at)) {
            Some((user, host)) => {
                let user = match user.iter().position(|&b| b == b':') {
                    Some(colon) => {
                        out.extend_from_slice(user.get(..=colon).unwrap_or_default());
                        CUT.as_bytes()
                    }
                    None => user,
                };
                out.extend_from_slice(user);
                out.extend_from_slice(host);
            }
            None => out.extend_from_slice(uri),
        }
        rest = behind;
    }
    out.extend_from_slice(rest);
}

/// Where the next SIP URI begins, behind its scheme.
fn scheme(text: &[u8]) -> Option<usize> {
    let ends = |front: &[u8], with: &[u8]| {
        front.len().checked_sub(with.len()).and_then(|at| front.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(with))
    };
    let is_scheme = |at: &usize| text.get(..*at).is_some_and(|front| ends(front, b"sip") || ends(front, b"sips"));
    memchr::memchr_iter(b':', text).find(is_scheme).map(|colon| colon + 1)
}

/// Spaces about the parts of a line are read over, as lax readers of descriptions do; and what stands behind a lone CR is looked at as if
/// it still were of its line.
fn without_keys(line: &[u8], out: &mut Vec<u8>) {
    let (from, fields) = match behind(line, b'=') {
        Some((kind, value)) if kind.eq_ignore_ascii_case(b"k") => (value, 0),
        Some((kind, value)) if kind.eq_ignore_ascii_case(b"a") => hidden_from(line, value),
        Some(_) | None => hidden_from(line, 0),
    };
    let (front, value) = line.split_at(from.min(line.len()));
    out.extend_from_slice(front);
    let (mut seen, mut is_key) = (0, false);
    for &byte in value {
        seen += usize::from(byte.is_ascii_whitespace());
        // Neither a tag nor a suite has a colon: a method with its key.
        is_key |= seen >= fields || byte == b':';
        let shown = !is_key || matches!(byte, b'\r' | b'\n');
        out.push(if shown { byte } else { b'x' });
    }
}

/// Where the value of an attribute that holds keys begins, and how many of its fields may be seen; the line's end, if it is no such one.
fn hidden_from(line: &[u8], attribute: usize) -> (usize, usize) {
    let named = line.get(attribute..).and_then(|rest| behind(rest, b':'));
    let known = named.and_then(|(name, from)| {
        let (_, fields) = KEYS.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some((attribute + from, *fields))
    });
    known.unwrap_or((line.len(), 0))
}

/// What stands before the first `mark`, without spaces about it, and where the rest begins.
fn behind(line: &[u8], mark: u8) -> Option<(&[u8], usize)> {
    let at = line.iter().position(|&b| b == mark)?;
    Some((line.get(..at)?.trim_ascii(), at + 1))
}

#[cfg(test)]
mod tests {
    use super::redacted;

    fn shown(message: &str) -> String {
        String::from_utf8(redacted(message.as_bytes())).expect("text")
    }

    #[test]
    fn credentials_go_and_the_rest_stays_as_it_is() {
        let message = "REGISTER sip:201:pw1@a SIP/2.0\r\nVia: SIP/2.0/UDP b:5060;branch=z9hG4bK1\r\n\
                       Contact: \"a\" <SIP:201:pw2@c:5060>, <sips:x@y>\r\nauthorization: Digest response=\"secret3\"\r\n\
                       Proxy-Authorization : Digest secret4\r\nIdentity: secret5\r\nsecret6 without a colon\r\n folded secret7\r\n\
                       Call-ID: x@y\r\nContent-Length: 0\r\n\r\n";
        let expected = "REGISTER sip:201:…@a SIP/2.0\r\nVia: SIP/2.0/UDP b:5060;branch=z9hG4bK1\r\n\
                        Contact: \"a\" <SIP:201:…@c:5060>, <sips:x@y>\r\nauthorization: Digest …\r\n\
                        Proxy-Authorization: Digest …\r\nIdentity: …\r\n…\r\n…\r\n\
                        Call-ID: x@y\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(shown(message), expected);
    }

    #[test]
    fn keys_in_a_description_go_and_its_length_stays() {
        let message = "INVITE sip:a SIP/2.0\r\nContent-Type: application/sdp\r\n\r\nv=0\r\nk=clear:one\r\n\
                       a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:two|2^20\r\nA=ICE-PWD:three\ra=key-mgmt:mikey four\na=rtpmap:0 PCMU/8000";
        let shown = shown(message);
        assert_eq!(shown.len(), message.len());
        for secret in ["one", "two", "three", "four"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert!(shown.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80xxxx"), "{shown}");
        assert!(shown.ends_with("\na=rtpmap:0 PCMU/8000"), "{shown}");
    }

    #[test]
    fn spaces_and_capitals_hide_no_key() {
        for line in [
            "a= crypto:1 AES_CM_128_HMAC_SHA1_80 inline:secret",
            " a = Crypto : 1 AES_CM_128_HMAC_SHA1_80 inline:secret",
            "A=CRYPTO:1\tAES_CM_128_HMAC_SHA1_80\tinline:secret",
            "a=crypto:1 inline:secret",
            "a=crypto: inline:secret",
            "a=crypto:inline:secret",
            "a= ice-pwd: secret",
            "a=KEY-MGMT :secret",
            "k =clear:secret",
            " K= secret",
            "a=\rcrypto:1 AES_CM_128_HMAC_SHA1_80 inline:secret",
        ] {
            let shown =
                shown(&format!("INVITE sip:a SIP/2.0\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n{line}\r\nt=0 0\r\n"));
            assert!(!shown.contains("secret") && shown.ends_with("\r\nt=0 0\r\n"), "{shown}");
        }
    }

    #[test]
    fn what_cannot_be_looked_through_is_not_shown() {
        for (header, body) in [
            ("Content-Type: application/dtmf-relay", "Signal=5\r\nDuration=160"),
            ("Content-Type: application/vnd.nortelnetworks.digits", "d=5"),
            ("Content-Type: audio/telephone-event", "5"),
            ("X-Type: none", "Signal=5"),
            ("Content-Encoding: gzip", "\u{1f}secret"),
            ("Content-Type: multipart/mixed;boundary=b", "--b\r\nContent-Transfer-Encoding: BASE64\r\n\r\nc2VjcmV0"),
        ] {
            let shown = shown(&format!("INFO sip:a SIP/2.0\r\n{header}\r\n\r\n{body}"));
            assert!(shown.ends_with(&format!("\r\n\r\n{}", "x".repeat(body.len()))), "{shown}");
        }
    }

    #[test]
    fn a_message_that_was_cut_anywhere_leaks_nothing() {
        let message =
            "INVITE sip:a:secret@b SIP/2.0\r\nAuthorization: Digest secret\r\nCall-ID: c\r\n\r\na=crypto:1 X inline:secret\r\n";
        for length in 0..=message.len() {
            let shown = String::from_utf8_lossy(&redacted(&message.as_bytes()[..length])).into_owned();
            assert!(!shown.contains("secret"), "{shown}");
        }
    }
}
