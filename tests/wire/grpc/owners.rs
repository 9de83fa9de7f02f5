//! Builds of an owner on the wire: its names on the engine's side, and nothing of anybody else's on its own.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use bytes::Bytes;
use sockwarden::owner::Owner;
use sockwarden::policy::view::suffix;
use tokio::io::AsyncReadExt as _;

use crate::grpc::buildkit::{BuildKit, Heard, framed, head, trailers, well, whole};
use crate::grpc::client::{Answer, Client, STATUS, call, field, upgraded};
use crate::grpc::with_policy;
use crate::proxy::Proxy;

const POLICY: &str = "allow = ['*']\n[owner]\nisolate = true\n";
const LISTEN: &str = "/moby.buildkit.v1.Control/ListenBuildHistory";
const UPDATE: &str = "/moby.buildkit.v1.Control/UpdateBuildHistory";
const DISK_USAGE: &str = "/moby.buildkit.v1.Control/DiskUsage";
const PRUNE: &str = "/moby.buildkit.v1.Control/Prune";
const PING: &str = "/moby.buildkit.v1.frontend.LLBBridge/Ping";
const INFO: &str = "/containerd.services.content.v1.Content/Info";
const JOB: &str = "/moby.buildkit.v1.Control/Solve";
const BUILD: &str = "/moby.buildkit.v1.frontend.LLBBridge/Solve";
const BUILD_ID: &str = "buildkit-controlapi-buildid";

/// What the names of who runs the test end with
fn ours() -> String {
    suffix(Owner::new(&format!("uid:{}", rustix::process::getuid().as_raw())).tag())
}

/// Somebody else's
fn theirs() -> String {
    suffix(Owner::new("somebody").tag())
}

/// An engine that hears what messages say, and answers with these
fn hearing(messages: Vec<Vec<u8>>) -> BuildKit {
    let messages = Arc::new(messages);
    BuildKit::with(move |request, mut respond| {
        let messages = Arc::clone(&messages);
        async move {
            let said = request.headers().get(BUILD_ID).map(|id| id.to_str().unwrap().to_owned()).unwrap_or_default();
            let message = whole(request).await.unwrap();
            let mut stream = respond.send_response(head(), false).unwrap();
            // What it has heard comes first where nothing else does.
            let heard = framed(&[message.get(5..).unwrap(), said.as_bytes()].concat());
            let all: Vec<Bytes> = messages.iter().map(|message| framed(message)).collect();
            for message in if all.is_empty() { vec![heard] } else { all } {
                stream.send_data(message, false).unwrap();
            }
            stream.send_trailers(trailers(0, "")).unwrap();
        }
    })
}

fn asked(engine: &BuildKit, proxy: &Proxy, path: &str, header: Option<&str>, message: &[u8]) -> Answer {
    engine.runtime.block_on(async {
        let client = Client::new(upgraded(proxy)).await;
        let mut request = call(path);
        if let Some(header) = header {
            request.headers_mut().insert(BUILD_ID, header.parse().unwrap());
        }
        client.call(request, framed(message)).await
    })
}

#[test]
fn an_owners_ids_end_in_its_word_on_the_engine_and_none_may_bring_one_along() {
    let engine = hearing(Vec::new());
    let proxy = with_policy(&engine, POLICY);
    let of_update = [field(1, "abc"), vec![3 << 3, 1]].concat();
    for (path, header, message, heard) in [
        (STATUS, None, field(1, "abc"), field(1, format!("abc{}", ours()))),
        (UPDATE, None, of_update, [field(1, format!("abc{}", ours())), vec![3 << 3, 1]].concat()),
        (PING, Some("abc"), Vec::new(), format!("abc{}", ours()).into_bytes()),
    ] {
        let answer = asked(&engine, &proxy, path, header, &message);
        assert_eq!(answer.body, framed(&heard), "{path}: {}", String::from_utf8_lossy(&answer.body));
    }
    let before = engine.heard().len();
    for suffix in [ours(), theirs()] {
        let full = format!("abc{suffix}");
        for (path, header, message) in
            [(STATUS, None, field(1, &full)), (UPDATE, None, field(1, &full)), (PING, Some(full.as_str()), Vec::new())]
        {
            let answer = asked(&engine, &proxy, path, header, &message);
            assert_eq!(answer.said().0, 7, "{path} {full}: {answer:?}");
        }
    }
    let calls = engine.heard().into_iter().skip(before).filter(|line| line.contains("moby"));
    assert_eq!(calls.count(), 0, "nothing of that is sent");
}

