//! Values as people write them: `30s`, `20000-29999`, `198.51.100.10:5060`, `+4930123*`. Each reads itself from a string, and says what
//! would be right where it cannot.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use super::{
    Advertise, BadPlace, CallerFormat, Carrier, Codec, Country, DigestAlgorithm, EventPattern, MailTls, MediaIce, MediaIo,
    Network, NoType, Pattern, Peer, Place, Record, RecordingRate, Srtp, Strategy, UnknownCountry,
};

/// Reads a type from a TOML string through a function.
macro_rules! from_text {
    ($(#[$doc:meta])* $name:ident($inner:ty) = $parse:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) struct $name(pub(crate) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                $parse(&text).map($name).map_err(de::Error::custom)
            }
        }
    };
}

from_text!(
    /// `500ms`, `30s`, `5m`, `1h`, `2d`, or several of them: `1m30s`.
    Time(Duration) = duration
);
from_text!(
    /// A length of time between two times, or `off`.
    Every(Option<Duration>) = every
);
from_text!(
    /// `20000-29999`, both included.
    Ports(RangeInclusive<u16>) = ports
);
from_text!(
    /// An address and a port.
    Listener(SocketAddr) = listener
);
from_text!(
    /// `auto`, or the address that peers are told.
    Told(Advertise) = advertise
);
from_text!(
    /// An address.
    Address(IpAddr) = address
);
from_text!(
    /// `de/welcome`
    InLanguage(String) = in_language
);
from_text!(
    /// One key of a phone.
    Key(char) = key
);
from_text!(
    /// A network, or one address.
    Net(Network) = network
);
from_text!(
    /// Host with or without a port; the transport is set elsewhere.
    Host(Peer) = peer
);
from_text!(
    /// Digits that a keypad can dial, at most 20: an extension.
    Extension(String) = extension
);
from_text!(
    /// A number of the telephone network: digits with or without a leading `+`.
    Telephone(String) = telephone
);
from_text!(
    /// What is put in front of a number: digits, or a `+` and digits or none.
    Prepend(String) = prepend
);
from_text!(
    /// A telephone number, or its beginning and `*`; `*` alone is any.
    NumberPattern(Pattern) = pattern
);
from_text!(
    /// `*` or `#`, and digits.
    Code(String) = code
);
from_text!(
    /// `701-709`, both included: extensions of the same length.
    Slots(RangeInclusive<u32>) = slots
);
from_text!(
    /// What queues, trunks, menus and users are called: no spaces, so that a place and an address in the API can name them.
    Name(String) = name
);
from_text!(
    /// What people read: one line, not empty.
    Label(String) = label
);
from_text!(
    /// A password: not empty, no control characters.
    Password(String) = password
);
from_text!(
    /// What opens a mailbox by phone.
    Pin(String) = pin
);
from_text!(
    /// A mail address: one, without a name.
    MailAddress(String) = mail_address
);
from_text!(
    /// `required`, `starttls` or `off`.
    Secured(MailTls) = secured
);
from_text!(
    /// A host name or domain.
    Domain(String) = domain
);
from_text!(
    /// A place to go.
    Goto(Place) = place
);
from_text!(
    /// A country.
    InCountry(Country) = country
);
from_text!(
    /// A digest algorithm.
    Digest(DigestAlgorithm) = digest
);
from_text!(
    /// A codec.
    Speaks(Codec) = codec
);
from_text!(
    /// How a queue picks an agent.
    Picks(Strategy) = strategy
);
from_text!(
    /// A time zone.
    Zone(jiff::tz::TimeZone) = zone
);
from_text!(
    /// `08:00-18:00`; may pass midnight.
    Daily([jiff::civil::Time; 2]) = daily
);
from_text!(
    /// `mon`, `mon-fri`; true for each, from Monday.
    Weekdays([bool; 7]) = weekdays
);
from_text!(
    /// `as-is`, `e164` or `national`.
    Written(CallerFormat) = written
);
from_text!(
    /// `accept` or `reject`; true is reject.
    Nameless(bool) = nameless
);
from_text!(
    /// `auto`, `udp`, `tcp` or `tls`.
    Carried(Carrier) = carried
);
from_text!(
    /// `auto`, `io_uring` or `epoll`.
    ReadBy(MediaIo) = read_by
);
from_text!(
    /// `off`, `preferred` or `required`.
    Encryption(Srtp) = encryption
);
from_text!(
    /// `http://` or `https://`, a host, and what follows.
    WebAddress(String) = web_address
);
from_text!(
    /// A type of events, or a group of them.
    WantedEvents(EventPattern) = wanted
);
from_text!(
    /// `lite` or `full`.
    Implements(MediaIce) = implements
);

