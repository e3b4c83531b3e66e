//! Sounds in memory: prompts by name, and the music on hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ClipName;

/// A sound at 8 kHz, mono.
#[derive(Debug, PartialEq, Eq)]
pub struct Clip {
    pcm: Box<[i16]>,
}

impl Clip {
    /// From samples at 8 kHz.
    pub fn new(pcm: impl Into<Box<[i16]>>) -> Clip {
        Clip { pcm: pcm.into() }
    }

    pub fn pcm(&self) -> &[i16] {
        &self.pcm
    }
}

/// All sounds that a worker may be told to play. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clips {
    prompts: Arc<BTreeMap<ClipName, Arc<Clip>>>,
    music: Arc<Clip>,
}

impl Clips {
    pub fn new(prompts: BTreeMap<ClipName, Arc<Clip>>, music: Arc<Clip>) -> Clips {
        Clips { prompts: Arc::new(prompts), music }
    }

    pub fn prompt(&self, name: &ClipName) -> Option<&Arc<Clip>> {
        self.prompts.get(name)
    }

    pub fn music(&self) -> &Arc<Clip> {
        &self.music
    }
}
