//! Secrets that nobody gave are made at the first start, into `secrets.toml` beside the main file.
//!
//! The file has one table a kind, `phone`, `trunk`, `password`, `token`, `pin`, `webhook`, with the number or name whose secret it is. It is readable by its
//! owner only (mode 0600), replaced as a whole (written beside, synced, renamed), and what is in it already stays. A file that cannot
//! be read is never replaced. What is printed is the path, never a secret.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand_core::{OsRng, TryRngCore};

use super::given::{Given, Secrets};
use super::resolve::ADMIN;
use super::text::Reader;
use super::units::Password;
use super::{LoadError, Problem, Source, load};

/// Whose secrets there are not yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Numbers of phones.
    pub phones: Vec<String>,
    /// Numbers of mailboxes without a PIN.
    pub pins: Vec<String>,
    /// Names of users without a password.
    pub passwords: Vec<String>,
    /// Names of users without a token: only `admin`, while nobody else is configured.
    pub tokens: Vec<String>,
    /// Names of webhooks without a key.
    pub webhooks: Vec<String>,
}

impl Missing {
    pub fn is_empty(&self) -> bool {
        self.phones.is_empty()
            && self.pins.is_empty()
            && self.passwords.is_empty()
            && self.tokens.is_empty()
            && self.webhooks.is_empty()
    }
}

/// Why secrets could not be generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{path}: {error}", path = .path.display())]
    Write { path: PathBuf, error: io::Error },
    #[error("the system gave no random numbers: {0}")]
    Chance(rand_core::OsError),
    /// The file is there, but with faults; generating would overwrite what it holds.
    #[error("{0}")]
    Unreadable(Problem),
}

/// Length of what phones and people get: 24 of 57 characters are 140 bits.
const PASSWORD_LENGTH: usize = 24;
/// Length of a token, which nobody types.
const TOKEN_LENGTH: usize = 40;
/// Octets of a webhook's key; Standard Webhooks has 24 to 64.
const KEY_LENGTH: usize = 32;
/// Letters and digits that are not taken for one another on paper.
const DIGITS: &[u8] = b"0123456789";
/// Length of a PIN. Three may be tried a call.
const PIN_LENGTH: usize = 6;
const ALPHABET: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

const HEADER: &str = "\
# Secrets that Cordboard generated because cordboard.toml leaves them out. Read by the owner only; keep it so.
#
#   [phone]     what a phone registers with, by its number
#   [trunk]     what a trunk's carrier asks for, by the trunk's name (never generated; put it here or into cordboard.toml)
#   [password]  of a user of the API and the console, by name
#   [pin]       of a mailbox, by its number
#   [mail]      what the mail server asks for, by our user there (never generated)
#   [webhook]   what the requests of a webhook are signed with, by its name: its receiver needs it too
#   [token]     of a user's programs (Authorization: Bearer …), by name
#
# A secret in cordboard.toml wins over one here. Delete a line to have it generated again at the next start.
";

/// What the first start would generate. Nothing, where a file has faults that hide what there is.
pub fn missing_secrets(source: &Source) -> Missing {
    let mut reader = Reader::new(&source.main.path, &source.main.text);
    let given = Given::read(&mut reader, &source.main.text);
    let (Some(given), Ok(secrets)) = (given, existing(source)) else {
        return Missing::default();
    };
    if !reader.is_clean() {
        return Missing::default();
    }
    let phones = given.phones.iter().map(|p| p.get_ref()).filter(|p| p.secret.is_none()).map(|p| p.number.get_ref().0.clone());
    let mut missing = Missing { phones: phones.filter(|n| !secrets.phone.contains_key(n)).collect(), ..Missing::default() };
    let phones = given.phones.iter().map(|p| p.get_ref()).filter(|p| p.pin.is_none()).map(|p| &p.number);
    let queues = given.queues.iter().map(|q| q.get_ref()).filter(|q| q.pin.is_none()).filter_map(|q| q.number.as_ref());
    let without = phones.chain(queues).map(|n| n.get_ref().0.clone());
    missing.pins.extend(without.filter(|n| given.named.mailboxes.contains(n) && !secrets.pin.contains_key(n)));
    if given.users.is_empty() {
        missing.passwords.extend((!secrets.password.contains_key(ADMIN)).then(|| ADMIN.to_owned()));
        missing.tokens.extend((!secrets.token.contains_key(ADMIN)).then(|| ADMIN.to_owned()));
    }
    let users = given.users.iter().map(|u| u.get_ref()).filter(|u| u.password.is_none()).map(|u| u.name.get_ref().0.clone());
    missing.passwords.extend(users.filter(|n| !secrets.password.contains_key(n)));
    let hooks = given.webhooks.iter().map(|w| w.get_ref()).filter(|w| w.secret.is_none()).map(|w| w.name.get_ref().0.clone());
    missing.webhooks.extend(hooks.filter(|n| !secrets.webhook.contains_key(n)));
    missing
}

