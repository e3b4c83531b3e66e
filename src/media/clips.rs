//! Sounds in memory: prompts by name, and the music on hold. Encoded once, so that playing is copying.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::G711;

use super::{ClipName, music};

/// A sound at 8 kHz, mono.
#[derive(Debug, PartialEq, Eq)]
pub struct Clip {
    pcm: Box<[i16]>,
    pcmu: Box<[u8]>,
    pcma: Box<[u8]>,
}

impl Clip {
    /// From samples at 8 kHz.
    pub fn new(pcm: impl Into<Box<[i16]>>) -> Clip {
        let pcm = pcm.into();
        Clip { pcmu: G711::Pcmu.encode_all(&pcm), pcma: G711::Pcma.encode_all(&pcm), pcm }
    }

    pub fn pcm(&self) -> &[i16] {
        &self.pcm
    }

    /// All of it in G.711, a byte a sample.
    pub fn encoded(&self, law: G711) -> &[u8] {
        match law {
            G711::Pcmu => &self.pcmu,
            G711::Pcma => &self.pcma,
        }
    }

    /// In samples.
    pub fn len(&self) -> usize {
        self.pcm.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pcm.is_empty()
    }
}

/// All sounds that a worker may be told to play. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clips {
    prompts: Arc<BTreeMap<ClipName, Arc<Clip>>>,
    music: Arc<Clip>,
}

impl Clips {
    /// `music`: what is heard on hold; the built-in music where it is `None` or empty.
    pub fn new(prompts: BTreeMap<ClipName, Arc<Clip>>, music: Option<Arc<Clip>>) -> Clips {
        let music = music.filter(|m| !m.is_empty()).unwrap_or_else(|| Arc::new(Clip::new(music::built_in())));
        Clips { prompts: Arc::new(prompts), music }
    }

    /// The same with one more, or one in place of what it was.
    pub fn with(&self, name: ClipName, clip: Arc<Clip>) -> Clips {
        let mut prompts = (*self.prompts).clone();
        prompts.insert(name, clip);
        Clips { prompts: Arc::new(prompts), music: self.music.clone() }
    }

    pub fn prompt(&self, name: &ClipName) -> Option<&Arc<Clip>> {
        self.prompts.get(name)
    }

    pub fn music(&self) -> &Arc<Clip> {
        &self.music
    }
}
