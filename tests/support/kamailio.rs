//! Kamailio as a proxy between the switch and its peers, with a configuration of `tests/data/kamailio/`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::process::{Folder, Process, look_for, wait_for};

pub struct Kamailio {
    process: Process,
    listen: SocketAddr,
}

impl Kamailio {
    /// `configuration` is a file's name without `.cfg`; `carrier` is whom `carrier.cfg` calls when the switch does:
    /// `user@address`, without the user whoever was called.
    /// In front of the switch, to which it speaks by `by` (`tcp` or `tls`) from `inner`; `secret` are its certificate and key.
    #[track_caller]
    pub fn edge(
        folder: &Folder,
        listen: SocketAddr,
        by: &str,
        inner: SocketAddr,
        switch: SocketAddr,
        lifetime_s: u32,
        [certificate, key]: [&Path; 2],
    ) -> Kamailio {
        let more = [
            ("@BY@", by.to_owned()),
            ("@INNER@", inner.to_string()),
            ("@LIFETIME@", lifetime_s.to_string()),
            ("@CERTIFICATE@", certificate.display().to_string()),
            ("@KEY@", key.display().to_string()),
        ];
        Kamailio::with(folder, "edge_stream", listen, switch, "", &more)
    }

    /// A carrier with several domains at one address, by TLS; `domains` is the file that names their certificates.
    #[track_caller]
    pub fn hosted(folder: &Folder, listen: SocketAddr, switch: SocketAddr, domains: &Path) -> Kamailio {
        let more = [("@BY@", "tls".to_owned()), ("@DOMAINS@", domains.display().to_string())];
        Kamailio::with(folder, "hosted", listen, switch, "", &more)
    }

    #[track_caller]
    pub fn start(folder: &Folder, configuration: &str, listen: SocketAddr, switch: SocketAddr, carrier: &str) -> Kamailio {
        Kamailio::with(folder, configuration, listen, switch, carrier, &[])
    }

    #[track_caller]
    fn with(
        folder: &Folder,
        configuration: &str,
        listen: SocketAddr,
        switch: SocketAddr,
        carrier: &str,
        more: &[(&str, String)],
    ) -> Kamailio {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/kamailio").join(format!("{configuration}.cfg"));
        let kept = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (user, carrier) = carrier.split_once('@').unwrap_or(("", carrier));
        let written = kept
            .replace("@LISTEN@", &listen.to_string())
            .replace("@SWITCH@", &switch.to_string())
            .replace("@SWITCH_IP@", &switch.ip().to_string())
            .replace("@SWITCH_PORT@", &switch.port().to_string())
            .replace("@CARRIER@", carrier)
            .replace("@USER@", user);
        let written = more.iter().fold(written, |written, (name, value)| written.replace(name, value));
        let name = format!("kamailio-{configuration}");
        let (file, home) = (folder.write(&format!("{name}.cfg"), written), folder.inside(&name));
        // Where Debian has it, which is not on everybody's PATH.
        let installed = Path::new("/usr/sbin/kamailio");
        let mut command = Command::new(if installed.exists() { installed } else { Path::new("kamailio") });
        command.args(["-DD", "-E", "-m", "32", "-M", "4", "-f"]).arg(file);
        if more.iter().any(|(name, value)| *name == "@BY@" && value == "tls") {
            command.args(["-A", "TLS"]);
        }
        command.arg("-P").arg(home.join("pid")).arg("-Y").arg(&home);
        let mut process = Process::start(&name, &mut command, folder.path());
        let port = format!(":{:04X}", listen.port());
        wait_for(&format!("Kamailio listens on {listen}"), Duration::from_secs(20), || {
            assert!(process.is_running(), "Kamailio ended at once:\n{}", process.output());
            let bound = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
            bound.lines().any(|line| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&port))).then_some(())
        });
        Kamailio { process, listen }
    }

    pub fn at(&self) -> SocketAddr {
        self.listen
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // Its workers are processes of their own, which it ends itself.
        if self.process.is_running() {
            self.process.signal("TERM");
            look_for(Duration::from_secs(10), || (!self.process.is_running()).then_some(()));
        }
    }
}
