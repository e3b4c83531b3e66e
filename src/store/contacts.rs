//! Who customers are: name, tags, language and notes by their number.
//!
//! The index is the truth of them, unlike all else that it has: a name in an append-only log could not be forgotten on request. All are in
//! memory too, since whoever asks may not wait for a disk. A change is durable before it is answered, and seen by nobody before that.
//!
//! A list comes and goes as CSV (RFC 4180): a header that names columns, `,` or `;` between fields, UTF-8 with or without a mark at its
//! beginning. An import is all or nothing: each line that cannot be taken is named.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use super::database::{Change, Database, DatabaseError, Order, Tree};
use crate::clock::Wall;
use crate::config::Country;
use crate::route::normal;

/// Some 100 MB in memory, by feel; a centre's customers of years.
pub const MOST: usize = 200_000;

/// Characters of a name, and of notes.
const LONGEST: (usize, usize) = (128, 4_000);

/// Tags of a contact.
const MOST_TAGS: usize = 16;

/// Lines of an import that are told of.
const MOST_FAULTS: usize = 100;

/// Changes that the index takes at once.
const TOGETHER: usize = 1_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Contact {
    /// E.164, with its plus.
    pub number: String,
    pub name: String,
    /// Sorted, each once.
    #[serde(default)]
    pub tags: Vec<String>,
    /// As prompts have it: `de`.
    #[serde(default)]
    pub language: Option<String>,
    #[serde(default)]
    pub notes: String,
    #[schema(value_type = String)]
    #[serde(with = "super::rfc3339")]
    pub changed_at: Wall,
}

/// What people say of a contact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Said {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub language: Option<String>,
    #[serde(default)]
    pub notes: String,
}

/// Why a contact is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untaken {
    #[error("`{0}` is no number of the telephone network; write it with its country, such as +4930123456")]
    Number(String),
    #[error("a name is one line of at most {} characters", LONGEST.0)]
    Name,
    #[error("notes have at most {} characters", LONGEST.1)]
    Notes,
    #[error("`{0}` is no tag: write 1 to 64 letters, digits, and . _ - between them; at most {MOST_TAGS}")]
    Tag(String),
    #[error("`{0}` is no language: write two letters, such as de")]
    Language(String),
    #[error("there are {MOST} contacts already")]
    Full,
    #[error("the number {0} is there twice")]
    Twice(String),
}

