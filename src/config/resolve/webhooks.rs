//! Who is sent events.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde_spanned::Spanned;

use super::{Checking, Secretless, Seen};
use crate::config::fault::{Caution, Fault};
use crate::config::{Secret, Webhook, given, signing_key};

/// Each has a thread, and a place in the log of its own.
const MOST: u32 = 16;

impl Checking {
    pub(super) fn webhooks(&mut self, given: Vec<Spanned<given::Webhook>>) -> BTreeMap<String, Webhook> {
        let mut webhooks = BTreeMap::new();
        let mut seen = Seen::new("webhook");
        for (nth, hook) in given.into_iter().enumerate() {
            if nth == MOST as usize {
                self.out_of_range(&hook, "number of webhooks", "more", 0, MOST);
            }
            let hook = hook.into_inner();
            let name = hook.name.get_ref().0.clone();
            if !seen.is_new(self, &name, &hook.name) {
                continue;
            }
            let mut secrets = Vec::new();
            match &hook.secret {
                Some(secret) => secrets.extend(self.signing(&name, secret, &secret.get_ref().0)),
                None => match self.secrets.webhook.get(&name).map(|p| p.0.clone()) {
                    Some(secret) => secrets.extend(self.signing(&name, &hook.name, &secret)),
                    None if self.secretless == Secretless::Refused => {
                        self.fault(&hook.name, Fault::NoWebhookSecret(name.clone()))
                    }
                    None => {}
                },
            }
            if let Some(before) = &hook.secret_before {
                secrets.extend(self.signing(&name, before, &before.get_ref().0));
            }
            let types = hook.types.map(Spanned::into_inner).unwrap_or_default();
            let webhook = Webhook {
                url: hook.url.get_ref().0.clone(),
                secrets,
                types: types.into_iter().map(|wanted| wanted.0).collect(),
                batch: self.count("batch", hook.batch, 50, 1..=1_000) as usize,
                timeout: self.time(
                    "timeout",
                    hook.timeout,
                    Duration::from_secs(15),
                    Duration::from_secs(1)..=Duration::from_secs(60),
                ),
            };
            let host = webhook.server().trim_start_matches('[').split([']', ':']).next().unwrap_or_default().to_owned();
            let here = host == "localhost"
                || webhook.server().starts_with("[::1]")
                || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
            if webhook.url.starts_with("http://") && !here {
                self.reader.caution(hook.url.span().start, Caution::WebhookInTheClear(name.clone()));
            }
            webhooks.insert(name, webhook);
        }
        webhooks
    }

    fn signing<T>(&mut self, name: &str, at: &Spanned<T>, text: &str) -> Option<Secret> {
        if signing_key(text).is_none() {
            self.fault(at, Fault::NoSigningKey(name.to_owned()));
            return None;
        }
        Some(Secret::new(text))
    }
}
