//! The way to the core for who must not wait: what `Transport::send` has to say while the core itself is calling it.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::counters::Counters;
use super::settings::REPORTS;
use crate::switch::Input;
use crate::transaction::SendId;

#[derive(Clone)]
pub struct Reports {
    queue: mpsc::Sender<Input>,
    counters: Arc<Counters>,
}

impl Reports {
    /// The future moves reports to the core, until all `Reports` or the core are gone.
    pub fn new(core: mpsc::Sender<Input>, counters: Arc<Counters>) -> (Reports, impl Future<Output = ()> + Send + 'static) {
        let (queue, mut waiting) = mpsc::channel(REPORTS);
        let pump = async move {
            while let Some(input) = waiting.recv().await {
                if core.send(input).await.is_err() {
                    break;
                }
            }
        };
        (Reports { queue, counters }, pump)
    }

    pub fn post(&self, input: Input) {
        if self.queue.try_send(input).is_err() {
            self.counters.reports_lost.add();
        }
    }

    pub fn undeliverable(&self, report: Option<SendId>) {
        if let Some(report) = report {
            self.post(Input::Undeliverable { report, why: None });
        }
    }
}
