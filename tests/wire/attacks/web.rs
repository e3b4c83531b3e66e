//! Attacks by WebSocket, each with its safe outcome.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use base64::Engine as _;

use super::{Asker, Cordboard, SOON, site};

/// A WebSocket's handshake: the status, and the rest of the connection.
fn web_socket(switch: &Cordboard, headers: &str) -> (u16, TcpStream) {
    let mut stream = TcpStream::connect(switch.http()).expect("a connection");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    let key = base64::engine::general_purpose::STANDARD.encode([7; 16]);
    let request = format!(
        "GET /sip HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\
         {headers}\r\n",
        switch.http()
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut head = Vec::new();
    let mut octet = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut octet).expect("an answer") == 1 {
        head.push(octet[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    (head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("{head}")), stream)
}

/// The code of the Close frame that comes, if one does before the end (RFC 6455 §7.4).
fn close_code(mut stream: TcpStream) -> Option<u16> {
    let mut all = Vec::new();
    let end = stream.read_to_end(&mut all);
    assert!(!end.is_err_and(|e| matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)), "it is not let go");
    let close = all.windows(2).position(|w| w[0] == 0x88 && w[1] >= 2)?;
    Some(u16::from_be_bytes([*all.get(close + 2)?, *all.get(close + 3)?]))
}

/// RFC 6455 §5.1, §7.4.1, §10.2; RFC 7118 §3.
#[test]
fn a_websocket_that_is_not_as_it_should_be_is_turned_away() {
    let site = site("attack-web");
    let switch = site.start();
    let sip = "Sec-WebSocket-Protocol: sip\r\n";
    for (headers, status) in [
        (format!("{sip}Origin: https://evil.example\r\n"), 403),
        (format!("{sip}Origin: null\r\n"), 403),
        (String::new(), 400),
        ("Sec-WebSocket-Protocol: chat\r\n".to_owned(), 400),
        (sip.to_owned(), 101),
        (format!("{sip}Origin: http://{}\r\n", switch.http()), 101),
    ] {
        assert_eq!(web_socket(&switch, &headers).0, status, "{headers}");
    }
    let mut long = vec![0x81, 0xff];
    long.extend((200_000u64).to_be_bytes());
    long.extend([0; 4]);
    long.extend(vec![b'x'; 200_000]);
    let mut endless = vec![0x81, 0xff];
    endless.extend((1u64 << 40).to_be_bytes());
    endless.extend([0; 4]);
    // A message in pieces, each within bounds.
    let mut pieces = Vec::new();
    for n in 0..40 {
        pieces.extend([if n == 0 { 0x01 } else { 0x00 }, 0xfe]);
        pieces.extend(8_000u16.to_be_bytes());
        pieces.extend([0; 4]);
        pieces.extend(vec![b'x'; 8_000]);
    }
    for (what, frames, code) in [
        ("not masked", b"\x81\x04OPTI".to_vec(), 1002),
        ("of no known kind", b"\x83\x80\0\0\0\0".to_vec(), 1002),
        ("too long", long, 1009),
        ("a terabyte", endless, 1009),
        ("too long in pieces", pieces, 1009),
    ] {
        let before = switch.resident_kb();
        let (status, mut stream) = web_socket(&switch, sip);
        assert_eq!(status, 101);
        let _ = stream.write_all(&frames);
        assert_eq!(close_code(stream), Some(code), "{what}");
        assert!(switch.resident_kb() < before + 8_192, "{what}");
    }
    let mut asker = Asker::new("127.0.0.1", &switch);
    asker.is_answered();
}
