//! TLS (rustls, 1.2 and 1.3): the switch's certificate, for SIP and HTTP alike, and whose certificates it takes of trunks that it calls.
//!
//! It is read from two PEM files, or made and signed by the switch itself where the configuration says so. A reload reads the files
//! anew: connections that are open keep the certificate that they greeted with, new ones get the new one.
//!
//! A trunk must show a certificate for the host that the configuration names (RFC 5922 §7.1: the domain, not the server that DNS sent us
//! to; as a DNS name or as the URI `sip:domain`), vouched for by `[tls] ca` or the system's roots. A peer that asks for ours gets the same that we show as a server.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_rustls::client as ours;
use tokio_rustls::rustls::client::{ClientConfig, ResolvesClientCert, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::ring::{default_provider, sign};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, InconsistentKeys, RootCertStore, SignatureScheme};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::sip_name::SipVerifier;
use crate::config;
use crate::sip::ConnectionId;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error("{path} is no PEM file with what belongs there: {error}")]
    Pem { path: PathBuf, error: pem::Error },
    #[error("{path} has no certificate")]
    Empty { path: PathBuf },
    #[error("{certificate} and {key} do not belong together")]
    Strangers { certificate: PathBuf, key: PathBuf },
    #[error("{path}: {error}")]
    Unusable { path: PathBuf, error: rustls::Error },
    #[error(
        "{there} is there and {missing} is not: a certificate of our own is made with its key; bring the other, or take this one away"
    )]
    Half { there: PathBuf, missing: PathBuf },
    #[error("{name} is no name that a certificate can be for")]
    Nameless { name: String },
    #[error("a certificate can't be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// Clones share the certificate.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    on: Handle,
    current: Arc<Current>,
    client: Arc<RwLock<Arc<ClientConfig>>>,
    from: config::Tls,
}

#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

/// Begins TLS with a peer that has connected.
pub struct Greeter {
    acceptor: TlsAcceptor,
    on: Handle,
}

/// Begins TLS with a peer that we have connected to.
pub struct Caller {
    connector: TlsConnector,
    on: Handle,
    name: ServerName<'static>,
}

/// The hosts that addresses of trunks were found for: what their certificates must say. Several hosts may share an address, where one
/// carrier serves many domains: each has a number of its own, which the core sends to in the place of a connection's, so that no call goes
/// by a connection that was checked for somebody else (RFC 5922 §7.3).
#[derive(Clone, Default)]
pub struct Expected(Arc<Mutex<Names>>);

#[derive(Default)]
struct Names {
    by_id: BTreeMap<ConnectionId, (SocketAddr, String)>,
    ids: BTreeMap<(SocketAddr, String), ConnectionId>,
    next: u64,
}

/// Addresses of trunks that are remembered: some dozens each. When there are more, the first of all is forgotten.
pub const MOST_EXPECTED: usize = 1_024;

/// No connection comes to such a number: they are counted from the time of day in microseconds.
const NAMED: u64 = 1 << 63;

impl Expected {
    /// What stands for a connection to this host at this address, whether one is open or not.
    pub fn note(&self, at: SocketAddr, host: &str) -> ConnectionId {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (at, host.to_ascii_lowercase());
        if let Some(known) = names.ids.get(&place) {
            return *known;
        }
        if names.by_id.len() >= MOST_EXPECTED
            && let Some((_, oldest)) = names.by_id.pop_first()
        {
            names.ids.remove(&oldest);
        }
        let id = ConnectionId(NAMED | names.next);
        names.next += 1;
        names.by_id.insert(id, place.clone());
        names.ids.insert(place, id);
        id
    }

    pub fn of(&self, id: ConnectionId) -> Option<(SocketAddr, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_id.get(&id).cloned()
    }

    /// For a message that says no more than where to: if several hosts are there, the one that became known last.
    pub fn at(&self, at: SocketAddr) -> Option<ConnectionId> {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let there = names.ids.range((at, String::new())..).take_while(|((address, _), _)| *address == at);
        there.map(|(_, id)| *id).max()
    }
}

/// A task that ends with its owner.
struct Cut<T>(JoinHandle<T>);

impl<T> Drop for Cut<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl ResolvesClientCert for Current {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Tls {
    /// With the certificate of the configuration; a self-signed one for `names` (hosts and addresses) is made if it is not there yet.
    /// Handshakes are made on `on`.
    pub fn load(from: &config::Tls, names: Vec<String>, on: &Handle) -> Result<Tls, TlsError> {
        if from.self_signed {
            // A link that leads nowhere counts as there: it is somebody's, and is not written through.
            match (is_there(&from.certificate), is_there(&from.key)) {
                (true, true) => {}
                (false, false) => make(from, names)?,
                (true, false) => return Err(TlsError::Half { there: from.certificate.clone(), missing: from.key.clone() }),
                (false, true) => return Err(TlsError::Half { there: from.key.clone(), missing: from.certificate.clone() }),
            }
        }
        let current = Arc::new(Current(RwLock::new(Arc::new(read(from)?))));
        let provider: Arc<CryptoProvider> = Arc::new(default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Unusable { path: from.certificate.clone(), error })?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        let client = Arc::new(RwLock::new(client(from, current.clone())?));
        Ok(Tls { acceptor: Arc::new(config).into(), on: on.clone(), current, client, from: from.clone() })
    }

