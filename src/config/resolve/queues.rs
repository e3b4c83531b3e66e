//! Queues: their agents and what these must know, how long callers wait and where they go then, what they are told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_spanned::Spanned;

use super::people::MailboxKeys;
use super::{Checking, Seen};
use crate::config::fault::Fault;
use crate::config::units::Label;
use crate::config::{Agent, Announcements, CallBack, Outbound, Place, Queue, RelaxStep, Standards, Standing, Strategy, given};
use crate::ids::{Number, QueueName, StaffNumber};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// What a queue is resolved among.
pub(super) struct Surroundings<'a> {
    /// The country's.
    pub ring_cycle: Duration,
    pub outbound: &'a [Outbound],
    pub agents: &'a BTreeMap<StaffNumber, Agent>,
    pub prompts: &'a [String],
    /// The site's.
    pub standards: &'a Standards,
}

impl Checking {
    pub(super) fn queues(&mut self, given: Vec<Spanned<given::Queue>>, around: &Surroundings<'_>) -> BTreeMap<QueueName, Queue> {
        let Surroundings { ring_cycle: country_ring, outbound, agents, prompts, standards } = *around;
        let known: BTreeSet<String> = agents.values().flat_map(|agent| agent.skills.keys().cloned()).collect();
        let mut queues = BTreeMap::new();
        let mut seen = Seen::new("queue");
        for given in given {
            let queue = given.into_inner();
            let name = queue.name.get_ref().0.clone();
            seen.is_new(self, &name, &queue.name);
            if let Some(number) = &queue.number {
                self.take_number(&number.get_ref().0.clone(), number);
            }
            let (members, standing) = self.members(queue.agents.unwrap_or_default());
            match (&queue.voicemail, &queue.number) {
                (Some(wanted), Some(number)) if *wanted.get_ref() => {
                    let title = queue.title.as_ref().map_or_else(|| name.clone(), |t| t.0.clone());
                    let keys = MailboxKeys {
                        pin: queue.pin,
                        language: queue.language,
                        mail: queue.mail,
                        mail_attach: queue.mail_attach,
                        mail_delete: queue.mail_delete,
                    };
                    self.mailbox(&number.get_ref().0.clone(), title, wanted.span().start, keys);
                }
                (Some(wanted), None) if *wanted.get_ref() => self.fault(wanted, Fault::MailboxWithoutNumber(name.clone())),
                (Some(_) | None, Some(_) | None) => {
                    if let Some(mail) = queue.mail {
                        self.fault(&mail, Fault::MailWithoutMailbox(name.clone()));
                    }
                }
            }
            for overflow in [&queue.overflow, &queue.overflow_full, &queue.overflow_no_agents].into_iter().flatten() {
                self.place(overflow, outbound);
                if overflow.get_ref().0 == Place::Queue(name.as_str().into()) {
                    self.fault(overflow, Fault::OverflowsIntoItself(name.clone()));
                }
            }
            let overflow = queue.overflow.map_or(Place::Hangup, |o| o.into_inner().0);
            let overflow_full = queue.overflow_full.map_or_else(|| overflow.clone(), |o| o.into_inner().0);
            let max_length = queue.max_length.map(|given| self.count("max_length", Some(given), 1, 1..=10_000));
            if let Some(music) = &queue.music {
                self.prompt(music, &music.get_ref().0, prompts);
            }
            let announce = queue.announce.map(|announce| self.announcements(announce, prompts));
            let callback = queue.callback.map_or_else(CallBack::default, |callback| self.call_back(callback, prompts));
            let skills = queue.skills.unwrap_or_default();
            self.somebody_has(&skills, &members, agents);
            let skills = self.wanted(skills, &known);
            let prefer = self.wanted(queue.prefer.unwrap_or_default(), &known);
            let relax = queue.relax.unwrap_or_default().into_iter().map(|step| RelaxStep {
                after: self.time("after", Some(step.after), Duration::ZERO, Duration::ZERO..=24 * HOUR),
                skills: self.wanted(step.skills, &known),
            });
            let relax = relax.collect();
            let priority = queue.priority.map_or(0, |given| self.priority(&given));
            let rings = self.count("rings", queue.rings, 3, 1..=20);
            let ring_cycle = self.time("ring_cycle", queue.ring_cycle, country_ring, SECOND..=30 * SECOND);
            let max_wait = queue.max_wait.map(|given| self.time("max_wait", Some(given), HOUR, SECOND..=24 * HOUR));
            let disposition = self.dispositions(queue.disposition.unwrap_or_default());
            if let Some(required) =
                queue.disposition_required.as_ref().filter(|required| *required.get_ref() && disposition.is_empty())
            {
                self.fault(required, Fault::NoDispositions(name.clone()));
            }
            let wrap_up = self.time("wrap_up", queue.wrap_up, 15 * SECOND, Duration::ZERO..=HOUR);
            let wrap_up_most = self.time("wrap_up_most", queue.wrap_up_most, 300 * SECOND, Duration::ZERO..=HOUR).max(wrap_up);
            let mut hold = |key, given: Option<Spanned<_>>| given.map(|given| self.time(key, Some(given), HOUR, SECOND..=HOUR));
            let hold_reminder = hold("hold_reminder", queue.hold_reminder.clone());
            let hold_limit = hold("hold_limit", queue.hold_limit);
            if let (Some(given), Some(reminder), Some(limit)) = (queue.hold_reminder, hold_reminder, hold_limit)
                && reminder >= limit
            {
                self.fault(&given, Fault::RemindsTooLate(name.clone()));
            }
            let survey = queue.survey.and_then(|survey| {
                self.place(&survey, outbound);
                match &survey.get_ref().0 {
                    Place::Menu(menu) => Some(menu.clone()),
                    Place::Queue(_)
                    | Place::Callback(_)
                    | Place::Phone(_)
                    | Place::Voicemail(_)
                    | Place::Number(_)
                    | Place::Hangup => {
                        self.fault(&survey, Fault::SurveyIsNoMenu(name.clone()));
                        None
                    }
                }
            });
            let name = QueueName::from(name.as_str());
            let resolved = Queue {
                name: name.clone(),
                strategy: queue.strategy.map_or(Strategy::LongestIdle, |s| s.0),
                agents: members,
                standing,
                skills,
                prefer,
                relax,
                priority,
                number: queue.number.map(|n| Number::from(n.get_ref().0.as_str())),
                title: queue.title.map_or_else(|| name.to_string(), |t| t.0),
                rings,
                ring_cycle,
                ring_step: self.time("ring_step", queue.ring_step, ring_cycle, SECOND..=60 * SECOND),
                wrap_up,
                wrap_up_most,
                disposition,
                disposition_required: queue.disposition_required.is_some_and(Spanned::into_inner),
                notes_required: queue.notes_required.unwrap_or(false),
                survey,
                hold_reminder,
                hold_limit,
                survey_recorded: queue.survey_recorded.unwrap_or(true),
                rest_after_unanswered: self.time(
                    "rest_after_unanswered",
                    queue.rest_after_unanswered,
                    30 * SECOND,
                    Duration::ZERO..=HOUR,
                ),
                max_wait,
                overflow,
                max_length,
                overflow_full,
                overflow_no_agents: queue.overflow_no_agents.map(|o| o.into_inner().0),
                music: queue.music.map(|music| music.into_inner().0),
                announce,
                callback,
                service_level: self.time("service_level", queue.service_level, 20 * SECOND, SECOND..=HOUR),
                short_abandon: self.time("short_abandon", queue.short_abandon, 5 * SECOND, Duration::ZERO..=HOUR),
                standards: self.standards(queue.standards, standards),
                record: queue.record.map(|r| r.0),
            };
            queues.insert(name, resolved);
        }
        queues
    }

