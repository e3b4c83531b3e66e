//! What can be wrong with a configuration beyond a value that cannot be read; each says what would be right.

use super::Country;

/// One fault; [`super::Problem`] adds the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("[{0}] is missing")]
    NoTable(&'static str),
    #[error("{what} `{name}` is already there in line {first}: give each one its own")]
    Twice { what: &'static str, name: String, first: u32 },
    #[error("there is no {what} `{name}`{there}")]
    Dangling { what: &'static str, name: String, there: There },
    #[error("`{0}` cannot be dialled: it is no number inside, and no outbound rule takes it")]
    NotDialled(String),
    #[error("{key} is {given}; it must be from {least} to {most}")]
    Range { key: &'static str, given: String, least: String, most: String },
    #[error("{key} names no {what}; name at least one")]
    Empty { key: &'static str, what: &'static str },
    #[error("sip listens nowhere; give udp, tcp or tls an address")]
    NoListener,
    #[error("trunk `{0}` speaks {1}, and [sip] {1} has no address to speak from")]
    NoTrunkListener(String, &'static str),
    #[error("{0} needs a certificate: a table [tls] with certificate and key, or with self_signed = true")]
    NoCertificate(&'static str),
    #[error("tls needs certificate and key, both of them, or self_signed = true")]
    HalfCertificate,
    #[error("an origin is scheme and host, such as https://crm.example: {0:?}")]
    NoOrigin(String),
    #[error("port {0} of this listener lies among the media ports; move one of them")]
    ListenerInPorts(u16),
    #[error(
        "ports must begin with an even one and end with an odd one above it (RTP takes the even port, RTCP the one above): {0}-{1}"
    )]
    PortPairs(u16, u16),
    #[error("ports {first}-{last} are for {calls} calls at once; give at least {least} ports")]
    FewPorts { first: u16, last: u16, calls: u32, least: u32 },
    #[error("ports below 1024 belong to the system: {0}")]
    SystemPorts(u16),
    #[error("min_expires is longer than max_expires; one of them is wrong")]
    ExpiresOrder,
    #[error("dead_after must be longer than missing_after, or a leg would end before it is reported")]
    DeadBeforeMissing,
    #[error(
        "the tones of {0} are not known here; leave this out for those that ITU-T E.180 recommends, or name a country that sounds alike"
    )]
    NoTones(Country),
    #[error("code `{code}` begins with the pause code `{pause}`, after which digits pick a reason; choose another")]
    CodeBehindPause { code: String, pause: String },
    #[error("code `{code}` begins with the code `{other}`, which would be taken first within a call; choose another")]
    CodeBehindCode { code: String, other: String },
    #[error("mailbox `{0}` has no pin: write 4 to 16 digits, or leave it out and start once")]
    NoPin(String),
    #[error("the pin of mailbox `{0}` must be 4 to 16 digits")]
    BadPin(String),
    #[error("queue `{0}` is to have a mailbox and has no number, which a mailbox is known by; give it one")]
    MailboxWithoutNumber(String),
    #[error("messages of mailbox `{0}` are to be mailed, and there is no mail server: write a table [mail]")]
    NoMail(String),
    #[error("`{0}` has a mail address and no mailbox; set voicemail = true")]
    MailWithoutMailbox(String),
    #[error("mailbox `{0}` would delete what nobody has: mail_delete needs mail, and mail_attach")]
    DeletesUnheard(String),
    #[error("mail user `{0}` has no password, here or in secrets.toml under [mail]")]
    NoMailPassword(String),
    #[error("the password for `{0}` would be sent in the clear: set tls to \"required\" or \"starttls\"")]
    MailInTheClear(String),
    #[error("there is no prompt `{0}` in any language; put it into prompts/<language>/{0}.wav")]
    NoPrompt(String),
    #[error("nobody is told what `refuse` is for; give an `announcement` too")]
    RefusesUnasked,
    #[error("`{0}` is no address of a STUN or TURN server: write stun:HOST, turn:HOST:PORT or turns:HOST:PORT")]
    NoTurnUrl(String),
    #[error("[turn] needs a secret, or a user and its password")]
    NoTurnCredentials,
    #[error("there are no prompts in `{0}`; put them into prompts/{0}/")]
    NoLanguage(String),
    #[error("phone `{0}` has no secret, here or in secrets.toml; the first `cordboard serve` generates it")]
    NoSecret(String),
    #[error("user `{0}` has no password, here or in secrets.toml; the first `cordboard serve` generates it")]
    NoPassword(String),
    #[error("user `{0}` has the token of another user; give each one its own")]
    SameToken(String),
    #[error("phone `{phone}` is already agent `{agent}`'s; an agent is known by the phone")]
    PhoneTaken { phone: String, agent: String },
    #[error("agent `{agent}` is already in team `{team}`; an agent is in one team")]
    InAnotherTeam { agent: String, team: String },
    #[error("user `{0}` is a supervisor of nobody; name teams")]
    SupervisorWithoutTeams(String),
    #[error("user `{0}` is an agent, and which one is not said; give agent a staff number")]
    UserWithoutAgent(String),
    #[error("only a supervisor has teams; user `{0}` is none")]
    TeamsOfNoSupervisor(String),
    #[error("none of the queue's agents has `{skill}` at level {level}: its callers would wait in vain")]
    NobodyHas { skill: String, level: u64 },
    #[error("queue `{0}` asks for a disposition and has none to choose from; give it some")]
    NoDispositions(String),
    #[error("queue `{0}` would remind of a hold when it is overdue already; hold_reminder is to be shorter than hold_limit")]
    RemindsTooLate(String),
    #[error("callers are to be told of a key to be called back, and there is none; give digit")]
    OffersNoKey,
    #[error("queue `{0}` has a survey that is no menu; name one (menu:x)")]
    SurveyIsNoMenu(String),
    #[error("queue `{0}` overflows into itself; name another place")]
    OverflowsIntoItself(String),
    #[error("parked calls would overflow into a park slot, `{0}`; name another place")]
    ParkOverflowsIntoSlot(String),
    #[error("extension `{0}` leads to itself; name another place")]
    LeadsToItself(String),
    #[error("trunk `{0}` is to register but has no {1}")]
    CannotRegister(String, &'static str),
    #[error("trunk `{0}` has a {1} but no {2}; the carrier asks for both")]
    HalfCredentials(String, &'static str, &'static str),
    #[error("a call from {peer} could be from trunk `{first}` or `{second}`: give them ports of their own, or let one register")]
    SamePeer { peer: String, first: String, second: String },
    #[error(
        "trunk `{0}` is at {1}, which [sip] proxies says is an edge proxy of your own; a proxy that is both needs two addresses"
    )]
    TrunkIsProxy(String, String),
    #[error("strip takes {strip} digits off `{number}`, and nothing is left to dial")]
    NothingLeft { strip: usize, number: String },
    #[error("webhook `{0}` has no secret, here or in secrets.toml; the first `cordboard serve` generates it")]
    NoWebhookSecret(String),
    #[error(
        "the secret of webhook `{0}` is no key: write whsec_ and 24 to 64 octets in Base64, such as `echo whsec_$(openssl rand -base64 32)` \
         prints"
    )]
    NoSigningKey(String),
    #[error("`{0}` is no name for a menu: write letters, digits, and . _ - between them")]
    MenuFileName(String),
}

/// What a configuration may say, and few will mean.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Caution {
    #[error(
        "trunk `{0}` registers over UDP and is not probed: behind NAT the router forgets the way to us between two registrations, and its \
         calls cease to come without a sign; leave probe out"
    )]
    UnprobedRegistration(String),
    #[error("webhook `{0}` would send customers' numbers over the network in the clear; use https")]
    WebhookInTheClear(String),
}

/// What there is instead, so that a slip is seen at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct There(Vec<String>);

/// More names than these help nobody.
const NAMES_SHOWN: usize = 12;

impl There {
    pub(crate) fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        There(names.into_iter().take(NAMES_SHOWN + 1).map(str::to_owned).collect())
    }
}

impl std::fmt::Display for There {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.0.get(..NAMES_SHOWN).unwrap_or(&self.0);
        if shown.is_empty() {
            return f.write_str("; none is configured");
        }
        write!(f, "; there is {}{}", shown.join(", "), if self.0.len() > NAMES_SHOWN { " …" } else { "" })
    }
}