/// A line of an import that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct BadLine {
    /// From 1, which is the header.
    pub line: u64,
    pub what: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Imported {
    pub added: usize,
    pub changed: usize,
    pub unchanged: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum NotImported {
    #[error("{} lines can't be taken", .0.len())]
    Lines(Vec<BadLine>),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// A handle; clones are the same contacts.
#[derive(Clone)]
pub struct Contacts {
    database: Arc<dyn Database>,
    by_number: Arc<RwLock<BTreeMap<String, Arc<Contact>>>>,
    /// Held while the index is written, so that memory and index change in one order; who reads does not wait for it.
    writing: Arc<Mutex<()>>,
}

impl Contacts {
    pub fn open(database: Arc<dyn Database>) -> Result<Contacts, DatabaseError> {
        let mut by_number = BTreeMap::new();
        for (_, value) in database.page(Tree::Contacts, &[], None, Order::Ascending, usize::MAX)? {
            match serde_json::from_slice::<Contact>(&value) {
                Ok(contact) => {
                    by_number.insert(contact.number.clone(), Arc::new(contact));
                }
                // Nobody is to be without a telephone for it.
                Err(error) => tracing::warn!(%error, "a contact can't be read and is left out"),
            }
        }
        Ok(Contacts { database, by_number: Arc::new(RwLock::new(by_number)), writing: Arc::default() })
    }

    /// `number` is E.164.
    pub fn of(&self, number: &str) -> Option<Arc<Contact>> {
        self.read(|all| all.get(number).cloned())
    }

    /// By number, after this one. With `tag`, of those that have it.
    pub fn list(&self, tag: Option<&str>, after: Option<&str>, most: usize) -> Vec<Arc<Contact>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let has = |contact: &&Arc<Contact>| tag.is_none_or(|tag| contact.tags.iter().any(|one| one == tag));
        self.read(|all| {
            all.range::<str, _>((from, Bound::Unbounded)).map(|(_, one)| one).filter(has).take(most).cloned().collect()
        })
    }

    /// Durable when it returns. `Ok(true)`: it is new.
    ///
    /// # Errors
    /// Of the index; `Ok(Err(…))` where this is no contact.
    pub fn put(&self, number: &str, said: Said, country: Country, now: Wall) -> Result<Result<bool, Untaken>, DatabaseError> {
        let contact = match contact(number, said, country, now) {
            Ok(contact) => contact,
            Err(error) => return Ok(Err(error)),
        };
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (is_new, is_full) = self.read(|all| (!all.contains_key(&contact.number), all.len() >= MOST));
        if is_new && is_full {
            return Ok(Err(Untaken::Full));
        }
        self.write(vec![contact])?;
        Ok(Ok(is_new))
    }

    /// Durable when it returns. `false`: there was none.
    pub fn remove(&self, number: &str) -> Result<bool, DatabaseError> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.of(number).is_none() {
            return Ok(false);
        }
        self.database.commit(&[Change::Remove(Tree::Contacts, number.as_bytes().to_vec())])?;
        self.database.flush()?;
        self.by_number.write().unwrap_or_else(PoisonError::into_inner).remove(number);
        Ok(true)
    }

    /// Takes a list; those that it does not name stay as they are, and a column that it has not leaves what there is.
    pub fn import(&self, bytes: &[u8], country: Country, now: Wall) -> Result<Imported, NotImported> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |number: &str| self.of(number);
        let contacts = parse(bytes, country, now, known).map_err(NotImported::Lines)?;
        let mut imported = Imported::default();
        let mut changed = Vec::new();
        for contact in contacts {
            match self.of(&contact.number) {
                Some(was) if Contact { changed_at: was.changed_at, ..contact.clone() } == *was => imported.unchanged += 1,
                Some(_) => {
                    imported.changed += 1;
                    changed.push(contact);
                }
                None => {
                    imported.added += 1;
                    changed.push(contact);
                }
            }
        }
        if self.read(BTreeMap::len) + imported.added > MOST {
            return Err(NotImported::Lines(vec![BadLine { line: 1, what: format!("there would be more than {MOST} contacts") }]));
        }
        self.write(changed)?;
        Ok(imported)
    }

    /// The whole list, as an import takes it. Cells that a spreadsheet would compute stay text, also
    /// in one that takes another sign than the comma to stand between them.
    pub fn export(&self) -> String {
        let mut csv = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
        // To memory: nothing can refuse.
        let _ = csv.write_record(COLUMNS);
        let all: Vec<Arc<Contact>> = self.read(|all| all.values().cloned().collect());
        for contact in all {
            let tags = contact.tags.join(" ");
            let language = contact.language.as_deref().unwrap_or_default();
            let cells = [contact.number.as_str(), contact.name.as_str(), tags.as_str(), language, contact.notes.as_str()];
            let _ = csv.write_record(cells.map(guarded));
        }
        let bytes = csv.into_inner().unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_default()
    }

    fn read<T>(&self, look: impl FnOnce(&BTreeMap<String, Arc<Contact>>) -> T) -> T {
        look(&self.by_number.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Under `writing`. A kill in the middle of many leaves the first of them: an import that is repeated brings the others.
    fn write(&self, contacts: Vec<Contact>) -> Result<(), DatabaseError> {
        for part in contacts.chunks(TOGETHER) {
            // A struct of text has a JSON form.
            let put = |contact: &Contact| {
                let row = serde_json::to_vec(contact).unwrap_or_default();
                Change::Put(Tree::Contacts, contact.number.as_bytes().to_vec(), row)
            };
            self.database.commit(&part.iter().map(put).collect::<Vec<_>>())?;
        }
        self.database.flush()?;
        let mut all = self.by_number.write().unwrap_or_else(PoisonError::into_inner);
        all.extend(contacts.into_iter().map(|contact| (contact.number.clone(), Arc::new(contact))));
        Ok(())
    }
}

fn contact(number: &str, said: Said, country: Country, now: Wall) -> Result<Contact, Untaken> {
    let Said { name, mut tags, language, notes } = said;
    let number = normal(number, country).ok_or_else(|| Untaken::Number(number.chars().take(32).collect()))?;
    let name = name.trim().to_owned();
    if name.chars().count() > LONGEST.0 || name.chars().any(char::is_control) {
        return Err(Untaken::Name);
    }
    if notes.chars().count() > LONGEST.1 {
        return Err(Untaken::Notes);
    }
    tags.sort_unstable();
    tags.dedup();
    let is_tag = |tag: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        (1..=64).contains(&tag.len()) && tag.bytes().all(inner)
    };
    if let Some(bad) = tags.iter().find(|tag| !is_tag(tag)).or_else(|| tags.get(MOST_TAGS)) {
        return Err(Untaken::Tag(bad.chars().take(64).collect()));
    }
    let language = language.filter(|language| !language.is_empty());
    if let Some(bad) = language.as_ref().filter(|l| l.len() != 2 || !l.bytes().all(|b| b.is_ascii_lowercase())) {
        return Err(Untaken::Language(bad.chars().take(16).collect()));
    }
    Ok(Contact { number, name, tags, language, notes, changed_at: now })
}