    pub(super) fn levels(&mut self, given: BTreeMap<String, Spanned<u64>>) -> BTreeMap<String, u8> {
        let mut skills = BTreeMap::new();
        for (skill, level) in given {
            let level = self.count("skill", Some(level), 1, 1..=5);
            skills.insert(skill, u8::try_from(level).unwrap_or(1));
        }
        skills
    }

    /// Skills that a queue asks for. One that no agent has would have its callers wait in vain.
    fn wanted(&mut self, given: BTreeMap<String, Spanned<u64>>, known: &BTreeSet<String>) -> BTreeMap<String, u8> {
        for (skill, level) in given.iter().filter(|(skill, _)| !known.contains(*skill)) {
            self.dangling(level, "agent with skill", skill, known);
        }
        self.levels(given)
    }

    /// One of the queue's own agents has each at that level. A queue without agents has nobody yet.
    fn somebody_has(
        &mut self,
        wanted: &BTreeMap<String, Spanned<u64>>,
        members: &[StaffNumber],
        agents: &BTreeMap<StaffNumber, Agent>,
    ) {
        let level_of = |member: &StaffNumber, skill: &str| agents.get(member)?.skills.get(skill).copied();
        for (skill, level) in wanted {
            let best = members.iter().filter_map(|member| level_of(member, skill)).max();
            if !members.is_empty() && best.is_some_and(|best| u64::from(best) < *level.get_ref()) {
                self.fault(level, Fault::NobodyHas { skill: skill.clone(), level: *level.get_ref() });
            }
        }
    }

