//! What a client tells of its own doings is judged like any other call, and ends here.

use bytes::Bytes;

use crate::grpc::buildkit::{BuildKit, framed};
use crate::grpc::client::{Answer, Client, call, upgraded};
use crate::grpc::{before, with_policy};
use crate::proxy::Proxy;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// As buildx 0.29 sent it: a line with the path, a line of no build, and the frame
const SEED: &[u8] = include_bytes!("../../../fuzz/seeds/grpc/trace_of_buildx");

fn export(engine: &BuildKit, proxy: &Proxy, frames: Bytes) -> Answer {
    engine.runtime.block_on(async { Client::new(upgraded(proxy)).await.call(call(EXPORT), frames).await })
}

/// A message around another
fn within(number: u8, message: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(message.len()).unwrap()], message].concat()
}

/// One span with one attribute, whose fields are these bytes
fn attribute(fields: &[u8]) -> Vec<u8> {
    within(1, &within(2, &within(2, &within(9, fields))))
}

/// One span with one attribute, whose value is these bytes
fn value(bytes: &[u8]) -> Vec<u8> {
    attribute(&[b"\x0a\x01k".to_vec(), within(2, bytes)].concat())
}

#[test]
fn a_real_clients_spans_are_taken_and_come_neither_to_the_engine_nor_to_the_record() {
    let engine = BuildKit::start();
    let proxy = before(&engine);
    let frames = SEED.splitn(3, |byte| *byte == b'\n').last().unwrap();
    let answer = export(&engine, &proxy, Bytes::from_static(frames));
    assert_eq!((answer.said().0, &answer.body[..]), (0, &framed(b"")[..]), "{answer:?}");
    assert!(!engine.heard().iter().any(|line| line.contains(EXPORT)), "{:?}", engine.heard());
    let word = b"rpc.response.status_code";
    assert!(frames.windows(word.len()).any(|window| window == word));
    let left = proxy.stop();
    let request = left.events("request").into_iter().find(|line| line["operation"] == "build.trace").unwrap();
    assert_eq!((&request["verdict"], &request["request"]), (&"allow".into(), &format!("POST {EXPORT}").into()));
    assert_eq!(request["asks"].as_array().map(Vec::len), Some(1), "{request}");
    for word in ["rpc.", "server.address", "buildx"] {
        assert!(!left.audit.contains(word) && !left.log.contains(word), "{word}: {}", left.audit);
    }
}

#[test]
fn what_is_no_span_is_refused_by_name() {
    let engine = BuildKit::start();
    let proxy = before(&engine);
    let at = "resource_spans[0].scope_spans[0].spans[0].attributes[0]";
    for (message, why) in [
        (value(b"\x32\x00"), format!("{at}.value: unknown field number 6")),
        (value(b"\x2a\x04\x0a\x02\x2a\x00"), format!("{at}.value.array_value.values[0]: unknown field number 5")),
        (value(b"\x2a\x04\x0a\x02\x32\x00"), format!("{at}.value.array_value.values[0]: unknown field number 6")),
        (value(b"\x10\x01\x18\x01"), format!("{at}.value.int_value: several things at once")),
        (value(b"\x20\x01"), format!("{at}.value.double_value: expected a number of 8 bytes, got a number")),
        (attribute(b"\x18\x01"), format!("{at}: unknown field number 3")),
        (within(2, b""), "body: unknown field number 2".to_owned()),
    ] {
        let answer = export(&engine, &proxy, framed(&message));
        let (status, said) = answer.said();
        assert!(answer.is_only_head() && status == 3, "{answer:?}");
        assert!(said.contains(&why), "{said} {why}");
    }
    let two = [framed(&value(b"")), framed(&value(b""))].concat();
    let answer = export(&engine, &proxy, two.into());
    assert!(answer.said().1.contains("not exactly one message"), "{answer:?}");
    assert!(!engine.heard().iter().any(|line| line.contains(EXPORT)), "{:?}", engine.heard());
}

#[test]
fn a_policy_closes_it() {
    let engine = BuildKit::start();
    let proxy = with_policy(
        &engine,
        "version = 1\nname = \"some\"\nallow = [\"system\", \"build\"]\nforbid = [\"build.trace\"]\n",
    );
    let answer = export(&engine, &proxy, framed(&value(b"")));
    let (status, said) = answer.said();
    assert!(answer.is_only_head() && status == 7, "{answer:?}");
    assert!(said.contains("build.trace is refused, forbidden by ") && said.contains("policy.toml:4: "), "{said}");
    assert!(!engine.heard().iter().any(|line| line.contains(EXPORT)), "{:?}", engine.heard());
    let left = proxy.stop();
    let line = left.events("request").into_iter().find(|line| line["operation"] == "build.trace").unwrap();
    assert_eq!((&line["verdict"], &line["asks"][0]["verdict"]), (&"deny".into(), &"refused".into()), "{line}");
}
