//! Requests to other people's servers: a few threads that may wait, and a bounded queue before them.
//!
//! A request has a deadline that counts from when it is handed in, the wait for a thread included; a bound for what is read of its
//! answer; and no redirect is followed, for where it leads nobody has allowed. TLS is the crypto that all else here has, and the system's
//! roots. Nothing of a request or an answer is logged: both may be secrets.
//!
//! Who asks decides how many threads and how long a queue its requests have, and how much of both one host may take: a server that hangs is
//! then nobody else's trouble.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ureq::http;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use crate::clock::{Mono, System};

/// Bytes of an answer that nobody wants and that is read all the same.
const MOST_UNREAD: u64 = 4_096;

pub struct Request {
    pub method: &'static str,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    pub timeout: Duration,
    /// Bytes of an answer; a longer one is a [`Failure::TooLong`]. 0: its status is all that is wanted, whatever follows.
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
    /// It may have had enough of what was sent.
    #[error("the server closed the connection before its answer")]
    Broken,
}

/// All threads are at work, and no more requests may wait.
#[derive(Debug, thiserror::Error)]
#[error("too many requests wait")]
pub struct Full;

/// How much may go on at once.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub threads: usize,
    /// Requests that wait for a thread.
    pub waiting: usize,
    /// Of the threads, and of those that wait, this many for the requests to one host.
    pub of_one_host: (usize, usize),
}

/// Connections and what is trusted, for all clients of the process.
#[derive(Clone)]
pub struct Connections(ureq::Agent);

type Done = Box<dyn FnOnce(Result<Response, Failure>) + Send>;

struct Job {
    request: Request,
    host: String,
    until: Mono,
    done: Done,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Requests that are being answered, by host.
    busy: BTreeMap<String, usize>,
    closed: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    bounds: Bounds,
    clock: System,
}

/// Its threads end when it is dropped, each after the request that it is at.
pub struct Client(Arc<Shared>);

impl Client {
    pub fn start(name: &str, bounds: Bounds, connections: &Connections, clock: System) -> io::Result<Client> {
        let shared = Arc::new(Shared { queue: Mutex::default(), changed: Condvar::new(), bounds, clock });
        let client = Client(shared.clone());
        for _ in 0..bounds.threads {
            let (agent, shared) = (connections.0.clone(), shared.clone());
            std::thread::Builder::new().name(name.to_owned()).spawn(move || shared.work(&agent))?;
        }
        Ok(client)
    }

    /// Never waits. `done` is called once, in a thread that may wait.
    pub fn send(&self, request: Request, done: impl FnOnce(Result<Response, Failure>) + Send + 'static) -> Result<(), Full> {
        let until = self.0.clock.mono() + request.timeout;
        let host = host(&request.url);
        let mut queue = self.0.lock();
        let of_host = queue.jobs.iter().filter(|job| job.host == host).count();
        if queue.jobs.len() >= self.0.bounds.waiting || of_host >= self.0.bounds.of_one_host.1 {
            return Err(Full);
        }
        queue.jobs.push_back(Job { request, host, until, done: Box::new(done) });
        drop(queue);
        self.0.changed.notify_one();
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, agent: &ureq::Agent) {
        while let Some(Job { request, host, until, done }) = self.next() {
            let left = until.since(self.clock.mono());
            // Whatever a server makes of the one that reads it, the thread is needed for the next.
            let ended = catch_unwind(AssertUnwindSafe(|| {
                // Nobody waits for it any more.
                let response = if left.is_zero() { None } else { Some(ask(agent, request, left)) };
                response.unwrap_or(Err(Failure::TimedOut))
            }));
            let response = ended.unwrap_or(Err(Failure::Unreachable));
            let _ = catch_unwind(AssertUnwindSafe(|| done(response)));
            let mut queue = self.lock();
            if let Some(busy) = queue.busy.get_mut(&host) {
                *busy -= 1;
                if *busy == 0 {
                    queue.busy.remove(&host);
                }
            }
            drop(queue);
            // One that waited for this host, and this thread is not the only one.
            self.changed.notify_one();
        }
    }