    fn dispositions(&mut self, given: Vec<Spanned<Label>>) -> Vec<String> {
        let mut seen = Seen::new("disposition");
        let mut all = Vec::new();
        for word in given {
            seen.is_new(self, &word.get_ref().0, &word);
            all.push(word.into_inner().0);
        }
        all
    }

    fn priority(&mut self, given: &Spanned<i64>) -> i8 {
        match i8::try_from(*given.get_ref()) {
            Ok(priority) if (-9..=9).contains(&priority) => priority,
            Ok(_) | Err(_) => {
                self.out_of_range(given, "priority", given.get_ref(), -9, 9);
                0
            }
        }
    }

    /// A queue's agents: each exists, and is named once.
    fn members(&mut self, given: Vec<Spanned<given::Member>>) -> (Vec<StaffNumber>, BTreeMap<StaffNumber, Standing>) {
        let (mut members, mut standing) = (Vec::new(), BTreeMap::new());
        let mut seen = Seen::new("agent");
        for agent in given {
            let staff_number = agent.get_ref().staff_number.0.clone();
            if !self.named.agents.contains(&staff_number) {
                let there = self.named.agents.clone();
                self.dangling(&agent, "agent with staff number", &staff_number, &there);
            }
            let is_new = seen.is_new(self, &staff_number, &agent);
            let given::Member { rank, weight, .. } = agent.into_inner();
            let rank = u8::try_from(self.count("rank", rank, 1, 1..=9)).unwrap_or(1);
            let of_it = Standing { rank, weight: self.count("weight", weight, 1, 1..=100) };
            let staff_number = StaffNumber::from(staff_number.as_str());
            if is_new && of_it != Standing::default() {
                standing.insert(staff_number.clone(), of_it);
            }
            if is_new {
                members.push(staff_number);
            }
        }
        (members, standing)
    }

    /// What is asked and said needs its prompts, in one language at least.
    fn call_back(&mut self, given: given::CallBack, prompts: &[String]) -> CallBack {
        let default = CallBack::default();
        match (&given.digit, &given.offer_after) {
            (Some(digit), _) => {
                for prompt in ["callback-offer", "callback-confirm", "callback-options", "callback-number", "callback-accepted"] {
                    self.prompt(digit, prompt, prompts);
                }
            }
            (None, Some(after)) => self.fault(after, Fault::OffersNoKey),
            (None, None) => {}
        }
        let retry: Vec<Duration> = given
            .retry
            .into_iter()
            .flatten()
            .map(|wait| self.time("retry", Some(wait), 300 * SECOND, 10 * SECOND..=24 * HOUR))
            .collect();
        CallBack {
            digit: given.digit.map(|digit| digit.into_inner().0),
            offer_after: self.time("offer_after", given.offer_after, default.offer_after, SECOND..=HOUR),
            attempts: self.count("attempts", given.attempts, default.attempts, 1..=20),
            retry: if retry.is_empty() { default.retry } else { retry },
            keep: self.time("keep", given.keep, default.keep, 60 * SECOND..=7 * 24 * HOUR),
            confirm: given.confirm.unwrap_or(default.confirm),
            abroad: given.abroad.unwrap_or(default.abroad),
            prefix: given.prefix.map_or_else(String::new, |prefix| prefix.0),
            caller: given.caller.map(|caller| caller.0),
        }
    }

    /// What is announced needs its prompts, in one language at least.
    fn announcements(&mut self, given: given::Announce, prompts: &[String]) -> Announcements {
        for (wanted, prompt) in [(&given.position, "queue-position"), (&given.expected, "queue-wait")] {
            if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted.get_ref()) {
                self.prompt(wanted, prompt, prompts);
            }
        }
        let comfort = given.comfort.unwrap_or_default();
        for prompt in &comfort {
            self.prompt(prompt, &prompt.get_ref().0, prompts);
        }
        Announcements {
            first: self.time("first", given.first, 15 * SECOND, Duration::ZERO..=HOUR),
            every: self.time("every", given.every, 45 * SECOND, 5 * SECOND..=HOUR),
            position: given.position.is_some_and(Spanned::into_inner),
            expected: given.expected.is_some_and(Spanned::into_inner),
            comfort: comfort.into_iter().map(|prompt| prompt.into_inner().0).collect(),
        }
    }
}
