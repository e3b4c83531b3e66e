//! TLS: what goes through, which certificate is shown, who is let go.

use std::path::Path;

use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::*;
use crate::switch::output::Wanted;

fn at(folder: &Path) -> config::Tls {
    config::Tls { certificate: folder.join("tls/certificate.pem"), key: folder.join("tls/key.pem"), self_signed: true, ca: None }
}

fn names() -> Vec<String> {
    vec!["cordboard.example".into(), "127.0.0.1".into()]
}

async fn tls_rig(tls: &Tls, settings: Settings) -> Rig {
    let (core, inputs) = mpsc::channel(64);
    let config = config::Sip { tls: vec!["127.0.0.1:0".parse().expect("address")], ..sip(&[], &[]) };
    let transport = start_with(&config, Some(tls), settings, core.clone()).await.expect("bound");
    Rig { transport, inputs, core }
}

/// A client that trusts this certificate and no other.
async fn secure(rig: &Rig, certificate: &Path) -> Result<TlsStream<TcpStream>, std::io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).expect("a certificate")).expect("trusted");
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(rig.transport.addresses().tls[0]).await.expect("connected");
    let name = ServerName::try_from("cordboard.example").expect("a name");
    timeout(DEADLINE, TlsConnector::from(Arc::new(config)).connect(name, stream)).await.expect("greeted in time")
}

#[tokio::test]
async fn requests_come_in_and_answers_go_back_by_the_same_connection() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let tls = Tls::load(&at(folder.path()), names(), &tokio::runtime::Handle::current()).expect("a certificate");
    let mut rig = tls_rig(&tls, settings()).await;
    let mut peer = secure(&rig, &at(folder.path()).certificate).await.expect("a connection");
    peer.write_all(request("OPTIONS", 1).as_bytes()).await.expect("written");
    let (flow, message) = rig.message().await;
    assert_eq!((flow.transport, number(&message)), (Over::Tls, 1));
    let answer = response("200 OK", "OPTIONS", 1);
    rig.transport.send(flow, Bytes::from(answer.clone()), None);
    let mut read = vec![0; answer.len()];
    timeout(DEADLINE, peer.read_exact(&mut read)).await.expect("in time").expect("octets");
    assert_eq!(String::from_utf8_lossy(&read), answer);
    drop(peer);
    assert_eq!(Some(rig.closed().await), flow.connection);
    // It can't be called back.
    rig.transport.send(flow, Bytes::from(request("BYE", 2)), Some(SendId(7)));
    assert_eq!(rig.undeliverable().await, SendId(7));
    let nowhere = Flow { connection: None, ..flow };
    rig.transport.send(nowhere, Bytes::from(request("INVITE", 3)), Some(SendId(8)));
    assert_eq!(rig.undeliverable().await, SendId(8));
}

#[tokio::test]
async fn a_renewed_certificate_is_for_new_connections_and_a_bad_one_is_for_none() {
    let (folder, other) = (tempfile::TempDir::new().expect("a folder"), tempfile::TempDir::new().expect("a folder"));
    let here = at(folder.path());
    let tls = Tls::load(&here, names(), &tokio::runtime::Handle::current()).expect("a certificate");
    let mut rig = tls_rig(&tls, settings()).await;
    let first = folder.path().join("first.pem");
    std::fs::copy(&here.certificate, &first).expect("copied");
    let mut old = secure(&rig, &first).await.expect("a connection");

    let there = at(other.path());
    Tls::load(&there, names(), &tokio::runtime::Handle::current()).expect("another certificate");
    std::fs::copy(&there.certificate, &here.certificate).expect("copied");
    let error = tls.renew().expect_err("its key is missing");
    assert!(error.to_string().ends_with("do not belong together"), "{error}");
    secure(&rig, &first).await.expect("as before");

    std::fs::copy(&there.key, &here.key).expect("copied");
    tls.renew().expect("renewed");
    secure(&rig, &first).await.expect_err("the old one is shown no more");
    secure(&rig, &there.certificate).await.expect("the new one is");
    old.write_all(request("OPTIONS", 5).as_bytes()).await.expect("written");
    assert_eq!(number(&rig.message().await.1), 5, "who was there stays");

    std::fs::write(&here.certificate, "no PEM").expect("written");
    assert!(matches!(tls.renew(), Err(tls::TlsError::Empty { .. })));
    std::fs::remove_file(&here.certificate).expect("removed");
    assert!(matches!(tls.renew(), Err(tls::TlsError::Io { .. })));
}

