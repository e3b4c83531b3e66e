//! Requests to other people's servers: a few threads that may wait, and a bounded queue before them.
//!
//! A request has a deadline that counts from when it is handed in, the wait for a thread included; a bound for what is read of its
//! answer; and no redirect is followed, for where it leads nobody has allowed. TLS is the crypto that all else here has, and the system's
//! roots. Nothing of a request or an answer is logged: both may be secrets.
//!
//! Who asks decides how many threads and how long a queue its requests have: one server that hangs is then no other's trouble.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ureq::http;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use crate::clock::{Mono, System};

pub struct Request {
    pub method: &'static str,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    pub timeout: Duration,
    /// Bytes of an answer; a longer one is a [`Failure::TooLong`].
    pub most: u64,
}

/// Of any status.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub body: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("no answer in time")]
    TimedOut,
    #[error("the answer is longer than is read")]
    TooLong,
    #[error("this is no address")]
    BadUrl,
    #[error("the server cannot be reached, or is not who it should be")]
    Unreachable,
}

/// All threads are at work, and no more requests may wait.
#[derive(Debug, thiserror::Error)]
#[error("too many requests wait")]
pub struct Full;

type Done = Box<dyn FnOnce(Result<Response, Failure>) + Send>;

struct Job {
    request: Request,
    until: Mono,
    done: Done,
}

/// Its threads end when it is dropped, each after the request that it is at.
pub struct Client {
    jobs: SyncSender<Job>,
    clock: System,
}

impl Client {
    /// So many requests at once, and so many that wait.
    pub fn start(name: &str, threads: usize, waiting: usize, clock: System) -> io::Result<Client> {
        let (jobs, queue) = sync_channel(waiting);
        let queue = Arc::new(Mutex::new(queue));
        let agent = agent();
        for _ in 0..threads {
            let (agent, queue) = (agent.clone(), queue.clone());
            std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&agent, &queue, clock))?;
        }
        Ok(Client { jobs, clock })
    }

    /// Never waits. `done` is called once, in a thread that may wait.
    pub fn send(&self, request: Request, done: impl FnOnce(Result<Response, Failure>) + Send + 'static) -> Result<(), Full> {
        let until = self.clock.mono() + request.timeout;
        self.jobs.try_send(Job { request, until, done: Box::new(done) }).map_err(|_| Full)
    }
}

fn agent() -> ureq::Agent {
    let roots = rustls_native_certs::load_native_certs();
    let roots: Vec<Certificate<'static>> = roots.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(tokio_rustls::rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::from(roots))
        .build();
    let config = ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("cordboard/", env!("CARGO_PKG_VERSION")))
        .build();
    config.into()
}

fn work(agent: &ureq::Agent, queue: &Mutex<Receiver<Job>>, clock: System) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { request, until, done }) = next else { return };
        let left = until.since(clock.mono());
        // Nobody waits for it any more.
        let response = if left.is_zero() { Err(Failure::TimedOut) } else { ask(agent, request, left) };
        done(response);
    }
}

fn ask(agent: &ureq::Agent, request: Request, left: Duration) -> Result<Response, Failure> {
    let mut builder = http::Request::builder().method(request.method).uri(&request.url);
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    if request.body.is_some() {
        builder = builder.header("content-type", "application/json");
    }
    let response = match request.body {
        Some(body) => run(agent, builder.body(body).map_err(|_| Failure::BadUrl)?, left),
        None => run(agent, builder.body(()).map_err(|_| Failure::BadUrl)?, left),
    };
    let mut response = response?;
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(request.most).read_to_vec().map_err(failure)?;
    Ok(Response { status, body })
}

fn run(
    agent: &ureq::Agent,
    request: http::Request<impl ureq::AsSendBody>,
    left: Duration,
) -> Result<http::Response<ureq::Body>, Failure> {
    let request = agent.configure_request(request).timeout_global(Some(left)).build();
    agent.run(request).map_err(failure)
}

#[allow(clippy::needless_pass_by_value, reason = "as map_err has it")]
fn failure(error: ureq::Error) -> Failure {
    match error {
        ureq::Error::Timeout(_) => Failure::TimedOut,
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => Failure::TimedOut,
        ureq::Error::BodyExceedsLimit(_) => Failure::TooLong,
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => Failure::BadUrl,
        _ => Failure::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener};

    use super::*;

    /// Answers one request with these bytes; with nothing, it keeps silent until the other side goes.
    fn server(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = listener.local_addr().expect("an address");
        std::thread::Builder::new()
            .spawn(move || {
                let Ok((mut stream, _)) = listener.accept() else { return };
                let mut read = [0; 4_096];
                let _ = stream.read(&mut read);
                if answer.is_empty() {
                    let _ = stream.read(&mut read);
                }
                let _ = stream.write_all(answer);
            })
            .expect("a thread");
        at
    }

    fn asked(url: String, timeout: Duration, most: u64) -> Result<Response, Failure> {
        let client = Client::start("http", 1, 1, System::start()).expect("threads");
        let (tell, told) = sync_channel(1);
        let request = Request { method: "GET", url, headers: vec![("x-key".into(), "a".into())], body: None, timeout, most };
        client.send(request, move |response| drop(tell.send(response))).expect("room");
        told.recv_timeout(Duration::from_secs(20)).expect("an outcome")
    }

    #[test]
    fn an_answer_of_any_status_comes_back_and_what_does_not_is_named() {
        const LONG: Duration = Duration::from_secs(10);
        let url = |at: SocketAddr| format!("http://{at}/x");
        let ok = server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
        assert_eq!(asked(url(ok), LONG, 9), Ok(Response { status: 200, body: b"{}".to_vec() }));
        let moved = server(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(asked(url(moved), LONG, 9).map(|r| r.status), Ok(302));
        let long = server(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"a\":\"01234567890123\"}");
        assert_eq!(asked(url(long), LONG, 9), Err(Failure::TooLong));
        assert_eq!(asked(url(server(b"")), Duration::from_millis(200), 9), Err(Failure::TimedOut));
        let gone = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
        assert_eq!(asked(url(gone), LONG, 9), Err(Failure::Unreachable));
        assert_eq!(asked("http://a b/".into(), LONG, 9), Err(Failure::BadUrl));
    }

    #[test]
    fn a_full_queue_refuses_at_once() {
        let client = Client::start("http", 1, 1, System::start()).expect("threads");
        let at = server(b"");
        let ask = || {
            let timeout = Duration::from_millis(300);
            let request =
                Request { method: "GET", url: format!("http://{at}/"), headers: Vec::new(), body: None, timeout, most: 9 };
            client.send(request, |_| ())
        };
        // One is at work, perhaps, one waits.
        let taken = (0..10).filter(|_| ask().is_ok()).count();
        assert!((1..=2).contains(&taken), "{taken}");
    }
}
