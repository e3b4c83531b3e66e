//! Our certificate, and one DTLS association with a browser (RFC 5764, RFC 8842), whose other end has to have the certificate that its
//! description gave the fingerprint of.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rtc::crypto::{HashAlgorithm, RTCCrypto, RTCCryptoProvider};
use rtc::dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc::dtls::crypto::Certificate;
use rtc::dtls::endpoint::{Endpoint, EndpointEvent};
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc::shared::TransportProtocol;
use rtc::shared::error::Error;

use crate::rtp::srtp::{Master, Pair, Suite};
use crate::sdp::{DtlsRole, Fingerprint};

use super::HANDSHAKE;
use super::record::{is_encrypted, is_handshake, pieces, records};

/// The endpoint tells associations apart by address. Ours has one, wherever ICE has it come from.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
/// Datagrams that a handshake may take: four flights of a few, each repeated for as long as DTLS does. The crate keeps those that come too
/// early without a bound of its own.
const LONGEST_HANDSHAKE: u32 = 256;
/// Pieces of handshake messages that an association may bring before it has keys, and again afterwards, as `record` counts them: far more
/// than a handshake has with flights that come again, and no more than the crate's recursion has stack for.
const MOST_PIECES: usize = 512;
/// A flight that is not answered is repeated after so long, and then after twice as long each time (RFC 6347 §4.2.4.1 begins with 1 s;
/// browsers with 50 ms), but no later than the longest.
const FIRST_GAP: Duration = Duration::from_millis(100);
const LONGEST_GAP: Duration = Duration::from_secs(2);
/// The crate (0.21.1) makes a flight anew after so long, as long as nothing has come in answer to it, and fails the handshake over the
/// eighth time: not before [`HANDSHAKE`] is over. Its timer alone does not do: it is off as soon as anything comes, a ClientHello that the
/// browser repeats because it has lost the answer to it included.
const ANEW: Duration = Duration::from_millis(HANDSHAKE.as_millis() as u64 / 8);
/// Fits a path of 1280 bytes with IPv6 and UDP.
const MTU: usize = 1_200;
/// RFC 5764 §4.2.
const LABEL: &str = "EXTRACTOR-dtls_srtp";
/// The second is what every browser has (RFC 8827 §6.5); GCM where both have it.
const PROFILES: [SrtpProtectionProfile; 3] = [
    SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
    SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
    SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
];

