//! Processes in a build's own containers: each is judged, wherever it stands among what is said to others.

use bytes::Bytes;

use crate::grpc::buildkit::{BuildKit, framed, head, trailers, whole};
use crate::grpc::client::{Answer, Client, call, field, read, upgraded};
use crate::grpc::with_policy;
use crate::proxy::Proxy;

const NEW: &str = "/moby.buildkit.v1.frontend.LLBBridge/NewContainer";
const EXEC: &str = "/moby.buildkit.v1.frontend.LLBBridge/ExecProcess";
const BUILD_ID: &str = "buildkit-controlapi-buildid";
const DEBUG: &str = "allow = ['build']\n[build]\ndebug = true\n";

/// An engine that says everything back as it comes
fn echo() -> BuildKit {
    BuildKit::with(|request, mut respond| async move {
        let mut from = request.into_body();
        let mut stream = respond.send_response(head(), false).unwrap();
        while let Some(Ok(piece)) = from.data().await {
            from.flow_control().release_capacity(piece.len()).unwrap();
            stream.send_data(piece, false).unwrap();
        }
        let _ = stream.send_trailers(trailers(0, ""));
    })
}

/// `ExecMessage.Init` of a process, with more in it
fn starts(process: &str, more: &[u8]) -> Vec<u8> {
    let meta = [field(1, "sh"), field(3, "/")].concat();
    [field(1, process), field(2, [field(1, "c").as_slice(), &field(2, meta), more].concat())].concat()
}

fn asked(engine: &BuildKit, proxy: &Proxy, path: &str, body: impl Into<Bytes>) -> Answer {
    engine.runtime.block_on(async {
        let mut request = call(path);
        request.headers_mut().insert(BUILD_ID, "abc".parse().unwrap());
        Client::new(upgraded(proxy)).await.call(request, body).await
    })
}

fn said(messages: &[Vec<u8>]) -> Bytes {
    messages.iter().flat_map(|message| framed(message)).collect()
}

/// All rights
const INSECURE: &[u8] = &[5 << 3, 1];

#[test]
fn each_process_is_on_record_and_what_is_said_to_it_is_written_anew() {
    let engine = echo();
    let proxy = with_policy(&engine, DEBUG);
    let all = said(&[
        starts("p", &[]),
        [field(1, "p"), field(3, field(3, "x".repeat(100_000)))].concat(),
        [field(1, "p"), field(4, [1 << 3, 24, 2 << 3, 80])].concat(),
        starts("q", &[]),
        [field(1, "q"), field(8, field(1, "SIGTERM"))].concat(),
    ]);
    let answer = asked(&engine, &proxy, EXEC, all.clone());
    assert_eq!(answer.said().0, 0, "{:?}", answer.trailers);
    assert!(answer.body == all, "{} bytes came back of {}", answer.body.len(), all.len());
    let heard = engine.heard().into_iter().filter(|line| line.contains(EXEC)).collect::<Vec<_>>();
    assert!(heard.len() == 1 && heard[0].contains("buildkit-controlapi-buildid: abc"), "{heard:?}");
    let left = proxy.stop();
    let of = |event| left.events(event).into_iter().filter(|line| line["operation"] == "build.container.exec");
    assert!(of("request").count() == 2 && of("request").all(|line| line["verdict"] == "allow"), "{}", left.audit);
    let ids = |event| of(event).map(|line| line["id"].to_string()).collect::<std::collections::BTreeSet<_>>();
    assert!(ids("request") == ids("end") && of("end").all(|line| line["outcome"] == "complete"), "{}", left.audit);
}

#[test]
fn what_is_said_passes_while_the_client_goes_on() {
    let engine = echo();
    let proxy = with_policy(&engine, DEBUG);
    engine.runtime.block_on(async {
        let client = Client::new(upgraded(&proxy)).await;
        let (answer, mut stream) = client.send(call_of_build(), false).await;
        let mut from = None;
        let mut answer = Some(answer);
        for message in [starts("p", &[]), [field(1, "p"), field(3, field(3, "ls\n"))].concat()] {
            stream.send_data(framed(&message), false).unwrap();
            if let Some(answer) = answer.take() {
                from = Some(answer.await.unwrap().into_body());
            }
            let (from, mut came) = (from.as_mut().unwrap(), Vec::new());
            while came.len() < message.len() + 5 {
                came.extend_from_slice(&from.data().await.unwrap().unwrap());
            }
            assert_eq!(came, framed(&message));
        }
    });
}

fn call_of_build() -> http::Request<()> {
    let mut request = call(EXEC);
    request.headers_mut().insert(BUILD_ID, "abc".parse().unwrap());
    request
}

#[test]
fn a_process_that_may_not_be_ends_the_call_however_late_it_comes() {
    let engine = echo();
    let proxy = with_policy(&engine, DEBUG);
    for before in [vec![], vec![starts("p", &[])]] {
        let answer = asked(&engine, &proxy, EXEC, said(&[before.clone(), vec![starts("q", INSECURE)]].concat()));
        let (status, why) = answer.said();
        assert!(status == 7 && why.contains("entitlement=security.insecure (Init.Security)"), "{status} {why}");
        // What came before it may have been said back already.
        assert!(said(&before).starts_with(&answer.body), "{answer:?}");
        let heard = engine.heard().into_iter().filter(|line| line.contains(EXEC)).count();
        assert!(heard <= before.len(), "a call that begins with a refused process is not sent");
    }
    let left = proxy.stop();
    let denied = left.events("request").into_iter().filter(|line| line["verdict"] == "deny").count();
    assert_eq!(denied, 2, "{}", left.audit);
}

