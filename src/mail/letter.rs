//! One mail: who it is from and to, what it says, in the mailbox's language, and the message as a file.
//!
//! Nothing that a caller says of itself gets into a header as it is: control characters are taken out here (a line break would begin a
//! header of the caller's own), lengths are bounded, and lettre encodes what is not ASCII (RFC 2047).

use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};

use super::smtp::address;
use crate::clock::Wall;
use crate::config::MailTo;
use crate::ids::RecordingId;
use crate::store::recordings::Folder;

/// Longer than what a mail server commonly takes, as base64: some seven minutes. What is longer is not attached, and the text says so.
const MOST_ATTACHED: usize = 7_000_000;

/// Characters of a caller's number or name that are shown.
const LONGEST_CALLER: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum Unwritten {
    #[error("{0} is no mail address: {1}")]
    Address(String, lettre::address::AddressError),
    #[error("a mail can't be made: {0}")]
    Mail(#[from] lettre::error::Error),
    #[error("{path}: {error}")]
    Audio { path: PathBuf, error: io::Error },
}

impl Unwritten {
    pub fn is_final(&self) -> bool {
        match self {
            Unwritten::Audio { error, .. } => error.kind() == io::ErrorKind::NotFound,
            Unwritten::Address(..) | Unwritten::Mail(_) => true,
        }
    }
}

pub struct Letter<'a> {
    pub site: &'a str,
    pub domain: &'a str,
    pub from: &'a str,
    pub to: &'a MailTo,
    pub title: &'a str,
    pub language: &'a str,
    pub caller: &'a str,
    pub left_at: Wall,
    pub zone: &'a TimeZone,
    pub duration: Duration,
    pub recording: RecordingId,
    pub now: Wall,
}

/// The words of one language. `{}` of the subject are the caller and the mailbox.
struct Words {
    subject: [&'static str; 3],
    caller: &'static str,
    time: &'static str,
    length: &'static str,
    attached: &'static str,
    /// It is heard by phone: not attached.
    by_phone: &'static str,
    unknown: &'static str,
}

const ENGLISH: Words = Words {
    subject: ["Voice message from ", " for ", ""],
    caller: "Caller",
    time: "Time",
    length: "Length",
    attached: "The message is attached.",
    by_phone: "Please listen to the message by phone.",
    unknown: "unknown",
};

fn words(language: &str) -> &'static Words {
    const GERMAN: Words = Words {
        subject: ["Sprachnachricht von ", " für ", ""],
        caller: "Anrufer",
        time: "Zeit",
        length: "Länge",
        attached: "Die Nachricht ist angehängt.",
        by_phone: "Bitte hören Sie die Nachricht am Telefon ab.",
        unknown: "unbekannt",
    };
    const UKRAINIAN: Words = Words {
        subject: ["Голосове повідомлення від ", " для ", ""],
        caller: "Абонент",
        time: "Час",
        length: "Тривалість",
        attached: "Повідомлення додано до листа.",
        by_phone: "Будь ласка, прослухайте повідомлення телефоном.",
        unknown: "невідомий",
    };
    const ITALIAN: Words = Words {
        subject: ["Messaggio vocale da ", " per ", ""],
        caller: "Chiamante",
        time: "Ora",
        length: "Durata",
        attached: "Il messaggio è allegato.",
        by_phone: "Ascoltare il messaggio al telefono.",
        unknown: "sconosciuto",
    };
    const SWEDISH: Words = Words {
        subject: ["Röstmeddelande från ", " till ", ""],
        caller: "Uppringare",
        time: "Tid",
        length: "Längd",
        attached: "Meddelandet är bifogat.",
        by_phone: "Lyssna på meddelandet via telefon.",
        unknown: "okänd",
    };
    const CHINESE: Words = Words {
        subject: ["来自 ", " 给 ", " 的语音留言"],
        caller: "来电号码",
        time: "时间",
        length: "时长",
        attached: "留言已作为附件附上。",
        by_phone: "请通过电话收听留言。",
        unknown: "未知号码",
    };
    match language {
        "de" => &GERMAN,
        "uk" => &UKRAINIAN,
        "it" => &ITALIAN,
        "sv" => &SWEDISH,
        "zh" => &CHINESE,
        _ => &ENGLISH,
    }
}

/// Text of strangers for one line: no control characters, no more than so many characters.
pub fn one_line(text: &str, most: usize) -> String {
    // Unicode has line ends of its own, and marks that turn the order of what is read.
    let is_plain = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(is_plain).take(most).collect::<String>().trim().to_owned()
}

