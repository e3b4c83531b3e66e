//! A browser as a phone: headless Chromium with JsSIP or SIP.js, by `tests/browser/phone.mjs`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::process::{Folder, Process, look_for, wait_for};
use super::tones::write_sine;

/// Chromium takes seconds to start on a busy machine.
const START: Duration = Duration::from_secs(60);

pub struct Browser {
    process: Process,
    /// Lines of what it said that were waited through already.
    read: usize,
}

/// Who it is, and where.
pub struct Settings<'a> {
    /// `jssip` or `sipjs`.
    pub library: &'a str,
    /// The page's address; its origin is what the switch sees.
    pub page: String,
    /// `ws://…/sip`.
    pub url: String,
    pub user: &'a str,
    pub secret: &'a str,
    /// The tone that it speaks all the time, in Hz.
    pub tone: f64,
}

impl Browser {
    /// Opens the page and begins to register.
    #[track_caller]
    pub fn start(folder: &Folder, settings: &Settings<'_>) -> Browser {
        let Settings { library, page, url, user, secret, tone } = settings;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/phone.mjs");
        let name = format!("browser-{user}");
        let home = folder.inside(&name);
        let says = home.join("says.wav");
        write_sine(&says, *tone, 30);
        let identity = json!({ "url": url, "user": user, "secret": secret, "domain": "cordboard.test", "says": says });
        let mut command = Command::new("node");
        command.arg(script).args([library, &page.as_str(), &identity.to_string().as_str()]).env("HOME", &home);
        let mut browser = Browser { process: Process::start(&name, &mut command, folder.path()), read: 0 };
        browser.wait_for("started", START);
        browser
    }

    /// A method of the page's phone: `call`, `answer`, `hangup`, `hold`, `resume`, `refer`, `attend` (refers the call before to the
    /// one that it has), `press` (RFC 4733), `close` (its media, and says nothing), `restart` (of ICE), `listen`, `stop`.
    #[track_caller]
    pub fn tell(&mut self, what: &str, with: &[&str]) {
        self.process.say(&json!({ "do": what, "with": with }).to_string());
    }

    /// Waits for an event after those that were waited for before, and gives its data: the status or cause of what ended.
    #[track_caller]
    pub fn wait_for(&mut self, event: &str, within: Duration) -> Value {
        let (from, process) = (self.read, &mut self.process);
        let (read, data) = wait_for(&format!("the browser says {event:?}"), within, || {
            assert!(process.is_running(), "the browser ended:\n{}", process.output());
            let output = process.stdout();
            let lines = output.lines().enumerate().skip(from);
            let mut events = lines.filter_map(|(at, line)| Some((at + 1, serde_json::from_str::<Value>(line).ok()?)));
            events.find(|(_, said)| said["event"] == event).map(|(at, mut said)| (at, said["data"].take()))
        });
        self.read = read;
        data
    }

    /// Waits until it hears this tone louder than all else.
    #[track_caller]
    pub fn wait_to_hear(&mut self, hz: f64, within: Duration) {
        self.tell("listen", &[]);
        let mut heard = Value::Null;
        // It tells what it hears four times a second.
        for _ in 0..within.as_secs() * 4 {
            heard = self.wait_for("hears", within);
            if heard.as_f64().is_some_and(|loudest| (loudest - hz).abs() < 20.0) {
                return;
            }
        }
        panic!("the browser hears {heard} Hz, and not {hz}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // So that it closes Chromium, which is a process of its own.
        if self.process.is_running() {
            self.process.signal("TERM");
            look_for(Duration::from_secs(10), || (!self.process.is_running()).then_some(()));
        }
    }
}
