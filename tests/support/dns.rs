//! A name server of a test: answers from a table, over UDP, until it is dropped.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Seconds that every record is good for.
const TTL: u32 = 300;

#[derive(Clone, Debug)]
pub enum Record {
    A(Ipv4Addr),
    /// Priority, weight, port, target.
    Srv(u16, u16, u16, &'static str),
    /// Order, preference, service, replacement.
    Naptr(u16, u16, &'static str, &'static str),
}

pub struct Dns {
    at: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Dns {
    pub fn start(records: &[(&'static str, Record)]) -> Dns {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let at = socket.local_addr().expect("its address");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        let mut table: BTreeMap<(String, u16), Vec<Record>> = BTreeMap::new();
        for (name, record) in records {
            table.entry(((*name).to_owned(), record.kind())).or_default().push(record.clone());
        }
        let (asked, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (asked_there, over_there) = (asked.clone(), over.clone());
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 1_500];
            while !over_there.load(Ordering::Relaxed) {
                let Ok((read, from)) = socket.recv_from(&mut buffer) else { continue };
                let Some((name, kind, end)) = question(&buffer[..read]) else { continue };
                asked_there.lock().expect("a lock").push(format!("{kind} {name}"));
                let found = table.get(&(name, kind)).cloned().unwrap_or_default();
                let _ = socket.send_to(&answer(&buffer[..end], kind, &found), from);
            }
        });
        Dns { at, asked, over, thread: Some(thread) }
    }

    pub fn address(&self) -> SocketAddr {
        self.at
    }

    /// Every question so far: the record's type as a number, and the name.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("a lock").clone()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Record {
    fn kind(&self) -> u16 {
        match self {
            Record::A(_) => 1,
            Record::Srv(..) => 33,
            Record::Naptr(..) => 35,
        }
    }

    fn data(&self) -> Vec<u8> {
        let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
        match self {
            Record::A(ip) => ip.octets().to_vec(),
            Record::Srv(priority, weight, port, target) => {
                [&priority.to_be_bytes()[..], &weight.to_be_bytes(), &port.to_be_bytes(), &labels(target)].concat()
            }
            Record::Naptr(order, preference, service, to) => {
                [&order.to_be_bytes()[..], &preference.to_be_bytes(), &text("s"), &text(service), &text(""), &labels(to)].concat()
            }
        }
    }
}

fn labels(name: &str) -> Vec<u8> {
    let mut all: Vec<u8> = name.split('.').flat_map(|l| [&[l.len() as u8], l.as_bytes()].concat()).collect();
    all.push(0);
    all
}

/// Name in lower case, type, and where the question ends.
fn question(packet: &[u8]) -> Option<(String, u16, usize)> {
    let mut at = 12;
    let mut name = Vec::new();
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        name.push(String::from_utf8_lossy(packet.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]);
    packet.get(at + 3)?;
    Some((name.join("."), kind, at + 4))
}

fn answer(asked: &[u8], kind: u16, found: &[Record]) -> Vec<u8> {
    let mut reply = asked.to_vec();
    // A response, with recursion; no error: the name is there, with or without such a record.
    reply[2..4].copy_from_slice(&[0x81, 0x80]);
    reply[4..12].copy_from_slice(&[0, 1, 0, found.len() as u8, 0, 0, 0, 0]);
    for record in found {
        let data = record.data();
        reply.extend([0xc0, 12]);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1]);
        reply.extend(TTL.to_be_bytes());
        reply.extend((data.len() as u16).to_be_bytes());
        reply.extend(data);
    }
    reply
}
