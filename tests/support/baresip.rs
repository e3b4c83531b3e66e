//! baresip as a phone: speaks a tone of its own, dumps what it said and heard, does what a person would through its control port.
//!
//! Control is netstring-framed JSON (`ctrl_tcp`): commands with a token, answers with that token, and events in between. All that it
//! ever said is kept in order, so that waiting for an event cannot miss one.

use std::io::{BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::process::{Folder, Process, wait_for};
use super::tones::{Audio, write_sine, write_wav};

/// How long baresip may take for what it does by itself.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than any test: the call ends when the source file ends.
const SOURCE_SECONDS: u32 = 600;
/// What libsndfile puts before the samples of a dump.
const HEADER_BYTES: u64 = 44;

pub struct Baresip {
    process: Process,
    folder: PathBuf,
    user: String,
    port: u16,
    control: TcpStream,
    inbox: Arc<Inbox>,
    tokens: u32,
}

pub struct Builder {
    name: String,
    folder: PathBuf,
    user: String,
    secret: String,
    registrar: Option<String>,
    domain: Option<String>,
    transport: &'static str,
    ip: IpAddr,
    tone_hz: f64,
    words: Option<Vec<i16>>,
    answers: bool,
    register_s: u32,
    account: String,
    codecs: String,
    config: String,
}

#[derive(Default)]
struct Inbox {
    said: Mutex<Vec<Value>>,
    news: Condvar,
}

impl Baresip {
    /// A phone named by its user part; its files go to a folder of that name inside the test's.
    pub fn phone(folder: &Folder, user: &str) -> Builder {
        Builder {
            name: format!("baresip-{user}"),
            folder: folder.inside(&format!("baresip-{user}")),
            user: user.to_owned(),
            secret: "unused".to_owned(), // without one it asks on its console
            registrar: None,
            domain: None,
            transport: "udp",
            ip: Ipv4Addr::LOCALHOST.into(),
            tone_hz: 440.0,
            words: None,
            answers: false,
            register_s: 60,
            account: String::new(),
            codecs: "pcmu,pcma".to_owned(),
            config: String::new(),
        }
    }

    /// Its own SIP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it is reached without a registrar.
    pub fn uri(&self) -> String {
        format!("sip:{}@127.0.0.1:{}", self.user, self.port)
    }

    #[track_caller]
    pub fn dial(&mut self, target: &str) {
        self.command("dial", target);
    }

    #[track_caller]
    pub fn accept(&mut self) {
        self.command("accept", "");
    }

    #[track_caller]
    pub fn hang_up(&mut self) {
        self.command("hangup", "");
    }

    #[track_caller]
    pub fn hold(&mut self) {
        self.command("hold", "");
    }

    #[track_caller]
    pub fn resume(&mut self) {
        self.command("resume", "");
    }

    /// Blind transfer (REFER).
    #[track_caller]
    pub fn transfer(&mut self, target: &str) {
        self.command("transfer", target);
    }

    /// Presses digits one by one (RFC 4733 events).
    #[track_caller]
    pub fn press(&mut self, digits: &str) {
        for digit in digits.chars() {
            self.command("sndcode", &digit.to_string());
        }
    }

    #[track_caller]
    pub fn calls(&mut self) -> String {
        self.command("listcalls", "")
    }

    #[track_caller]
    pub fn registrations(&mut self) -> String {
        self.command("reginfo", "")
    }

    /// Any command of baresip's menu; gives what it printed, and panics if it was refused.
    #[track_caller]
    pub fn command(&mut self, command: &str, parameters: &str) -> String {
        self.tokens += 1;
        let token = format!("t{}", self.tokens);
        let text = json!({ "command": command, "params": parameters, "token": token }).to_string();
        self.control
            .write_all(format!("{}:{text},", text.len()).as_bytes())
            .unwrap_or_else(|e| panic!("{} does not listen: {e}", self.user));
        let answer = self.wait_in_inbox(&format!("an answer to {command}"), PATIENCE, |said| {
            said.iter().find(|m| m["response"] == true && m["token"] == token.as_str()).cloned()
        });
        assert!(answer["ok"] == true, "{} refused {command} {parameters}: {answer}", self.user);
        answer["data"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits for the `count`th event of this type (`REGISTER_OK`, `CALL_INCOMING`, `CALL_ESTABLISHED`, `CALL_CLOSED`, …) since start.
    #[track_caller]
    pub fn wait_for_nth(&self, kind: &str, count: usize, within: Duration) -> Value {
        self.wait_in_inbox(&format!("{kind} number {count}"), within, |said| {
            said.iter().filter(|m| m["event"] == true && m["type"] == kind).nth(count - 1).cloned()
        })
    }

    #[track_caller]
    pub fn wait_for(&self, kind: &str, within: Duration) -> Value {
        self.wait_for_nth(kind, 1, within)
    }

    /// All events so far.
    pub fn events(&self) -> Vec<Value> {
        let said = self.inbox.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().filter(|m| m["event"] == true).cloned().collect()
    }

    pub fn count(&self, kind: &str) -> usize {
        self.events().iter().filter(|e| e["type"] == kind).count()
    }

    /// What it heard (`dec`) in each call, oldest first. Complete once the call is over.
    #[track_caller]
    pub fn heard(&self) -> Vec<Audio> {
        self.dumps("-dec.wav")
    }

    /// What it said (`enc`) in each call, oldest first.
    #[track_caller]
    pub fn said(&self) -> Vec<Audio> {
        self.dumps("-enc.wav")
    }

    /// Waits until the newest call's dump holds this much of what was heard.
    #[track_caller]
    pub fn wait_to_hear(&self, audio: Duration, within: Duration) {
        let bytes = HEADER_BYTES + 2 * (8 * audio.as_millis() as u64);
        wait_for(&format!("phone {} hears {audio:?} of audio", self.user), within, || {
            let length = std::fs::metadata(self.dump_paths("-dec.wav").last()?).ok()?.len();
            (length >= bytes).then_some(())
        });
    }

    /// What the newest of the calls that began after this moment has heard so far, while it lasts. A file that was written to since then
    /// is one of them.
    pub fn hears_since(&self, begin: std::time::SystemTime) -> Option<Audio> {
        let path = self.dump_paths("-dec.wav").pop()?;
        let written = std::fs::metadata(&path).ok()?.modified().ok()?;
        (written >= begin).then(|| Audio::by_file_length(&path))?
    }

    /// What it has heard so far in all calls that something was heard of after this moment, oldest first. It begins another file when the
    /// audio of a call is set up anew (after a hold, say).
    pub fn all_since(&self, begin: std::time::SystemTime) -> Vec<Audio> {
        let is_new = |path: &PathBuf| std::fs::metadata(path).and_then(|m| m.modified()).is_ok_and(|written| written >= begin);
        self.dump_paths("-dec.wav").iter().filter(|path| is_new(path)).filter_map(|path| Audio::by_file_length(path)).collect()
    }

    /// The power fails: no BYE, no deregistration.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    #[track_caller]
    fn dumps(&self, end: &str) -> Vec<Audio> {
        // A file is closed shortly after its call.
        let closed = |p: &PathBuf| wait_for(&format!("{} is a whole WAV", p.display()), PATIENCE, || whole(p));
        self.dump_paths(end).iter().map(closed).collect()
    }

    /// Oldest first: their names have the time in them, to the second (two calls within one second share a file).
    fn dump_paths(&self, end: &str) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let is_dump =
            |p: &PathBuf| p.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with("dump-") && n.ends_with(end));
        let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(is_dump).collect();
        paths.sort();
        paths
    }

    #[track_caller]
    fn wait_in_inbox<T>(&self, what: &str, within: Duration, find: impl Fn(&[Value]) -> Option<T>) -> T {
        let deadline = Instant::now() + within;
        let mut said = self.inbox.said.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = find(&said) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let events: Vec<String> = said.iter().map(ToString::to_string).collect();
                drop(said);
                panic!("phone {} waited {within:?} in vain for {what}; it said:\n{}", self.user, events.join("\n"));
            }
            said = self.inbox.news.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        let _ = self.control.shutdown(Shutdown::Both);
    }
}