/// `8000`, `16000` or `"auto"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Samples(pub(crate) RecordingRate);

impl<'de> Deserialize<'de> for Samples {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = Samples;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("8000, 16000 or \"auto\"")
            }

            fn visit_i64<E: de::Error>(self, rate: i64) -> Result<Samples, E> {
                match rate {
                    8_000 => Ok(Samples(RecordingRate::Narrow)),
                    16_000 => Ok(Samples(RecordingRate::Wide)),
                    _ => Err(de::Error::custom(BadValue::Samples(rate.to_string()))),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Samples, E> {
                match text {
                    "auto" => Ok(Samples(RecordingRate::Auto)),
                    _ => Err(de::Error::custom(BadValue::Samples(text.to_owned()))),
                }
            }
        }
        d.deserialize_any(Either)
    }
}

/// `true`, `false` or `"on_demand"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Records(pub(crate) Record);

impl<'de> Deserialize<'de> for Records {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = Records;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, false or \"on_demand\"")
            }

            fn visit_bool<E: de::Error>(self, record: bool) -> Result<Records, E> {
                Ok(Records(if record { Record::Always } else { Record::Never }))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Records, E> {
                match text {
                    "on_demand" => Ok(Records(Record::OnDemand)),
                    _ => Err(de::Error::custom(BadValue::Records(text.to_owned()))),
                }
            }
        }
        d.deserialize_any(Either)
    }
}