/// Makes what is missing and writes it beside what is there. Returns the path to print.
pub fn generate(source: &Source, missing: &Missing) -> Result<PathBuf, GenerateError> {
    let mut secrets = existing(source)?;
    for number in &missing.phones {
        secrets.phone.insert(number.clone(), Password(chance(ALPHABET, PASSWORD_LENGTH)?));
    }
    for number in &missing.pins {
        secrets.pin.insert(number.clone(), Password(chance(DIGITS, PIN_LENGTH)?));
    }
    for name in &missing.passwords {
        secrets.password.insert(name.clone(), Password(chance(ALPHABET, PASSWORD_LENGTH)?));
    }
    for name in &missing.tokens {
        secrets.token.insert(name.clone(), Password(chance(ALPHABET, TOKEN_LENGTH)?));
    }
    for name in &missing.webhooks {
        let mut key = [0; KEY_LENGTH];
        OsRng.try_fill_bytes(&mut key).map_err(GenerateError::Chance)?;
        secrets.webhook.insert(name.clone(), Password(format!("whsec_{}", BASE64_STANDARD.encode(key))));
    }
    let path = source.secrets_path();
    replace(&path, &print(&secrets)).map_err(|error| GenerateError::Write { path: path.clone(), error })?;
    Ok(path)
}

/// Reads a configuration, and generates first what it lacks. The path is that of the secrets, if some were generated now.
pub fn load_or_generate(path: &Path) -> Result<(Source, Option<PathBuf>), GenerateError> {
    let source = load(path)?;
    let missing = missing_secrets(&source);
    if missing.is_empty() {
        return Ok((source, None));
    }
    let secrets = generate(&source, &missing)?;
    Ok((load(path)?, Some(secrets)))
}

fn existing(source: &Source) -> Result<Secrets, GenerateError> {
    let Some(file) = &source.secrets else {
        return Ok(Secrets::default());
    };
    let mut reader = Reader::new(&file.path, &file.text);
    let secrets = Secrets::read(&mut reader, &file.text).unwrap_or_default();
    match reader.into_problems().into_iter().next() {
        Some(problem) => Err(GenerateError::Unreadable(problem)),
        None => Ok(secrets),
    }
}

fn print(secrets: &Secrets) -> String {
    let mut text = HEADER.to_owned();
    let tables = [
        ("phone", &secrets.phone),
        ("trunk", &secrets.trunk),
        ("password", &secrets.password),
        ("token", &secrets.token),
        ("pin", &secrets.pin),
        ("mail", &secrets.mail),
        ("webhook", &secrets.webhook),
    ];
    for (table, entries) in tables.into_iter().filter(|(_, e)| !e.is_empty()) {
        let plain: BTreeMap<&str, &str> = entries.iter().map(|(k, v)| (k.as_str(), v.0.as_str())).collect();
        // Printing strings as TOML cannot fail; where it did, the file would lack a table and be refused at the next start.
        let body = toml::to_string(&plain).unwrap_or_default();
        let _ = write!(text, "\n[{table}]\n{body}");
    }
    text
}

