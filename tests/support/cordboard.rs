//! The switch itself: the built binary on free ports of loopback, in a folder of its own, with a configuration made for the test.
//!
//! A [`Site`] is the folder and its configuration; a [`Cordboard`] is a running process on it. Kill it and start the site again to see
//! what a restart makes of what lay on disk: the ports stay the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::process::{Folder, Process, wait_for, wait_until};
use super::stream::EventStream;

/// The bootstrap admin token that every switch of a test gets.
pub const TOKEN: &str = "test-token-of-the-harness";
/// A start is fast; a repair of many recordings may take its time.
const START: Duration = Duration::from_secs(30);

/// Folder, ports and configuration.
pub struct Site {
    folder: Folder,
    sip: u16,
    http: u16,
    /// Ports of SIP and HTTP with TLS.
    secure: Option<[u16; 2]>,
    media: std::ops::RangeInclusive<u16>,
    /// Of SIP and media.
    ip: IpAddr,
    /// Of [sip].
    sip_keys: String,
    /// Of [media].
    recording_keys: String,
    media_keys: String,
    /// What its log says; `None`: what it says by itself.
    log: Option<&'static str>,
    body: String,
}

/// A running switch.
pub struct Cordboard {
    process: Process,
    http: SocketAddr,
    sip: SocketAddr,
}

/// What the API answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub body: Vec<u8>,
}

impl Site {
    /// An empty site: no phone, no trunk.
    pub fn new(test: &str) -> Site {
        Site {
            folder: Folder::new(test),
            sip: super::ports::port(),
            http: super::ports::port(),
            secure: None,
            media: super::ports::range(200),
            ip: Ipv4Addr::LOCALHOST.into(),
            sip_keys: String::new(),
            media_keys: String::new(),
            recording_keys: String::new(),
            log: None,
            body: String::new(),
        }
    }

    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    pub fn recordings(&self) -> PathBuf {
        self.folder.path().join("recordings")
    }

