//! Prompts that were kept while a reload read the files: its sound of them may be the one before.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::media::Clip;

#[derive(Default)]
pub(super) struct Kept {
    /// Reloads that are reading.
    readers: usize,
    /// How many were kept since the start.
    count: u64,
    /// The last sound of each that was kept while somebody read, and its number.
    sounds: BTreeMap<String, (u64, Arc<Clip>)>,
}

impl Kept {
    /// A reload begins to read. What it gets is for [`Kept::has_read`].
    pub fn reads(&mut self) -> u64 {
        self.readers += 1;
        self.count
    }

    pub fn keep(&mut self, prompt: &str, clip: &Arc<Clip>) {
        self.count += 1;
        if self.readers > 0 {
            self.sounds.insert(prompt.to_owned(), (self.count, clip.clone()));
        }
    }

    /// It has read: what was kept since it began.
    pub fn has_read(&mut self, began: u64) -> Vec<(String, Arc<Clip>)> {
        let newer = self.sounds.iter().filter(|(_, (number, _))| *number > began);
        let newer = newer.map(|(prompt, (_, clip))| (prompt.clone(), clip.clone())).collect();
        self.readers = self.readers.saturating_sub(1);
        if self.readers == 0 {
            self.sounds.clear();
        }
        newer
    }
}