#[test]
fn a_list_of_builds_is_asked_for_whole_and_only_the_owners_own_passes() {
    let event = |reference: &str, log: &str| {
        let log = field(8, field(2, log));
        field(2, [field(1, reference), log].concat())
    };
    let messages =
        vec![event(&format!("theirs{}", theirs()), "sha256:b"), event(&format!("mine{}", ours()), "sha256:a")];
    let engine = hearing(messages);
    let proxy = with_policy(&engine, POLICY);
    let refused = asked(&engine, &proxy, INFO, None, &field(1, "sha256:a"));
    let missing = "rpc error: code = NotFound desc = content digest sha256:a: not found";
    assert_eq!(refused.said(), (5, missing.to_owned()), "not before it is known to be the owner's");
    let answer = asked(&engine, &proxy, LISTEN, None, &[field(4, "status==error"), vec![5 << 3, 1]].concat());
    assert_eq!(answer.body, framed(&event("mine", "sha256:a")), "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(asked(&engine, &proxy, INFO, None, &field(1, "sha256:a")).said().0, 0);
    assert_eq!(asked(&engine, &proxy, INFO, None, &field(1, "sha256:b")).said().0, 5);

    // What an engine is asked cannot end it.
    let engine = hearing(Vec::new());
    let proxy = with_policy(&engine, "allow = ['*']\n");
    let answer = asked(&engine, &proxy, LISTEN, None, &[field(4, "status==error"), vec![5 << 3, 1]].concat());
    assert_eq!(answer.body, framed(b""));
}

#[test]
fn a_record_that_nobody_understands_ends_the_list() {
    let mine = field(2, field(1, format!("mine{}", ours())));
    let engine = hearing(vec![mine, vec![0xf8, 0x3f, 1]]);
    let proxy = with_policy(&engine, POLICY);
    let answer = asked(&engine, &proxy, LISTEN, None, b"");
    assert_eq!((answer.said().0, answer.body), (14, framed(&field(2, field(1, "mine"))).to_vec()));
}

#[test]
fn errors_are_told_without_the_owners_word() {
    let said = |suffix: &str| format!("no active session for abc{suffix}: 100%25 gone");
    let details = move |suffix: &str| {
        let json = field(2, format!("{{\"id\":\"abc{suffix}\"}}"));
        BASE64_STANDARD_NO_PAD.encode([field(2, said(suffix)), field(3, json)].concat())
    };
    let engine = BuildKit::with(move |request, mut respond| async move {
        whole(request).await;
        let mut response = head();
        response.headers_mut().extend(trailers(2, &said(&ours())));
        response.headers_mut().insert("grpc-status-details-bin", details(&ours()).parse().unwrap());
        drop(respond.send_response(response, true).unwrap());
    });
    let proxy = with_policy(&engine, POLICY);
    let answer = asked(&engine, &proxy, STATUS, None, &field(1, "abc"));
    assert_eq!(answer.said(), (2, said("")));
    assert_eq!(answer.head["grpc-status-details-bin"], details(""));
}

#[test]
fn of_the_cache_nothing_is_asked_for_where_nothing_is_ones_own() {
    for (cache, own) in [("own", true), ("group", false), ("shared", false)] {
        let engine = BuildKit::with(|request, respond| async move { well(request, respond, &[b"\x0a\x00"]).await });
        let proxy = with_policy(&engine, &format!("{POLICY}[build]\ncache = '{cache}'\n"));
        let usage = asked(&engine, &proxy, DISK_USAGE, None, b"");
        let pruned = asked(&engine, &proxy, PRUNE, None, b"");
        assert_eq!((usage.said().0, pruned.said().0), (0, 0), "{cache}");
        let told: (&[u8], &[u8]) = if own { (&framed(b"\x0a\x00"), &framed(b"\x0a\x00")) } else { (&framed(b""), b"") };
        assert_eq!((usage.body.as_slice(), pruned.body.as_slice()), told, "{cache}");
        assert_eq!(engine.heard().iter().any(|line| line.contains("moby")), own, "{cache}");
    }
}

#[test]
fn a_session_is_its_owners_and_ends_with_its_client() {
    let engine = BuildKit::behind(|heard: Heard| {
        Arc::new(move |head, mut stream| {
            let heard = heard.clone();
            Box::pin(async move {
                head.lines().filter(|line| line.starts_with("x-")).for_each(|line| heard.hear(line));
                let mut bytes = Vec::new();
                let _ = stream.read_to_end(&mut bytes).await;
                heard.hear(format!("session over with {}", String::from_utf8_lossy(&bytes)));
            })
        })
    });
    let proxy = with_policy(&engine, POLICY);
    let open = |id: &str| {
        let mut peer = proxy.connect();
        peer.send(format!(
            "POST /session HTTP/1.1\r\nHost: \r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\
             X-Docker-Expose-Session-Uuid: {id}\r\nX-Docker-Expose-Session-Sharedkey: /src:node\r\n\r\n"
        ));
        let head = peer.head();
        (peer, head)
    };
    let (mut peer, said) = open("abc");
    assert!(said.starts_with("HTTP/1.1 101 "), "{said}");
    peer.send("bytes");
    drop(peer);
    engine.until("session over with bytes");
    let word = ours();
    engine.until(&format!("x-docker-expose-session-uuid: abc{word}"));
    engine.until(&format!("x-docker-expose-session-sharedkey: {}:/src:node", word.trim_start_matches("--sw")));
    for id in [format!("abc{word}"), format!("abc{}", theirs())] {
        let (_, said) = open(&id);
        assert!(said.starts_with("HTTP/1.1 403 "), "{said}");
    }
    let left = proxy.stop();
    let end = left.events("end").into_iter().find(|end| end["operation"] == "build.session").unwrap();
    assert_eq!((&end["outcome"], &end["bytes_in"]), (&"complete".into(), &5.into()), "{end}");
}

#[test]
fn what_is_put_into_a_build_stands_on_record_by_its_field_and_no_argument_does() {
    let engine = hearing(vec![Vec::new()]);
    let proxy = with_policy(&engine, POLICY);
    let argument = [field(1, "build-arg:BUILDKIT_CACHE_MOUNT_NS"), field(2, "as-the-client-likes")].concat();
    let build = [field(2, "dockerfile.v0"), field(3, argument), vec![5 << 3, 1, 6 << 3, 1]].concat();
    asked(&engine, &proxy, JOB, None, &[field(1, "abc"), field(5, "def"), field(8, "")].concat());
    asked(&engine, &proxy, BUILD, Some("abc"), &build);
    let left = proxy.stop();
    let changed: Vec<(String, String, String)> = left
        .events("request")
        .iter()
        .flat_map(|line| {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let changes = line["changes"].as_array().cloned().unwrap_or_default();
            let verdict = text(&line["verdict"]);
            changes.into_iter().map(move |change| (verdict.clone(), text(&change["field"]), text(&change["to"])))
        })
        .collect();
    let own = ours().trim_start_matches("--sw").to_owned();
    let fields = [
        ("SourcePolicy", "6 rules for sources, from the policy"),
        ("FrontendOpt.cmdline", "dockerfile.v0"),
        ("FrontendOpt.build-arg:BUILDKIT_CACHE_MOUNT_NS", &own),
    ];
    let expected = fields.map(|(field, to)| ("modify".to_owned(), field.to_owned(), to.to_owned()));
    assert_eq!(changed, expected);
    assert!(!left.events("request").iter().any(|line| line.to_string().contains("as-the-client-likes")));
}