/// A value that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadValue {
    #[error("`{0}` is no length of time: write a number and ms, s, m, h or d, such as \"30s\"")]
    Duration(String),
    #[error("`{0}` is neither \"off\" nor a length of time such as \"30s\"")]
    Every(String),
    #[error("`{0}` is no range of ports: write the first and the last, such as \"20000-29999\"")]
    Ports(String),
    #[error(
        "`{0}` is no range of park slots: write the first and the last, of the same length, such as \"701-709\"; at most {MOST_SLOTS}"
    )]
    Slots(String),
    #[error("`{0}` is no way to write numbers: write \"as-is\", \"e164\" or \"national\"")]
    Written(String),
    #[error("`{0}` is no way to read datagrams: write \"auto\", \"io_uring\" or \"epoll\"")]
    ReadBy(String),
    #[error("`{0}` says not whether audio is encrypted: write \"off\", \"preferred\" or \"required\"")]
    Encryption(String),
    #[error("`{0}` is no implementation of ICE: write \"lite\" or \"full\"")]
    Implements(String),
    #[error("`{0}` is no prompt of a language: write \"de/welcome\"")]
    InLanguage(String),
    #[error("`{0}` is no key of a phone: write a digit, * or #")]
    Key(String),
    #[error("`{0}` is no rate of recordings: write 8000, 16000 or \"auto\"")]
    Samples(String),
    #[error("`{0}` says not whether calls are recorded: write true, false or \"on_demand\"")]
    Records(String),
    #[error("`{0}` says not what becomes of callers without a number: write \"accept\" or \"reject\"")]
    Nameless(String),
    #[error("`{0}` is no address with a port: write \"0.0.0.0:5060\" or \"[::]:5060\"")]
    Listener(String),
    #[error("`{0}` cannot be listened on: it is a multicast or broadcast address")]
    NotLocal(String),
    #[error("`{0}` is neither \"auto\" nor an address such as \"192.0.2.10\"")]
    Advertise(String),
    #[error("`{0}` is no address: write \"0.0.0.0\", \"::\" or the address of one interface")]
    Address(String),
    #[error("`{0}` is no address and no network: write \"10.0.0.5\" or \"10.0.1.0/24\", without bits behind the prefix")]
    Network(String),
    #[error("`{0}` is no peer: write an address or a host name, with or without a port, such as \"198.51.100.10:5060\"")]
    Peer(String),
    #[error("`{0}` is no extension: write 1 to 20 digits")]
    Extension(String),
    #[error("`{0}` is no telephone number: write digits, with or without a + in front (at most 20)")]
    Telephone(String),
    #[error("`{0}` cannot stand in front of a number: write digits, with or without a + in front")]
    Prepend(String),
    #[error(
        "`{0}` is no number or beginning of one: write digits, with or without a + in front, and * at the end for any that follow"
    )]
    Pattern(String),
    #[error("`{0}` is no feature code: write * or # and 1 to 8 digits, such as \"*21\"")]
    Code(String),
    #[error("`{0}` is no name: write 1 to 64 letters, digits, and . _ - between them, without spaces")]
    Name(String),
    #[error("must be one line of 1 to 128 characters")]
    Label,
    #[error("must be one line of 1 to 256 characters")]
    Password,
    #[error("must be 4 to 16 digits, as text: \"4711\"")]
    Pin,
    #[error("`{0}` is no mail address: write one such as \"olena@example.com\"")]
    MailAddress(String),
    #[error("`{0}` says not how mail is secured: write \"required\" (TLS from the start), \"starttls\" or \"off\"")]
    Secured(String),
    #[error("`{0}` is no domain: write a name such as \"pbx.example.com\", or an address")]
    Domain(String),
    #[error("this is no address of the web: write one such as \"https://crm.example/calls\", without a user's name and password")]
    WebAddress,
    #[error("`{0}` is no digest algorithm: write \"MD5\" or \"SHA-256\"")]
    Digest(String),
    #[error("`{0}` is no codec: write \"PCMA\", \"PCMU\", \"G722\", \"opus\" or \"L16\"")]
    Codec(String),
    #[error(
        "`{0}` is no strategy: write longest_idle, fewest_calls, least_talk, round_robin, ring_all, progressive, fixed, random or weighted"
    )]
    Strategy(String),
    #[error("`{0}` is no time zone: write its name in the IANA database, such as \"Europe/Berlin\"")]
    Zone(String),
    #[error("`{0}` are no hours: write when they begin and end, such as \"08:00-18:00\"")]
    Daily(String),
    #[error("`{0}` is no day: write mon, tue, wed, thu, fri, sat or sun, or the first and the last, such as \"mon-fri\"")]
    Weekdays(String),
    #[error("`{0}` is no transport: write \"auto\", \"udp\", \"tcp\" or \"tls\"")]
    Transport(String),
}

/// Longer than any number that is dialled: E.164 has 15 digits, prefixes for carriers and countries come before it.
const MAX_DIGITS: usize = 20;

pub(crate) fn duration(text: &str) -> Result<Duration, BadValue> {
    let bad = || BadValue::Duration(text.to_owned());
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        let ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        let number: u64 = number.parse().map_err(|_| bad())?;
        total = number.checked_mul(ms).and_then(|n| total.checked_add(n)).ok_or_else(bad)?;
        rest = next;
    }
    if text.is_empty() { Err(bad()) } else { Ok(Duration::from_millis(total)) }
}

