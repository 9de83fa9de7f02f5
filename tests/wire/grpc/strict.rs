//! What has two readings, or none, never reaches the engine; the connection goes on.

use bytes::Bytes;
use http::HeaderValue;

use crate::grpc::buildkit::{BuildKit, framed};
use crate::grpc::client::{
    CONTINUATION, Client, DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, Raw, SOLVE, WORKERS, block, call, frame,
    pseudo, upgraded,
};
use crate::grpc::{before, with_config, with_policy};

#[test]
fn a_method_is_found_by_the_exact_bytes_of_its_path() {
    let engine = BuildKit::start();
    let proxy = before(&engine);
    engine.runtime.block_on(async {
        let client = Client::new(upgraded(&proxy)).await;
        let message = framed(b"\x0a\x03ref");
        for path in [
            "/moby.buildkit.v1.Control/So%6cve",
            "/moby.buildkit.v1.Control/Solve?a=b",
            "/moby.buildkit.v1.Control/Solve?",
            "//moby.buildkit.v1.Control/Solve",
            "/moby.buildkit.v1.Control//Solve",
            "/moby.buildkit.v1.Control/Solve/",
            "/moby.buildkit.v1.Control/./Solve",
            "/moby.buildkit.v1.Control/x/../Solve",
            "/moby.buildkit.v1.control/Solve",
            "/moby.buildkit.v1.Control/solve",
            "/moby.buildkit.v1.Control%2FSolve",
            "/moby.buildkit.v1.Control/Solve%20",
            "/moby.buildkit.v1.Control/",
            "/moby.buildkit.v1.Control",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/v1.51/containers/create",
            "/grpc",
            "/",
        ] {
            let answer = client.call(call(path), message.clone()).await;
            assert!(answer.is_only_head(), "{path} {answer:?}");
            let (status, said) = answer.said();
            assert_eq!(status, 12, "{path} {said}");
            // What the client sent stands in it, so it is coded.
            assert!(
                said.contains("no operation `POST ") && !path.contains("%6c") || said.contains("So%256cve"),
                "{said}"
            );
        }
        // Known and closed is told so.
        for path in [
            "/moby.buildkit.v1.frontend.LLBBridge/ReadFileContainer",
            "/containerd.services.content.v1.Content/Write",
            "/containerd.services.content.v1.Content/List",
        ] {
            let answer = client.call(call(path), framed(b"")).await;
            assert!(answer.is_only_head() && answer.said().0 == 7, "{path} {answer:?}");
            assert!(answer.said().1.contains("is closed"), "{answer:?}");
        }
        let answer = client.call(call(WORKERS), framed(b"")).await;
        assert_eq!(answer.said().0, 0, "{answer:?}");
    });
    assert_eq!(engine.heard().len(), 2, "{:?}", engine.heard());
    let left = proxy.stop();
    let lines = left.events("request");
    let refused = |verdict| lines.iter().filter(move |line| line["verdict"] == verdict);
    let statuses: Vec<_> = refused("error").map(|line| line["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [404; 18], "{}", left.audit);
    let closed: Vec<_> = refused("deny").map(|line| line["operation"].as_str().unwrap()).collect();
    assert_eq!(closed, ["build.container.read_file", "build.content.write", "build.content.list"]);
}

#[test]
fn a_head_that_is_not_a_plain_calls_is_refused() {
    let engine = BuildKit::start();
    let proxy = before(&engine);
    let refused = |headers: &[(&'static str, &str)], method: &str| {
        let mut request = call(WORKERS);
        *request.method_mut() = method.parse().unwrap();
        for (name, value) in headers {
            match value.strip_prefix('=') {
                Some(value) => drop(request.headers_mut().insert(*name, value.parse().unwrap())),
                None => drop(request.headers_mut().append(*name, value.parse().unwrap())),
            }
        }
        request
    };
    engine.runtime.block_on(async {
        let client = Client::new(upgraded(&proxy)).await;
        for (headers, method, status) in [
            (&[("buildkit-controlapi-buildid", "one"), ("buildkit-controlapi-buildid", "two")][..], "POST", 3),
            (&[("content-type", "application/grpc+proto")], "POST", 3),
            (&[("grpc-timeout", "1S"), ("grpc-timeout", "2S")], "POST", 3),
            (&[("x-anything", "1"), ("x-anything", "1")], "POST", 3),
            (&[("content-type", "=application/grpc-web")], "POST", 3),
            (&[("content-type", "=application/grpc+json")], "POST", 3),
            (&[("content-type", "=application/grpc;charset=utf-8")], "POST", 3),
            (&[("content-type", "=Application/gRPC")], "POST", 3),
            (&[("content-type", "=application/json")], "POST", 3),
            (&[("content-type", "=")], "POST", 3),
            (&[("grpc-encoding", "gzip")], "POST", 12),
            (&[("grpc-encoding", "identity, gzip")], "POST", 12),
            (&[("content-encoding", "gzip")], "POST", 12),
            (&[("grpc-timeout", "soon")], "POST", 3),
            (&[("grpc-timeout", "123456789S")], "POST", 3),
            (&[("grpc-timeout", "S")], "POST", 3),
            (&[("grpc-timeout", "-1S")], "POST", 3),
            (&[], "GET", 3),
            (&[], "PUT", 3),
            (&[], "post", 3),
        ] {
            let answer = client.call(refused(headers, method), framed(b"")).await;
            assert!(answer.is_only_head(), "{headers:?} {method} {answer:?}");
            assert_eq!(answer.said().0, status, "{headers:?} {method} {answer:?}");
        }
        // A build id that is none, where one belongs.
        for id in ["", "a/b", "a b", "a%2fb", "\u{e9}"] {
            let mut request = call("/moby.buildkit.v1.frontend.LLBBridge/Ping");
            let id = HeaderValue::from_bytes(id.as_bytes()).unwrap();
            request.headers_mut().insert("buildkit-controlapi-buildid", id.clone());
            let answer = client.call(request, framed(b"")).await;
            assert_eq!(answer.said().0, 3, "{id:?} {answer:?}");
        }
        let plain =
            client.call(refused(&[("grpc-encoding", "identity"), ("grpc-timeout", "99999999m")], "POST"), framed(b""));
        assert_eq!(plain.await.said().0, 0);
    });
    assert_eq!(engine.heard().len(), 2, "{:?}", engine.heard());
}

#[test]
fn heads_and_targets_of_calls_have_the_limits_of_all_others() {
    let engine = BuildKit::start();
    let proxy = with_config(&engine, "[limits]\nheaders = 10\ntarget_bytes = \"1KiB\"\n");
    engine.runtime.block_on(async {
        let client = Client::new(upgraded(&proxy)).await;
        let mut many = call(WORKERS);
        for number in 0..10 {
            let name = http::HeaderName::try_from(format!("x-header-{number}")).unwrap();
            many.headers_mut().insert(name, "1".parse().unwrap());
        }
        for (request, limit) in
            [(many, "`header_bytes` and `headers`"), (call(&format!("/{}", "x".repeat(1024))), "`target_bytes`")]
        {
            let answer = client.call(request, framed(b"")).await;
            let (status, said) = answer.said();
            assert!(answer.is_only_head() && status == 8 && said.contains(limit), "{answer:?}");
        }
        assert_eq!(client.call(call(WORKERS), framed(b"")).await.said().0, 0);
    });
    assert_eq!(engine.heard().len(), 2, "{:?}", engine.heard());
}

#[test]
fn a_call_is_one_whole_message_that_is_not_compressed() {
    let engine = BuildKit::start();
    let proxy = with_config(&engine, "[limits]\nbody_bytes = \"64KiB\"\n");
    let message = framed(b"\x0a\x03ref");
    let with_flag = |flag: u8| {
        let mut bytes = message.to_vec();
        bytes[0] = flag;
        Bytes::from(bytes)
    };
    engine.runtime.block_on(async {
        let client = Client::new(upgraded(&proxy)).await;
        let mut cases = vec![
            ("none", Bytes::new(), 3),
            ("half a length", message.slice(..4), 3),
            ("a length alone", message.slice(..5), 3),
            ("cut short", message.slice(..9), 3),
            ("two", [message.clone(), message.clone()].concat().into(), 3),
            ("two, the second empty", [message.clone(), framed(b"")].concat().into(), 3),
            ("one and a byte", [message.clone(), Bytes::from_static(b"\0")].concat().into(), 3),
            ("a length of 4 GiB", Bytes::from_static(b"\0\xff\xff\xff\xff\x0a\x03ref"), 3),
            ("compressed", with_flag(1), 12),
            ("too long", framed(&vec![0; 64 << 10]), 8),
            ("no protobuf", framed(b"\x0a\x09ref"), 3),
            ("a field nobody knows", framed(b"\x0a\x03ref\xfa\x7f\x01x"), 3),
            ("a field twice", framed(b"\x0a\x03ref\x0a\x03ref"), 3),
            ("a field of another type", framed(b"\x08\x01"), 3),
        ];
        cases.extend((2..=255).map(|flag| ("a flag", with_flag(flag), 3)));
        for (what, bytes, status) in cases {
            let answer = client.call(call("/moby.buildkit.v1.Control/Status"), bytes.clone()).await;
            assert!(answer.is_only_head(), "{what} {answer:?}");
            assert_eq!(answer.said().0, status, "{what} {:?} {answer:?}", bytes.slice(..bytes.len().min(9)));
        }
        let answer = client.call(call("/moby.buildkit.v1.Control/Status"), message.clone()).await;
        assert_eq!(answer.said().0, 0, "{answer:?}");
    });
    assert_eq!(engine.heard().len(), 2, "{:?}", engine.heard());
}

#[test]
fn a_message_that_never_ends_is_waited_for_as_long_as_a_body() {
    let engine = BuildKit::start();
    let proxy = with_config(&engine, "[limits]\nbody_time = \"1s\"\n");
    engine.runtime.block_on(async {
        let client = Client::new(upgraded(&proxy)).await;
        let (answer, mut stream) = client.send(call(SOLVE), false).await;
        // A whole message, but who knows whether there is another.
        stream.send_data(framed(b"\x0a\x03ref"), false).unwrap();
        let answer = crate::grpc::client::read(answer).await;
        let (status, said) = answer.said();
        assert!(status == 4 && said.contains("`body_time` in `[limits]`"), "{answer:?}");
        let answer = client.call(call(WORKERS), framed(b"")).await;
        assert_eq!(answer.said().0, 0, "{answer:?}");
    });
    assert_eq!(engine.heard().len(), 2, "{:?}", engine.heard());
}

#[test]
fn a_denial_is_one_head_that_ends_the_call_and_nothing_else() {
    let engine = BuildKit::start();
    let proxy =
        with_policy(&engine, "version = 1\nname = \"some\"\nallow = [\"system\", \"build.grpc\", \"build.workers\"]\n");
    let mut raw = Raw::new(upgraded(&proxy));
    for round in 0..20 {
        let stream = 4 * round + 1;
        raw.call(stream, SOLVE, b"\x0a\x03ref").call(stream + 2, WORKERS, b"");
        let mut frames: Vec<_> = (0..4).map(|_| raw.next()).collect();
        assert!(frames.iter().all(|frame| frame.kind != RST_STREAM), "{frames:?}");
        frames.retain(|frame| frame.stream == stream);
        let [denial] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!((denial.kind, denial.flags), (HEADERS, END_STREAM | END_HEADERS), "{denial:?}");
    }
    drop(raw);
    engine.runtime.block_on(async {
        let client = Client::new(upgraded(&proxy)).await;
        let answer = client.call(call(SOLVE), framed(b"\x0a\x03ref")).await;
        let (status, said) = answer.said();
        assert!(answer.is_only_head() && status == 7, "{answer:?}");
        assert!(said.starts_with("sockwarden: ") && said.contains("build.solve"), "{said}");
        assert_eq!(answer.head.get("content-type").unwrap(), "application/grpc");
    });
    assert!(engine.heard().iter().all(|line| !line.contains("Solve")), "{:?}", engine.heard());
    let left = proxy.stop();
    let denied = left.events("request").into_iter().filter(|line| line["verdict"] == "deny").count();
    assert_eq!(denied, 21, "{}", left.audit);
}

#[test]
fn what_http_2_itself_forbids_ends_the_call_or_the_connection() {
    let engine = BuildKit::start();
    let proxy = before(&engine);
    let head = |headers: &[(&str, &str)]| frame(HEADERS, END_HEADERS, 1, &block(headers));
    let mut upper = pseudo("POST", WORKERS);
    upper.push(("X-Upper", "1"));
    let mut twice = pseudo("POST", WORKERS);
    twice.insert(2, (":path", SOLVE));
    let mut late = pseudo("POST", WORKERS);
    late.push((":path", SOLVE));
    let mut connection = pseudo("POST", WORKERS);
    connection.push(("connection", "upgrade"));
    let without_path: Vec<_> = pseudo("POST", WORKERS).into_iter().filter(|(name, _)| *name != ":path").collect();
    for (what, bytes) in [
        ("an upper-case name", head(&upper)),
        (":path twice", head(&twice)),
        (":path after a plain header", head(&late)),
        ("a header of the connection", head(&connection)),
        ("no path", head(&without_path)),
        ("a path that is none", head(&pseudo("POST", "moby.buildkit.v1.Control/Solve"))),
        ("a body of another call", frame(DATA, END_STREAM, 1, &[0; 5])),
        ("an even stream", frame(HEADERS, END_HEADERS, 2, &block(&pseudo("POST", WORKERS)))),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &[])),
        ("another length than it says", {
            let mut headers = pseudo("POST", WORKERS);
            headers.push(("content-length", "99"));
            [head(&headers), frame(DATA, END_STREAM, 1, &[0; 5])].concat()
        }),
    ] {
        let mut raw = Raw::new(upgraded(&proxy));
        // It may be cut before all of this has come.
        let _ = std::io::Write::write_all(&mut raw.peer.stream, &bytes);
        let ended = raw.next();
        assert_ne!(ended.kind, DATA, "{what} {ended:?}");
        // Refused as a call, or broken off.
        if ended.kind == HEADERS {
            assert_eq!(ended.flags & END_STREAM, END_STREAM, "{what} {ended:?}");
        }
    }
    let heard = engine.heard();
    assert!(heard.iter().all(|line| !line.contains("Control")), "{heard:?}");
}

#[test]
fn what_stands_behind_a_hash_reaches_nobody() {
    let engine = BuildKit::start();
    let proxy = before(&engine);
    let mut raw = Raw::new(upgraded(&proxy));
    raw.call(1, &format!("{WORKERS}#/../Solve"), b"");
    assert_eq!(raw.next().kind, HEADERS);
    let written = format!("POST http://localhost{WORKERS} ");
    let heard = engine.heard();
    assert!(heard[1..].iter().all(|line| line.starts_with(&written)), "{heard:?}");
}