#[tokio::test]
async fn a_certificate_of_our_own_is_made_once_and_its_key_is_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::TempDir::new().expect("a folder");
    let here = at(folder.path());
    Tls::load(&here, names(), &tokio::runtime::Handle::current()).expect("made");
    let made = std::fs::read(&here.certificate).expect("a certificate");
    Tls::load(&here, names(), &tokio::runtime::Handle::current()).expect("found");
    assert_eq!(std::fs::read(&here.certificate).expect("a certificate"), made);
    // One without the other is somebody's: nothing is written over it.
    std::fs::rename(&here.certificate, folder.path().join("away.pem")).expect("moved");
    let key = std::fs::read(&here.key).expect("a key");
    let half = Tls::load(&here, names(), &tokio::runtime::Handle::current()).err().expect("refused");
    assert!(matches!(&half, tls::TlsError::Half { there, .. } if *there == here.key), "{half}");
    assert_eq!(std::fs::read(&here.key).expect("a key"), key);
    assert_eq!(std::fs::metadata(&here.key).expect("a key").permissions().mode() & 0o777, 0o600);
    let given = config::Tls { self_signed: false, ..at(&folder.path().join("nothing")) };
    let error = Tls::load(&given, names(), &tokio::runtime::Handle::current()).err().expect("none is made");
    assert!(error.to_string().contains("nothing/tls/certificate.pem"), "{error}");
}

/// RFC 5922 §7.3: two hosts at one address, of which one has a certificate.
#[tokio::test]
async fn a_connection_that_was_checked_for_one_name_is_not_used_for_another() {
    let (there, here) = (tempfile::TempDir::new().expect("a folder"), tempfile::TempDir::new().expect("a folder"));
    let on = tokio::runtime::Handle::current();
    let names = vec!["localhost".to_owned()];
    let mut far = tls_rig(&Tls::load(&at(there.path()), names, &on).expect("a certificate"), settings()).await;
    let trusting = config::Tls { ca: Some(at(there.path()).certificate), ..at(here.path()) };
    let mut rig = tls_rig(&Tls::load(&trusting, self::names(), &on).expect("a certificate"), settings()).await;
    let remote = far.transport.addresses().tls[0];
    let mut flows = Vec::new();
    for host in ["LOCALHOST", "127.0.0.1", "localhost"] {
        rig.transport.resolve(QueryId(1), Wanted { host: host.into(), port: Some(remote.port()), transports: vec![Over::Tls] });
        let Input::Resolved { servers, .. } = rig.input().await else { panic!("no answer") };
        let found = servers.iter().flat_map(|s| &s.addresses).find(|a| a.remote == remote).copied().expect("an address");
        let local = SocketAddr::new(found.local, 0);
        flows.push(Flow { transport: Over::Tls, local, remote, connection: found.connection });
    }
    assert_eq!(flows[0], flows[2]);
    assert_ne!(flows[0], flows[1]);
    rig.transport.send(flows[0], Bytes::from(request("OPTIONS", 1)), None);
    let (came, message) = far.message().await;
    assert_eq!(number(&message), 1);
    // It is open, and of no use for the other name.
    rig.transport.send(flows[1], Bytes::from(request("OPTIONS", 2)), Some(SendId(2)));
    assert_eq!(rig.undeliverable().await, SendId(2));
    rig.transport.send(flows[2], Bytes::from(request("OPTIONS", 3)), None);
    let (again, message) = far.message().await;
    assert_eq!((number(&message), again.connection), (3, came.connection));

    // What the peer asks for on it is answered there; once it is gone, by another one for the same name.
    far.transport.send(came, Bytes::from(request("OPTIONS", 4)), None);
    let (ours, message) = rig.message().await;
    assert_eq!(number(&message), 4);
    drop(far);
    assert_eq!(Some(rig.closed().await), ours.connection);
    rig.transport.send(ours, Bytes::from(request("BYE", 5)), Some(SendId(5)));
    assert_eq!(rig.undeliverable().await, SendId(5), "nobody listens there now");
}

#[tokio::test]
async fn who_does_not_greet_is_let_go_and_the_core_never_hears_of_it() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let tls = Tls::load(&at(folder.path()), names(), &tokio::runtime::Handle::current()).expect("a certificate");
    let rig = tls_rig(&tls, Settings { prove_within: SHORT, ..settings() }).await;
    for greeting in ["", "\u{16}\u{3}\u{1}", "OPTIONS sip:x SIP/2.0\r\n\r\n"] {
        let mut peer = TcpStream::connect(rig.transport.addresses().tls[0]).await.expect("connected");
        write(&mut peer, greeting).await;
        rest(&mut peer).await;
    }
    rig.until_counted("tls_failed", 3).await;
    let Rig { transport, mut inputs, core } = rig;
    drop(core);
    transport.shutdown().await;
    assert!(inputs.recv().await.is_none());
}