fn every(text: &str) -> Result<Option<Duration>, BadValue> {
    if text == "off" { Ok(None) } else { duration(text).map(Some).map_err(|_| BadValue::Every(text.to_owned())) }
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, BadValue> {
    let bad = || BadValue::Ports(text.to_owned());
    let (first, last) = text.split_once('-').ok_or_else(bad)?;
    let port = |t: &str| t.trim().parse::<u16>().map_err(|_| bad());
    Ok(port(first)?..=port(last)?)
}

fn listener(text: &str) -> Result<SocketAddr, BadValue> {
    let address: SocketAddr = text.parse().map_err(|_| BadValue::Listener(text.to_owned()))?;
    if is_local(address.ip()) { Ok(address) } else { Err(BadValue::NotLocal(text.to_owned())) }
}

fn address(text: &str) -> Result<IpAddr, BadValue> {
    let address: IpAddr = text.parse().map_err(|_| BadValue::Address(text.to_owned()))?;
    if is_local(address) { Ok(address) } else { Err(BadValue::NotLocal(text.to_owned())) }
}

fn network(text: &str) -> Result<Network, BadValue> {
    Network::parse(text).ok_or_else(|| BadValue::Network(text.to_owned()))
}

/// One machine can have this address.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => !a.is_multicast() && !a.is_broadcast(),
        IpAddr::V6(a) => !a.is_multicast(),
    }
}

fn advertise(text: &str) -> Result<Advertise, BadValue> {
    if text == "auto" {
        return Ok(Advertise::Auto);
    }
    match text.parse::<IpAddr>() {
        Ok(a) if is_local(a) && !a.is_unspecified() => Ok(Advertise::Fixed(a)),
        Ok(_) | Err(_) => Err(BadValue::Advertise(text.to_owned())),
    }
}

fn peer(text: &str) -> Result<Peer, BadValue> {
    let bad = || BadValue::Peer(text.to_owned());
    let usable = |a: IpAddr| is_local(a) && !a.is_unspecified();
    if let Ok(a) = text.parse::<IpAddr>() {
        return if usable(a) { Ok(Peer { host: a.to_string(), port: None, transport: Carrier::Auto }) } else { Err(bad()) };
    }
    if let Ok(a) = text.parse::<SocketAddr>() {
        let fits = usable(a.ip()) && a.port() != 0;
        return if fits {
            Ok(Peer { host: a.ip().to_string(), port: Some(a.port()), transport: Carrier::Auto })
        } else {
            Err(bad())
        };
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port.parse::<u16>().ok().filter(|p| *p != 0).ok_or_else(bad)?)),
        None => (text, None),
    };
    if !is_host_name(host) {
        return Err(bad());
    }
    Ok(Peer { host: host.to_ascii_lowercase(), port, transport: Carrier::Auto })
}

/// RFC 1123 §2.1, and not what is rather an address with a mistake in it.
fn is_host_name(text: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label) && text.bytes().any(|b| b.is_ascii_alphabetic())
}

fn extension(text: &str) -> Result<String, BadValue> {
    let fits = (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if fits { Ok(text.to_owned()) } else { Err(BadValue::Extension(text.to_owned())) }
}

pub(crate) fn is_telephone(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    (1..=MAX_DIGITS).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

fn telephone(text: &str) -> Result<String, BadValue> {
    if is_telephone(text) { Ok(text.to_owned()) } else { Err(BadValue::Telephone(text.to_owned())) }
}

fn prepend(text: &str) -> Result<String, BadValue> {
    if text.is_empty() || text == "+" || is_telephone(text) {
        Ok(text.to_owned())
    } else {
        Err(BadValue::Prepend(text.to_owned()))
    }
}

fn pattern(text: &str) -> Result<Pattern, BadValue> {
    match text.strip_suffix('*') {
        Some(start) if start.is_empty() || start == "+" || is_telephone(start) => Ok(Pattern::Prefix(start.to_owned())),
        None if is_telephone(text) => Ok(Pattern::Exact(text.to_owned())),
        Some(_) | None => Err(BadValue::Pattern(text.to_owned())),
    }
}

/// Equal times are the whole day; midnight at the end is `00:00`.
fn daily(text: &str) -> Result<[jiff::civil::Time; 2], BadValue> {
    let bad = || BadValue::Daily(text.to_owned());
    let time = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let two = |t: &str| t.parse::<i8>().ok().filter(|_| t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit()));
        jiff::civil::Time::new(two(hour)?, two(minute)?, 0, 0).ok()
    };
    let (from, until) = text.split_once('-').ok_or_else(bad)?;
    Ok([time(from).ok_or_else(bad)?, time(until).ok_or_else(bad)?])
}

