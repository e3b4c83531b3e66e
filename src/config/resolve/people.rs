//! Phones, agents, teams, users.

use std::collections::{BTreeMap, BTreeSet};

use serde_spanned::Spanned;

use super::{Checking, Secretless, Seen};
use crate::config::fault::Fault;
use crate::config::units::{BadValue, MailAddress, Name, NumberPattern, Pin, is_name};
use crate::config::{Agent, Class, MailTo, Mailbox, Phone, Role, Secret, Spoken, Team, Times, User, given};
use crate::ids::{Number, StaffNumber, TeamName};

/// The user that is there without being configured, as soon as its password has been generated.
pub(in crate::config) const ADMIN: &str = "admin";

/// What phones and queues say of their mailboxes.
pub(super) struct MailboxKeys {
    pub pin: Option<Spanned<Pin>>,
    pub language: Option<Spanned<Name>>,
    pub mail: Option<Spanned<MailAddress>>,
    pub mail_attach: Option<bool>,
    pub mail_delete: Option<Spanned<bool>>,
}

impl Checking {
    pub(super) fn phones(&mut self, given: Vec<Spanned<given::Phone>>) -> BTreeMap<Number, Phone> {
        let mut phones = BTreeMap::new();
        for given in given {
            let at = given.span().start;
            let phone = given.into_inner();
            let number = phone.number.get_ref().0.clone();
            self.take_number(&number, &phone.number);
            let secret = phone.secret.or_else(|| self.secrets.phone.get(&number).cloned());
            if secret.is_none() && self.secretless == Secretless::Refused {
                self.reader.fault(at, Fault::NoSecret(number.clone()));
            }
            let class = phone.class.map(|given| {
                let there = self.named.classes.clone();
                if !there.contains(&given.get_ref().0) {
                    self.dangling(&given, "class", &given.get_ref().0.clone(), &there);
                }
                given.into_inner().0
            });
            let keys = MailboxKeys {
                pin: phone.pin,
                language: phone.language,
                mail: phone.mail,
                mail_attach: phone.mail_attach,
                mail_delete: phone.mail_delete,
            };
            if phone.voicemail == Some(true) {
                let title = phone.name.as_ref().map_or_else(|| number.clone(), |n| n.0.clone());
                self.mailbox(&number, title, at, keys);
            } else if let Some(mail) = keys.mail {
                self.fault(&mail, Fault::MailWithoutMailbox(number.clone()));
            }
            let number = Number::from(number.as_str());
            phones.insert(
                number.clone(),
                Phone {
                    number,
                    secret: Secret::new(secret.map_or(String::new(), |s| s.0)),
                    name: phone.name.map(|n| n.0),
                    outside: phone.outside.unwrap_or(true),
                    caller: phone.caller.map(|c| c.0),
                    group: phone.group.map(|g| g.0),
                    intercom: phone.intercom.unwrap_or(true),
                    class,
                    srtp: phone.srtp.map(|s| s.0),
                },
            );
        }
        phones
    }

    pub(super) fn mailbox(&mut self, number: &str, title: String, at: usize, keys: MailboxKeys) {
        let MailboxKeys { pin, language, mail, mail_attach, mail_delete } = keys;
        let pin = pin.map(|pin| pin.into_inner().0).or_else(|| self.secrets.pin.get(number).map(|p| p.0.clone()));
        match &pin {
            Some(digits) if crate::config::units::pin(digits).is_err() => self.reader.fault(at, Fault::BadPin(number.to_owned())),
            None if self.secretless == Secretless::Refused => self.reader.fault(at, Fault::NoPin(number.to_owned())),
            Some(_) | None => {}
        }
        if let Some(given) = language.as_ref().filter(|given| !self.languages.contains(&given.get_ref().0)) {
            self.fault(given, Fault::NoLanguage(given.get_ref().0.clone()));
        }
        let attach = mail_attach.unwrap_or(true);
        if let Some(delete) = mail_delete.as_ref().filter(|delete| *delete.get_ref() && (mail.is_none() || !attach)) {
            self.fault(delete, Fault::DeletesUnheard(number.to_owned()));
        }
        if let Some(mail) = mail.as_ref().filter(|_| !self.named.mail) {
            self.fault(mail, Fault::NoMail(number.to_owned()));
        }
        let delete = mail_delete.is_some_and(Spanned::into_inner);
        let mail = mail.map(|mail| MailTo { to: mail.into_inner().0, attach, delete });
        let number = Number::from(number);
        let (pin, language) = (Secret::new(pin.unwrap_or_default()), language.map(|l| l.into_inner().0));
        self.mailboxes.insert(number.clone(), Mailbox { number, pin, language, title, mail });
    }

