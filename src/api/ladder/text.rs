//! A ladder for people: a column for each peer with the switch beside the first one, an arrow for each message.
//!
//! ```text
//!                    UDP 127.0.0.1:5071            Cordboard             UDP 127.0.0.1:5072
//!     +0.000000               |--- INVITE (SDP) ------>|                          |
//!     +0.000713               |<-- 401 Unauthorized ---|                          |
//! ```

use std::fmt::Write;

use crate::store::ladders::{Message, Way};

/// From one column's line to the next.
const WIDTH: usize = 38;
/// Before the first line: the time.
const MARGIN: usize = 30;
/// Peers with a column of their own. The last one is for all others, with their address at the arrow.
const MOST_COLUMNS: usize = 12;

pub fn ladder(of: &str, messages: &[Message]) -> String {
    let Some(first) = messages.first() else { return format!("{of}: no SIP messages are kept\n") };
    let mut peers: Vec<String> = Vec::new();
    for message in messages {
        let peer = peer(message);
        if !peers.contains(&peer) && peers.len() < MOST_COLUMNS {
            peers.push(peer);
        }
    }
    let others = messages.iter().any(|m| !peers.contains(&peer(m)));
    if others && let Some(last) = peers.last_mut() {
        "others".clone_into(last);
    }
    // The switch stands behind the first peer, so that a call goes from left to right.
    let mut columns: Vec<&str> = peers.iter().map(String::as_str).collect();
    columns.insert(1, "Cordboard");

    let at = first.at.timestamp().map_or_else(String::new, |t| format!("{t:.6}"));
    let mut out = format!("{of}: {} SIP messages, the first at {at}\n\n", messages.len());
    let mut heads = String::new();
    for (index, column) in columns.iter().enumerate() {
        let begins = (MARGIN + index * WIDTH).saturating_sub(column.chars().count() / 2);
        let room = begins.saturating_sub(heads.chars().count()).max(usize::from(index > 0));
        heads.push_str(&" ".repeat(room));
        heads.push_str(column);
    }
    out.push_str(heads.trim_end());
    out.push('\n');
    for message in messages {
        if message.left_out_before > 0 {
            let _ = writeln!(out, "{:>12}  {} messages were too many to be kept", "…", message.left_out_before);
        }
        row(&mut out, message, first.at, &peers, columns.len());
    }
    out
}

fn row(out: &mut String, message: &Message, first: crate::clock::Wall, peers: &[String], columns: usize) {
    let elapsed = message.at.since(first);
    let _ = write!(out, "{:>+12.6}", elapsed.as_secs_f64());
    out.push_str(&" ".repeat(MARGIN - 12));
    let address = peer(message);
    let known = peers.iter().position(|p| *p == address);
    // Column 0 is the first peer, 1 the switch.
    let column = match known.unwrap_or(peers.len().saturating_sub(1)) {
        0 => 0,
        index => index + 1,
    };
    let (left, right) = (column.min(1), column.max(1));
    let to_the_right = (message.way == Way::Sent) == (column > 1);
    let mut label = what(message);
    if known.is_none() {
        let _ = write!(label, " {address}");
    }
    if message.cut_octets > 0 {
        label.push_str(" (cut)");
    }
    for index in 0..columns {
        out.push('|');
        if index == left {
            arrow(out, &label, (right - left) * WIDTH - 1, to_the_right);
        } else if (index < left || index >= right) && index + 1 < columns {
            out.push_str(&" ".repeat(WIDTH - 1));
        }
    }
    out.push('\n');
}

fn arrow(out: &mut String, label: &str, length: usize, to_the_right: bool) {
    let room = length.saturating_sub(8);
    let label: String = label.chars().take(room).collect();
    let dashes = "-".repeat(room - label.chars().count());
    let _ = if to_the_right { write!(out, "--- {label} {dashes}-->") } else { write!(out, "<-- {label} {dashes}---") };
}

fn peer(message: &Message) -> String {
    format!("{} {}", message.transport, message.remote)
}

/// `INVITE (SDP)`, `200 OK (INVITE, SDP)`.
fn what(message: &Message) -> String {
    let (head, body) = message.message.split_once("\r\n\r\n").unwrap_or((&message.message, ""));
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let header = |name: &str| {
        let named =
            |line: &str| line.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim().to_owned());
        head.lines().skip(1).find_map(named).unwrap_or_default()
    };
    let method = header("CSeq").split_whitespace().last().unwrap_or_default().to_owned();
    let sdp = header("Content-Type").to_ascii_lowercase().starts_with("application/sdp") && !body.is_empty();
    let text = match (first.strip_prefix("SIP/2.0 "), sdp) {
        (Some(status), true) => format!("{status} ({method}, SDP)"),
        (Some(status), false) => format!("{status} ({method})"),
        (None, true) => format!("{} (SDP)", first.split(' ').next().unwrap_or_default()),
        (None, false) => first.split(' ').next().unwrap_or_default().to_owned(),
    };
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Wall;

    fn message(us: i64, way: Way, port: u16, text: &str) -> Message {
        Message {
            at: Wall::from_micros(1_795_338_000_000_000 + us),
            way,
            transport: "UDP".to_owned(),
            local: "127.0.0.1:5060".parse().expect("address"),
            remote: ([127, 0, 0, 1], port).into(),
            message: text.replace('\n', "\r\n"),
            message_base64: None,
            cut_octets: 0,
            left_out_before: 0,
        }
    }

    #[test]
    fn a_call_is_read_from_left_to_right() {
        let sdp = "CSeq: 1 INVITE\nContent-Type: application/sdp\n\nv=0\n";
        let mut last = message(1_500_000, Way::Sent, 5071, &format!("SIP/2.0 200 OK\n{sdp}"));
        last.left_out_before = 3;
        let text = ladder(
            "conversation X",
            &[
                message(0, Way::Received, 5071, &format!("INVITE sip:a SIP/2.0\n{sdp}")),
                message(700, Way::Sent, 5072, "INVITE sip:b SIP/2.0\nCSeq: 2 INVITE\n\n"),
                message(900, Way::Received, 5072, "SIP/2.0 180 Rin\u{7}ging\nCSeq: 2 INVITE\n\n"),
                last,
            ],
        );
        let expected = "\
conversation X: 4 SIP messages, the first at 2026-11-22T09:00:00.000000Z

                     UDP 127.0.0.1:5071                         Cordboard                        UDP 127.0.0.1:5072
   +0.000000                  |--- INVITE (SDP) ------------------->|                                     |
   +0.000700                  |                                     |--- INVITE ------------------------->|
   +0.000900                  |                                     |<-- 180 Rin?ging (INVITE) -----------|
           …  3 messages were too many to be kept
   +1.500000                  |<-- 200 OK (INVITE, SDP) ------------|                                     |
";
        assert_eq!(text, expected, "\n{text}");
    }

    #[test]
    fn more_peers_than_columns_share_the_last_one_and_are_named() {
        let messages: Vec<Message> =
            (0..20).map(|n| message(n, Way::Received, 6_000 + n as u16, "OPTIONS sip:a SIP/2.0\n\n")).collect();
        let text = ladder("no conversation", &messages);
        assert!(text.lines().any(|l| l.ends_with("others")), "{text}");
        assert!(text.contains("OPTIONS UDP 127.0.0.1:6019"), "{text}");
    }
}