fn weekdays(text: &str) -> Result<[bool; 7], BadValue> {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let bad = || BadValue::Weekdays(text.to_owned());
    let day = |text: &str| DAYS.iter().position(|d| d.eq_ignore_ascii_case(text.trim())).ok_or_else(bad);
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (day(first)?, day(last)?),
        None => (day(text)?, day(text)?),
    };
    // `fri-mon` goes over the week's end.
    let length = (last + 7 - first) % 7;
    Ok(std::array::from_fn(|d| (d + 7 - first) % 7 <= length))
}

fn code(text: &str) -> Result<String, BadValue> {
    let digits = text.strip_prefix(['*', '#']).unwrap_or("");
    let fits = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if fits { Ok(text.to_owned()) } else { Err(BadValue::Code(text.to_owned())) }
}

fn in_language(text: &str) -> Result<String, BadValue> {
    match text.split_once('/') {
        Some((language, name)) if is_name(language) && is_name(name) => Ok(text.to_owned()),
        Some(_) | None => Err(BadValue::InLanguage(text.to_owned())),
    }
}

fn key(text: &str) -> Result<char, BadValue> {
    let mut keys = text.chars();
    match (keys.next(), keys.next()) {
        (Some(key @ ('0'..='9' | '*' | '#')), None) => Ok(key),
        _ => Err(BadValue::Key(text.to_owned())),
    }
}

pub(crate) fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with(['.', '-']) && !text.ends_with('.')
}

fn name(text: &str) -> Result<String, BadValue> {
    if is_name(text) { Ok(text.to_owned()) } else { Err(BadValue::Name(text.to_owned())) }
}

fn label(text: &str) -> Result<String, BadValue> {
    let fits = !text.trim().is_empty() && text.chars().count() <= 128 && !text.chars().any(char::is_control);
    if fits { Ok(text.trim().to_owned()) } else { Err(BadValue::Label) }
}

fn password(text: &str) -> Result<String, BadValue> {
    let fits = !text.is_empty() && text.chars().count() <= 256 && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err(BadValue::Password) }
}

pub(crate) fn pin(text: &str) -> Result<String, BadValue> {
    let fits = (4..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if fits { Ok(text.to_owned()) } else { Err(BadValue::Pin) }
}

/// RFC 5321 §4.1.2 without its quoted strings, which nobody's address has.
fn mail_address(text: &str) -> Result<String, BadValue> {
    let is_atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b);
    let fits = text.split_once('@').is_some_and(|(local, domain)| {
        let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
        (1..=64).contains(&local.len()) && local.bytes().all(is_atom) && !dots && is_host_name(domain)
    });
    if fits { Ok(text.to_owned()) } else { Err(BadValue::MailAddress(text.to_owned())) }
}

fn secured(text: &str) -> Result<MailTls, BadValue> {
    match text {
        "required" => Ok(MailTls::Required),
        "starttls" => Ok(MailTls::StartTls),
        "off" => Ok(MailTls::Off),
        _ => Err(BadValue::Secured(text.to_owned())),
    }
}

fn domain(text: &str) -> Result<String, BadValue> {
    if is_host_name(text) || text.parse::<IpAddr>().is_ok() {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(BadValue::Domain(text.to_owned()))
    }
}