    pub(super) fn classes(&mut self, given: BTreeMap<String, Spanned<given::Class>>) -> BTreeMap<String, Class> {
        let mut classes = BTreeMap::new();
        for (name, given) in given {
            let at = given.span().start;
            if !is_name(&name) {
                self.reader.fault(at, BadValue::Name(name.clone()));
            }
            let class = given.into_inner();
            let patterns = |list: Option<Vec<NumberPattern>>| list.unwrap_or_default().into_iter().map(|p| p.0).collect();
            if let Some(days) = class.days.as_ref().filter(|days| days.get_ref().is_empty()) {
                self.fault(days, Fault::Empty { key: "days", what: "day" });
            }
            let is_timed = class.hours.is_some() || class.days.is_some();
            let days = class.days.map_or([true; 7], |days| {
                std::array::from_fn(|d| days.get_ref().iter().any(|w| w.0.get(d).copied().unwrap_or(false)))
            });
            let [from, until] = class.hours.map_or([jiff::civil::Time::midnight(); 2], |h| h.0);
            let resolved = Class {
                allow: patterns(class.allow),
                deny: patterns(class.deny),
                calls: class.calls.map(|given| self.count("calls", Some(given), 1, 1..=1_000)),
                minutes: class.minutes.map(|given| self.count("minutes", Some(given), 1, 0..=100_000)),
                times: is_timed.then_some(Times { days, from, until }),
                transfer_blind: class.transfer_blind.unwrap_or(true),
            };
            classes.insert(name, resolved);
        }
        classes
    }

    pub(super) fn agents(&mut self, given: Vec<Spanned<given::Agent>>) -> BTreeMap<StaffNumber, Agent> {
        let mut agents = BTreeMap::new();
        let mut seen = Seen::new("staff number");
        let mut phones: BTreeMap<String, String> = BTreeMap::new();
        for agent in given.into_iter().map(Spanned::into_inner) {
            let staff_number = agent.staff_number.get_ref().0.clone();
            seen.is_new(self, &staff_number, &agent.staff_number);
            let mut own: Vec<Number> = Vec::new();
            for given in agent.phone.into_iter().chain(agent.phones.unwrap_or_default()) {
                let phone = given.get_ref().0.clone();
                if !self.named.phones.contains(&phone) {
                    let there = self.named.phones.clone();
                    self.dangling(&given, "phone", &phone, &there);
                }
                if let Some(other) = phones.insert(phone.clone(), staff_number.clone()) {
                    self.fault(&given, Fault::PhoneTaken { phone: phone.clone(), agent: other });
                }
                own.push(Number::from(phone.as_str()));
            }
            let skills = self.levels(agent.skills.unwrap_or_default());
            let staff_number = StaffNumber::from(staff_number.as_str());
            let pin = agent.pin.map(|pin| Secret::new(pin.0));
            agents.insert(staff_number.clone(), Agent { staff_number, name: agent.name.0, phones: own, pin, skills });
        }
        agents
    }

    /// Teams of agents that there are, each agent in one.
    pub(super) fn teams(&mut self, given: Vec<Spanned<given::Team>>) -> BTreeMap<TeamName, Team> {
        let mut teams = BTreeMap::new();
        let mut seen = Seen::new("team");
        let mut of: BTreeMap<String, String> = BTreeMap::new();
        for team in given.into_iter().map(Spanned::into_inner) {
            let name = team.name.get_ref().0.clone();
            seen.is_new(self, &name, &team.name);
            let mut agents = BTreeSet::new();
            for agent in team.agents.unwrap_or_default() {
                let staff_number = self.known_agent(&agent);
                if let Some(other) = of.insert(staff_number.as_str().to_owned(), name.clone()).filter(|other| *other != name) {
                    self.fault(&agent, Fault::InAnotherTeam { agent: staff_number.to_string(), team: other });
                }
                agents.insert(staff_number);
            }
            let leader = team.leader.map(|leader| self.known_agent(&leader));
            teams.insert(TeamName::from(name.as_str()), Team { leader, agents, client: team.client.map(|c| c.0) });
        }
        teams
    }

