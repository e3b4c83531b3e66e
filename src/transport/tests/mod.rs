//! The transports against plain sockets on loopback. Nothing sleeps: each wait is for an input, an octet or an end, with [`DEADLINE`].

mod door;
mod resolving;
mod secure;
mod stream;
mod stream_limits;
mod udp;
mod web;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::config::{Advertised, DigestAlgorithm};
use crate::sip::{Message, Transport as Over};
use crate::transaction::SendId;

/// Only a failing test waits for so long.
const DEADLINE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(60);

struct Rig {
    transport: Transport,
    inputs: mpsc::Receiver<Input>,
    /// The core's own end of its queue, to fill it.
    core: mpsc::Sender<Input>,
}

fn sip(udp: &[&str], tcp: &[&str]) -> config::Sip {
    let read = |list: &[&str]| list.iter().map(|a| a.parse().expect("address")).collect();
    config::Sip {
        digest: vec![DigestAlgorithm::Md5],
        udp: read(udp),
        tcp: read(tcp),
        tls: Vec::new(),
        advertise: Advertised::default(),
        min_expires: Duration::from_secs(60),
        max_expires: Duration::from_secs(3600),
        default_expires: Duration::from_secs(3600),
        max_contacts: 10,
        proxies: Vec::new(),
        nameservers: Vec::new(),
        drain: Duration::from_secs(1),
        ladder: 200,
        ladder_kept: Duration::from_secs(86_400),
    }
}

fn settings() -> Settings {
    Settings::for_registrations_of(Duration::from_secs(3600))
}

async fn rig(udp: &[&str], tcp: &[&str], settings: Settings, queue: usize) -> Rig {
    let (core, inputs) = mpsc::channel(queue);
    let transport = start_with(&sip(udp, tcp), None, settings, core.clone()).await.expect("bound");
    Rig { transport, inputs, core }
}

async fn udp_rig(address: &str) -> Rig {
    rig(&[address], &[], settings(), 64).await
}

async fn tcp_rig(settings: Settings) -> Rig {
    rig(&[], &["127.0.0.1:0"], settings, 64).await
}

impl Rig {
    async fn input(&mut self) -> Input {
        loop {
            match timeout(DEADLINE, self.inputs.recv()).await.expect("an input in time").expect("transports run") {
                // Comes when it comes.
                Input::Malformed { .. } => {}
                input => return input,
            }
        }
    }

    async fn message(&mut self) -> (Flow, Message) {
        match self.input().await {
            Input::Sip { flow, message } => (flow, message),
            other => panic!("{other:?}"),
        }
    }

    async fn undeliverable(&mut self) -> SendId {
        match self.input().await {
            Input::Undeliverable { report, .. } => report,
            other => panic!("{other:?}"),
        }
    }

    async fn closed(&mut self) -> crate::sip::ConnectionId {
        match self.input().await {
            Input::ConnectionClosed { connection } => connection,
            other => panic!("{other:?}"),
        }
    }

    fn counter(&self, name: &str) -> u64 {
        let full = format!("transport_{name}_total");
        self.transport.meter().counters().find(|(n, _)| *n == full).unwrap_or_else(|| panic!("no counter {name}")).1
    }

    /// For what happens without anything that could be waited for.
    async fn until_counted(&self, name: &str, least: u64) {
        let counted = async {
            while self.counter(name) < least {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, counted).await.unwrap_or_else(|_| panic!("{name} stays {}", self.counter(name)));
    }

    fn udp(&self) -> SocketAddr {
        self.transport.addresses().udp[0]
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.transport.addresses().tcp[0]).await.expect("connected")
    }

    fn fill_core(&self, leave: usize) {
        while self.core.capacity() > leave {
            self.core.try_send(Input::Tick).expect("room");
        }
    }
}

fn request(method: &str, n: u32) -> String {
    let to = if matches!(method, "BYE" | "ACK") { ";tag=t" } else { "" };
    format!(
        "{method} sip:100@cordboard.example SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK{n};rport\r\n\
         From: <sip:1@peer.example>;tag=f\r\nTo: <sip:100@cordboard.example>{to}\r\nCall-ID: call{n}\r\nCSeq: {n} {method}\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

fn response(status: &str, method: &str, n: u32) -> String {
    format!(
        "SIP/2.0 {status}\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK{n}\r\nFrom: <sip:1@peer.example>;tag=f\r\n\
         To: <sip:100@cordboard.example>;tag=t\r\nCall-ID: call{n}\r\nCSeq: {n} {method}\r\nContent-Length: 0\r\n\r\n"
    )
}

/// Its number in CSeq.
fn number(message: &Message) -> u32 {
    message.headers().cseq().expect("cseq").number
}

async fn write(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.expect("written");
}

/// Exactly as many octets as `text` has, which they must be.
async fn expect(stream: &mut TcpStream, text: &str) {
    let mut read = vec![0; text.len()];
    timeout(DEADLINE, stream.read_exact(&mut read)).await.expect("octets in time").expect("octets");
    assert_eq!(String::from_utf8_lossy(&read), text);
}

/// All up to the end, which may be a reset.
async fn rest(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let _ = timeout(DEADLINE, stream.read_to_end(&mut read)).await.expect("closed in time");
    String::from_utf8_lossy(&read).into_owned()
}

fn tcp_flow(local: &str, remote: SocketAddr) -> Flow {
    Flow { transport: Over::Tcp, local: local.parse().expect("address"), remote, connection: None }
}

#[tokio::test]
async fn an_address_in_use_is_named_in_the_error() {
    let rig = udp_rig("127.0.0.1:0").await;
    let taken = rig.udp();
    let error = start(&sip(&[&taken.to_string()], &[]), None, rig.core.clone()).await.err().expect("in use");
    assert!(error.to_string().starts_with(&format!("cannot listen on UDP {taken}: ")), "{error}");
}

#[tokio::test]
async fn what_was_sent_before_the_end_arrives_before_the_end() {
    let mut rig = tcp_rig(settings()).await;
    let mut peer = rig.connect().await;
    write(&mut peer, &request("OPTIONS", 1)).await;
    let (flow, _) = rig.message().await;
    let (bye, core) = (request("BYE", 2), rig.core.clone());
    rig.transport.send(flow, Bytes::from(bye.clone()), None);
    drop(core);
    let Rig { transport, mut inputs, core } = rig;
    drop(core);
    transport.shutdown().await;
    assert_eq!(rest(&mut peer).await, bye);
    assert!(matches!(inputs.recv().await, Some(Input::ConnectionClosed { .. })));
    assert!(inputs.recv().await.is_none(), "nobody holds the core's queue any more");
}
