//! Answers that are looked at, with both sides played over memory.

use std::pin::Pin;
use std::time::Duration;

use http::Request;
use tokio::io::duplex;

use super::*;
use crate::audit::Audit;
use crate::audit::file::{AuditFile, Rotation};

/// What the client has got, and how the answer ended on our side
struct Came {
    body: Vec<u8>,
    status: Option<String>,
    refused: Option<(String, bool)>,
    record: String,
    /// What the engine heard of the end of its call
    engine: Option<Reason>,
}

/// Passes an answer of these pieces on
async fn passed(reply: Option<Box<dyn Reply>>, pieces: Vec<Bytes>) -> Came {
    let ((ours, theirs), (near, far)) = (duplex(1 << 20), duplex(1 << 20));
    let engine = tokio::spawn(async move {
        let mut connection = h2::server::handshake(theirs).await.unwrap();
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        tokio::spawn(async move { while connection.accept().await.is_some() {} });
        let mut stream = respond.send_response(own_head(), false).unwrap();
        for piece in pieces {
            if stream.send_data(piece, false).is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        // Endless, as a history that is listened to, where it is not ended from here.
        let open = stream.send_trailers(well()).is_ok();
        let reset = tokio::time::timeout(Duration::from_secs(60), poll_fn(|context| stream.poll_reset(context)));
        if open { None } else { reset.await.ok().and_then(Result::ok) }
    });
    let (mut sender, connection) = h2::client::handshake(ours).await.unwrap();
    tokio::spawn(connection);
    let (answer, _) = sender.send_request(Request::new(()), true).unwrap();
    let response = answer.await.unwrap();

    let client = tokio::spawn(async move {
        let (mut sender, connection) = h2::client::handshake(far).await.unwrap();
        tokio::spawn(connection);
        let (answer, _) = sender.send_request(Request::new(()), true).unwrap();
        let Ok(response) = answer.await else { return (Vec::new(), None) };
        let (mut from, mut body) = (response.into_body(), Vec::new());
        while let Some(Ok(piece)) = from.data().await {
            body.extend_from_slice(&piece);
        }
        let trailers = from.trailers().await.ok().flatten();
        (body, trailers.and_then(|trailers| trailers.get(STATUS).map(|status| status.to_str().unwrap().to_owned())))
    });
    let mut connection = h2::server::handshake(near).await.unwrap();
    let (_, mut respond) = connection.accept().await.unwrap().unwrap();
    let goes_on = tokio::spawn(async move { while connection.accept().await.is_some() {} });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let rotation = Rotation { size: None, age: None, keep: 0 };
    let audit = Arc::new(Audit::new(AuditFile::open(&path, rotation, false).unwrap()));
    let id = "1".to_owned();
    let end = End::new(audit, id, "l".into(), "build.x", std::time::Instant::now(), Arc::default(), (None, None));
    let answered = Answered { from: From::Engine(response, reply), end };
    let passed = pump(answered, &mut respond, &Room::of(64 << 20)).await;
    let refused = passed.err().map(|refusal| (refusal.refused.to_string(), refusal.stream.is_some()));
    if refused.is_some() {
        respond.send_reset(Reason::CANCEL);
    }
    drop(respond);
    let (body, status) = client.await.unwrap();
    goes_on.abort();
    let engine = engine.await.unwrap();
    Came { body, status, refused, record: std::fs::read_to_string(&path).unwrap(), engine }
}

/// Counts messages, and does with each what its bytes say
#[derive(Default)]
struct Says(usize);

impl Reply for Says {
    fn message(&mut self, message: Bytes) -> Pin<Box<dyn Future<Output = Result<Option<Bytes>, Refused>> + Send + '_>> {
        Box::pin(async move {
            self.0 += 1;
            // As one that asks the engine.
            tokio::task::yield_now().await;
            match &message[..] {
                b"drop" => Ok(None),
                b"refuse" => Err(Refused::Denied("no".to_owned())),
                b"change" => Ok(Some(Bytes::from_static(b"another"))),
                _ => Ok(Some(message)),
            }
        })
    }

    fn is_done(&self) -> bool {
        self.0 == 4
    }

    fn trailers(&mut self, trailers: &mut HeaderMap) {
        trailers.insert("x-looked", HeaderValue::from_static("1"));
    }
}

fn says() -> Option<Box<dyn Reply>> {
    Some(Box::<Says>::default())
}

fn frames(messages: &[&str]) -> Bytes {
    messages.iter().flat_map(|message| framed(message.as_bytes())).collect()
}

#[tokio::test]
async fn each_message_is_looked_at_once_however_the_answer_is_cut() {
    let all = frames(&["one", "change", ""]);
    let expected = frames(&["one", "another", ""]);
    for cut in 0..=all.len() {
        let came = passed(says(), vec![all.slice(..cut), all.slice(cut..)]).await;
        assert_eq!((came.body, came.status.as_deref()), (expected.to_vec(), Some("0")), "cut at {cut}");
        assert!(came.record.contains("\"grpc_status\":0") && came.record.contains("complete"), "{}", came.record);
    }
    let came = passed(says(), all.chunks(1).map(Bytes::copy_from_slice).collect()).await;
    assert_eq!(came.body, expected);
    let came = passed(None, vec![all.clone()]).await;
    assert_eq!((came.body, came.status.as_deref()), (all.to_vec(), Some("0")), "what nobody looks at is as it was");
}

#[tokio::test]
async fn before_the_first_message_was_judged_the_client_has_nothing() {
    let came = passed(says(), vec![frames(&["refuse", "one"])]).await;
    assert_eq!((came.body, came.refused), (Vec::new(), Some(("no".to_owned(), false))));
    let came = passed(says(), vec![frames(&["one", "drop", "refuse", "two"])]).await;
    assert_eq!((came.body, came.refused), (frames(&["one"]).to_vec(), Some(("no".to_owned(), true))));
}

#[tokio::test]
async fn an_answer_that_has_said_all_ends_well_and_is_cancelled() {
    // More than the windows hold: the engine goes on until it is told.
    let mut pieces = vec![frames(&["one", "drop", "drop", "two"])];
    pieces.extend((0..100).map(|_| frames(&["more"])));
    let came = passed(says(), pieces).await;
    assert_eq!((came.body, came.status.as_deref()), (frames(&["one", "two"]).to_vec(), Some("0")));
    assert!(came.engine.is_none_or(|reason| reason == Reason::CANCEL), "{:?}", came.engine);
    assert!(came.record.contains("complete"), "{}", came.record);
}

#[tokio::test]
async fn an_answer_that_is_not_made_of_whole_plain_messages_is_not_passed_on() {
    let mut compressed = frames(&["one"]).to_vec();
    compressed[0] = 1;
    for (bytes, why) in [
        (Bytes::from(compressed), "compressed or too long"),
        (Bytes::from_static(b"\0\x01\0\0\x01"), "compressed or too long"),
        (frames(&["one"]).slice(..7), "in the middle of a message"),
        (Bytes::from_static(b"\0\0"), "in the middle of a message"),
    ] {
        let came = passed(says(), vec![bytes.clone()]).await;
        assert!(came.body.is_empty(), "{bytes:?}");
        assert!(came.refused.is_some_and(|(said, begun)| said.contains(why) && !begun), "{bytes:?}");
    }
}