    fn known_agent(&mut self, given: &Spanned<Name>) -> StaffNumber {
        let staff_number = &given.get_ref().0;
        if !self.named.agents.contains(staff_number) {
            let there = self.named.agents.clone();
            self.dangling(given, "agent", staff_number, &there);
        }
        StaffNumber::from(staff_number.as_str())
    }

    /// Prompts that are recorded by phone: each number and each prompt once, by phones that there are.
    pub(super) fn spoken(&mut self, given: Vec<Spanned<given::Prompt>>) -> BTreeMap<Number, Spoken> {
        let mut spoken = BTreeMap::new();
        let (mut numbers, mut prompts) = (Seen::new("number"), Seen::new("prompt"));
        for prompt in given.into_iter().map(Spanned::into_inner) {
            let number = prompt.number.get_ref().0.clone();
            numbers.is_new(self, &number, &prompt.number);
            prompts.is_new(self, &prompt.prompt.get_ref().0, &prompt.prompt);
            let there = self.named.phones.clone();
            let mut phones = BTreeSet::new();
            for phone in prompt.phones {
                let named = phone.get_ref().0.clone();
                if !there.contains(&named) {
                    self.dangling(&phone, "phone", &named, &there);
                }
                phones.insert(Number::from(named.as_str()));
            }
            spoken.insert(Number::from(number.as_str()), Spoken { prompt: prompt.prompt.into_inner().0, phones });
        }
        spoken
    }

    /// Who may use the API. Without any `[[user]]` there is `admin`, whose password and token the first start generates.
    pub(super) fn users(&mut self, given: Vec<Spanned<given::User>>) -> Vec<User> {
        if given.is_empty() {
            let password = self.secrets.password.get(ADMIN);
            let admin = password.map(|p| User {
                name: ADMIN.to_owned(),
                password: Secret::new(p.0.as_str()),
                token: self.secrets.token.get(ADMIN).map(|t| Secret::new(t.0.as_str())),
                role: Role::Admin,
                teams: BTreeSet::new(),
                agent: None,
            });
            return admin.into_iter().collect();
        }
        let mut users = Vec::new();
        let mut seen = Seen::new("user");
        let mut tokens = BTreeSet::new();
        for given in given {
            let at = given.span().start;
            let user = given.into_inner();
            let name = user.name.get_ref().0.clone();
            seen.is_new(self, &name, &user.name);
            let password = user.password.or_else(|| self.secrets.password.get(&name).cloned());
            if password.is_none() && self.secretless == Secretless::Refused {
                self.reader.fault(at, Fault::NoPassword(name.clone()));
            }
            let token = user.token.or_else(|| self.secrets.token.get(&name).cloned());
            if let Some(token) = &token
                && !tokens.insert(token.0.clone())
            {
                self.fault(&user.name, Fault::SameToken(name.clone()));
            }
            let role = user.role.as_ref().map_or(Role::default(), |role| *role.get_ref());
            let teams = user.teams.as_ref().map_or(&[][..], |teams| teams.get_ref().as_slice());
            match (role, teams.is_empty()) {
                (Role::Supervisor, true) => self.fault(&user.name, Fault::SupervisorWithoutTeams(name.clone())),
                (Role::Agent | Role::Manager | Role::Admin, false) => {
                    self.fault(&user.name, Fault::TeamsOfNoSupervisor(name.clone()));
                }
                (Role::Supervisor, false) | (Role::Agent | Role::Manager | Role::Admin, true) => {}
            }
            if role == Role::Agent && user.agent.is_none() {
                self.fault(&user.name, Fault::UserWithoutAgent(name.clone()));
            }
            let teams = teams.iter().map(|team| self.known_team(team)).collect();
            let agent = user.agent.map(|agent| self.known_agent(&agent));
            users.push(User {
                name,
                password: Secret::new(password.map_or(String::new(), |p| p.0)),
                token: token.map(|t| Secret::new(t.0)),
                role,
                teams,
                agent,
            });
        }
        users
    }

    fn known_team(&mut self, given: &Spanned<Name>) -> TeamName {
        let name = &given.get_ref().0;
        if !self.named.teams.contains(name) {
            let there = self.named.teams.clone();
            self.dangling(given, "team", name, &there);
        }
        TeamName::from(name.as_str())
    }
}