/// It is not said again what was given: addresses hold keys.
fn web_address(text: &str) -> Result<String, BadValue> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let fits = rest.is_some_and(|rest| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let literal = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).and_then(|h| h.parse::<std::net::Ipv6Addr>().ok());
        (is_host_name(host) || host.parse::<std::net::Ipv4Addr>().is_ok() || literal.is_some())
            && port.is_none_or(|port| port.parse::<u16>().is_ok())
    });
    let fits = fits && text.len() <= 2_048 && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if fits { Ok(text.to_owned()) } else { Err(BadValue::WebAddress) }
}

fn wanted(text: &str) -> Result<EventPattern, NoType> {
    text.parse()
}

fn place(text: &str) -> Result<Place, BadPlace> {
    text.parse()
}

fn country(text: &str) -> Result<Country, UnknownCountry> {
    text.parse()
}

fn codec(text: &str) -> Result<Codec, BadValue> {
    match text.to_ascii_lowercase().as_str() {
        "pcma" => Ok(Codec::Pcma),
        "pcmu" => Ok(Codec::Pcmu),
        "g722" => Ok(Codec::G722),
        "opus" => Ok(Codec::Opus),
        "l16" => Ok(Codec::L16),
        _ => Err(BadValue::Codec(text.to_owned())),
    }
}

fn digest(text: &str) -> Result<DigestAlgorithm, BadValue> {
    match text {
        "MD5" => Ok(DigestAlgorithm::Md5),
        "SHA-256" => Ok(DigestAlgorithm::Sha256),
        _ => Err(BadValue::Digest(text.to_owned())),
    }
}

/// More than anybody can watch by lamps.
const MOST_SLOTS: u32 = 100;

fn slots(text: &str) -> Result<RangeInclusive<u32>, BadValue> {
    let bad = || BadValue::Slots(text.to_owned());
    let (first, last) = text.split_once('-').ok_or_else(bad)?;
    let number = |part: &str| match part.as_bytes() {
        // A leading zero would be lost.
        [b'1'..=b'9', ..] if part.len() <= 8 => part.parse::<u32>().map_err(|_| bad()),
        _ => Err(bad()),
    };
    let range = number(first)?..=number(last)?;
    let fits = first.len() == last.len() && range.start() <= range.end() && range.end() - range.start() < MOST_SLOTS;
    if fits { Ok(range) } else { Err(bad()) }
}

fn strategy(text: &str) -> Result<Strategy, BadValue> {
    let named = Strategy::NAMES.into_iter().find(|(name, _)| *name == text);
    named.map(|(_, strategy)| strategy).ok_or_else(|| BadValue::Strategy(text.to_owned()))
}

/// From the database in the binary, so that the same text means the same on every machine.
pub(crate) fn zone(text: &str) -> Result<jiff::tz::TimeZone, BadValue> {
    jiff::tz::TimeZone::get(text).map_err(|_| BadValue::Zone(text.to_owned()))
}

fn written(text: &str) -> Result<CallerFormat, BadValue> {
    match text {
        "as-is" => Ok(CallerFormat::AsIs),
        "e164" => Ok(CallerFormat::E164),
        "national" => Ok(CallerFormat::National),
        _ => Err(BadValue::Written(text.to_owned())),
    }
}

fn read_by(text: &str) -> Result<MediaIo, BadValue> {
    match text {
        "auto" => Ok(MediaIo::Auto),
        "io_uring" => Ok(MediaIo::IoUring),
        "epoll" => Ok(MediaIo::Epoll),
        _ => Err(BadValue::ReadBy(text.to_owned())),
    }
}

fn implements(text: &str) -> Result<MediaIce, BadValue> {
    match text {
        "lite" => Ok(MediaIce::Lite),
        "full" => Ok(MediaIce::Full),
        _ => Err(BadValue::Implements(text.to_owned())),
    }
}