#[test]
fn what_a_container_and_its_processes_ask_for_is_what_steps_ask_for() {
    let engine = echo();
    let proxy = with_policy(&engine, DEBUG);
    let meta = |more: Vec<u8>| [field(1, "p"), field(2, field(2, more))].concat();
    for (path, message, why) in [
        (NEW, vec![3 << 3, 1], "network=host (Network)"),
        (NEW, vec![3 << 3, 3], "network mode"),
        (NEW, field(2, [6 << 3, 1]), "secrets"),
        (NEW, field(2, [6 << 3, 2]), "ssh"),
        (NEW, field(6, [field(1, "a"), field(2, "10.0.0.1")].concat()), "add_host=a:10.0.0.1 (extraHosts)"),
        (EXEC, [field(1, "p"), field(2, field(1, "c"))].concat(), "process"),
        (EXEC, meta(field(10, "/x")), "cgroup_parent=/x (Init.Meta.cgroupParent)"),
        (EXEC, meta(field(9, [field(1, "nofile"), vec![2 << 3, 1]].concat())), "ulimit=nofile=1:0 (Init.Meta.ulimit)"),
        (EXEC, starts("p", &field(6, field(1, "token"))), "secrets"),
        (EXEC, starts("p", &[5 << 3, 2]), "security mode"),
    ] {
        let (status, said) = asked(&engine, &proxy, path, framed(&message)).said();
        assert!(status == 7 && said.contains(why), "{path} {message:?}: {status} {said}");
    }
    let plain = asked(&engine, &proxy, NEW, framed(&field(2, field(3, "/"))));
    assert_eq!(plain.said().0, 0, "{plain:?}");
}

#[test]
fn without_a_line_there_are_no_containers_in_builds() {
    let engine = echo();
    let proxy = with_policy(&engine, "allow = ['build']\n");
    for (path, message) in [(NEW, field(1, "c")), (EXEC, starts("p", &[]))] {
        let answer = asked(&engine, &proxy, path, framed(&message));
        assert!(answer.is_only_head() && answer.said().0 == 7, "{answer:?}");
        assert!(answer.said().1.contains("`debug = true` in `[build]`"), "{answer:?}");
    }
    assert!(engine.heard().iter().all(|line| !line.contains("LLBBridge")), "{:?}", engine.heard());
}

#[test]
fn what_has_two_readings_is_said_to_no_process() {
    let engine = echo();
    let proxy = with_policy(&engine, DEBUG);
    let file = field(3, field(3, "x"));
    for (body, status, why) in [
        (said(&[[field(1, "p"), file.clone()].concat()]), 3, "begins with no process"),
        (said(&[[starts("p", &[]), file].concat()]), 3, "several things at once"),
        (said(&[starts("p", &[]), field(1, "p")]), 3, "nothing that is said to a process"),
        (said(&[starts("p", &[]), field(5, "")]), 3, "unknown field number 5"),
        (said(&[[starts("p", &[]), starts("q", &[])].concat()]), 3, "stands twice"),
        (Bytes::new(), 3, "no whole message"),
        (said(&[starts("p", &[])]).slice(..9), 3, "whole messages"),
        ([&[1], &said(&[starts("p", &[])])[1..]].concat().into(), 3, "not compressed"),
    ] {
        let answer = asked(&engine, &proxy, EXEC, body.clone());
        let (code, told) = answer.said();
        assert!(code == status && told.contains(why), "{body:?}: {code} {told}");
    }
}

#[test]
fn a_client_that_goes_takes_its_processes_with_it() {
    let engine = BuildKit::behind(|heard| {
        std::sync::Arc::new(move |_, stream| {
            let heard = heard.clone();
            Box::pin(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    let heard = heard.clone();
                    tokio::spawn(async move {
                        if request.uri().path() != EXEC {
                            return drop(whole(request).await);
                        }
                        let mut stream = respond.send_response(head(), false).unwrap();
                        heard.hear("begun");
                        let reset = std::future::poll_fn(|context| stream.poll_reset(context)).await;
                        heard.hear(format!("reset {}", reset.is_ok()));
                    });
                }
            })
        })
    });
    let proxy = with_policy(&engine, DEBUG);
    engine.runtime.block_on(async {
        let client = Client::new(upgraded(&proxy)).await;
        let (answer, mut stream) = client.send(call_of_build(), false).await;
        stream.send_data(framed(&starts("p", &[])), false).unwrap();
        let waits = tokio::spawn(read(answer));
        engine.until("begun");
        stream.send_reset(h2::Reason::CANCEL);
        let answer = waits.await.unwrap();
        assert!(answer.reset.is_some(), "{answer:?}");
    });
    engine.until("reset true");
}
