//! A mail server that nobody here wrote: aiosmtpd, which keeps what it takes in a Maildir.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use serde_json::json;

use super::process::{Folder, Process, wait_until};

pub const USER: &str = "cordboard";
pub const PASSWORD: &str = "correct-horse-battery";

pub struct MailServer {
    process: Process,
    maildir: PathBuf,
    control: PathBuf,
}

/// As in `[mail] tls`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secured {
    Off,
    StartTls,
    Required,
}

impl MailServer {
    /// With TLS it shows a certificate for `localhost` (`mail.pem`, made here), and asks for [`USER`]'s password.
    pub fn start(folder: &Folder, port: u16, secured: Secured) -> MailServer {
        let (certificate, key) = (folder.path().join("mail.pem"), folder.path().join("mail.key"));
        if secured != Secured::Off && !certificate.exists() {
            let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
            folder.write("mail.pem", own.cert.pem());
            folder.write("mail.key", own.signing_key.serialize_pem());
        }
        let maildir = folder.path().join("maildir");
        let control = folder.path().join("mail-control.json");
        let tls = match secured {
            Secured::Off => "off",
            Secured::StartTls => "starttls",
            Secured::Required => "required",
        };
        let user = (secured != Secured::Off).then_some(USER);
        let wanted = json!({
            "port": port, "maildir": maildir, "tls": tls, "certificate": certificate, "key": key, "user": user, "password": PASSWORD,
            "control": control,
        });
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/smtp.py");
        let mut command = Command::new("/usr/bin/python3");
        command.arg(script).arg(wanted.to_string());
        let mut process = Process::start("aiosmtpd", &mut command, folder.path());
        wait_until("the mail server listens", Duration::from_secs(20), || {
            assert!(process.is_running(), "{}", process.output());
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        MailServer { process, maildir, control }
    }

    /// What it does otherwise from here on: see `smtp.py`.
    pub fn control(&self, wish: &serde_json::Value) {
        std::fs::write(&self.control, wish.to_string()).expect("the mail server's control file");
    }

    /// What it has taken, oldest first.
    pub fn mails(&self) -> Vec<Mail> {
        let Ok(entries) = std::fs::read_dir(self.maildir.join("new")) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        paths.iter().filter_map(|path| std::fs::read_to_string(path).ok()).map(Mail).collect()
    }

    pub fn stop(mut self) {
        self.process.kill();
    }
}

/// As it was taken.
#[derive(Debug)]
pub struct Mail(String);

impl Mail {
    pub fn head(&self) -> &str {
        self.0.split("\n\n").next().unwrap_or_default()
    }

    /// Of one line, not decoded.
    pub fn header(&self, name: &str) -> &str {
        let begins = |line: &&str| {
            line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name) && line[name.len()..].starts_with(": ")
        };
        self.head().lines().find(begins).map_or("", |line| &line[name.len() + 2..])
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    /// The file that is attached.
    pub fn attachment(&self) -> Option<Vec<u8>> {
        let (_, part) = self.0.split_once("Content-Disposition: attachment")?;
        let (_, body) = part.split_once("\n\n")?;
        let encoded: String = body.split("\n--").next()?.split_whitespace().collect();
        base64::engine::general_purpose::STANDARD.decode(encoded).ok()
    }
}
