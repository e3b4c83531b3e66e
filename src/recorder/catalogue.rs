//! Where the command line gets rows from: the files when no switch runs, its API when one does.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::clock::System;
use crate::ids::RecordingId;
use crate::store::database::{DatabaseError, SledDatabase};
use crate::store::recordings::{Filter, Kind, Page, Recording, Recordings};
use crate::store::{Conversations, index_folder};

/// An answer of the API later than this is none.
const PATIENCE: Duration = Duration::from_secs(30);

/// A page of a thousand rows is half of this.
const MOST_BYTES: u64 = 16 << 20;

#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    #[error(transparent)]
    Index(#[from] DatabaseError),
    #[error(
        "a switch is running on {folder}: give an API token (CORDBOARD_ADMIN_TOKEN or --token) so that it can be asked instead"
    )]
    NeedsToken { folder: std::path::PathBuf },
    #[error("there is no index in {folder}; `cordboard recordings rebuild` makes one")]
    NoIndex { folder: std::path::PathBuf },
    #[error("the switch's API at {base} does not answer: {error}")]
    Api { base: String, error: Box<ureq::Error> },
    #[error("the switch's API at {base} refuses the token")]
    Refused { base: String },
    #[error("the switch's API gave an answer that is not understood: {0}")]
    Answer(serde_json::Error),
    #[error("only while no switch is running on {folder}")]
    Running { folder: std::path::PathBuf },
}

/// How to reach a running switch.
#[derive(Clone, Debug)]
pub struct ApiAccess {
    /// `http://127.0.0.1:8080`
    pub base: String,
    pub token: Option<String>,
}

pub enum Catalogue {
    /// No switch is running; the index is ours for as long as this lives.
    Files(Recordings, Conversations),
    Running(Client),
}

pub struct Client {
    agent: ureq::Agent,
    base: String,
    token: String,
}

impl Catalogue {
    /// Opens the index of `folder`, or, where a switch has it open, speaks to that switch.
    pub fn open(folder: &Path, api: &ApiAccess) -> Result<Catalogue, CatalogueError> {
        if !index_folder(folder).exists() {
            return Err(CatalogueError::NoIndex { folder: folder.to_owned() });
        }
        match Self::files(folder) {
            Err(CatalogueError::Running { folder }) => match &api.token {
                Some(token) => Ok(Catalogue::Running(Client::new(&api.base, token))),
                None => Err(CatalogueError::NeedsToken { folder }),
            },
            other => other,
        }
    }

    /// The index itself, which need not exist yet. [`CatalogueError::Running`] where a switch has it open.
    pub fn files(folder: &Path) -> Result<Catalogue, CatalogueError> {
        match SledDatabase::open(&index_folder(folder), System::start()) {
            Ok(opened) => {
                let database = std::sync::Arc::new(opened.database);
                Ok(Catalogue::Files(Recordings::new(database.clone()), Conversations::open(database)?))
            }
            Err(DatabaseError::Locked { .. }) => Err(CatalogueError::Running { folder: folder.to_owned() }),
            Err(error) => Err(error.into()),
        }
    }

    pub fn is_running(&self) -> bool {
        match self {
            Catalogue::Files(..) => false,
            Catalogue::Running(_) => true,
        }
    }

    pub fn row(&self, id: RecordingId) -> Result<Option<Recording>, CatalogueError> {
        match self {
            Catalogue::Files(table, _) => Ok(table.row(id)?),
            Catalogue::Running(client) => client.fetch(&format!("/api/v1/recordings/{id}"), &[]),
        }
    }

    pub fn search(&self, filter: &Filter) -> Result<Page, CatalogueError> {
        match self {
            Catalogue::Files(table, _) => Ok(table.search(filter)?),
            Catalogue::Running(client) => client.search(filter),
        }
    }

    /// Every row that the filter finds, newest first, page by page, at most `most`. Stops when `each` fails.
    pub fn each<E: From<CatalogueError>>(
        &self,
        filter: &Filter,
        most: u64,
        mut each: impl FnMut(Recording) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut filter = filter.clone();
        let mut left = most;
        while left > 0 {
            filter.limit = usize::try_from(left).unwrap_or(usize::MAX).min(500);
            let page = self.search(&filter)?;
            for row in page.items {
                each(row)?;
                left -= 1;
            }
            let Some(next) = page.next else { break };
            filter.cursor = Some(next);
        }
        Ok(())
    }
}

/// A list as the API gives it.
#[derive(Deserialize)]
struct Listed {
    items: Vec<Recording>,
    next: Option<RecordingId>,
}

