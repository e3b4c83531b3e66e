//! Secrets out, pseudonyms in: what the journal may keep.
//!
//! A pseudonym stands for a secret wherever the switch would compute with it, so a replay that was recorded with pseudonyms computes the
//! same outputs from them. The salt is the journal's own and chance, so that a guessed secret cannot be confirmed without it; who has
//! both journal and a good guess can, which is why the journal stays as private as a log.

use sha2::{Digest as _, Sha256};
use toml::{Table, Value};

use super::{File, Source, StandIns};

/// Makes pseudonyms: the same one for the same secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Redaction {
    salt: Vec<u8>,
}

/// Hexadecimal digits of a pseudonym: 128 bits, so that two secrets do not become one.
const PSEUDONYM_LENGTH: usize = 32;

/// Keys whose text is a secret, wherever in the main file they stand.
const SECRET_KEYS: [&str; 5] = ["secret", "secret_before", "password", "token", PIN];

/// Its pseudonym is of digits, as it is.
const PIN: &str = "pin";

/// Of lookups in menus: what servers know us by.
const HEADERS: &str = "headers";

impl Redaction {
    pub fn new(salt: impl Into<Vec<u8>>) -> Self {
        Redaction { salt: salt.into() }
    }

    /// The first 32 digits of hex(SHA-256(salt ‖ secret)).
    pub fn pseudonym(&self, secret: &str) -> String {
        let digest = Sha256::new().chain_update(&self.salt).chain_update(secret).finalize();
        let mut text = hex::encode(digest);
        text.truncate(PSEUDONYM_LENGTH);
        text
    }

    /// As many bytes, that can stand for a key.
    pub fn bytes(&self, secret: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(secret.len() + 32);
        for part in 0..secret.len().div_ceil(32) as u64 {
            let digest = Sha256::new().chain_update(&self.salt).chain_update(part.to_be_bytes()).chain_update(secret);
            out.extend_from_slice(&digest.finalize());
        }
        out.truncate(secret.len());
        out
    }

    /// A pseudonym that can stand for a PIN.
    fn digits(&self, secret: &str) -> String {
        self.pseudonym(secret).bytes().take(16).map(|b| char::from(b'0' + b % 10)).collect()
    }

    fn main(&self, text: &str) -> String {
        self.text(text, |redaction, table| {
            redaction.values_of(table, &SECRET_KEYS);
            let hooks = table.get_mut("webhook").and_then(Value::as_array_mut).into_iter().flatten();
            for url in hooks.filter_map(|hook| hook.get_mut("url")) {
                // Whoever knows the address of some can write there. `invalid` is nobody's (RFC 6761 §6.4).
                let pseudonym = redaction.pseudonym(url.as_str().unwrap_or_default());
                *url = Value::String(format!("https://{pseudonym}.invalid/"));
            }
        })
    }

    fn secrets(&self, text: &str) -> String {
        self.text(text, |redaction, table| {
            for (key, value) in table.iter_mut() {
                redaction.all(value, key == PIN);
            }
        })
    }

    /// A menu is kept as it is, but for what callers are to key at masked nodes, and what servers are shown as a key; then without its
    /// comments.
    fn menu(&self, text: &str) -> String {
        let is_masked = |node: &Value| {
            node.get("kind").and_then(Value::as_str) == Some("collect") && node.get("mask").and_then(Value::as_bool) == Some(true)
        };
        let exact = |node: &Value| (is_masked(node) && node.get("exact").is_some()) || node.get(HEADERS).is_some();
        let nodes = |table: &Table| table.get("node").and_then(Value::as_table).is_some_and(|nodes| nodes.values().any(exact));
        match text.parse::<Table>() {
            Ok(table) if !nodes(&table) => text.to_owned(),
            Ok(_) | Err(_) => self.text(text, |redaction, table| {
                let nodes = table.get_mut("node").and_then(Value::as_table_mut).into_iter().flat_map(|nodes| nodes.iter_mut());
                for (_, node) in nodes {
                    if let Some(headers) = node.get_mut(HEADERS) {
                        redaction.all(headers, false);
                    }
                    if !is_masked(node) {
                        continue;
                    }
                    if let Some(exact) = node.get_mut("exact").and_then(Value::as_table_mut) {
                        *exact = stood_in_for(exact);
                    }
                }
            }),
        }
    }

    /// Printed anew, so that comments, which can hold an old secret, are gone too. What is no TOML cannot be told apart and is left out
    /// whole; it would not resolve anyway.
    fn text(&self, text: &str, redact: impl Fn(&Self, &mut Table)) -> String {
        let Ok(mut table) = text.parse::<Table>() else {
            return String::from("# left out: not TOML\n");
        };
        redact(self, &mut table);
        toml::to_string(&table).unwrap_or_default()
    }

    fn values_of(&self, table: &mut Table, keys: &[&str]) {
        for (key, value) in table.iter_mut() {
            if keys.contains(&key.as_str()) {
                self.all(value, key == PIN);
            } else {
                self.below(value, keys);
            }
        }
    }

    fn below(&self, value: &mut Value, keys: &[&str]) {
        match value {
            Value::Table(table) => self.values_of(table, keys),
            Value::Array(items) => items.iter_mut().for_each(|item| self.below(item, keys)),
            Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
        }
    }

    fn all(&self, value: &mut Value, digits: bool) {
        match value {
            Value::Table(table) => table.iter_mut().for_each(|(_, v)| self.all(v, digits)),
            Value::Array(items) => items.iter_mut().for_each(|item| self.all(item, digits)),
            Value::String(text) if digits => {
                *text = self.digits(text);
            }
            Value::String(text) => *text = self.pseudonym(text),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
                *value = Value::String(self.pseudonym(&value.to_string()));
            }
        }
    }
}

