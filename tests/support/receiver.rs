//! Somebody else's program that is sent events: answers as it is told, and remembers what came.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::Value;

pub enum Answer {
    Status(u16),
    /// Nothing, until the other side goes.
    Silence,
    /// The connection breaks.
    Broken,
}

#[derive(Clone, Debug)]
pub struct Posted {
    pub head: String,
    pub body: String,
    /// It was answered with 2xx.
    pub taken: bool,
}

impl Posted {
    pub fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        });
        line.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    pub fn events(&self) -> Vec<Value> {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn sequences(&self) -> Vec<u64> {
        let number = |event: &Value| event["sequence"].as_str().and_then(|text| text.parse().ok()).expect("a sequence");
        self.events().iter().map(number).collect()
    }
}

pub struct Receiver {
    pub address: SocketAddr,
    posted: Arc<Mutex<Vec<Posted>>>,
}

impl Receiver {
    /// `answers` is asked of each request, with how many came before it.
    pub fn start(answers: impl Fn(usize, &Posted) -> Answer + Send + Sync + 'static) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let posted: Arc<Mutex<Vec<Posted>>> = Arc::default();
        let (kept, answers) = (posted.clone(), Arc::new(answers));
        let serve = move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let (kept, answers) = (kept.clone(), answers.clone());
                let talk = move || drop(converse(stream, &kept, &*answers));
                thread::Builder::new().name("receiver".to_owned()).spawn(talk).expect("a thread");
            }
        };
        thread::Builder::new().name("receiver".to_owned()).spawn(serve).expect("a thread");
        Receiver { address, posted }
    }

    pub fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sequences of the events that were taken, in the order in which they came.
    pub fn taken(&self) -> Vec<u64> {
        self.posted().iter().filter(|posted| posted.taken).flat_map(Posted::sequences).collect()
    }
}

fn converse(mut stream: TcpStream, kept: &Mutex<Vec<Posted>>, answers: &dyn Fn(usize, &Posted) -> Answer) -> std::io::Result<()> {
    while let Some(mut posted) = request(&mut stream)? {
        let mut all = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answers(all.len(), &posted);
        posted.taken = matches!(answer, Answer::Status(200..=299));
        all.push(posted);
        drop(all);
        match answer {
            Answer::Status(status) => stream.write_all(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n").as_bytes())?,
            Answer::Silence => return stream.read(&mut [0; 16]).map(drop),
            Answer::Broken => return Ok(()),
        }
    }
    Ok(())
}

/// `None` where the other side has gone.
fn request(stream: &mut TcpStream) -> std::io::Result<Option<Posted>> {
    let mut read = Vec::new();
    let mut part = [0; 65_536];
    loop {
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Ok(Some(Posted { head: head.to_owned(), body: body.to_owned(), taken: false }));
            }
        }
        match stream.read(&mut part)? {
            0 => return Ok(None),
            n => read.extend_from_slice(&part[..n]),
        }
    }
}