    pub fn sip(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.sip)
    }

    pub fn http(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.http))
    }

    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("config/cordboard.toml")
    }

    /// Of its calls' audio.
    pub fn media_ports(&self) -> std::ops::RangeInclusive<u16> {
        self.media.clone()
    }

    /// As many pairs of ports as a block of them has, for many calls at once.
    pub fn for_many_calls(mut self) -> Site {
        self.media = super::ports::range(240);
        self
    }

    /// Listens with TLS too, with a certificate of its own.
    pub fn secure(mut self) -> Site {
        self.secure = Some([super::ports::port(), super::ports::port()]);
        self.with("[tls]\nself_signed = true\n")
    }

    /// SIP on ::1 alone, media on `::`.
    pub fn on_ipv6(mut self) -> Site {
        self.ip = Ipv6Addr::LOCALHOST.into();
        self
    }

    /// SIP on this address, and the calls' audio too.
    pub fn on(mut self, ip: Ipv4Addr) -> Site {
        self.ip = ip.into();
        self
    }

    /// A further line of `[sip]`.
    pub fn sip_key(mut self, line: &str) -> Site {
        self.sip_keys.push_str(line);
        self.sip_keys.push('\n');
        self
    }

    /// One more line of `[recording]`.
    pub fn recording_key(mut self, line: &str) -> Site {
        self.recording_keys.push_str(line);
        self.recording_keys.push('\n');
        self
    }

    /// A further line of `[media]`.
    pub fn media_key(mut self, line: &str) -> Site {
        self.media_keys.push_str(line);
        self.media_keys.push('\n');
        self
    }

    /// Its log says all that it can.
    pub fn verbose(mut self) -> Site {
        self.log = Some("cordboard=trace");
        self
    }

    /// SIP over TLS.
    pub fn tls(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.secure.map_or(0, |[sip, _]| sip))
    }

    pub fn https(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.secure.map_or(0, |[_, http]| http)))
    }

    /// A phone whose secret is `secret-NUMBER`.
    pub fn phone(self, number: &str) -> Site {
        let secret = secret(number);
        self.with(&format!("[[phone]]\nnumber = \"{number}\"\nsecret = \"{secret}\"\n"))
    }

    pub fn agent(self, staff_number: &str, name: &str, phone: &str) -> Site {
        self.with(&format!("[[agent]]\nstaff_number = \"{staff_number}\"\nname = \"{name}\"\nphone = \"{phone}\"\n"))
    }

    /// A trunk that is known by the address its calls come from, and that calls go to. It is not probed: SIPp takes every request for a call.
    pub fn trunk(self, name: &str, peer: impl ToString) -> Site {
        self.with(&format!("[[trunk]]\nname = \"{name}\"\npeer = \"{}\"\nprobe = \"off\"\n", peer.to_string()))
    }

    pub fn inbound(self, trunk: &str, number: &str, to: &str) -> Site {
        self.with(&format!("[[inbound]]\ntrunk = \"{trunk}\"\nnumber = \"{number}\"\nto = \"{to}\"\n"))
    }

    /// Any further TOML (arrays of tables; the fixed tables site, sip, media, http and recording are written already).
    pub fn with(mut self, toml: &str) -> Site {
        self.body.push_str(toml);
        self.body.push('\n');
        self
    }

    pub fn menu(self, name: &str, toml: &str) -> Site {
        self.folder.write(&format!("config/menus/{name}.toml"), toml);
        self
    }

    /// A prompt that is nothing but a tone, so that an ear can tell it from the parties.
    pub fn prompt_of_tone(self, language: &str, name: &str, hz: f64, seconds: u32) -> Site {
        let folder = self.folder.inside(&format!("config/prompts/{language}"));
        super::tones::write_sine(&folder.join(format!("{name}.wav")), hz, seconds);
        self
    }

    /// The whole configuration as TOML. `[recording]`'s folder is relative to the file, as in the shipped one.
    pub fn config(&self) -> String {
        format!(
            "[site]\nname = \"Test\"\ndomain = \"cordboard.test\"\ntime_zone = \"Europe/Berlin\"\ncountry = \"DE\"\n\n\
             [sip]\nudp = [\"{own}\"]\ntcp = [\"{own}\"]\n{tls}{sip_keys}\n\
             [media]\nlisten = \"{listen}\"\nadvertise = \"{advertise}\"\nports = \"{first}-{last}\"\n{media_keys}\n\
             [http]\nlisten = \"127.0.0.1:{http}\"\n{https}\n[recording]\nfolder = \"../recordings\"\n{recording_keys}\n{body}",
            own = self.sip(),
            listen = if self.ip.is_ipv6() { "::".to_owned() } else { self.ip.to_string() },
            advertise = if self.ip.is_ipv6() { "auto".to_owned() } else { self.ip.to_string() },
            sip_keys = self.sip_keys,
            media_keys = self.media_keys,
            recording_keys = self.recording_keys,
            http = self.http,
            tls = self.secure.map(|_| format!("tls = [\"{}\"]\n", self.tls())).unwrap_or_default(),
            https = self.secure.map(|[_, http]| format!("secure = \"127.0.0.1:{http}\"\n")).unwrap_or_default(),
            first = self.media.start(),
            last = self.media.end(),
            body = self.body,
        )
    }

    /// Writes the configuration without starting (before a reload).
    pub fn write_config(&self) {
        self.folder.write("config/cordboard.toml", self.config());
    }

    /// Writes the configuration, starts the switch and waits until it says that it is ready.
    #[track_caller]
    pub fn start(&self) -> Cordboard {
        self.write_config();
        self.folder.inside("recordings");
        let mut command = self.command(&["serve"]);
        let process = Process::start("cordboard", &mut command, self.folder.path());
        let mut switch = Cordboard { process, http: self.http(), sip: self.sip() };
        wait_for("the switch is ready", START, || {
            assert!(switch.process.is_running(), "the switch ended at once:\n{}", switch.process.output());
            switch.try_get("/readyz").is_some_and(|a| a.status == 200).then_some(())
        });
        switch
    }

    /// The binary with a subcommand and this site's configuration, to run to its end: `check`, `recordings list`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cordboard"));
        command.args(arguments).arg("--config").arg(self.config_path()).current_dir(self.folder.path());
        command.env("CORDBOARD_ADMIN_TOKEN", TOKEN).env_remove("RUST_LOG");
        command.envs(self.log.map(|log| ("RUST_LOG", log)));
        command
    }
}

