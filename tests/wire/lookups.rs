//! A menu that asks a server over real sockets: a caller keys account and PIN, hears the number that the server knows, and the PIN is
//! nowhere but in what the server was asked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use cordboard::ivr::say::{Language, vocabulary};

use super::support::caller::{CUSTOMER, Caller, MAIN_NUMBER, Stays, TRUNK};
use super::support::cordboard::{Cordboard, Site};
use super::support::process::wait_until;

const SOON: Duration = Duration::from_secs(30);
/// The customer, questions, the number 42, that it could not be found out.
const TONES: [f64; 4] = [440.0, 1_000.0, 1_400.0, 2_000.0];
const PIN: &str = "83914572";

/// Its first request is never answered; later ones have a balance of 42. What each asked.
fn server() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("an address");
    let (tell, asked) = sync_channel(16);
    let serve = move || {
        let mut silent = None;
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            if tell.send(request(&mut stream)).is_err() {
                return;
            }
            if silent.is_none() {
                silent = Some(stream);
                continue;
            }
            let body = r#"{"account":{"balance":42}}"#;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    };
    thread::Builder::new().name("bank".to_owned()).spawn(serve).expect("a thread");
    (at, asked)
}

/// Head and body.
fn request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut part = [0; 4_096];
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return text,
            Ok(n) => read.extend_from_slice(&part[..n]),
        }
    }
}

fn site(bank: SocketAddr) -> Site {
    let menu = format!(
        r#"name = "bank"
language = "en"
start = "account"

[node.account]
kind = "collect"
prompt = "question"
min = 2
max = 2
store = "account"
goto = "node:pin"

[node.pin]
kind = "collect"
prompt = "question"
min = 8
max = 8
mask = true
store = "pin"
goto = "node:ask"

[node.ask]
kind = "lookup"
url = "http://{bank}/accounts/{{account}}"
headers = {{ Authorization = "Bearer swordfish" }}
body = {{ pin = "{{pin}}" }}
timeout = "1s"
store = {{ balance = {{ at = "/account/balance", as = "number" }} }}
on_ok = "node:say"
on_failed = "node:sorry"

[node.say]
kind = "say"
say = "number"
value = "balance"
next = "node:again"

[node.sorry]
kind = "collect"
prompt = "sorry"
retries = 9
goto = "node:account"

[node.again]
kind = "collect"
prompt = "say-42"
retries = 9
goto = "node:say"
"#
    );
    let site = Site::new("lookup").trunk("carrier", TRUNK).inbound("carrier", MAIN_NUMBER, "menu:bank").menu("bank", &menu);
    let site = site.prompt_of_tone("en", "question", TONES[1], 1).prompt_of_tone("en", "sorry", TONES[3], 1);
    vocabulary(Language::English)
        .into_iter()
        .fold(site, |site, clip| site.prompt_of_tone("en", &clip, if clip == "say-42" { TONES[2] } else { 600.0 }, 1))
}

fn call(site: &Site, switch: &Cordboard, name: &str) -> Caller {
    let caller = Caller::call(site.folder().path(), name, switch, CUSTOMER, MAIN_NUMBER, TONES[0], Stays::UntilHungUp);
    caller.wait_for_answer(SOON);
    caller.press("42");
    caller
}

fn wait_until_heard(caller: &Caller, tone: usize) {
    wait_until("the customer hears that", SOON, || {
        let heard = caller.heard();
        heard.audio().halves(0, &TONES).iter().any(|half| half.is_only(tone))
    });
}

fn files(folder: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_none_or(|kind| kind != "wav") {
            into.push((path.display().to_string(), std::fs::read(&path).expect("a file")));
        }
    }
}

#[test]
fn a_caller_keys_a_pin_and_hears_what_a_server_knows_and_nobody_waits_for_one_that_is_slow() {
    let (bank, asked) = server();
    let site = site(bank);
    let mut switch = site.start();
    let story = switch.events("since=0");
    let keyed = |caller: &Caller, nth: usize| {
        story.wait_for("menu.left", SOON, |e| e.data()["node"] == "account" && e.data()["to"] == "node:pin");
        caller.press(PIN);
        let request = asked.recv_timeout(SOON).unwrap_or_else(|_| panic!("request {nth}"));
        assert!(request.starts_with("POST /accounts/42 HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with(&format!(r#"{{"pin":"{PIN}"}}"#)) && request.contains("Bearer swordfish"), "{request}");
    };
    // Its own way out after a second, whatever the server does.
    let caller = call(&site, &switch, "first");
    keyed(&caller, 1);
    story.wait_for("menu.looked_up", SOON, |e| e.data()["outcome"] == "timeout");
    wait_until_heard(&caller, 3);
    drop(caller);

    let caller = call(&site, &switch, "second");
    keyed(&caller, 2);
    story.wait_for("menu.looked_up", SOON, |e| e.data()["outcome"] == "ok");
    wait_until_heard(&caller, 2);
    drop(caller);

    let metrics = switch.get("/metrics").text();
    for outcome in ["ok", "timeout"] {
        assert!(metrics.contains(&format!("cordboard_lookups_total{{outcome=\"{outcome}\"}} 1")), "{metrics}");
    }
    let output = switch.output();
    switch.terminate();
    switch.terminate();
    switch.wait_for_end(SOON);
    let mut kept = vec![("its output".to_owned(), output.into_bytes())];
    files(&site.recordings(), &mut kept);
    assert!(kept.len() > 2);
    for (name, bytes) in kept {
        for secret in [PIN, "swordfish"] {
            assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret} is in {name}");
        }
    }
}
