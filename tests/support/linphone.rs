//! linphonec as a phone, by its console: commands on standard input, what it says on standard output.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::process::{Folder, Process, wait_for};
use super::tones::{Audio, write_sine};

pub struct Linphone {
    process: Process,
    folder: PathBuf,
    port: u16,
    /// Files of which it is known how many times 8 kHz they have.
    thin_by: Mutex<BTreeMap<String, usize>>,
    /// How much of the output was waited through already.
    read: usize,
}

impl Linphone {
    /// Starts it with its own home, speaking a tone from a file and recording what it hears.
    #[track_caller]
    pub fn start(folder: &Folder, user: &str, tone_hz: f64) -> Linphone {
        let name = format!("linphone-{user}");
        let folder = folder.inside(&name);
        let data = folder.join(".local/share/linphone");
        std::fs::create_dir_all(&data).unwrap_or_else(|e| panic!("{}: {e}", data.display()));
        let (port, rtp) = (super::ports::port(), super::ports::range(10));
        write_sine(&folder.join("source.wav"), tone_hz, 600);
        let rc = format!(
            "[sip]\nsip_port={port}\nsip_tcp_port=-2\nsip_tls_port=-2\nuse_ipv6=0\nipv6_migration_done=1\nverify_server_certs=0\n\
             contact=\"{user}\" <sip:{user}@127.0.0.1>\n[net]\nmtu=0\nfirewall_policy=none\n\
             [rtp]\naudio_rtp_port={first}-{last}\n[video]\nenabled=0\ncapture=0\ndisplay=0\nautomatically_initiate=0\nautomatically_accept=0\n[misc]\nuse_rls_presence=0\n",
            first = rtp.start(),
            last = rtp.end(),
        );
        let path = folder.join("linphonerc");
        std::fs::write(&path, rc).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut command = Command::new("linphonec");
        command.arg("-c").arg(&path).current_dir(&folder).env("HOME", &folder);
        let process = Process::start(&name, &mut command, &folder);
        let mut phone = Linphone { process, folder, port, thin_by: Mutex::default(), read: 0 };
        phone.expect("linphonec>", Duration::from_secs(20));
        phone.say("soundcard use files");
        phone.say("play source.wav");
        phone.say("record heard.wav");
        phone
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// As [`register`](Linphone::register), over TLS.
    #[track_caller]
    pub fn register_over_tls(&mut self, user: &str, registrar: &str, secret: &str) {
        self.say(&format!("register sip:{user}@{registrar} sip:{registrar};transport=tls {secret}"));
    }

    #[track_caller]
    pub fn register_over_tcp(&mut self, user: &str, registrar: &str, secret: &str) {
        self.say(&format!("register sip:{user}@{registrar} sip:{registrar};transport=tcp {secret}"));
    }

    /// Says that it is to register; the registrar is to be asked whether it did.
    #[track_caller]
    pub fn register(&mut self, user: &str, registrar: &str, secret: &str) {
        self.say(&format!("register sip:{user}@{registrar} sip:{registrar} {secret}"));
    }

    /// A console command: `call sip:…`, `answer`, `pause`, `resume 1`, `12#` (digits), `terminate`.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        self.process.say(line);
    }

    /// Waits until the console says this, after what was waited for before.
    #[track_caller]
    pub fn expect(&mut self, text: &str, within: Duration) {
        let from = self.read;
        let process = &self.process;
        self.read = wait_for(&format!("linphonec says {text:?}"), within, || {
            let output = process.stdout();
            let rest = output.get(from..)?;
            rest.find(text).map(|at| from + at + text.len())
        });
    }

    /// As [`expect`](Linphone::expect); gives the number behind the text: a call's id.
    #[track_caller]
    pub fn expect_number(&mut self, text: &str, within: Duration) -> u32 {
        self.expect(text, within);
        let from = self.read;
        let process = &self.process;
        wait_for(&format!("linphonec says a number after {text:?}"), within, || {
            let output = process.stdout();
            let (number, _) = output.get(from..)?.split_once(|c: char| !c.is_ascii_digit())?;
            number.parse().ok()
        })
    }

    /// Records what it hears in the calls to come in another file.
    #[track_caller]
    pub fn record(&mut self, file: &str) {
        self.say(&format!("record {file}"));
    }

    /// What a file has of a call so far, while it lasts, at 8 kHz. It records at the rate of its codec, which the file does not tell before
    /// its end: the rate is the one at which these tones are heard.
    pub fn hears_in(&self, file: &str, tones: &[f64]) -> Option<Audio> {
        let heard = |by: usize| Some(Audio::by_file_length(&self.folder.join(file))?.thinned(by));
        let mut known = self.thin_by.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(by) = known.get(file) {
            return heard(*by);
        }
        let is_tone = |by: &usize| {
            let halves = heard(*by).map(|audio| audio.halves(0, tones)).unwrap_or_default();
            halves.iter().any(|half| (0..tones.len()).any(|tone| half.is_only(tone)))
        };
        // G.711, G.722, Opus.
        if let Some(by) = [1, 2, 6].into_iter().find(is_tone) {
            known.insert(file.to_owned(), by);
            return heard(by);
        }
        heard(1)
    }

    /// What it recorded, once its call is over (it finishes the file a moment later).
    #[track_caller]
    pub fn heard(&self) -> Audio {
        let path = self.folder.join("heard.wav");
        let finished = || Audio::by_file_length(&path).filter(|_| !Audio::header_is_empty(&path));
        wait_for("linphonec finishes its recording", Duration::from_secs(10), finished)
    }
}
