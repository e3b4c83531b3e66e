//! Webhooks, as the API and the metrics know them.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::api;
use crate::switch::Input;
use crate::webhook::{NotResumed, Say, Webhooks};

pub(super) fn for_api(webhooks: &Webhooks) -> api::Hooks {
    let (listed, resumed) = (webhooks.clone(), webhooks.clone());
    api::Hooks {
        list: Arc::new(move || {
            let all = listed.list().into_iter();
            all.map(|(name, standing)| api::WebhookView {
                name,
                server: standing.server,
                types: standing.types,
                state: standing.state.label(),
                after: standing.after,
                behind: standing.behind,
                trouble: standing.trouble,
                next_at: standing.next_at.map(|at| at.to_string()),
                events: standing.events,
                taken: standing.taken,
                failed: standing.failed,
            })
            .collect()
        }),
        resume: Arc::new(move |name, after, by| {
            let webhooks = resumed.clone();
            Box::pin(async move {
                webhooks.resume(&name, after, by).await.map_err(|why| match why {
                    NotResumed::Unknown => api::NotResumed::Unknown,
                    NotResumed::Ahead { last } => api::NotResumed::Ahead { last },
                    NotResumed::Busy => api::NotResumed::Busy,
                })
            })
        }),
    }
}

/// A name each.
type Figures = Vec<(String, u64)>;

/// As in `/metrics`: counters, and how far each is behind. A name of the configuration needs no escape.
pub(super) fn measured(webhooks: &Webhooks) -> (Figures, Figures) {
    let (mut totals, mut behind) = (Vec::new(), Vec::new());
    for (name, standing) in webhooks.list() {
        totals.push((format!("webhook_events_total{{webhook=\"{name}\"}}"), standing.events));
        for (outcome, count) in [("taken", standing.taken), ("failed", standing.failed)] {
            totals.push((format!("webhook_requests_total{{webhook=\"{name}\",outcome=\"{outcome}\"}}"), count));
        }
        behind.push((name, standing.behind));
    }
    (totals, behind)
}

/// Trouble of a webhook, to the core.
pub(super) fn say_to(inputs: mpsc::Sender<Input>) -> Say {
    Arc::new(move |part, trouble| {
        let input = Input::Health { part: part.to_owned(), trouble: trouble.map(str::to_owned) };
        let told = inputs.try_send(input).is_ok();
        if !told {
            tracing::warn!(part, trouble, "the core does not keep up: trouble of a webhook is told later");
        }
        told
    })
}
