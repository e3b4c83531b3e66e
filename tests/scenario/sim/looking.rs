//! What a scenario sees of a run.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use cordboard::ids::LegId;
use cordboard::media::Worker;
use cordboard::switch::{Answer, Command, Event, Kind};

use super::{Sim, kind_name};

impl Sim {
    pub fn has(&self, kind: &str) -> bool {
        self.count(kind) > 0
    }

    /// The switch's leg of its newest call.
    pub fn leg_of(&self, ua: SocketAddr) -> LegId {
        let port = self.ua(ua).last().and_then(|call| call.rtp_remote).expect("a call with media").port();
        self.legs[&port]
    }

    pub fn count(&self, kind: &str) -> usize {
        self.events.iter().filter(|e| kind_name(e) == kind).count()
    }

    /// For the message of a failed test.
    pub fn story(&self) -> String {
        let mut lines: Vec<String> = self
            .events
            .iter()
            .map(|e| {
                format!(
                    "{} {} {}",
                    e.at,
                    kind_name(e),
                    serde_json::to_value(&e.kind).map_or_else(|_| String::new(), |v| v["data"].to_string())
                )
            })
            .collect();
        for ua in self.uas.values() {
            lines.push(format!("{} {:?}: {}", ua.at, ua.number, ua.log.join(" | ")));
        }
        lines.join("\n")
    }

    pub fn ended(&self) -> Vec<&cordboard::switch::event::CallEnded> {
        let ended = |e: &'_ Event| matches!(e.kind, Kind::CallEnded(_));
        self.events
            .iter()
            .filter(|e| ended(e))
            .filter_map(|e| match &e.kind {
                Kind::CallEnded(data) => Some(data),
                _ => None,
            })
            .collect()
    }

    /// Nothing is left of any call: no conversation, leg, port or transaction.
    pub fn assert_clean(&mut self) {
        self.run_for(Duration::from_secs(120));
        // Phones that have said nothing to a BYE are asked for some minutes whether they are there.
        for _ in 0..10 {
            let Answer::Status(status) = self.ask(Command::Status) else { panic!("status") };
            if status.transactions == 0 {
                break;
            }
            self.run_for(Duration::from_secs(65));
        }
        assert_eq!(self.switch.live(), 0, "conversations are left\n{}", self.story());
        assert_eq!(self.workers.iter().map(Worker::legs).sum::<usize>(), 0, "media legs are left");
        let Answer::Status(status) = self.ask(Command::Status) else { panic!("status") };
        assert_eq!((status.legs, status.transactions), (0, 0), "legs or transactions are left\n{}", self.story());
        assert_eq!(self.switch.residue(), 0, "something of a call is left in the core\n{}", self.story());
        assert_eq!(status.free_ports, u64::from(self.pairs), "ports are left");
        let mut registered: BTreeMap<SocketAddr, usize> = BTreeMap::new();
        for binding in self.registrations.values() {
            *registered.entry(binding.flow.remote).or_default() += 1;
        }
        assert_eq!(self.known, registered, "the transports know where phones are");
    }
}