/// A dump whose header knows all its samples: libsndfile writes the header's length when it closes the file.
fn whole(path: &Path) -> Option<Audio> {
    let audio = Audio::try_read(path).ok()?;
    let samples = audio.channels.first()?.len() as u64;
    (std::fs::metadata(path).ok()?.len() == HEADER_BYTES + 2 * samples).then_some(audio)
}

impl Builder {
    /// The tone that it speaks all the time.
    pub fn tone(mut self, hz: f64) -> Builder {
        self.tone_hz = hz;
        self
    }

    /// What it says instead, at 8 kHz: longer than the call.
    pub fn says(mut self, words: Vec<i16>) -> Builder {
        self.words = Some(words);
        self
    }

    /// Registers there (`127.0.0.1:5060`) with digest.
    pub fn registrar(mut self, address: impl ToString, secret: &str) -> Builder {
        self.registrar = Some(address.to_string());
        self.secret = secret.to_owned();
        self
    }

    /// The domain in its address of record, reached through the registrar's address as outbound proxy.
    pub fn domain(mut self, domain: &str) -> Builder {
        self.domain = Some(domain.to_owned());
        self
    }

    /// It does not ask who signed the certificate.
    pub fn over_tls(mut self) -> Builder {
        self.transport = "tls";
        self
    }

    pub fn over_tcp(mut self) -> Builder {
        self.transport = "tcp";
        self
    }

    /// Its own address, instead of 127.0.0.1.
    pub fn on(mut self, ip: IpAddr) -> Builder {
        self.ip = ip;
        self
    }