impl Client {
    pub fn new(base: &str, token: &str) -> Client {
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).build();
        Client { agent: config.into(), base: base.trim_end_matches('/').to_owned(), token: token.to_owned() }
    }

    fn search(&self, filter: &Filter) -> Result<Page, CatalogueError> {
        let listed: Option<Listed> = self.fetch("/api/v1/recordings", &query(filter))?;
        Ok(listed.map_or(Page { items: Vec::new(), next: None }, |l| Page { items: l.items, next: l.next }))
    }

    /// `None` for 404.
    fn fetch<T: for<'de> Deserialize<'de>>(&self, path: &str, query: &[(&str, String)]) -> Result<Option<T>, CatalogueError> {
        let failed = |error| CatalogueError::Api { base: self.base.clone(), error: Box::new(error) };
        let request = self
            .agent
            .get(format!("{}{path}", self.base))
            .query_pairs(query.iter().map(|(k, v)| (*k, v.as_str())))
            .header("Authorization", format!("Bearer {}", self.token));
        let mut response = request.call().map_err(failed)?;
        match response.status().as_u16() {
            200 => {}
            404 => return Ok(None),
            401 | 403 => return Err(CatalogueError::Refused { base: self.base.clone() }),
            other => return Err(failed(ureq::Error::StatusCode(other))),
        }
        let text = response.body_mut().with_config().limit(MOST_BYTES).read_to_string().map_err(failed)?;
        serde_json::from_str(&text).map(Some).map_err(CatalogueError::Answer)
    }
}

fn query(filter: &Filter) -> Vec<(&'static str, String)> {
    let mut pairs = Vec::new();
    let mut put = |key, value: Option<String>| pairs.extend(value.map(|v| (key, v)));
    let kind = match filter.kind {
        None => "all",
        Some(Kind::Conversation) => "conversation",
        Some(Kind::Voicemail) => "voicemail",
        Some(Kind::Greeting) => "greeting",
        Some(Kind::Supervisor) => "supervisor",
        Some(Kind::Prompt) => "prompt",
    };
    put("kind", Some(kind.to_owned()));
    put("agent", filter.agent.as_ref().map(|a| a.to_string()));
    put("queue", filter.queue.as_ref().map(|q| q.to_string()));
    put("number", filter.number.clone());
    put("direction", filter.direction.map(|d| super::export::direction(d).to_owned()));
    put("from", filter.from.map(|t| t.to_string()));
    put("to", filter.to.map(|t| t.to_string()));
    put("min_s", filter.min_s.map(|s| s.to_string()));
    put("max_s", filter.max_s.map(|s| s.to_string()));
    put("limit", (filter.limit > 0).then(|| filter.limit.to_string()));
    put("cursor", filter.cursor.map(|c| c.to_string()));
    pairs
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers one request after another, and gives back what was asked.
    fn serve(answers: Vec<(u16, &'static str)>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        let run = move || {
            let mut asked = Vec::new();
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let lines: Vec<String> =
                    BufReader::new(&stream).lines().map(Result::unwrap).take_while(|l| !l.is_empty()).collect();
                asked.push(lines.join("|"));
                let length = body.len();
                write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").unwrap();
            }
            asked
        };
        (base, std::thread::Builder::new().spawn(run).unwrap())
    }

    #[test]
    fn a_running_switch_is_asked_page_by_page() {
        let id = RecordingId::from_parts(5, 5);
        let page = format!(r#"{{"items":[],"next":"{id}"}}"#);
        let page: &'static str = page.leak();
        let (base, server) = serve(vec![(200, page), (200, r#"{"items":[],"next":null}"#), (404, "{}"), (401, "{}")]);
        let rows = Catalogue::Running(Client::new(&base, "secret"));
        let filter = Filter { number: Some("+49 30".into()), min_s: Some(3), ..Filter::default() };
        rows.each(&filter, 10, |_| Ok::<(), CatalogueError>(())).unwrap();
        assert!(matches!(rows.row(id), Ok(None)));
        assert!(matches!(rows.row(id), Err(CatalogueError::Refused { .. })));
        let asked = server.join().unwrap();
        assert!(asked[0].starts_with("GET /api/v1/recordings?kind=all&number=%2B49%2030&min_s=3&limit=10 "), "{}", asked[0]);
        assert!(asked[0].to_lowercase().contains("authorization: bearer secret"));
        assert!(asked[1].contains(&format!("cursor={id} ")) && asked[2].contains(&format!("/{id} ")));
    }
}