/// From the system's generator; bytes that would favour some characters are thrown away.
fn chance(alphabet: &[u8], length: usize) -> Result<String, GenerateError> {
    let limit = u8::try_from(256 - 256 % alphabet.len()).unwrap_or(u8::MAX);
    let mut text = String::with_capacity(length);
    let mut bytes = [0u8; 64];
    while text.len() < length {
        OsRng.try_fill_bytes(&mut bytes).map_err(GenerateError::Chance)?;
        let letters = bytes.iter().filter(|b| **b < limit).filter_map(|b| alphabet.get(usize::from(*b) % alphabet.len()));
        text.extend(letters.take(length - text.len()).map(|b| char::from(*b)));
    }
    Ok(text)
}

/// Writes beside, syncs, renames, syncs the folder: after a crash there is the old file or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;

    let beside = path.with_extension("toml.new");
    // Left by a start that was killed; its mode and owner may not be ours.
    match fs::remove_file(&beside) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::Config;

    const MAIN: &str = "
[site]
name = 'Test'
domain = 'cordboard.example'
time_zone = 'Europe/Berlin'
country = 'DE'
[[phone]]
number = '201'
[[phone]]
number = '202'
secret = 'given'
voicemail = true
";

    fn folder(main: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cordboard.toml");
        fs::write(&path, main).unwrap();
        (folder, path)
    }

    #[test]
    fn a_first_start_generates_what_is_missing_and_a_second_keeps_it() {
        let (folder, path) = folder(MAIN);
        assert!(Config::resolve(&load(&path).unwrap()).is_err());

        let (first, printed) = load_or_generate(&path).unwrap();
        let secrets = folder.path().join("secrets.toml");
        assert_eq!(printed, Some(secrets.clone()));
        assert_eq!(fs::metadata(&secrets).unwrap().permissions().mode() & 0o777, 0o600);
        let config = Config::resolve(&first).unwrap();
        assert_eq!(config.phones["201"].secret.expose().len(), PASSWORD_LENGTH);
        assert_eq!(config.phones["202"].secret.expose(), "given");
        let pin = config.mailboxes["202"].pin.expose();
        assert!(pin.len() == PIN_LENGTH && pin.bytes().all(|b| b.is_ascii_digit()), "{pin}");
        assert!(!config.mailboxes.contains_key("201"));
        assert_eq!(config.users[0].name, "admin");
        assert!(config.users[0].token.is_some());

        let (second, printed) = load_or_generate(&path).unwrap();
        assert_eq!((second, printed), (first, None));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no file is left beside");
    }

    #[test]
    fn a_phone_that_comes_later_leaves_the_others_secrets_alone() {
        let (folder, path) = folder(MAIN);
        fs::write(folder.path().join("secrets.toml"), "[phone]\n201 = \"mine\"\n[trunk]\ncarrier = \"theirs\"\n").unwrap();
        fs::write(&path, format!("{MAIN}\n[[phone]]\nnumber = '203'\n")).unwrap();
        let (source, printed) = load_or_generate(&path).unwrap();
        assert!(printed.is_some());
        let config = Config::resolve(&source).unwrap();
        assert_eq!(config.phones["201"].secret.expose(), "mine");
        assert_eq!(config.phones["203"].secret.expose().len(), PASSWORD_LENGTH);
        assert!(source.secrets.unwrap().text.contains("carrier = \"theirs\""));
    }

    #[test]
    fn secrets_that_cannot_be_read_are_never_overwritten() {
        let (folder, path) = folder(MAIN);
        let secrets = folder.path().join("secrets.toml");
        fs::write(&secrets, "[phone]\n201 = \n").unwrap();
        let (source, printed) = load_or_generate(&path).unwrap();
        assert_eq!(printed, None);
        assert!(matches!(generate(&source, &Missing::default()), Err(GenerateError::Unreadable(_))));
        let problems = Config::resolve(&source).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].to_string().contains("secrets.toml:2: not TOML"), "{}", problems[0]);
        assert_eq!(fs::read_to_string(&secrets).unwrap(), "[phone]\n201 = \n");
    }

    #[test]
    fn generated_secrets_differ() {
        let a = chance(ALPHABET, PASSWORD_LENGTH).unwrap();
        assert_ne!(a, chance(ALPHABET, PASSWORD_LENGTH).unwrap());
        assert!(a.bytes().all(|b| ALPHABET.contains(&b)));
    }
}