fn encryption(text: &str) -> Result<Srtp, BadValue> {
    match text {
        "off" => Ok(Srtp::Off),
        "preferred" => Ok(Srtp::Preferred),
        "required" => Ok(Srtp::Required),
        _ => Err(BadValue::Encryption(text.to_owned())),
    }
}

fn nameless(text: &str) -> Result<bool, BadValue> {
    match text {
        "accept" => Ok(false),
        "reject" => Ok(true),
        _ => Err(BadValue::Nameless(text.to_owned())),
    }
}

fn carried(text: &str) -> Result<Carrier, BadValue> {
    match text {
        "auto" => Ok(Carrier::Auto),
        "udp" => Ok(Carrier::Udp),
        "tcp" => Ok(Carrier::Tcp),
        "tls" => Ok(Carrier::Tls),
        _ => Err(BadValue::Transport(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_read_as_people_write_them() {
        for (text, ms) in [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("1m30s", 90_000), ("0s", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "30", "s", "5 s", "-1s", "1.5s", "99999999999999999999s", "18446744073709551615d", "5sec", "１s"] {
            assert_eq!(duration(text), Err(BadValue::Duration(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_peer_without_a_port_stands_for_any_port() {
        assert_eq!(peer("198.51.100.10"), Ok(Peer { host: "198.51.100.10".into(), port: None, transport: Carrier::Auto }));
        assert_eq!(
            peer("198.51.100.10:5070"),
            Ok(Peer { host: "198.51.100.10".into(), port: Some(5070), transport: Carrier::Auto })
        );
        assert_eq!(
            peer("[2001:db8::1]:5060"),
            Ok(Peer { host: "2001:db8::1".into(), port: Some(5060), transport: Carrier::Auto })
        );
        assert_eq!(peer("2001:db8::1"), Ok(Peer { host: "2001:db8::1".into(), port: None, transport: Carrier::Auto }));
        assert_eq!(
            peer("SIP.Example.com:5061"),
            Ok(Peer { host: "sip.example.com".into(), port: Some(5061), transport: Carrier::Auto })
        );
        for text in
            ["", ":5060", "1.2.3", "1.2.3.4:0", "1.2.3.4:99999", "a b", "-x.example", "0.0.0.0", "224.0.0.1", "sip:x.example"]
        {
            assert_eq!(peer(text), Err(BadValue::Peer(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn numbers_are_digits_and_patterns_end_in_a_star() {
        assert_eq!(pattern("+4930123"), Ok(Pattern::Exact("+4930123".into())));
        assert_eq!(pattern("+4930*"), Ok(Pattern::Prefix("+4930".into())));
        assert_eq!(pattern("*"), Ok(Pattern::Prefix(String::new())));
        for text in ["", "+", "12a", "1*2", "**", "+4930…", "1 2", "123456789012345678901"] {
            assert_eq!(pattern(text), Err(BadValue::Pattern(text.to_owned())), "{text}");
        }
        assert!(extension("201").is_ok() && extension("+201").is_err() && extension("").is_err());
        assert!(code("*21").is_ok() && code("21").is_err() && code("*").is_err());
    }

    #[test]
    fn park_slots_are_a_range_of_numbers_of_one_length() {
        assert_eq!(slots("701-709"), Ok(701..=709));
        assert_eq!(slots("5-5"), Ok(5..=5));
        for text in ["", "701", "709-701", "99-100", "001-009", "7a-7b", "700-800", "+70-79", "701-709-711", "-"] {
            assert_eq!(slots(text), Err(BadValue::Slots(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn names_fit_into_places_and_addresses() {
        for text in ["support", "a.b-c_1", "7"] {
            assert!(name(text).is_ok(), "{text}");
        }
        for text in ["", "a b", "a/b", "..", ".a", "a:b", "ü", "-x"] {
            assert!(name(text).is_err(), "{text}");
        }
    }
}
