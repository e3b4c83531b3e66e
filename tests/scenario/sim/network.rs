//! Datagrams on their way, by a seed lost, late, swapped or doubled.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use cordboard::chance::Chance;
use cordboard::clock::Mono;
use cordboard::sip::Transport;

#[derive(Clone, Debug)]
pub enum Parcel {
    Sip { from: SocketAddr, bytes: Bytes, transport: Transport },
    Rtp { from: SocketAddr, bytes: Vec<u8>, rtcp: bool },
}

/// In one of a thousand each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    pub lost: u64,
    pub doubled: u64,
    /// Up to this much later than the rest: what swaps packets.
    pub jitter: Duration,
}

pub struct Network {
    pub weather: Weather,
    /// A nth SIP message, counted from 0 over the whole run, is lost: for walking over every message of a call.
    pub lose_nth: Option<u64>,
    pub sip_messages: u64,
    /// RTP and RTCP packets by the host that they were sent to.
    pub media_to: BTreeMap<IpAddr, usize>,
    latency: Duration,
    chance: Chance,
    on_the_way: BTreeMap<(Mono, u64), (SocketAddr, Parcel)>,
    sequence: u64,
}

impl Network {
    pub fn new(seed: [u8; 32]) -> Network {
        Network {
            weather: Weather::default(),
            lose_nth: None,
            sip_messages: 0,
            media_to: BTreeMap::new(),
            latency: Duration::from_millis(1),
            chance: Chance::seeded(seed.map(|octet| octet.wrapping_add(100))),
            on_the_way: BTreeMap::new(),
            sequence: 0,
        }
    }

    pub fn send(&mut self, _from: SocketAddr, to: SocketAddr, parcel: Parcel, now: Mono) {
        if let Parcel::Sip { .. } = parcel {
            let nth = self.sip_messages;
            self.sip_messages += 1;
            if self.lose_nth == Some(nth) {
                return;
            }
        } else {
            *self.media_to.entry(to.ip()).or_default() += 1;
        }
        if self.chance.below(1_000) < self.weather.lost {
            return;
        }
        if self.chance.below(1_000) < self.weather.doubled {
            self.put(to, parcel.clone(), now);
        }
        self.put(to, parcel, now);
    }

    fn put(&mut self, to: SocketAddr, parcel: Parcel, now: Mono) {
        let jitter = match u64::try_from(self.weather.jitter.as_micros()).unwrap_or(0) {
            0 => 0,
            most => self.chance.below(most),
        };
        self.sequence += 1;
        self.on_the_way.insert((now + self.latency + Duration::from_micros(jitter), self.sequence), (to, parcel));
    }

    pub fn next(&self) -> Option<Mono> {
        self.on_the_way.keys().next().map(|(at, _)| *at)
    }

    pub fn due(&mut self, now: Mono) -> Option<(SocketAddr, Parcel)> {
        let key = *self.on_the_way.keys().next().filter(|(at, _)| *at <= now)?;
        self.on_the_way.remove(&key)
    }
}
