//! What a supervisor has those told who wait in a queue ("we have an outage"): whoever waits by then hears it at once, and who comes later
//! as it enters. Each hears it once. It outlives the process, and ends with its time, or when it is taken back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::{NewsView, Refusal};
use super::hub::Cx;
use super::{Output, Switch};
use crate::clock::{Now, Wall};
use crate::conversation::{Conversation, Stage};
use crate::event::By;
use crate::ids::{ConversationId, QueueName};
use crate::media::Audio;

/// Of one queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct News {
    /// Which of all it is, in this run: who has heard it hears it no more.
    #[serde(skip)]
    nth: u64,
    prompt: String,
    /// Not from then on.
    until: Option<Wall>,
    by: By,
}

/// By queue: at most one each.
#[derive(Debug, Default)]
pub(super) struct AllNews {
    of: BTreeMap<QueueName, News>,
    nth: u64,
}

impl AllNews {
    /// What the last run left, of queues that there are still.
    pub fn recall(&mut self, kept: Vec<(QueueName, bytes::Bytes)>, is_there: impl Fn(&QueueName) -> bool) {
        for (queue, news) in kept.into_iter().filter(|(queue, _)| is_there(queue)) {
            // One that can't be read is told by nobody: a supervisor sees that it is not there.
            if let Ok(news) = serde_json::from_slice(&news) {
                self.put(queue, news);
            }
        }
    }

    pub fn view(&self, queue: &QueueName, now: Now) -> Option<NewsView> {
        let news = self.now_of(queue, now)?;
        let until = news.until.map(|until| until.to_string());
        Some(NewsView { prompt: news.prompt.clone(), until, by: news.by.clone() })
    }

    fn put(&mut self, queue: QueueName, news: News) {
        self.nth += 1;
        self.of.insert(queue, News { nth: self.nth, ..news });
    }

    fn now_of(&self, queue: &QueueName, now: Now) -> Option<&News> {
        self.of.get(queue).filter(|news| news.until.is_none_or(|until| until > now.wall))
    }
}

impl Switch {
    /// `None`: it is told no more.
    pub(super) fn announce_to_queue(
        &mut self,
        queue: QueueName,
        prompt: Option<String>,
        until: Option<Wall>,
        by: By,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let config = &self.hub.config;
        if !config.queues.contains_key(&queue) {
            return Err(Refusal::NoQueue(queue));
        }
        let Some(prompt) = prompt else {
            self.hub.news.of.remove(&queue);
            out.push(Output::QueueNews { queue, news: bytes::Bytes::new() });
            return Ok(());
        };
        // In some language: who has another hears that one.
        let is_it = |clip: &String| *clip == prompt || clip.split_once('/').is_some_and(|(_, name)| name == prompt);
        if !config.prompts.iter().any(is_it) {
            return Err(Refusal::NoPrompt(prompt));
        }
        if until.is_some_and(|until| until <= now.wall) {
            return Err(Refusal::BadValue("until is over already"));
        }
        let news = News { nth: 0, prompt, until, by };
        let kept = serde_json::to_vec(&news).unwrap_or_default();
        out.push(Output::QueueNews { queue: queue.clone(), news: kept.into() });
        self.hub.news.put(queue.clone(), news);
        let waits = |conv: &&Conversation| matches!(&conv.stage, Stage::Queue { queue: q, .. } if *q == queue);
        let waiting: Vec<ConversationId> = self.conversations.values().filter(waits).map(|conv| conv.id).collect();
        for id in waiting {
            self.with(id, now, out, |cx, conv| cx.hears_news(conv));
        }
        Ok(())
    }

    /// After a reload: of queues that are gone nothing is kept.
    pub(super) fn forget_news(&mut self, out: &mut Vec<Output>) {
        let config = self.hub.config.clone();
        self.hub.news.of.retain(|queue, _| {
            let is_there = config.queues.contains_key(queue);
            if !is_there {
                out.push(Output::QueueNews { queue: queue.clone(), news: bytes::Bytes::new() });
            }
            is_there
        });
    }
}

impl Cx<'_> {
    /// Whether it begins to hear what its queue has to tell, which it has not heard. While something else is told, that is first.
    pub fn hears_news(&mut self, conv: &mut Conversation) -> bool {
        let Stage::Queue { queue, play: None, .. } = &conv.stage else { return false };
        let Some(news) = self.hub.news.now_of(queue, self.now) else { return false };
        let heard = Some((queue.clone(), news.nth));
        if conv.heard_news == heard {
            return false;
        }
        // A reload may have taken it away.
        let Ok(clip) = self.prompt(conv, &news.prompt) else { return false };
        conv.heard_news = heard;
        let said = self.play(conv, conv.subject, Audio::Prompt(vec![clip]));
        if let Stage::Queue { play, .. } = &mut conv.stage {
            *play = Some(said);
        }
        true
    }
}
