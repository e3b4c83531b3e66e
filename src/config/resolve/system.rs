//! Site, listeners, media, HTTP, recording, feature codes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_spanned::Spanned;

use super::{Checking, Secretless};
use crate::config::fault::Fault;
use crate::config::given;
use crate::config::units::{Code, Digest, InCountry, Label, Listener, Net, Ports, Speaks};
use crate::config::{
    Codec, Country, DigestAlgorithm, FeatureCodes, Guard, Http, Mail, MailTls, Media, Network, Outbound, Park, Place, Record,
    Recording, RecordingRate, Secret, Sip, Site, Tls, Turn, TurnCredentials, Voicemail,
};
use crate::ids::{Number, TrunkName};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Ports that one call takes: two legs of a pair each.
const PORTS_PER_CALL: u32 = 4;
/// Fewer ports than for four calls (with some of them draining after a call) are a mistake and no call centre.
const LEAST_PORTS: u32 = 4 * PORTS_PER_CALL;
/// Reasons are picked by one or two digits.
const MOST_REASONS: u32 = 99;
const UNSPECIFIED: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

impl Checking {
    pub(super) fn site(&mut self, given: Option<Spanned<given::Site>>) -> Option<Site> {
        let Some(given) = given else {
            if self.reader.is_clean() {
                self.reader.fault(0, Fault::NoTable("site"));
            }
            return None;
        };
        let line = self.line(&given);
        let site = given.into_inner();
        let country = site.country.0;
        let mut emergency = BTreeSet::new();
        match site.emergency {
            Some(given) => {
                for number in given.into_inner() {
                    self.take_number(&number.get_ref().0.clone(), &number);
                    emergency.insert(Number::from(number.get_ref().0.as_str()));
                }
            }
            None => {
                for number in country.emergency() {
                    // No phone may hide one of them.
                    self.inside.insert((*number).to_owned(), line);
                    emergency.insert(Number::from(*number));
                }
            }
        }
        let mut emergency_trunks = Vec::new();
        let mut twice = super::Seen::new("trunk");
        for trunk in site.emergency_trunk.map(Spanned::into_inner).unwrap_or_default() {
            self.trunk_exists(&trunk);
            if twice.is_new(self, &trunk.get_ref().0, &trunk) {
                emergency_trunks.push(TrunkName::from(trunk.get_ref().0.as_str()));
            }
        }
        Some(Site { name: site.name.0, domain: site.domain.0, time_zone: site.time_zone.0, country, emergency, emergency_trunks })
    }

    pub(super) fn sip(&mut self, given: Option<Spanned<given::Sip>>, ports: RangeInclusive<u16>) -> Sip {
        let at = given.as_ref().map_or(0, |g| g.span().start);
        let sip = given.map(Spanned::into_inner).unwrap_or_default();
        let udp = self.listeners("udp", sip.udp, &ports);
        let tcp = self.listeners("tcp", sip.tcp, &ports);
        let tls = match sip.tls {
            Some(given) => self.listeners("tls", Some(given), &ports),
            None => Vec::new(),
        };
        if udp.is_empty() && tcp.is_empty() && tls.is_empty() {
            self.reader.fault(at, Fault::NoListener);
        }
        let digest = self.digests(sip.digest);
        let expires_at = sip.min_expires.as_ref().or(sip.max_expires.as_ref()).map_or(at, |s| s.span().start);
        // RFC 3261 §10.3: less than an hour may be refused as too short (423), never less than this leaves a phone unreachable for long.
        let min_expires = self.time("min_expires", sip.min_expires, MINUTE, SECOND..=HOUR);
        let max_expires = self.time("max_expires", sip.max_expires, HOUR, MINUTE..=7 * DAY);
        if min_expires > max_expires {
            self.reader.fault(expires_at, Fault::ExpiresOrder);
        }
        let default = (10 * MINUTE).clamp(min_expires.min(max_expires), max_expires);
        let default_expires =
            self.time("default_expires", sip.default_expires, default, min_expires.min(max_expires)..=max_expires);
        Sip {
            digest,
            udp,
            tcp,
            tls,
            advertise: sip.advertise.unwrap_or_default(),
            min_expires,
            max_expires,
            default_expires,
            max_contacts: self.count("max_contacts", sip.max_contacts, 5, 1..=100) as usize,
            nameservers: sip.nameservers.unwrap_or_default().into_iter().map(|l| l.0).collect(),
            proxies: self.proxies(sip.proxies),
            drain: self.time("drain", sip.drain, 30 * SECOND, Duration::ZERO..=DAY),
            ladder: self.count("ladder", sip.ladder, 200, 0..=1_000) as usize,
            ladder_kept: self.time("ladder_kept", sip.ladder_kept, 90 * DAY, DAY..=3_650 * DAY),
        }
    }