/// The certificate that all browser legs of this process show, signed by itself and as old as the process.
#[derive(Clone)]
pub struct Identity {
    certificate: Certificate,
    fingerprint: Fingerprint,
    provider: Arc<dyn RTCCryptoProvider>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

/// The system gave no random numbers, or no key could be made of them.
#[derive(Debug, thiserror::Error)]
#[error("no certificate for browsers can be made: {0}")]
pub struct NoIdentity(String);

impl Identity {
    pub fn new() -> Result<Identity, NoIdentity> {
        let failed = |error: &dyn std::fmt::Display| NoIdentity(error.to_string());
        let provider = rtc::crypto::default_provider().map_err(|e| failed(&e))?;
        let certificate =
            Certificate::generate_self_signed(vec!["cordboard".to_owned()], provider.crypto()).map_err(|e| failed(&e))?;
        let of = certificate.certificate.first().and_then(|der| fingerprint(der, provider.crypto()));
        let fingerprint = of.ok_or_else(|| failed(&"it has no fingerprint"))?;
        Ok(Identity { certificate, fingerprint, provider })
    }

    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub fn provider(&self) -> &dyn RTCCryptoProvider {
        &*self.provider
    }
}

fn fingerprint(der: &[u8], crypto: &dyn RTCCrypto) -> Option<Fingerprint> {
    let hash = crypto.hash(HashAlgorithm::Sha256, der).ok()?;
    Some(Fingerprint(hash.try_into().ok()?))
}

/// What a datagram led to.
pub enum Progress {
    Nothing,
    /// The keys are there.
    Keyed(Box<Pair>),
    /// The peer said goodbye (close_notify).
    Closed,
    /// Its certificate is not the one that its description vouched for.
    Stranger,
    /// It cannot be brought to an end.
    Failed,
}

pub struct Handshake {
    endpoint: Endpoint,
    /// Until the ClientHello is sent, where that is ours to send.
    client: Option<Arc<HandshakeConfig>>,
    stranger: Arc<AtomicBool>,
    datagrams: u32,
    pieces: usize,
    complete: bool,
    out: VecDeque<Bytes>,
    /// The one that waits for its answer.
    flight: Option<Flight>,
}

/// What was said last, as it was sent: the peer drops by their numbers those of its records that it has had (RFC 6347 §4.1.2.6).
struct Flight {
    datagrams: Vec<Bytes>,
    again: Instant,
    gap: Duration,
}

impl Handshake {
    pub fn new(identity: &Identity, theirs: Fingerprint, role: DtlsRole) -> Result<Handshake, Error> {
        let stranger = Arc::new(AtomicBool::new(false));
        let (provider, found) = (identity.provider.clone(), stranger.clone());
        let config = ConfigBuilder::default()
            .with_crypto_provider(identity.provider.clone())
            .with_certificates(vec![identity.certificate.clone()])
            .with_srtp_protection_profiles(PROFILES.to_vec())
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            // No authority signs a browser's certificate; the fingerprint decides.
            .with_insecure_skip_verify(true)
            .with_verify_peer_certificate(Some(Arc::new(move |chain, _| {
                let shown = chain.first().and_then(|der| fingerprint(der, provider.crypto()));
                if shown == Some(theirs) {
                    return Ok(());
                }
                found.store(true, Relaxed);
                Err(Error::ErrNoMatchingCertificateFingerprint)
            })))
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_flight_interval(ANEW)
            .with_mtu(MTU)
            .build(role == DtlsRole::Client, None)?;
        let config = Arc::new(config);
        let (server, client) = match role {
            DtlsRole::Server => (Some(config), None),
            DtlsRole::Client => (None, Some(config)),
        };
        let endpoint = Endpoint::new(PEER, TransportProtocol::UDP, server);
        let (out, flight) = (VecDeque::new(), None);
        Ok(Handshake { endpoint, client, stranger, datagrams: 0, pieces: 0, complete: false, out, flight })
    }

    /// The peer has shown where it listens: the ClientHello goes out, if it is ours to send.
    pub fn reachable(&mut self, at: Instant) -> Progress {
        let Some(config) = self.client.take() else { return Progress::Nothing };
        let connected = self.endpoint.connect(at, PEER, config, None);
        self.collect(at, true);
        match connected {
            Ok(()) => Progress::Nothing,
            Err(_) => Progress::Failed,
        }
    }

    /// There is a way to the peer: what waits for its answer has found none before.
    pub fn again(&mut self) {
        self.out.extend(self.flight.iter().flat_map(|flight| flight.datagrams.iter().cloned()));
    }

    pub fn receive(&mut self, datagram: &[u8], at: Instant) -> Progress {
        let progress = self.read(datagram, at);
        self.collect(at, true);
        progress
    }

    /// What the endpoint has to say goes out. `is_new`: a flight among it is another one than that which waits.
    fn collect(&mut self, at: Instant, is_new: bool) {
        let datagrams: Vec<Bytes> = std::iter::from_fn(|| self.endpoint.poll_transmit()).map(|t| t.message.freeze()).collect();
        self.out.extend(datagrams.iter().cloned());
        if self.complete {
            // The last flight is the endpoint's to repeat, whenever the peer repeats its own.
            self.flight = None;
        } else if datagrams.iter().any(|d| is_handshake(d)) {
            match &mut self.flight {
                Some(flight) if !is_new => flight.datagrams = datagrams,
                _ => self.flight = Some(Flight { datagrams, again: at + FIRST_GAP, gap: FIRST_GAP }),
            }
        }
    }

