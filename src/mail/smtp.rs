//! One mail over one connection (RFC 5321), step by step: who refuses is told by where it is refused.
//!
//! | refused at | whose it is |
//! |---|---|
//! | connect, banner, EHLO, TLS, AUTH, MAIL FROM | the server's: nothing can be sent there, whatever it is |
//! | RCPT TO, DATA, the content | 4xx: the mail's, for now; 5xx: the mail's for good, or the server's, by what it says ([`refusal`](super::refusal)) |

use std::net::IpAddr;
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::{Address, Message};
use tokio::time::timeout;

use super::Unsent;
use crate::config::{Mail, MailTls};

/// What the slowest line takes of a mail in a second, in octets: an attempt may last so much longer than `[mail] timeout`.
const SLOWEST: u64 = 20_000;

/// … and then for the server to have taken it (RFC 5321 §4.5.3.2.6): given up sooner, a server that looks for viruses had it twice.
const TAKES_IT: Duration = Duration::from_secs(600);

/// For the answer to QUIT, which nothing depends on.
const GOODBYE: Duration = Duration::from_secs(2);

/// How far a mail came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Banner, EHLO, TLS, AUTH and MAIL FROM.
    Server,
    /// RCPT TO.
    Recipient,
    /// DATA and what follows.
    Content,
}

/// A connection whose server has the mail.
pub(super) struct Taken(AsyncSmtpConnection);

impl Taken {
    /// What is left to say.
    pub(super) async fn goodbye(mut self) {
        let _ = timeout(GOODBYE, self.0.quit()).await;
    }
}

/// Sends it. When this returns the server has it, or has not been told that it is whole.
pub(super) async fn send(mail: &Mail, domain: &str, message: &Message) -> Result<Taken, Unsent> {
    let mut connection = within(mail.timeout, Step::Server, open(mail, domain)).await?;
    match transfer(&mut connection, mail, message).await {
        Ok(()) => Ok(Taken(connection)),
        Err(why) => {
            let _ = timeout(GOODBYE, connection.abort()).await;
            Err(why)
        }
    }
}

async fn open(mail: &Mail, domain: &str) -> Result<AsyncSmtpConnection, Unsent> {
    let of_server = |error: Error| Unsent::Smtp { step: Step::Server, error };
    let hello = hello(domain);
    let tls = match mail.tls {
        MailTls::Off => None,
        MailTls::StartTls | MailTls::Required => Some(parameters(mail).await?),
    };
    let (wrapped, upgraded) = if mail.tls == MailTls::Required { (tls, None) } else { (None, tls) };
    let server = (mail.server.as_str(), mail.port);
    let opened = AsyncSmtpConnection::connect_tokio1(server, Some(mail.timeout), &hello, wrapped, None).await;
    let mut connection = opened.map_err(of_server)?;
    if let Some(tls) = upgraded {
        connection.starttls(tls, &hello).await.map_err(of_server)?;
    }
    if let (Some(user), Some(password)) = (&mail.user, &mail.password) {
        let credentials = Credentials::new(user.clone(), password.expose().to_owned());
        connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await.map_err(of_server)?;
    }
    Ok(connection)
}

async fn transfer(connection: &mut AsyncSmtpConnection, mail: &Mail, message: &Message) -> Result<(), Unsent> {
    let (envelope, content) = (message.envelope(), message.formatted());
    let mut addresses = envelope.from().into_iter().chain(envelope.to());
    let mut parameters = Vec::new();
    for (needed, extension, parameter) in [
        (
            addresses.any(|address: &Address| !AsRef::<str>::as_ref(address).is_ascii()),
            Extension::SmtpUtfEight,
            MailParameter::SmtpUtfEight,
        ),
        (!content.is_ascii(), Extension::EightBitMime, MailParameter::Body(MailBodyParameter::EightBitMime)),
    ] {
        if needed && !connection.server_info().supports_feature(extension) {
            return Err(Unsent::NotAscii(extension));
        }
        parameters.extend(needed.then_some(parameter));
    }
    let from = MailFrom::new(envelope.from().cloned(), parameters);
    command(connection, mail, Step::Server, from).await?;
    for to in envelope.to() {
        command(connection, mail, Step::Recipient, Rcpt::new(to.clone(), Vec::new())).await?;
    }
    command(connection, mail, Step::Content, Data).await?;
    let most = mail.timeout + TAKES_IT + Duration::from_secs(content.len() as u64 / SLOWEST);
    let sent = async { connection.message(&content).await.map_err(|error| Unsent::Smtp { step: Step::Content, error }) };
    within(most, Step::Content, sent).await.map(|_| ())
}

async fn command(
    connection: &mut AsyncSmtpConnection,
    mail: &Mail,
    step: Step,
    command: impl std::fmt::Display,
) -> Result<(), Unsent> {
    let said = async { connection.command(command).await.map_err(|error| Unsent::Smtp { step, error }) };
    within(mail.timeout, step, said).await.map(|_| ())
}

/// lettre bounds connecting only.
async fn within<T>(most: Duration, step: Step, work: impl Future<Output = Result<T, Unsent>>) -> Result<T, Unsent> {
    timeout(most, work).await.unwrap_or(Err(Unsent::Endless(step, most)))
}

/// Who we say we are: a name, or an address literal where there is none (RFC 5321 §4.1.3, §4.1.4).
fn hello(domain: &str) -> ClientId {
    match address(domain) {
        Some(IpAddr::V4(ip)) => ClientId::Ipv4(ip),
        Some(IpAddr::V6(ip)) => ClientId::Ipv6(ip),
        None => ClientId::Domain(domain.to_owned()),
    }
}

/// The address that a domain is instead of a name, as in a URI or bare.
pub(super) fn address(domain: &str) -> Option<IpAddr> {
    domain.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Reads certificates, ours and the system's.
async fn parameters(mail: &Mail) -> Result<TlsParameters, Unsent> {
    let (server, ca) = (mail.server.clone(), mail.ca.clone());
    let made = super::blocking(move || {
        let of_server = |error: Error| Unsent::Smtp { step: Step::Server, error };
        let mut builder = TlsParameters::builder(server);
        if let Some(path) = ca {
            let pem = std::fs::read(&path).map_err(|error| Unsent::Certificate { path, error })?;
            builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(of_server)?);
        }
        builder.build_rustls().map_err(of_server)
    });
    made.await.map_err(|_| Unsent::Panicked)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_name_says_hello_with_an_address_literal() {
        for (domain, said) in [
            ("cordboard.example", "cordboard.example"),
            ("192.0.2.1", "[192.0.2.1]"),
            ("2001:db8::1", "[IPv6:2001:db8::1]"),
            ("[2001:db8::1]", "[IPv6:2001:db8::1]"),
        ] {
            assert_eq!(hello(domain).to_string(), said);
        }
    }
}
