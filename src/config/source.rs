//! What was read from disk, as text, and the one place that reads it.
//!
//! [`load`] takes `cordboard.toml`, `secrets.toml` beside it if it is there, `menus/*.toml`, and the names (not the audio) of
//! `prompts/<language>/<prompt>.wav`. Everything is sorted by name, so the same files give the same [`Source`] on every machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A file as text, with the path that its faults are reported under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    pub path: PathBuf,
    pub text: String,
}

/// A whole configuration as text: enough to resolve it again, byte for byte, on a machine without these files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub main: File,
    pub secrets: Option<File>,
    /// Sorted by path.
    pub menus: Vec<File>,
    /// `<language>/<prompt>` of every WAV file that exists, sorted.
    pub prompts: Vec<String>,
}

/// A file that could not be read at all.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}", path = .path.display())]
pub struct LoadError {
    pub path: PathBuf,
    #[source]
    pub error: io::Error,
}

/// More text than this in one file is no configuration (the shipped one has 10 KB; a hundred phones have 20 KB).
const MAX_FILE: u64 = 4 * 1024 * 1024;

impl Source {
    /// A configuration of one text, without menus, prompts and secrets: for tests and tools.
    pub fn of(main: impl Into<String>) -> Self {
        Source {
            main: File { path: "cordboard.toml".into(), text: main.into() },
            secrets: None,
            menus: Vec::new(),
            prompts: Vec::new(),
        }
    }

    /// Where this configuration's secrets are or will be.
    pub fn secrets_path(&self) -> PathBuf {
        self.main.path.with_file_name("secrets.toml")
    }
}

/// Reads the configuration whose main file is at `path`. Missing secrets, menus or prompts are no error here.
pub fn load(path: &Path) -> Result<Source, LoadError> {
    let main = read(path)?;
    let secrets = match read(&path.with_file_name("secrets.toml")) {
        Ok(file) => Some(file),
        Err(e) if e.error.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    let mut menus = Vec::new();
    for entry in entries(&path.with_file_name("menus"))? {
        if entry.extension().is_some_and(|e| e == "toml") && entry.is_file() && !is_scenario(&entry) {
            menus.push(read(&entry)?);
        }
    }
    Ok(Source { main, secrets, menus, prompts: prompts(&path.with_file_name("prompts"))? })
}

/// Files beside the menus that say where calls are to come (`menus/NAME.scenario.toml`), sorted by path.
pub fn scenarios(path: &Path) -> Result<Vec<File>, LoadError> {
    let all = entries(&path.with_file_name("menus"))?;
    all.iter().filter(|path| path.is_file() && is_scenario(path)).map(|path| read(path)).collect()
}

fn is_scenario(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(".scenario.toml"))
}

fn prompts(folder: &Path) -> Result<Vec<String>, LoadError> {
    let mut found = Vec::new();
    for language in entries(folder)? {
        if !language.is_dir() {
            continue;
        }
        for file in entries(&language)? {
            if file.extension().is_some_and(|e| e == "wav")
                && let (Some(l), Some(p)) =
                    (language.file_name().and_then(|n| n.to_str()), file.file_stem().and_then(|n| n.to_str()))
            {
                found.push(format!("{l}/{p}"));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What lies in a folder, sorted; nothing where there is no such folder. Hidden files (editors' leftovers) are passed over.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let failed = |error| LoadError { path: folder.to_owned(), error };
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut paths = Vec::new();
    for entry in listing {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<File, LoadError> {
    let failed = |error| LoadError { path: path.to_owned(), error };
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > MAX_FILE {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "larger than any configuration")));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    Ok(File { path: path.to_owned(), text })
}