    /// Answers by itself, at once.
    pub fn answers(mut self) -> Builder {
        self.answers = true;
        self
    }

    pub fn register_every(mut self, seconds: u32) -> Builder {
        self.register_s = seconds;
        self
    }

    /// More parameters of the account line: `;mediaenc=srtp`.
    pub fn account(mut self, parameters: &str) -> Builder {
        self.account.push_str(parameters);
        self
    }

    /// The codecs that it offers, in its order; by itself G.711: `g722`, `opus`.
    pub fn codecs(mut self, codecs: &str) -> Builder {
        self.codecs = codecs.to_owned();
        self
    }

    /// More lines of the config file.
    pub fn config(mut self, lines: &str) -> Builder {
        self.config.push_str(lines);
        self.config.push('\n');
        self
    }

    /// Starts it, and waits until its control port answers.
    #[track_caller]
    pub fn start(self) -> Baresip {
        let (port, control_port, rtp) = (super::ports::port(), super::ports::port(), super::ports::range(20));
        let source = self.folder.join("source.wav");
        match self.words {
            Some(words) => write_wav(&source, words.into_iter()),
            None => write_sine(&source, self.tone_hz, SOURCE_SECONDS),
        }
        let modules: String = ["g711", "g722", "opus", "aufile", "aubridge", "sndfile", "srtp"]
            .iter()
            .map(|m| format!("module {m}.so\n"))
            .collect();
        let own = SocketAddr::new(self.ip, port).to_string();
        let config = format!(
            "sip_listen {own}\nnet_interface {ip}\nstatmode_default off\ncall_local_timeout 120\ncall_max_calls 4\naudio_player aubridge,nil\n\
             audio_source aufile,{source}\naudio_alert aubridge,nil\nausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\n\
             auplay_channels 1\nrtp_ports {first}-{last}\nmodule_path /usr/lib/baresip/modules\n{modules}\
             module_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\nmodule_app debug_cmd.so\nmodule_app ctrl_tcp.so\n\
             ctrl_tcp_listen 127.0.0.1:{control_port}\n{more}",
            ip = self.ip,
            source = source.display(),
            first = rtp.start(),
            last = rtp.end(),
            more = self.config,
        );
        write(&self.folder.join("config"), &config);
        let (host, register_s) = match &self.registrar {
            Some(registrar) => (registrar.clone(), self.register_s),
            None => (own, 0),
        };
        let outbound = match &self.domain {
            Some(_) => format!(";outbound=\"sip:{host};transport={}\"", self.transport),
            None => String::new(),
        };
        let account = format!(
            "<sip:{user}@{host};transport={transport}>;auth_user={user};auth_pass={secret};answermode={mode};regint={register_s}\
             ;audio_codecs={codecs}{outbound}{more}\n",
            user = self.user,
            codecs = self.codecs,
            host = self.domain.as_ref().unwrap_or(&host),
            transport = self.transport,
            secret = self.secret,
            mode = if self.answers { "auto" } else { "manual" },
            more = self.account,
        );
        write(&self.folder.join("accounts"), &account);
        write(&self.folder.join("contacts"), "");

        let mut command = Command::new("baresip");
        command.arg("-f").arg(&self.folder).arg("-v").current_dir(&self.folder).env("HOME", &self.folder);
        let mut process = Process::start(&self.name, &mut command, &self.folder);
        let control = wait_for(&format!("{}'s control port {control_port}", self.name), PATIENCE, || {
            assert!(process.is_running(), "{} ended at once:\n{}", self.name, process.output());
            TcpStream::connect(("127.0.0.1", control_port)).ok()
        });
        let inbox = Arc::new(Inbox::default());
        let (reading, kept) = (control.try_clone().unwrap_or_else(|e| panic!("control port: {e}")), inbox.clone());
        std::thread::spawn(move || listen(reading, &kept));
        Baresip { process, folder: self.folder, user: self.user, port, control, inbox, tokens: 0 }
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// Reads netstrings until the connection ends.
fn listen(socket: TcpStream, inbox: &Inbox) {
    let mut socket = BufReader::new(socket);
    while let Some(message) = netstring(&mut socket) {
        if let Ok(value) = serde_json::from_slice(&message) {
            inbox.said.lock().unwrap_or_else(PoisonError::into_inner).push(value);
            inbox.news.notify_all();
        }
    }
}

fn netstring(from: &mut impl Read) -> Option<Vec<u8>> {
    let mut length = 0usize;
    let mut byte = [0];
    loop {
        from.read_exact(&mut byte).ok()?;
        match byte[0] {
            b':' => break,
            digit @ b'0'..=b'9' => length = length * 10 + usize::from(digit - b'0'),
            _ => return None,
        }
    }
    let mut message = vec![0; length + 1]; // and its comma
    from.read_exact(&mut message).ok()?;
    message.pop();
    Some(message)
}