    /// Reads the files again. On failure the certificate stays as it is.
    pub fn renew(&self) -> Result<(), TlsError> {
        let (read, client) = (read(&self.from)?, client(&self.from, self.current.clone())?);
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = client;
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
        Ok(())
    }

    /// For one connection of ours, to who must be this host.
    pub fn caller(&self, host: &str) -> Result<Caller, TlsError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::Nameless { name: host.to_owned() })?;
        let client = self.client.read().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Caller { connector: client.into(), on: self.on.clone(), name })
    }

    /// For one connection.
    pub fn greeter(&self) -> Greeter {
        Greeter { acceptor: self.acceptor.clone(), on: self.on.clone() }
    }
}

impl Greeter {
    /// TLS's handshake. Its signature takes up to a millisecond, so it is made where it keeps no call waiting.
    pub async fn greet(self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let handshake = self.acceptor.accept(stream);
        #[allow(clippy::disallowed_methods, reason = "awaited at once, and cut with the one who awaits it")]
        let mut task = Cut(self.on.spawn(handshake));
        (&mut task.0).await.map_err(io::Error::other)?
    }
}

impl Caller {
    /// As [`Greeter::greet`], from the other side.
    pub async fn greet(self, stream: TcpStream) -> io::Result<ours::TlsStream<TcpStream>> {
        let handshake = self.connector.connect(self.name, stream);
        #[allow(clippy::disallowed_methods, reason = "awaited at once, and cut with the one who awaits it")]
        let mut task = Cut(self.on.spawn(handshake));
        (&mut task.0).await.map_err(io::Error::other)?
    }
}

/// Whom we trust as a client, and what we show.
fn client(from: &config::Tls, own: Arc<Current>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    let at = match &from.ca {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| TlsError::Unusable { path: path.clone(), error })?;
            }
            path
        }
        None => {
            let system = rustls_native_certs::load_native_certs();
            for error in system.errors {
                tracing::warn!(%error, "a root certificate of the system can't be read");
            }
            roots.add_parsable_certificates(system.certs);
            &from.certificate
        }
    };
    let provider: Arc<CryptoProvider> = Arc::new(default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Unusable { path: at.clone(), error })?;
    let roots = Arc::new(roots);
    let config = match WebPkiServerVerifier::builder_with_provider(roots.clone(), provider).build() {
        // Stricter nowhere, and laxer by one kind of name.
        Ok(judge) => config.dangerous().with_custom_certificate_verifier(Arc::new(SipVerifier(judge))),
        // A system without any: nobody is trusted, which each connection then finds.
        Err(_) => config.with_root_certificates(roots),
    };
    let config = config.with_client_cert_resolver(own);
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = read.map_err(|error| unread(path, error))?;
    if all.is_empty() { Err(TlsError::Empty { path: path.to_owned() }) } else { Ok(all) }
}

fn unread(path: &Path, error: pem::Error) -> TlsError {
    match error {
        pem::Error::Io(error) => TlsError::Io { path: path.to_owned(), error },
        error => TlsError::Pem { path: path.to_owned(), error },
    }
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn read(from: &config::Tls) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(&from.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&from.key).map_err(|error| unread(&from.key, error))?;
    let key = sign::any_supported_type(&key).map_err(|error| TlsError::Unusable { path: from.key.clone(), error })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(TlsError::Strangers { certificate: from.certificate.clone(), key: from.key.clone() })
        }
        Err(error) => Err(TlsError::Unusable { path: from.certificate.clone(), error }),
    }
}

/// Made once and kept, so that phones and browsers that were told to trust it need not be told again.
fn make(from: &config::Tls, names: Vec<String>) -> Result<(), TlsError> {
    let made = rcgen::generate_simple_self_signed(names)?;
    // The key first: a certificate without its key would look as if somebody had put it there.
    write(&from.key, 0o600, &made.signing_key.serialize_pem())?;
    write(&from.certificate, 0o644, &made.cert.pem())?;
    tracing::info!(certificate = %from.certificate.display(), "a self-signed certificate was made");
    Ok(())
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), TlsError> {
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| TlsError::Io { path: path.to_owned(), error })
}
