//! SIPp as a peer: a trunk, a bad phone, a carrier. A scenario is XML text or a file of `tests/data/sipp/`; the outcome is its exit
//! code, its own count of good and bad calls, and all messages.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process::{Process, read_lossy, wait_for};

pub struct Sipp {
    process: Process,
    port: u16,
    folder: PathBuf,
}

pub struct Builder {
    name: String,
    folder: PathBuf,
    scenario: PathBuf,
    address: &'static str,
    port: u16,
    target: Option<String>,
    calls: u32,
    transport: &'static str,
    arguments: Vec<String>,
    namespace: Option<String>,
}

/// What a finished SIPp has to say.
#[derive(Debug)]
pub struct Outcome {
    /// 0: all calls good; 1: at least one bad; 97 and above: SIPp itself failed.
    pub code: Option<i32>,
    pub successful: u32,
    pub failed: u32,
    pub retransmissions: u32,
    pub messages: String,
    pub errors: String,
}

/// A scenario that the repository keeps, by its name without `.xml`.
pub fn kept(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sipp").join(format!("{name}.xml"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

impl Sipp {
    /// `name` tells several SIPps of one test apart; they may share the folder.
    pub fn scenario(folder: &Path, name: &str, xml: &str) -> Builder {
        let scenario = folder.join(format!("{name}.xml"));
        std::fs::write(&scenario, xml).unwrap_or_else(|e| panic!("{}: {e}", scenario.display()));
        Builder {
            name: name.to_owned(),
            folder: folder.to_owned(),
            scenario,
            address: "127.0.0.1",
            port: super::ports::port(),
            target: None,
            calls: 1,
            transport: "u1",
            arguments: Vec::new(),
            namespace: None,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until SIPp's own socket is there, so that nothing is sent to it too early.
    #[track_caller]
    pub fn wait_until_bound(&self) {
        let (port, pid) = (format!("{:04X}", self.port), self.process.pid());
        wait_for(&format!("SIPp listens on {}", self.port), Duration::from_secs(10), || {
            // Of its own namespace.
            ["udp", "tcp", "udp6", "tcp6"]
                .iter()
                .any(|table| bound(&read_lossy(Path::new(&format!("/proc/{pid}/net/{table}"))), &port))
                .then_some(())
        });
    }

    /// All messages so far, sent and received.
    pub fn messages(&self) -> String {
        read_lossy(&self.folder.join(format!("{}.messages", self.process_name())))
    }

    /// Messages received so far.
    pub fn received(&self) -> Vec<String> {
        blocks(&self.messages(), "received")
    }

    /// Where the other side wants its audio, by the newest SDP received.
    #[track_caller]
    pub fn wait_for_media_address(&self, within: Duration) -> SocketAddr {
        wait_for("an SDP with an audio address", within, || self.received().iter().rev().find_map(|m| media_address(m)))
    }

    /// Waits until a received message contains this text.
    #[track_caller]
    pub fn wait_for_received(&self, text: &str, within: Duration) -> String {
        wait_for(&format!("SIPp receives {text:?}"), within, || self.received().into_iter().find(|m| m.contains(text)))
    }

    /// Ends a SIPp that would wait for more calls. `USR1` lets calls finish.
    pub fn stop(&self) {
        self.process.signal("USR1");
    }

    /// How it ended, if it has.
    pub fn code(&mut self) -> Option<i32> {
        self.process.code()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn finish(mut self, within: Duration) -> Outcome {
        let status = self.process.wait(within);
        let statistics = read_lossy(&self.folder.join(format!("{}.csv", self.process_name())));
        let figure = |column: &str| {
            let mut lines = statistics.lines();
            let at = lines.next()?.split(';').position(|name| name == column)?;
            lines.next_back()?.split(';').nth(at)?.parse().ok()
        };
        Outcome {
            code: status.code(),
            successful: figure("SuccessfulCall(C)").unwrap_or(0),
            failed: figure("FailedCall(C)").unwrap_or(0),
            retransmissions: figure("Retransmissions(C)").unwrap_or(0),
            messages: self.messages(),
            errors: read_lossy(&self.folder.join(format!("{}.errors", self.process_name()))) + &self.process.stderr(),
        }
    }

    fn process_name(&self) -> &str {
        self.process.name()
    }
}

impl Builder {
    /// Its own address, another one of loopback than 127.0.0.1: how a switch tells a trunk from the phones.
    pub fn address(mut self, address: &'static str) -> Builder {
        self.address = address;
        self
    }

    /// Listens on this port instead of a free one.
    pub fn port(mut self, port: u16) -> Builder {
        self.port = port;
        self
    }

    /// Whom a caller's scenario calls: `127.0.0.1:5060`.
    pub fn target(mut self, address: impl ToString) -> Builder {
        self.target = Some(address.to_string());
        self
    }

    /// The user part that a caller's scenario calls (`[service]`).
    pub fn service(self, number: &str) -> Builder {
        self.argument("-s").argument(number)
    }

    pub fn calls(mut self, calls: u32) -> Builder {
        self.calls = calls;
        self
    }

    pub fn over_tcp(mut self) -> Builder {
        self.transport = "t1";
        self
    }

    /// `[name]` in the scenario.
    pub fn key(self, name: &str, value: impl ToString) -> Builder {
        self.argument("-key").argument(name).argument(value)
    }

    pub fn argument(mut self, argument: impl ToString) -> Builder {
        self.arguments.push(argument.to_string());
        self
    }

    /// Runs in a network namespace.
    pub fn inside(mut self, namespace: &str) -> Builder {
        self.namespace = Some(namespace.to_owned());
        self
    }

    #[track_caller]
    pub fn start(self) -> Sipp {
        let media = super::ports::range(4);
        if self.namespace.is_none() {
            // A child that another thread has just forked may hold the port a moment longer than who has given it back.
            let port = format!("{:04X}", self.port);
            wait_for(&format!("{} is free", self.port), Duration::from_secs(10), || {
                (!bound(&read_lossy(Path::new("/proc/net/udp")), &port)).then_some(())
            });
        }
        let mut command = Command::new(if self.namespace.is_some() { "ip" } else { "sipp" });
        if let Some(namespace) = &self.namespace {
            command.args(["netns", "exec", namespace, "sipp"]);
        }
        command.current_dir(&self.folder).arg("-sf").arg(&self.scenario);
        command.args(["-i", self.address, "-mi", self.address, "-nostdin", "-t", self.transport]);
        command.args(["-p", &self.port.to_string(), "-mp", &media.start().to_string()]);
        command.args(["-cp", &super::ports::port().to_string(), "-m", &self.calls.to_string()]);
        command.args(["-trace_msg", "-message_file", &format!("{}.messages", self.name)]);
        command.args(["-trace_err", "-error_file", &format!("{}.errors", self.name)]);
        command.args(["-trace_stat", "-stf", &format!("{}.csv", self.name), "-fd", "1"]);
        command.args(&self.arguments);
        command.args(self.target);
        let process = Process::start(&self.name, &mut command, &self.folder);
        Sipp { process, port: self.port, folder: self.folder }
    }
}

/// Is the port (four hexadecimal digits) among the local addresses of a `/proc/net` table?
fn bound(table: &str, port: &str) -> bool {
    table.lines().skip(1).any(|line| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&format!(":{port}"))))
}

/// SIPp's message log has a line of dashes and the time, a line that says which way, an empty line, and the message.
fn blocks(log: &str, way: &str) -> Vec<String> {
    log.split("-----------------------------------------------")
        .filter_map(|block| block.split_once("\n\n"))
        .filter(|(head, _)| head.contains(&format!("message {way}")))
        .map(|(_, message)| message.trim_end().to_owned())
        .collect()
}

fn media_address(message: &str) -> Option<SocketAddr> {
    let line = |start: &str| message.lines().find_map(|l| l.strip_prefix(start));
    let host = line("c=IN IP4 ")?.trim();
    let port = line("m=audio ")?.split(' ').next()?;
    format!("{host}:{port}").parse().ok()
}