    fn read(&mut self, datagram: &[u8], at: Instant) -> Progress {
        let mut bytes = BytesMut::with_capacity(datagram.len());
        if self.complete {
            // Who has keys speaks under them; what is plain is anybody's. A Finished that is repeated is enough to be sent ours again.
            for record in records(datagram).filter(|record| is_encrypted(record)) {
                self.pieces += if is_handshake(record) { pieces(record) } else { 0 };
                if !is_handshake(record) || self.pieces <= MOST_PIECES {
                    bytes.extend_from_slice(record);
                }
            }
            if bytes.is_empty() {
                return Progress::Nothing;
            }
        } else {
            self.datagrams += 1;
            self.pieces += records(datagram).map(pieces).sum::<usize>();
            if self.datagrams > LONGEST_HANDSHAKE || self.pieces > MOST_PIECES {
                return Progress::Failed;
            }
            bytes.extend_from_slice(datagram);
        }
        let read = self.endpoint.read(at, PEER, None, bytes);
        if self.stranger.load(Relaxed) {
            return Progress::Stranger;
        }
        match read {
            Ok(events) => {
                let mut progress = Progress::Nothing;
                for event in events {
                    match event {
                        EndpointEvent::HandshakeComplete => progress = self.keyed(),
                        EndpointEvent::PeerClosed => return Progress::Closed,
                        // Data: nobody asked for a data channel.
                        _ => {}
                    }
                }
                progress
            }
            Err(Error::ErrAlertFatalOrClose) => Progress::Failed,
            // Damaged or repeated: as if it had been lost (RFC 6347 §4.1.2.7).
            Err(_) => Progress::Nothing,
        }
    }

    fn keyed(&mut self) -> Progress {
        self.complete = true;
        // What came plain, from whomever, is not the page's.
        self.pieces = 0;
        match self.keys() {
            Some(keys) => Progress::Keyed(Box::new(keys)),
            None => Progress::Failed,
        }
    }

    /// RFC 5764 §4.2: the client's key and the server's, then their salts.
    fn keys(&self) -> Option<Pair> {
        let state = self.endpoint.get_connection_state(PEER)?;
        let suite = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => Suite::AesCm80,
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => Suite::Aes128Gcm,
            SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm => Suite::Aes256Gcm,
            // None of those that we offered.
            _ => return None,
        };
        let (key, salt) = (suite.key_length(), suite.salt_length());
        let material = state.export_keying_material(LABEL, &[], 2 * (key + salt)).ok()?;
        let (keys, salts) = material.as_ref().split_at_checked(2 * key)?;
        let master = |nth: usize| {
            let key = keys.chunks_exact(key).nth(nth)?;
            Master::new(suite, &[key, salts.chunks_exact(salt).nth(nth)?].concat())
        };
        let (client, server) = (master(0)?, master(1)?);
        Some(if state.is_client() { Pair { ours: client, theirs: server } } else { Pair { ours: server, theirs: client } })
    }

    pub fn tick(&mut self, at: Instant) -> Progress {
        if self.endpoint.poll_timeout(&PEER).is_some_and(|due| due <= at) && self.endpoint.handle_timeout(PEER, at).is_err() {
            return Progress::Failed;
        }
        self.collect(at, false);
        if let Some(flight) = self.flight.as_mut().filter(|flight| flight.again <= at) {
            flight.gap = (flight.gap * 2).min(LONGEST_GAP);
            flight.again = at + flight.gap;
            self.out.extend(flight.datagrams.iter().cloned());
        }
        Progress::Nothing
    }

    pub fn deadline(&self) -> Option<Instant> {
        let again = self.flight.as_ref().map(|flight| flight.again);
        self.endpoint.poll_timeout(&PEER).into_iter().chain(again).min()
    }

    pub fn close(&mut self, at: Instant) {
        // What has no association has nobody to tell.
        let _ = self.endpoint.close(at);
        self.collect(at, true);
    }

    pub fn transmit(&mut self) -> Option<Bytes> {
        self.out.pop_front()
    }
}
