//! The switch's certificate, for SIP and HTTP alike (rustls, TLS 1.2 and 1.3).
//!
//! It is read from two PEM files, or made and signed by the switch itself where the configuration says so. A reload reads the files
//! anew: connections that are open keep the certificate that they greeted with, new ones get the new one.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::ring::{default_provider, sign};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, InconsistentKeys};
use tokio_rustls::server::TlsStream;

use crate::config;

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
    #[error("a certificate can't be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// Clones share the certificate.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    on: Handle,
    current: Arc<Current>,
    from: config::Tls,
}

#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

/// Begins TLS with a peer that has connected.
pub struct Greeter {
    acceptor: TlsAcceptor,
    on: Handle,
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
        Ok(Tls { acceptor: Arc::new(config).into(), on: on.clone(), current, from: from.clone() })
    }

    /// Reads the files again. On failure the certificate stays as it is.
    pub fn renew(&self) -> Result<(), TlsError> {
        let read = read(&self.from)?;
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
        Ok(())
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

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn read(from: &config::Tls) -> Result<CertifiedKey, TlsError> {
    let pem = |path: &Path, error: pem::Error| match error {
        pem::Error::Io(error) => TlsError::Io { path: path.to_owned(), error },
        error => TlsError::Pem { path: path.to_owned(), error },
    };
    let chain = CertificateDer::pem_file_iter(&from.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| pem(&from.certificate, error))?;
    if chain.is_empty() {
        return Err(TlsError::Empty { path: from.certificate.clone() });
    }
    let key = PrivateKeyDer::from_pem_file(&from.key).map_err(|error| pem(&from.key, error))?;
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