    /// The first one whose host is not at its bound, or whose time is over. `None` at the end.
    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            let now = self.clock.mono();
            let may = |job: &Job| job.until <= now || queue.busy.get(&job.host).is_none_or(|n| *n < self.bounds.of_one_host.0);
            let at = queue.jobs.iter().position(may);
            if let Some(at) = at {
                let job = queue.jobs.remove(at)?;
                *queue.busy.entry(job.host.clone()).or_default() += 1;
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Host and port, as they are written.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default().to_ascii_lowercase()
}

impl Connections {
    /// Reads what the system trusts.
    pub fn new() -> Connections {
        let found = rustls_native_certs::load_native_certs();
        let roots: Vec<Certificate<'static>> = found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        if roots.is_empty() {
            let why = found.errors.first().map(ToString::to_string).unwrap_or_default();
            tracing::warn!("this system has no root certificates: no server is trusted over https {why}");
        }
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
        Connections(config.into())
    }
}

impl Default for Connections {
    fn default() -> Self {
        Connections::new()
    }
}

fn ask(agent: &ureq::Agent, request: Request, left: Duration) -> Result<Response, Failure> {
    let mut builder = http::Request::builder().method(request.method).uri(&request.url);
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    let says_type = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if request.body.is_some() && !says_type {
        builder = builder.header("content-type", "application/json");
    }
    let response = match request.body {
        Some(body) => run(agent, builder.body(body).map_err(|_| Failure::BadUrl)?, left),
        None => run(agent, builder.body(()).map_err(|_| Failure::BadUrl)?, left),
    };
    let mut response = response?;
    let status = response.status().as_u16();
    if request.most == 0 {
        // A short one is read, so that the connection can be used again; for one that may never end nobody waits.
        if response.body().content_length().is_some_and(|length| length <= MOST_UNREAD) {
            let _ = response.body_mut().with_config().limit(MOST_UNREAD).read_to_vec();
        }
        return Ok(Response { status, body: Vec::new() });
    }
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
        ureq::Error::Io(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof
            ) =>
        {
            Failure::Broken
        }
        ureq::Error::BodyExceedsLimit(_) => Failure::TooLong,
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => Failure::BadUrl,
        _ => Failure::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener};
    use std::sync::mpsc::sync_channel;

    use super::*;

    fn client(threads: usize, waiting: usize, of_one_host: (usize, usize)) -> Client {
        Client::start("http", Bounds { threads, waiting, of_one_host }, &Connections::new(), System::start()).expect("threads")
    }

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
        let client = client(1, 1, (1, 1));
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
        let client = client(1, 1, (1, 1));
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

    #[test]
    fn a_host_that_hangs_keeps_no_thread_from_another_and_no_place() {
        let client = client(2, 4, (1, 2));
        let (tell, told) = sync_channel(8);
        let send = |at: SocketAddr, timeout: Duration| {
            let (tell, url) = (tell.clone(), format!("http://{at}/"));
            let request = Request { method: "GET", url, headers: Vec::new(), body: None, timeout, most: 9 };
            client.send(request, move |response| {
                let _ = tell.send(response.map(|r| r.status));
            })
        };
        let hangs = server(b"");
        let long = Duration::from_secs(20);
        send(hangs, Duration::from_secs(20)).expect("room");
        // One at a time is asked: these wait for it, and there is no place for a third.
        while client.0.lock().busy.is_empty() {
            std::thread::yield_now();
        }
        send(hangs, Duration::from_secs(20)).expect("room");
        send(hangs, Duration::from_secs(20)).expect("room");
        assert!(send(hangs, long).is_err());
        let ok = server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
        send(ok, long).expect("room");
        assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok(Ok(200)));
    }

    #[test]
    fn a_panic_costs_no_thread_and_what_is_sent_has_one_type() {
        let client = client(1, 2, (1, 2));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let request = |url: &str| {
            let headers = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
            let timeout = Duration::from_secs(20);
            Request { method: "POST", url: url.to_owned(), headers, body: Some("x".to_owned()), timeout, most: 9 }
        };
        client.send(request("http://a b/"), |_| panic!("a panic that the test wants")).expect("room");
        client.send(request(&url), |_| ()).expect("room");
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut head = String::new();
        let mut part = [0; 4_096];
        while !head.contains("\r\n\r\n") {
            let n = stream.read(&mut part).expect("a request");
            head.push_str(&String::from_utf8_lossy(&part[..n]));
        }
        assert_eq!(head.to_ascii_lowercase().matches("content-type:").count(), 1, "{head}");
    }
}