/// The same places for digits that stand for the known ones.
fn stood_in_for(exact: &Table) -> Table {
    let known = || exact.keys().map(String::as_str);
    let forms = StandIns::of(known()).known(known());
    exact.iter().filter_map(|(digits, place)| Some((forms.get(digits)?.clone(), place.clone()))).collect()
}

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redaction")
    }
}

impl Source {
    /// The same configuration with a pseudonym for every secret: resolves to the same [`super::Config`] but for the secrets, and for what
    /// masked nodes of menus know.
    pub fn redacted(&self, redaction: &Redaction) -> Source {
        Source {
            main: File { path: self.main.path.clone(), text: redaction.main(&self.main.text) },
            secrets: self.secrets.as_ref().map(|s| File { path: s.path.clone(), text: redaction.secrets(&s.text) }),
            menus: self.menus.iter().map(|m| File { path: m.path.clone(), text: redaction.menu(&m.text) }).collect(),
            prompts: self.prompts.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Secret};

    const MAIN: &str = "
# secret = \"old-hunter1\"
site = { name = 'Test', domain = 'cordboard.example', time_zone = 'Europe/Berlin', country = 'DE' }
[[phone]]
number = '201'
secret = 'hunter2'
voicemail = true
pin = '47119'
[[trunk]]
name = 'b'
peer = '192.0.2.1'
user = 'u'
secret = 'hunter3'
[[trunk]]
name = 'a'
peer = '192.0.2.2'
[[inbound]]
trunk = 'b'
number = '2'
to = 'phone:201'
[[inbound]]
trunk = 'a'
number = '1'
to = 'phone:201'
[[user]]
name = 'admin'
password = 'hunter4'
token = 'hunter5'
[[webhook]]
name = 'crm'
url = 'https://hooks.example/hunter7'
secret = 'whsec_aHVudGVyaHVudGVyaHVudGVyaHVudGVy'
secret_before = 'whsec_aHVudGVyaHVudGVyaHVudGVyaHVudGV5'
";

    #[test]
    fn a_redacted_source_resolves_to_the_same_but_for_the_secrets_and_holds_none() {
        let mut source = Source::of(MAIN);
        source.secrets =
            Some(File { path: "secrets.toml".into(), text: "[phone]\n202 = 'hunter6'\n[pin]\n202 = '47112'\n".into() });
        let redaction = Redaction::new(*b"salt");
        let redacted = source.redacted(&redaction);
        assert!(!format!("{redacted:?}").contains("aHVudG"), "{redacted:?}");
        assert!(!format!("{redacted:?}").contains("hunter") && !format!("{redacted:?}").contains("4711"), "{redacted:?}");

        let mut expected = Config::resolve(&source).unwrap();
        let pseudonym = |secret: &Secret| Secret::new(redaction.pseudonym(secret.expose()));
        for phone in expected.phones.values_mut() {
            phone.secret = pseudonym(&phone.secret);
        }
        for mailbox in expected.mailboxes.values_mut() {
            mailbox.pin = Secret::new(redaction.digits(mailbox.pin.expose()));
        }
        for trunk in expected.trunks.values_mut() {
            trunk.secret = trunk.secret.as_ref().map(pseudonym);
        }
        for user in &mut expected.users {
            user.password = pseudonym(&user.password);
            user.token = user.token.as_ref().map(pseudonym);
        }
        for hook in expected.webhooks.values_mut() {
            hook.secrets = hook.secrets.iter().map(pseudonym).collect();
            hook.url = format!("https://{}.invalid/", redaction.pseudonym(&hook.url));
        }
        assert_eq!(Config::resolve(&redacted).unwrap(), expected);
    }

    #[test]
    fn pseudonyms_depend_on_salt_and_secret() {
        let a = Redaction::new(*b"a");
        assert_eq!(a.pseudonym("x").len(), PSEUDONYM_LENGTH);
        assert_eq!(a.pseudonym("x"), a.pseudonym("x"));
        assert_ne!(a.pseudonym("x"), a.pseudonym("y"));
        assert_ne!(a.pseudonym("x"), Redaction::new(*b"b").pseudonym("x"));
    }

    #[test]
    fn what_is_to_be_keyed_at_a_masked_node_is_stood_in_for_and_other_menus_are_as_they_were() {
        let menu = "# was 0815\n[node.top]\nkind = 'collect'\nmask = true\nexact = { '4711' = 'node:in', '4712' = 'hangup' }\n";
        let open = menu.replace("mask = true\n", "");
        let mut source = Source::of("");
        source.menus = [menu, &open].map(|text| File { path: "menus/a.toml".into(), text: text.to_owned() }).to_vec();
        let redacted = source.redacted(&Redaction::new(*b"a"));
        let text = &redacted.menus[0].text;
        assert!(!text.contains("471") && !text.contains("0815"), "{text}");
        let parsed = text.parse::<Table>().unwrap();
        let exact: Vec<(&String, &str)> =
            parsed["node"]["top"]["exact"].as_table().unwrap().iter().map(|(k, v)| (k, v.as_str().unwrap())).collect();
        assert_eq!(exact, [(&"0001".to_owned(), "node:in"), (&"0002".to_owned(), "hangup")]);
        assert_eq!(redacted.menus[1].text, open);
    }

    #[test]
    fn what_cannot_be_read_is_left_out_whole() {
        let redacted = Source::of("[[phone]\nsecret = 'hunter2'").redacted(&Redaction::new(*b"a"));
        assert!(!redacted.main.text.contains("hunter"));
    }
}