/// The secret that [`Site::phone`] gives a number.
pub fn secret(number: &str) -> String {
    format!("secret-{number}")
}

impl Cordboard {
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn http(&self) -> SocketAddr {
        self.http
    }

    pub fn sip(&self) -> SocketAddr {
        self.sip
    }

    pub fn output(&self) -> String {
        self.process.output()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// It does nothing at all for at least so long, as on a machine whose host has no time for it. What peers send waits in sockets.
    #[track_caller]
    pub fn stand_still(&self, length: Duration) {
        self.process.signal("STOP");
        let since = Instant::now();
        wait_until("a moment has passed", length * 10, || since.elapsed() >= length);
        self.process.signal("CONT");
    }

    /// SIGTERM: drain.
    pub fn terminate(&self) {
        self.process.signal("TERM");
    }

    /// SIGHUP: read the configuration again.
    pub fn reload(&self) {
        self.process.signal("HUP");
    }

    #[track_caller]
    pub fn wait_for_end(&mut self, within: Duration) -> ExitStatus {
        self.process.wait(within)
    }

    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// `GET`, with the token. Panics if nobody answers.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.try_get(path).unwrap_or_else(|| panic!("no answer to GET {path}"))
    }

    /// `GET` of a JSON document that must be there.
    #[track_caller]
    pub fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text());
        answer.json()
    }

    /// `items` of a list.
    #[track_caller]
    pub fn items(&self, path: &str) -> Vec<Value> {
        let list = self.json(path);
        list["items"].as_array().cloned().unwrap_or_else(|| panic!("GET {path} is no list: {list}"))
    }

    pub fn try_get(&self, path: &str) -> Option<Answer> {
        self.request("GET", path, None, &[])
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path, Some(body), &[]).unwrap_or_else(|| panic!("no answer to POST {path}"))
    }

    /// Any request with further headers. `None`: no connection, or cut.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Option<Answer> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            .build()
            .into();
        let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.http));
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            request = request.header("authorization", format!("Bearer {TOKEN}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = match body {
            Some(body) => agent.run(request.header("content-type", "application/json").body(body.to_string()).ok()?),
            None => agent.run(request.body(()).ok()?),
        }
        .ok()?;
        let content_type = response.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let body = response.body_mut().with_config().limit(256 << 20).read_to_vec().ok()?;
        Some(Answer { status: response.status().as_u16(), content_type, body })
    }

    /// The status of the answer.
    #[track_caller]
    pub fn put(&self, path: &str, content_type: &str, body: &[u8]) -> u16 {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(20)));
        let agent: ureq::Agent = config.build().into();
        let request = agent.put(format!("http://{}{path}", self.http)).header("authorization", format!("Bearer {TOKEN}"));
        let answer = request.content_type(content_type).send(body).unwrap_or_else(|error| panic!("{path}: {error}"));
        answer.status().as_u16()
    }

    /// The event stream; `query` as in `since=0&types=call.*`.
    #[track_caller]
    pub fn events(&self, query: &str) -> EventStream {
        EventStream::open(self.http, TOKEN, query)
    }

    /// Waits until this number has a binding.
    #[track_caller]
    pub fn wait_for_registration(&self, number: &str, within: Duration) {
        wait_for(&format!("{number} is registered"), within, || {
            self.items("/api/v1/registrations").iter().any(|r| r["number"] == number).then_some(())
        });
    }

    /// Resident memory, KB.
    pub fn resident_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("no JSON ({e}): {}", self.text()))
    }
}
