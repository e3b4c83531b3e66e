//! How far in the event log a webhook is, and which events are on their way: in the index, in one row, so in one commit.

use serde::{Deserialize, Serialize};

use crate::store::database::{Change, Database, DatabaseError, Tree};

/// What is on its way keeps its bounds until it has arrived, over a restart too: its id, by which the receiver knows a repetition, is made of
/// them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The last event that was delivered, or not wanted.
    pub after: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// SHA-256 of the address at which the receiver said that it is gone. Another one is tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Batch {
    /// The last event that was looked at for it.
    pub upto: u64,
    /// Those that were wanted then.
    pub types: Vec<String>,
}

impl Cursor {
    /// `None`: this webhook is new.
    pub fn read(database: &dyn Database, name: &str) -> Result<Option<Cursor>, DatabaseError> {
        let row = database.get(Tree::Webhooks, name.as_bytes())?;
        let read = |bytes: Vec<u8>| {
            serde_json::from_slice(&bytes).map_err(|error| DatabaseError::Row { tree: Tree::Webhooks.name(), error })
        };
        row.map(read).transpose()
    }

    pub fn change(&self, name: &str) -> Change {
        // A struct of text and numbers has a JSON form.
        Change::Put(Tree::Webhooks, name.as_bytes().to_vec(), serde_json::to_vec(self).unwrap_or_default())
    }
}