    pub(super) fn guard(&mut self, given: Option<Spanned<given::Guard>>) -> Guard {
        let given = given.map(Spanned::into_inner).unwrap_or_default();
        Guard { ban: self.time("ban", given.ban, 10 * MINUTE, Duration::ZERO..=30 * DAY) }
    }

    /// Where to listen: port 5060 of every interface, if nothing is said.
    fn listeners(
        &mut self,
        key: &'static str,
        given: Option<Spanned<Vec<Listener>>>,
        ports: &RangeInclusive<u16>,
    ) -> Vec<SocketAddr> {
        let Some(given) = given else {
            return vec![SocketAddr::new(UNSPECIFIED, 5060)];
        };
        let addresses: Vec<SocketAddr> = given.get_ref().iter().map(|l| l.0).collect();
        let mut seen = BTreeSet::new();
        for address in &addresses {
            if address.port() != 0 && !seen.insert(*address) {
                let first = self.line(&given);
                self.fault(&given, Fault::Twice { what: key, name: address.to_string(), first });
            }
            if key == "udp" && ports.contains(&address.port()) {
                self.fault(&given, Fault::ListenerInPorts(address.port()));
            }
        }
        addresses
    }

    fn proxies(&mut self, given: Option<Spanned<Vec<Spanned<Net>>>>) -> Vec<Network> {
        let mut networks = Vec::new();
        for network in given.map(Spanned::into_inner).unwrap_or_default() {
            if networks.contains(&network.get_ref().0) {
                let first = self.line(&network);
                self.fault(&network, Fault::Twice { what: "proxy", name: network.get_ref().0.address().to_string(), first });
            } else {
                networks.push(network.get_ref().0);
            }
        }
        networks
    }

    fn digests(&mut self, given: Option<Spanned<Vec<Digest>>>) -> Vec<DigestAlgorithm> {
        let Some(given) = given else {
            return vec![DigestAlgorithm::Md5];
        };
        let mut digests = Vec::new();
        for digest in given.get_ref() {
            if digests.contains(&digest.0) {
                let first = self.line(&given);
                self.fault(&given, Fault::Twice { what: "digest", name: format!("{:?}", digest.0), first });
            } else {
                digests.push(digest.0);
            }
        }
        if digests.is_empty() {
            self.fault(&given, Fault::Empty { key: "digest", what: "algorithm" });
        }
        digests
    }

    pub(super) fn media(&mut self, given: Option<Spanned<given::Media>>) -> Media {
        let at = given.as_ref().map_or(0, |g| g.span().start);
        let media = given.map(Spanned::into_inner).unwrap_or_default();
        let missing_after = self.time("missing_after", media.missing_after, 3 * SECOND, SECOND..=MINUTE);
        let dead_after = self.time("dead_after", media.dead_after, 30 * SECOND, 5 * SECOND..=HOUR);
        if dead_after <= missing_after {
            self.reader.fault(at, Fault::DeadBeforeMissing);
        }
        Media {
            listen: media.listen.map_or(UNSPECIFIED, |l| l.0),
            advertise: media.advertise.unwrap_or_default(),
            ports: self.ports(media.ports),
            codecs: self.codecs(media.codecs),
            workers: u8::try_from(self.count("workers", media.workers, default_workers(), 1..=64)).unwrap_or(1),
            io: media.io.map(|io| io.0).unwrap_or_default(),
            missing_after,
            dead_after,
            degraded_below: self.score("degraded_below", media.degraded_below, 3.6),
            hold_music: media.hold_music.map(|m| self.path(&m.get_ref().0)),
            tones: self.tones(media.tones),
            srtp: media.srtp.map(|s| s.0).unwrap_or_default(),
            ice: media.ice.map(|ice| ice.0).unwrap_or_default(),
        }
    }