const COLUMNS: [&str; 5] = ["number", "name", "tags", "language", "notes"];

/// What a spreadsheet takes for a formula gets a quote in front, but for numbers of the telephone.
fn guarded(cell: &str) -> String {
    let is_number = cell.strip_prefix('+').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number { format!("'{cell}") } else { cell.to_owned() }
}

/// As it was before [`guarded`].
fn unguarded(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| rest.starts_with(['=', '+', '-', '@', '\t', '\r'])).unwrap_or(cell)
}

/// All contacts of a list, or all lines that are none.
fn parse(
    bytes: &[u8],
    country: Country,
    now: Wall,
    known: impl Fn(&str) -> Option<Arc<Contact>>,
) -> Result<Vec<Contact>, Vec<BadLine>> {
    let one = |line: u64, what: String| vec![BadLine { line, what }];
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if let Err(error) = std::str::from_utf8(bytes) {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|b| **b == b'\n').count() as u64 + 1;
        return Err(one(line, "this is no UTF-8".to_owned()));
    }
    let header = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let count = |sign: u8| header.iter().filter(|b| **b == sign).count();
    let between = if count(b';') > count(b',') { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new().delimiter(between).from_reader(bytes);
    let header = reader.headers().map_err(|error| one(1, error.to_string()))?.clone();
    let names: Vec<String> = header.iter().map(|name| name.trim().to_ascii_lowercase()).collect();
    if let Some(unknown) = names.iter().find(|name| !COLUMNS.contains(&name.as_str())) {
        return Err(one(1, format!("`{unknown}` is none of the columns {}", COLUMNS.join(", "))));
    }
    let column = |name: &str| names.iter().position(|one| one == name);
    if column("number").is_none() || names.iter().enumerate().any(|(n, name)| column(name) != Some(n)) {
        return Err(one(1, "there must be a column `number`, and each column once".to_owned()));
    }
    let mut faults = Vec::new();
    let mut seen = BTreeMap::new();
    for (nth, record) in reader.records().enumerate() {
        if faults.len() >= MOST_FAULTS {
            break;
        }
        if nth >= MOST {
            faults.push(BadLine { line: nth as u64 + 2, what: format!("a list has at most {MOST} contacts") });
            break;
        }
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(nth as u64 + 2, csv::Position::line);
                faults.push(BadLine { line, what: error.to_string() });
                continue;
            }
        };
        let line = record.position().map_or(nth as u64 + 2, csv::Position::line);
        let cell = |name: &str| column(name).and_then(|n| record.get(n)).map(|cell| unguarded(cell.trim()).to_owned());
        let number = cell("number").unwrap_or_default();
        let was = normal(&number, country).and_then(|number| known(&number));
        let was = was.as_deref();
        let said = Said {
            name: cell("name").or_else(|| was.map(|was| was.name.clone())).unwrap_or_default(),
            tags: match cell("tags") {
                Some(tags) => tags.split_whitespace().map(str::to_owned).collect(),
                None => was.map(|was| was.tags.clone()).unwrap_or_default(),
            },
            language: cell("language").or_else(|| was.and_then(|was| was.language.clone())),
            notes: cell("notes").or_else(|| was.map(|was| was.notes.clone())).unwrap_or_default(),
        };
        let taken = contact(&number, said, country, now).and_then(|contact| match seen.contains_key(&contact.number) {
            true => Err(Untaken::Twice(contact.number)),
            false => Ok(contact),
        });
        match taken {
            Ok(contact) => drop(seen.insert(contact.number.clone(), contact)),
            Err(error) => faults.push(BadLine { line, what: error.to_string() }),
        }
    }
    if faults.is_empty() { Ok(seen.into_values().collect()) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::database::Memory;

    const NOW: Wall = Wall::from_micros(1_795_338_000_000_000);

    fn country() -> Country {
        "DE".parse().unwrap()
    }

    fn open(database: &Arc<Memory>) -> Contacts {
        Contacts::open(database.clone()).unwrap()
    }

    fn bad(contacts: &Contacts, csv: &[u8]) -> Vec<(u64, String)> {
        match contacts.import(csv, country(), NOW) {
            Err(NotImported::Lines(lines)) => lines.into_iter().map(|bad| (bad.line, bad.what)).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_contact_is_known_by_its_number_in_any_spelling_and_after_a_restart() {
        let database = Arc::new(Memory::default());
        let contacts = open(&database);
        let said = Said { name: " Ada ".into(), tags: vec!["vip".into(), "a".into(), "vip".into()], ..Said::default() };
        assert_eq!(contacts.put("030 123456", said.clone(), country(), NOW).unwrap(), Ok(true));
        assert_eq!(contacts.put("+4930123456", said, country(), NOW).unwrap(), Ok(false));
        let contacts = open(&database);
        let ada = contacts.of("+4930123456").unwrap();
        assert_eq!((ada.name.as_str(), ada.tags.join(" ")), ("Ada", "a vip".to_owned()));
        assert_eq!(contacts.list(Some("vip"), None, 9), [ada]);
        assert!(contacts.list(Some("v"), None, 9).is_empty() && contacts.list(None, Some("+4930123456"), 9).is_empty());
        assert_eq!((contacts.remove("+4930123456").unwrap(), contacts.remove("+4930123456").unwrap()), (true, false));
        assert!(open(&database).of("+4930123456").is_none());
        for (number, said, what) in [
            ("12", Said::default(), "`12` is no number"),
            ("+4930123456", Said { name: "a\nb".into(), ..Said::default() }, "a name is one line"),
            ("+4930123456", Said { tags: vec!["a b".into()], ..Said::default() }, "`a b` is no tag"),
            ("+4930123456", Said { language: Some("german".into()), ..Said::default() }, "`german` is no language"),
            ("+4930123456", Said { notes: "x".repeat(4_001), ..Said::default() }, "notes have"),
        ] {
            let error = contacts.put(number, said, country(), NOW).unwrap().unwrap_err().to_string();
            assert!(error.starts_with(what), "{error}");
        }
    }

    #[test]
    fn a_list_comes_with_either_sign_between_and_goes_out_as_it_came() {
        let database = Arc::new(Memory::default());
        let contacts = open(&database);
        let list = "\u{feff}Number;Name;Tags\r\n030 123456;\"Weber; Jonas\";vip gold\r\n+380441234567;Олена;\r\n";
        let import = |text: &str| contacts.import(text.as_bytes(), country(), NOW).unwrap();
        assert_eq!(import(list), Imported { added: 2, ..Imported::default() });
        assert_eq!(import(list), Imported { unchanged: 2, ..Imported::default() });
        // A column that is not there leaves what is known.
        let notes = "number,notes\n+4930123456,\"=1+1\nof two lines\"\n";
        assert_eq!(import(notes), Imported { changed: 1, ..Imported::default() });
        let weber = contacts.of("+4930123456").unwrap();
        assert_eq!((weber.name.as_str(), weber.tags.len(), weber.notes.as_str()), ("Weber; Jonas", 2, "=1+1\nof two lines"));
        let out = contacts.export();
        assert!(
            out.contains("\"'=1+1\nof two lines\"") && out.starts_with("\"number\",\"name\",\"tags\",\"language\",\"notes\"\n"),
            "{out}"
        );
        assert_eq!(import(&out), Imported { unchanged: 2, ..Imported::default() });
        assert_eq!(open(&database).export(), out);
    }

    #[test]
    fn what_is_no_list_is_refused_by_its_lines_and_nothing_of_it_is_taken() {
        let contacts = open(&Arc::new(Memory::default()));
        let said = |csv: &str| bad(&contacts, csv.as_bytes());
        let found = said("number,name\n+4930123456,A\n12,B\n030123456,C\n+4930123457,\"\u{7}\"\n");
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 4, 5], "{found:?}");
        assert!(found[1].1.contains("+4930123456 is there twice"), "{found:?}");
        assert_eq!(said("number,name\n+4930123456\n")[0].0, 2);
        assert!(said("name\nA\n")[0].1.contains("column `number`"));
        assert!(said("number,number\n1,2\n")[0].1.contains("each column once"));
        assert!(said("number,age\n1,2\n")[0].1.contains("`age` is none"));
        assert!(said("")[0].1.contains("column `number`"));
        assert_eq!(bad(&contacts, b"number,name\n+4930123456,A\n+4930123457,\xff\n"), [(3, "this is no UTF-8".to_owned())]);
        let many = "number\n".to_owned() + &"1\n".repeat(500);
        assert_eq!(said(&many).len(), MOST_FAULTS);
        assert!(contacts.list(None, None, 9).is_empty());
    }
}
