//! A customer who calls in by a trunk: SIPp for the signalling, a media peer of our own for voice, digits and ears.
//!
//! Callers come from [`TRUNK`], so that the switch tells them from the phones on 127.0.0.1; a test's trunk has that address as its peer.

use std::path::Path;
use std::time::Duration;

use super::cordboard::{Cordboard, Site};
use super::rtp::{Heard, Peer};
use super::sipp::{Outcome, Sipp, kept};

/// The loopback address that calls of the trunk come from.
pub const TRUNK: &str = "127.0.0.2";

pub const CUSTOMER: &str = "+4930123456";
/// What a customer of the [`centre`] dials.
pub const MAIN_NUMBER: &str = "+4930600";
/// The menu's prompt in the [`centre`], Hz.
pub const PROMPT_TONE: f64 = 600.0;

const MENU: &str = r#"
name = "main"
language = "en"
start = "top"

[node.top]
kind = "menu"
prompt = "welcome"
timeout = "8s"
retries = 3
digits = { "1" = "queue:support" }
"#;

/// The least that a customer can walk through: a trunk, a menu whose 1 leads to a queue, and its agent 1024 at phone 201.
pub fn centre(test: &str) -> Site {
    Site::new(test)
        .phone("201")
        .agent("1024", "Olena", "201")
        .with("[[queue]]\nname = \"support\"\nstrategy = \"longest_idle\"\nagents = [\"1024\"]\n")
        .trunk("carrier", TRUNK)
        .inbound("carrier", MAIN_NUMBER, "menu:main")
        .menu("main", MENU)
        .prompt_of_tone("en", "welcome", PROMPT_TONE, 6)
}

pub struct Caller {
    sipp: Sipp,
    peer: Peer,
}

/// How a caller's stay ends.
#[derive(Clone, Copy, Debug)]
pub enum Stays {
    UntilHungUp,
    /// Hangs up so long after the answer.
    For(Duration),
}

impl Caller {
    /// Calls `number` showing `from`, ready to speak a tone once answered. `name` tells the callers of one folder apart.
    #[track_caller]
    pub fn call(folder: &Path, name: &str, switch: &Cordboard, from: &str, number: &str, tone_hz: f64, stays: Stays) -> Caller {
        let peer = Peer::at(TRUNK, tone_hz);
        let scenario = match stays {
            Stays::UntilHungUp => kept("caller"),
            Stays::For(time) => kept("uac").replace("\"3000\"", &format!("\"{}\"", time.as_millis())),
        };
        let sipp = Sipp::scenario(folder, name, &scenario)
            .address(TRUNK)
            .key("audio_port", peer.port())
            .key("from", from)
            .service(number)
            .target(switch.sip())
            .start();
        Caller { sipp, peer }
    }

    /// Waits for the answer, and speaks from then on.
    #[track_caller]
    pub fn wait_for_answer(&self, within: Duration) {
        self.sipp.wait_for_received("SIP/2.0 200", within);
        self.peer.send_to(self.sipp.wait_for_media_address(within));
    }

    pub fn press(&self, digits: &str) {
        self.peer.press(digits);
    }

    pub fn heard(&self) -> Heard {
        self.peer.heard()
    }

    pub fn sipp(&self) -> &Sipp {
        &self.sipp
    }

    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Waits for the end of the call; gives SIPp's verdict and all that was heard.
    #[track_caller]
    pub fn finish(self, within: Duration) -> (Outcome, Heard) {
        let outcome = self.sipp.finish(within);
        (outcome, self.peer.heard())
    }
}