    fn tones(&mut self, given: Option<Spanned<InCountry>>) -> Option<Country> {
        let given = given?;
        let country = given.get_ref().0;
        if country.own_tones().is_none() {
            self.fault(&given, Fault::NoTones(country));
        }
        Some(country)
    }

    fn codecs(&mut self, given: Option<Spanned<Vec<Speaks>>>) -> Vec<Codec> {
        let Some(given) = given else { return Codec::DEFAULT.to_vec() };
        let mut codecs = Vec::new();
        for codec in given.get_ref() {
            if codecs.contains(&codec.0) {
                let first = self.line(&given);
                self.fault(&given, Fault::Twice { what: "codec", name: format!("{:?}", codec.0), first });
            } else {
                codecs.push(codec.0);
            }
        }
        if codecs.is_empty() {
            self.fault(&given, Fault::Empty { key: "codecs", what: "codec" });
        }
        codecs
    }

    fn ports(&mut self, given: Option<Spanned<Ports>>) -> RangeInclusive<u16> {
        let default = 20_000..=29_999;
        let Some(given) = given else { return default };
        let (first, last) = (*given.get_ref().0.start(), *given.get_ref().0.end());
        let number = (u32::from(last) + 1).saturating_sub(u32::from(first));
        let fault = if first < 1_024 {
            Fault::SystemPorts(first)
        } else if number < LEAST_PORTS {
            Fault::FewPorts { first, last, calls: number / PORTS_PER_CALL, least: LEAST_PORTS }
        } else if first % 2 != 0 || last % 2 == 0 {
            Fault::PortPairs(first, last)
        } else {
            return first..=last;
        };
        self.fault(&given, fault);
        default
    }