impl Letter<'_> {
    /// Reads the message's audio if it is to be attached.
    /// And whether the audio is in it: what is too long for most servers is not.
    pub async fn write(&self, folder: &Folder) -> Result<(Message, bool), Unwritten> {
        let path = folder.audio(self.recording);
        let audio = match self.to.attach {
            true => {
                let read = tokio::task::spawn_blocking({
                    let path = path.clone();
                    move || mono(&path)
                });
                let read = read.await.unwrap_or_else(|_| Err(io::Error::other("its reader panicked")));
                Some(read.map_err(|error| Unwritten::Audio { path, error })?)
            }
            false => None,
        };
        let audio = audio.filter(|wav| wav.len() <= MOST_ATTACHED);
        let attached = audio.is_some();
        Ok((self.compose(audio)?, attached))
    }

    /// Of the Message-ID: an address stands in brackets there (RFC 5322 §3.6.4).
    fn right_side(&self) -> String {
        address(self.domain).map_or_else(|| self.domain.to_owned(), |ip| format!("[{ip}]"))
    }

    fn compose(&self, audio: Option<Vec<u8>>) -> Result<Message, Unwritten> {
        let words = words(self.language);
        let caller = match one_line(self.caller, LONGEST_CALLER) {
            hidden if hidden.is_empty() => words.unknown.to_owned(),
            caller => caller,
        };
        let title = one_line(self.title, LONGEST_CALLER);
        let [from, to, end] = words.subject;
        let address = |text: &str| text.parse::<Address>().map_err(|error| Unwritten::Address(text.to_owned(), error));
        let time = self.left_at.timestamp().map(|t| t.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string());
        let seconds = self.duration.as_secs();
        let text = format!(
            "{}: {caller}\r\n{}: {}\r\n{}: {}:{:02}\r\n\r\n{}\r\n",
            words.caller,
            words.time,
            time.unwrap_or_else(|| self.left_at.to_string()),
            words.length,
            seconds / 60,
            seconds % 60,
            if audio.is_some() { words.attached } else { words.by_phone },
        );
        let sent = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(self.now.as_millis()).unwrap_or(0));
        let message = Message::builder()
            .from(Mailbox::new(Some(one_line(self.site, LONGEST_CALLER)), address(self.from)?))
            .to(Mailbox::new(None, address(&self.to.to)?))
            .subject(format!("{from}{caller}{to}{title}{end}"))
            .date(sent)
            // The same however often it is sent.
            .message_id(Some(format!("<voicemail.{}@{}>", self.recording, self.right_side())))
            // No mailer answers it (RFC 3834 §5).
            .raw_header(header("Auto-Submitted", "auto-generated"));
        let text = SinglePart::plain(text);
        Ok(match audio {
            Some(wav) => {
                let kind = ContentType::parse("audio/wav").unwrap_or(ContentType::TEXT_PLAIN);
                let name = format!("message-{}.wav", self.recording);
                message.multipart(MultiPart::mixed().singlepart(text).singlepart(Attachment::new(name).body(wav, kind)))?
            }
            None => message.singlepart(text)?,
        })
    }
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// What was said, of a recording, as a file of its own: PCM of 16 bits, mono, 8 kHz, which every phone and mail reader plays.
fn mono(path: &Path) -> io::Result<Vec<u8>> {
    let unreadable = |error: hound::Error| match error {
        hound::Error::IoError(error) => error,
        other => io::Error::other(other.to_string()),
    };
    let mut wav = hound::WavReader::open(path).map_err(unreadable)?;
    let spec = wav.spec();
    let only = hound::WavSpec {
        channels: 1,
        sample_rate: spec.sample_rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = Cursor::new(Vec::new());
    let mut out = hound::WavWriter::new(&mut file, only).map_err(unreadable)?;
    for sample in wav.samples::<i16>().step_by(usize::from(spec.channels.max(1))) {
        out.write_sample(sample.map_err(unreadable)?).map_err(unreadable)?;
    }
    out.finalize().map_err(unreadable)?;
    Ok(file.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(caller: &str, language: &str, audio: Option<Vec<u8>>) -> String {
        let to = MailTo { to: "owner@example.com".to_owned(), attach: true, delete: false };
        let letter = Letter {
            site: "Example support",
            domain: "cordboard.example",
            from: "pbx@example.com",
            to: &to,
            title: "Olena",
            language,
            caller,
            left_at: Wall::from_micros(1_795_338_000_000_000),
            zone: &TimeZone::UTC,
            duration: Duration::from_millis(65_400),
            recording: RecordingId::from_parts(7, 7),
            now: Wall::from_micros(1_795_338_001_000_000),
        };
        String::from_utf8(letter.compose(audio).unwrap().formatted()).unwrap()
    }

    #[test]
    fn a_mail_says_who_called_when_and_how_long_in_the_mailboxs_language() {
        let text = written("+4930123456", "en", Some(b"RIFF".to_vec()));
        for line in [
            "Subject: Voice message from +4930123456 for Olena\r\n",
            "From: \"Example support\" <pbx@example.com>\r\n",
            "To: owner@example.com\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Content-Type: audio/wav\r\n",
            "Length: 1:05\r\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert_eq!(written("1", "en", None), written("1", "en", None), "the same mail has the same id");
        assert!(written("1", "en", None).contains("by phone"));
        for language in ["de", "uk", "it", "sv", "zh"] {
            assert!(written("1", language, None).contains("Subject: "), "{language}");
            assert_ne!(words(language).subject, ENGLISH.subject);
        }
        assert!(written("", "en", None).contains("from unknown for"));
    }

    #[test]
    fn a_callers_name_begins_no_header_of_its_own() {
        for evil in
            ["x\r\nBcc: all@example.com", "x\nBcc: all@example.com\n\nhello", "x\u{2028}Bcc: a@b", "x\0\u{85}\u{b}Bcc: a@b"]
        {
            let text = written(evil, "en", None);
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.lines().all(|line| !line.to_ascii_lowercase().starts_with("bcc")), "{head}");
            assert_eq!(body.lines().filter(|line| line.contains("Bcc")).count(), 1, "{body}");
        }
        let long = written(&"9".repeat(10_000), "en", None);
        assert!(long.len() < 2_000 && long.lines().all(|line| line.len() < 998));
    }
}
