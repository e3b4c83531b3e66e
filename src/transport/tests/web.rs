//! SIP over WebSocket, by a client of another library.

use axum::Extension;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message as Web};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;

const CENTRE: &str = r#"
[site]
name = "Example support"
domain = "cordboard.example"
time_zone = "Europe/Berlin"
country = "DE"

[http]
origins = ["https://crm.example"]
"#;

type Browser = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// `/sip` of this rig, served.
async fn served(rig: &Rig) -> SocketAddr {
    let config = Config::resolve(&config::Source::of(CENTRE)).expect("a configuration");
    let (_, config) = watch::channel(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let local = listener.local_addr().expect("an address");
    let flow = Flow { transport: Over::Ws, local, remote: "198.51.100.7:40000".parse().expect("address"), connection: None };
    let app = rig.transport.websocket(config).layer(Extension(flow));
    #[allow(clippy::disallowed_methods, reason = "a test's task")]
    tokio::spawn(async move { axum::serve(listener, app).await });
    local
}

async fn open(at: SocketAddr, protocol: Option<&str>, origin: Option<&str>) -> Result<Browser, u16> {
    let mut request = format!("ws://{at}/sip").into_client_request().expect("a request");
    for (name, value) in [("Sec-WebSocket-Protocol", protocol), ("Origin", origin)] {
        if let Some(value) = value {
            request.headers_mut().insert(name, value.parse().expect("a header"));
        }
    }
    match timeout(DEADLINE, connect_async(request)).await.expect("an answer in time") {
        Ok((socket, response)) => {
            assert_eq!(response.headers()["sec-websocket-protocol"], "sip");
            Ok(socket)
        }
        Err(tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn hear(browser: &mut Browser) -> Web {
    timeout(DEADLINE, browser.next()).await.expect("a message in time").expect("open").expect("a message")
}

#[tokio::test]
async fn each_message_is_one_of_sip_both_ways_and_the_end_is_told() {
    let mut rig = rig(&["127.0.0.1:0"], &[], settings(), 64).await;
    let at = served(&rig).await;
    let mut browser = open(at, Some("sip"), None).await.expect("welcome");
    browser.send(Web::text(request("REGISTER", 1))).await.expect("sent");
    let (flow, message) = rig.message().await;
    assert_eq!((flow.transport, flow.remote.to_string().as_str(), number(&message)), (Over::Ws, "198.51.100.7:40000", 1));
    rig.transport.send(flow, Bytes::from(response("200 OK", "REGISTER", 1)), None);
    assert_eq!(hear(&mut browser).await, Web::text(response("200 OK", "REGISTER", 1)));
    // No text: as octets, in both directions.
    let body = b"INVITE sip:1@x SIP/2.0\r\nContent-Length: 1\r\n\r\n\xff";
    rig.transport.send(flow, Bytes::from_static(body), None);
    assert_eq!(hear(&mut browser).await, Web::Binary(Bytes::from_static(body)));
    browser.send(Web::Binary(request("OPTIONS", 2).into())).await.expect("sent");
    assert_eq!(number(&rig.message().await.1), 2);
    // Some clients keep their flow as over TCP.
    browser.send(Web::text("\r\n\r\n")).await.expect("sent");
    assert_eq!(hear(&mut browser).await, Web::text("\r\n"));
    browser.close(None).await.expect("closed");
    assert_eq!(Some(rig.closed().await), flow.connection);
}

#[tokio::test]
async fn what_is_no_sip_is_answered_or_cut() {
    let mut rig = rig(&["127.0.0.1:0"], &[], settings(), 64).await;
    let at = served(&rig).await;
    let mut browser = open(at, Some("sip"), None).await.expect("welcome");
    browser.send(Web::text(request("OPTIONS", 1).replace("CSeq: 1 OPTIONS", "CSeq: x"))).await.expect("sent");
    let Web::Text(answer) = hear(&mut browser).await else { panic!("an answer") };
    assert!(answer.starts_with("SIP/2.0 400 "), "{answer}");
    browser.send(Web::text(request("OPTIONS", 2))).await.expect("sent");
    assert_eq!(number(&rig.message().await.1), 2, "it goes on");
    let long = format!("{}{}", request("OPTIONS", 3), "x".repeat(200_000));
    let _ = browser.send(Web::text(long)).await;
    rig.closed().await;
}

#[tokio::test]
async fn other_protocols_and_pages_of_strangers_are_turned_away() {
    let rig = rig(&["127.0.0.1:0"], &[], settings(), 64).await;
    let at = served(&rig).await;
    assert_eq!(open(at, None, None).await.err(), Some(400));
    assert_eq!(open(at, Some("xmpp"), None).await.err(), Some(400));
    assert_eq!(open(at, Some("sip"), Some("https://evil.example")).await.err(), Some(403));
    for origin in [format!("http://{at}"), "https://crm.example".to_owned()] {
        open(at, Some("sip"), Some(&origin)).await.expect("welcome");
    }
}

#[tokio::test]
async fn a_browser_that_says_nothing_is_let_go_as_any_other() {
    let rig = rig(&["127.0.0.1:0"], &[], Settings { prove_within: SHORT, ..settings() }, 64).await;
    let at = served(&rig).await;
    let mut browser = open(at, Some("sip"), None).await.expect("welcome");
    let end = async { while let Some(Ok(_)) = browser.next().await {} };
    timeout(DEADLINE, end).await.expect("let go");
}