    pub(super) fn http(&mut self, given: Option<Spanned<given::Http>>) -> Http {
        let given = given.map(Spanned::into_inner).unwrap_or_default();
        let mut origins = Vec::new();
        if let Some(listed) = given.origins {
            for origin in listed.get_ref() {
                // As a browser says it: neither path nor a slash at the end.
                let host = origin.0.strip_prefix("https://").or_else(|| origin.0.strip_prefix("http://"));
                if host.is_none_or(|h| h.is_empty() || h.contains('/')) {
                    self.fault(&listed, Fault::NoOrigin(origin.0.clone()));
                }
                origins.push(origin.0.clone());
            }
        }
        Http {
            listen: given.listen.map_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080), |l| l.0),
            secure: given.secure.map(|l| l.into_inner().0),
            origins,
        }
    }

    pub(super) fn turn(&mut self, given: Option<Spanned<given::Turn>>) -> Option<Turn> {
        let at = given.as_ref()?.span().start;
        let turn = given?.into_inner();
        let lifetime = self.time("lifetime", turn.lifetime, 12 * HOUR, MINUTE..=168 * HOUR);
        let urls = turn.urls?;
        for url in urls.get_ref() {
            let host = ["stun:", "turn:", "turns:"].into_iter().find_map(|scheme| url.0.strip_prefix(scheme));
            if host.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
                self.fault(&urls, Fault::NoTurnUrl(url.0.clone()));
            }
        }
        if urls.get_ref().is_empty() {
            self.fault(&urls, Fault::Empty { key: "urls", what: "server" });
        }
        let relays = urls.get_ref().iter().any(|url| url.0.starts_with("turn"));
        let credentials = match (turn.secret, turn.user, turn.password) {
            (Some(secret), _, _) => TurnCredentials::Shared { secret: Secret::new(secret.0), lifetime },
            (None, Some(user), Some(password)) => TurnCredentials::Fixed { user: user.0, password: Secret::new(password.0) },
            (None, None, None) if !relays => TurnCredentials::None,
            (None, _, _) => {
                self.reader.fault(at, Fault::NoTurnCredentials);
                return None;
            }
        };
        Some(Turn { urls: urls.into_inner().into_iter().map(|url| url.0).collect(), credentials })
    }

    /// `needs` is the first key that can't do without a certificate.
    pub(super) fn tls(&mut self, given: Option<Spanned<given::Tls>>, needs: Option<&'static str>) -> Option<Tls> {
        let Some(given) = given else {
            if let (Some(key), true) = (needs, self.reader.is_clean()) {
                self.reader.fault(0, Fault::NoCertificate(key));
            }
            return None;
        };
        let at = given.span().start;
        let tls = given.into_inner();
        let self_signed = tls.self_signed.unwrap_or(false);
        let files = (tls.certificate.is_some(), tls.key.is_some());
        if files.0 != files.1 || (needs.is_some() && files != (true, true) && !self_signed) {
            self.reader.fault(at, Fault::HalfCertificate);
        }
        let path = |given: Option<Spanned<Label>>, default: &str| self.path(given.as_ref().map_or(default, |g| &g.get_ref().0));
        let certificate = path(tls.certificate, "tls/certificate.pem");
        let key = path(tls.key, "tls/key.pem");
        let ca = tls.ca.map(|file| self.path(&file.get_ref().0));
        needs.map(|_| Tls { certificate, key, self_signed, ca })
    }

    /// It is there in one language at least.
    pub(super) fn prompt<T>(&mut self, at: &Spanned<T>, name: &str, prompts: &[String]) {
        if !prompts.iter().any(|prompt| prompt.split_once('/').is_some_and(|(_, other)| other == name)) {
            self.fault(at, Fault::NoPrompt(name.to_owned()));
        }
    }

    pub(super) fn recording(&mut self, given: Option<Spanned<given::Recording>>, prompts: &[String]) -> Recording {
        let given = given.map(Spanned::into_inner).unwrap_or_default();
        if let Some(announcement) = &given.announcement {
            self.prompt(announcement, &announcement.get_ref().0, prompts);
        }
        if let (Some(refuse), None) = (&given.refuse, &given.announcement) {
            self.fault(refuse, Fault::RefusesUnasked);
        }
        Recording {
            folder: self.path(given.folder.as_ref().map_or("../recordings", |f| &f.0)),
            inbound: given.inbound.map_or(Record::Always, |r| r.0),
            outbound: given.outbound.map_or(Record::Always, |r| r.0),
            internal: given.internal.map_or(Record::Never, |r| r.0),
            announcement: given.announcement.map(|a| a.into_inner().0),
            refuse: given.refuse.map(|key| key.into_inner().0),
            supervisors: given.supervisors.unwrap_or(false),
            sample_rate: given.sample_rate.map_or(RecordingRate::Narrow, |r| r.0),
            longest_pause: self.time("longest_pause", given.longest_pause, 5 * MINUTE, 10 * SECOND..=HOUR),
        }
    }

    pub(super) fn codes(&mut self, given: Option<Spanned<given::Codes>>) -> FeatureCodes {
        let at = given.as_ref().map_or(0, |g| g.span().start);
        let codes = given.map(Spanned::into_inner).unwrap_or_default();
        let mut seen = super::Seen::new("code");
        let given = [
            &codes.ready,
            &codes.pause,
            &codes.offline,
            &codes.login,
            &codes.logout,
            &codes.forward_always,
            &codes.forward_busy,
            &codes.forward_no_answer,
            &codes.forward_unregistered,
            &codes.do_not_disturb,
            &codes.pickup,
            &codes.intercom,
            &codes.message,
            &codes.voicemail,
            &codes.anonymous,
            &codes.park,
            &codes.conference,
            &codes.prompt,
            &codes.record_pause,
            &codes.record,
            &codes.consult,
            &codes.swap,
            &codes.complete,
            &codes.marker,
            &codes.disposition,
        ];
        for code in given.into_iter().flatten() {
            seen.is_new(self, &code.get_ref().0, code);
        }
        let reasons_at = codes.pause_reasons.as_ref().map_or(at, |r| r.span().start);
        let usual = FeatureCodes::default();
        let text = |code: Option<Spanned<Code>>, usual: String| code.map_or(usual, |c| c.into_inner().0);
        let resolved = FeatureCodes {
            ready: text(codes.ready, usual.ready),
            pause: text(codes.pause, usual.pause),
            offline: text(codes.offline, usual.offline),
            login: text(codes.login, usual.login),
            logout: text(codes.logout, usual.logout),
            forward_always: text(codes.forward_always, usual.forward_always),
            forward_busy: text(codes.forward_busy, usual.forward_busy),
            forward_no_answer: text(codes.forward_no_answer, usual.forward_no_answer),
            forward_unregistered: text(codes.forward_unregistered, usual.forward_unregistered),
            do_not_disturb: text(codes.do_not_disturb, usual.do_not_disturb),
            pickup: text(codes.pickup, usual.pickup),
            intercom: text(codes.intercom, usual.intercom),
            message: text(codes.message, usual.message),
            voicemail: text(codes.voicemail, usual.voicemail),
            anonymous: text(codes.anonymous, usual.anonymous),
            park: text(codes.park, usual.park),
            conference: text(codes.conference, usual.conference),
            prompt: text(codes.prompt, usual.prompt),
            record_pause: text(codes.record_pause, usual.record_pause),
            record: text(codes.record, usual.record),
            consult: text(codes.consult, usual.consult),
            swap: text(codes.swap, usual.swap),
            complete: text(codes.complete, usual.complete),
            marker: text(codes.marker, usual.marker),
            disposition: text(codes.disposition, usual.disposition),
            pause_reasons: match codes.pause_reasons {
                Some(reasons) => reasons.into_inner().into_iter().map(|r| r.0).collect(),
                None => usual.pause_reasons,
            },
        };
        for code in [&resolved.ready, &resolved.offline, &resolved.login, &resolved.logout] {
            if code.starts_with(&resolved.pause) {
                self.reader.fault(at, Fault::CodeBehindPause { code: code.clone(), pause: resolved.pause.clone() });
            }
        }
        // Pressed within a call, a code is known by its last key.
        let in_call = [
            &resolved.conference,
            &resolved.record_pause,
            &resolved.record,
            &resolved.consult,
            &resolved.swap,
            &resolved.complete,
            &resolved.marker,
            &resolved.disposition,
        ];
        for (code, other) in in_call.iter().flat_map(|code| in_call.iter().map(move |other| (*code, *other))) {
            if code != other && code.starts_with(other.as_str()) {
                self.reader.fault(at, Fault::CodeBehindCode { code: code.clone(), other: other.clone() });
            }
        }
        // One that is given may be the default of another.
        let all = [
            &resolved.ready,
            &resolved.pause,
            &resolved.offline,
            &resolved.login,
            &resolved.logout,
            &resolved.pickup,
            &resolved.intercom,
            &resolved.message,
            &resolved.voicemail,
            &resolved.anonymous,
            &resolved.park,
            &resolved.conference,
            &resolved.prompt,
            &resolved.record_pause,
            &resolved.record,
            &resolved.consult,
            &resolved.swap,
            &resolved.complete,
            &resolved.marker,
            &resolved.disposition,
        ];
        for (i, code) in all.iter().enumerate() {
            if all.iter().take(i).any(|other| other == code) && self.reader.is_clean() {
                let first = self.reader.line(at);
                self.reader.fault(at, Fault::Twice { what: "code", name: (*code).clone(), first });
            }
        }
        self.reasons(&resolved.pause_reasons, reasons_at);
        resolved
    }

    pub(super) fn park(
        &mut self,
        given: Option<Spanned<given::Park>>,
        extensions: &BTreeMap<Number, Place>,
        outbound: &[Outbound],
    ) -> Park {
        let park = given.map(Spanned::into_inner).unwrap_or_default();
        let mut slots = BTreeSet::new();
        if let Some(given) = &park.slots {
            for slot in given.get_ref().0.clone() {
                self.take_number(&slot.to_string(), given);
                slots.insert(Number::from(slot.to_string().as_str()));
            }
        }
        if let Some(overflow) = &park.overflow {
            self.place(overflow, outbound);
            if leads_into(&slots, &overflow.get_ref().0, extensions) {
                self.fault(overflow, Fault::ParkOverflowsIntoSlot(overflow.get_ref().0.to_string()));
            }
        }
        Park {
            slots,
            timeout: self.time("timeout", park.timeout, 2 * MINUTE, 10 * SECOND..=HOUR),
            ring_backs: self.count("ring_backs", park.ring_backs, 1, 1..=20),
            overflow: park.overflow.map(|overflow| overflow.into_inner().0),
        }
    }

    pub(super) fn voicemail(&mut self, given: Option<Spanned<given::Voicemail>>) -> Voicemail {
        let given = given.map(Spanned::into_inner).unwrap_or_default();
        let usual = Voicemail::default();
        Voicemail {
            silence: self.time("silence", given.silence, usual.silence, Duration::ZERO..=MINUTE),
            shortest: self.time("shortest", given.shortest, usual.shortest, Duration::ZERO..=MINUTE),
            longest: self.time("longest", given.longest, usual.longest, 10 * SECOND..=30 * MINUTE),
            pin_failures: self.count("pin_failures", given.pin_failures, usual.pin_failures, 0..=100),
            pin_lock: self.time("pin_lock", given.pin_lock, usual.pin_lock, MINUTE..=DAY),
        }
    }

    pub(super) fn mail(&mut self, given: Option<Spanned<given::Mail>>) -> Option<Mail> {
        let mail = given?.into_inner();
        let tls = mail.tls.map(|t| t.0).unwrap_or_default();
        // RFC 8314 §7.3, RFC 6409 §3.1, RFC 5321 §4.5.4.2.
        let usual = match tls {
            MailTls::Required => 465,
            MailTls::StartTls => 587,
            MailTls::Off => 25,
        };
        let server = mail.server.get_ref().0.clone();
        let password = mail.user.as_ref().and_then(|user| {
            let user = &user.get_ref().0;
            mail.password.or_else(|| self.secrets.mail.get(user).cloned()).map(|p| Secret::new(p.0))
        });
        if let Some(user) = &mail.user {
            let here = server == "localhost" || server.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
            if password.is_none() && self.secretless == Secretless::Refused {
                self.fault(user, Fault::NoMailPassword(user.get_ref().0.clone()));
            }
            if tls == MailTls::Off && !here {
                self.fault(user, Fault::MailInTheClear(user.get_ref().0.clone()));
            }
        }
        Some(Mail {
            server,
            port: u16::try_from(self.count("port", mail.port, usual, 1..=65_535)).unwrap_or(25),
            tls,
            user: mail.user.map(|user| user.into_inner().0),
            password,
            from: mail.from.0,
            timeout: self.time("timeout", mail.timeout, 30 * SECOND, SECOND..=5 * MINUTE),
            ca: mail.ca.map(|file| self.path(&file.get_ref().0)),
        })
    }

    fn reasons(&mut self, reasons: &[String], at: usize) {
        let mut seen = BTreeSet::new();
        for reason in reasons {
            if !seen.insert(reason) {
                let first = self.reader.line(at);
                self.reader.fault(at, Fault::Twice { what: "pause reason", name: reason.clone(), first });
            }
        }
        if reasons.len() > MOST_REASONS as usize {
            let key = "number of pause_reasons";
            let given = reasons.len().to_string();
            self.reader.fault(at, Fault::Range { key, given, least: "0".to_owned(), most: MOST_REASONS.to_string() });
        }
    }
}

/// As many as there are cores, at most four: a worker moves some hundred calls, and the rest of the switch needs cores too.
fn default_workers() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cores.min(4)).unwrap_or(1)
}

/// Whether a place is one of these numbers, by itself or by extensions that stand for it.
fn leads_into(slots: &BTreeSet<Number>, place: &Place, extensions: &BTreeMap<Number, Place>) -> bool {
    let next = |place: &&Place| match place {
        Place::Number(number) => extensions.get(number.as_str()),
        Place::Menu(_) | Place::Queue(_) | Place::Phone(_) | Place::Voicemail(_) | Place::Callback(_) | Place::Hangup => None,
    };
    let is_slot = |place: &Place| matches!(place, Place::Number(number) if slots.contains(number.as_str()));
    // Extensions that lead in a circle are a fault of their own.
    std::iter::successors(Some(place), next).take(extensions.len() + 1).any(is_slot)
}
