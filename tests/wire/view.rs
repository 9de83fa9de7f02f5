//! Isolation on the wire: what it costs in look-ups, and what becomes of the engine's answers.

use std::io::Write as _;

use crate::engine::Engine;
use crate::peer::{Message, Peer};
use crate::prompt::Prompt;
use crate::proxy::{Proxy, Setup, json, plain};

const WEB: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const EXEC: &str = "2222222222222222222222222222222222222222222222222222222222222222";
const OTHER: &str = "3333333333333333333333333333333333333333333333333333333333333333";

struct Site {
    engine: Prompt,
    proxy: Proxy,
}

impl Site {
    /// Under `ci`, with an engine that has the owner's container `web` and its exec, and another's container
    fn new() -> Self {
        let owner = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let whose = std::sync::Arc::clone(&owner);
        let engine = Prompt::saying(move |request| {
            let owner = whose.lock().unwrap().clone();
            let container = |id: &str, name: &str, owner: &str| {
                format!(r#"{{"Id":"{id}","Name":"/{name}","Config":{{"Labels":{{"sockwarden.owner":"{owner}"}}}}}}"#)
            };
            let get = request.strip_prefix("GET /v1.41").unwrap_or("");
            match get {
                _ if get.starts_with("/containers/web--sw") => container(WEB, "web", &owner),
                _ if get.starts_with(&format!("/containers/{WEB}/json")) => container(WEB, "web", &owner),
                _ if get.starts_with(&format!("/containers/{}/json", &WEB[..12])) => container(WEB, "web", &owner),
                _ if get.starts_with(&format!("/containers/{OTHER}/json")) => container(OTHER, "x", "somebody"),
                _ if get.starts_with(&format!("/exec/{EXEC}/json")) => format!(r#"{{"ContainerID":"{WEB}"}}"#),
                _ if get.contains("/json ") => String::new(),
                _ if request.contains("/exec HTTP") => format!(r#"{{"Id":"{EXEC}"}}"#),
                _ if request.starts_with("POST /v1.41/containers/create") => {
                    format!(r#"{{"Id":"{WEB}","Warnings":[]}}"#)
                }
                _ => "{}".to_owned(),
            }
        });
        let setup = Setup { policy: "ci".to_owned(), ..Setup::default() };
        let proxy = Proxy::at(engine.socket(), tempfile::tempdir().unwrap(), setup);
        *owner.lock().unwrap() = format!("uid:{}", rustix::process::getuid().as_raw());
        Self { engine, proxy }
    }

    /// Asks, and returns the status and what the engine heard, a line each
    fn ask(&self, request: impl AsRef<[u8]>) -> (u16, Vec<String>) {
        let answer = self.proxy.ask(request);
        let heard = self.engine.heard();
        (answer.status(), heard.iter().map(|request| request.lines().next().unwrap_or("").to_owned()).collect())
    }

    fn heard(&self, request: impl AsRef<[u8]>) -> usize {
        self.ask(request).1.len()
    }
}

#[test]
fn a_call_by_name_costs_one_look_up() {
    let site = Site::new();
    for _ in 0..3 {
        assert_eq!(site.heard(plain("POST", "/v1.41/containers/web/stop")), 2);
        assert_eq!(site.heard(plain("GET", "/v1.41/containers/web/json")), 2);
        assert_eq!(site.heard(plain("POST", &format!("/v1.41/containers/{}/stop", &WEB[..12]))), 2);
    }
    // Also where nothing is found, and then nothing else is sent.
    let (status, heard) = site.ask(plain("DELETE", "/v1.41/containers/nobody"));
    assert_eq!((status, heard.len()), (404, 1), "{heard:?}");
}

#[test]
fn a_call_by_an_id_that_is_known_to_be_own_costs_none() {
    let site = Site::new();
    let by_id = plain("GET", &format!("/v1.41/containers/{WEB}/json"));
    assert_eq!(site.heard(&by_id), 2, "nothing is known yet");
    assert_eq!(site.heard(&by_id), 1);
    assert_eq!(site.heard(plain("POST", &format!("/v1.41/containers/{WEB}/kill"))), 1);
    // An exec's owner is its container's; what is made here is known without asking.
    assert_eq!(site.heard(json("POST", &format!("/v1.41/containers/{WEB}/exec"), r#"{"Cmd":["sh"]}"#)), 1);
    assert_eq!(site.heard(plain("GET", &format!("/v1.41/exec/{EXEC}/json"))), 1);

    let fresh = Site::new();
    assert_eq!(fresh.ask(json("POST", "/v1.41/containers/create", r#"{"Image":"a"}"#)).0, 200);
    assert_eq!(fresh.heard(&by_id), 1);
}

#[test]
fn an_id_of_another_is_asked_for_every_time_and_never_reached() {
    let site = Site::new();
    for _ in 0..3 {
        let (status, heard) = site.ask(plain("DELETE", &format!("/v1.41/containers/{OTHER}?force=1")));
        assert_eq!((status, heard), (404, vec![format!("GET /v1.41/containers/{OTHER}/json HTTP/1.1")]));
    }
}

#[test]
fn a_list_is_asked_for_by_the_owners_label_and_streams() {
    let site = Site::new();
    let (_, heard) = site.ask(plain("GET", "/v1.41/containers/json?filters=%7B%22label%22:%7B%22a%22:false%7D%7D"));
    assert!(heard.is_empty(), "a filter with two readings is refused: {heard:?}");
    for filters in ["", "?filters=null", "?filters=%7B%22label%22:null%7D", "?filters=%7B%22label%22:%5B%22a%22%5D%7D"]
    {
        let (_, heard) = site.ask(plain("GET", &format!("/v1.41/containers/json{filters}")));
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert!(heard[0].contains("sockwarden.owner%3D"), "{heard:?}");
    }
}

/// A proxy that isolates and cleans nothing up, so that it asks nothing of itself, and the engine that the test plays
fn site() -> (Engine, Proxy) {
    let engine = Engine::start();
    let policy = "version = 1\nname = \"x\"\nallow = [\"container\", \"system\"]\n[owner]\nisolate = true\n";
    let setup = Setup { policy: policy.to_owned(), ..Setup::default() };
    let proxy = Proxy::at(engine.socket(), tempfile::tempdir().unwrap(), setup);
    (engine, proxy)
}

/// What a client sends, and what the engine hears, answered with the head and pieces that are made of the suffix
fn listed(engine: &Engine, proxy: &Proxy, answer: impl Fn(&mut Peer, &str)) -> Message {
    let mut client = proxy.connect();
    client.send(plain("GET", "/v1.41/containers/json?filters=%7B%22network%22:%5B%22x%22%5D%7D"));
    let mut there = engine.accept();
    let heard = there.message().head.clone();
    let (_, rest) = heard.split_once("x--sw").expect("a name without a suffix");
    answer(&mut there, &format!("--sw{}", &rest[..12]));
    client.message()
}

#[test]
fn a_name_is_its_owners_again_wherever_the_pieces_of_an_answer_end() {
    let (engine, proxy) = site();
    for cut in 1..30 {
        let answer = listed(&engine, &proxy, |there, suffix| {
            let body = format!("[\"/web{suffix}\",\"--sw\"]");
            let (one, two) = body.split_at(cut.min(body.len() - 1));
            there.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
            there.send(format!("{:x}\r\n{one}\r\n", one.len()));
            there.send(format!("{:x}\r\n{two}\r\n0\r\n\r\n", two.len()));
        });
        assert_eq!(answer.text(), "[\"/web\",\"--sw\"]", "cut at {cut}");
    }
}

#[test]
fn an_answer_that_had_a_length_has_one_and_a_stream_has_none() {
    let (engine, proxy) = site();
    for status in ["200 OK", "404 Not Found", "409 Conflict"] {
        let answer = listed(&engine, &proxy, |there, suffix| {
            let body = format!("{{\"message\":\"web{suffix}\"}}");
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            there.send(head + &body);
        });
        assert_eq!((answer.said().as_str(), answer.header("content-length")), ("web", Some("17")), "{answer:?}");
        assert_eq!(answer.header("transfer-encoding"), None, "{answer:?}");
    }
    let answer = listed(&engine, &proxy, |there, _| {
        there.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n");
    });
    assert_eq!((answer.text().as_str(), answer.header("content-length")), ("[]", None), "{answer:?}");
}

#[test]
fn a_list_of_any_length_takes_constant_memory() {
    let (engine, proxy) = site();
    let before = proxy.peak_memory();
    let (elements, name) = (400_000, "web");
    let answer = listed(&engine, &proxy, |there, suffix| {
        there.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut output = there.stream.try_clone().unwrap();
        let piece =
            format!("{{\"Names\":[\"/{name}{suffix}\"],\"Labels\":{{\"a\":\"{}\"}}}},", "b".repeat(60)).repeat(1000);
        std::thread::spawn(move || {
            for _ in 0..elements / 1000 {
                write!(output, "{:x}\r\n{piece}\r\n", piece.len()).unwrap();
            }
            write!(output, "0\r\n\r\n").unwrap();
        });
    });
    assert_eq!(answer.text().matches("\"/web\"").count(), elements);
    assert!(!answer.text().contains("--sw"));
    let grown = proxy.peak_memory() - before;
    assert!(grown < 16 << 10, "{grown} KiB more for a list of {} bytes", answer.text().len());
}

#[test]
fn an_event_that_is_not_known_to_be_own_is_left_out_line_by_line() {
    let (engine, proxy) = site();
    let owner = format!("uid:{}", rustix::process::getuid().as_raw());
    let mut client = proxy.connect();
    client.send(plain("GET", "/v1.41/events?filters=%7B%22network%22:%5B%22x%22%5D%7D"));
    let mut there = engine.accept();
    let heard = there.message().head.clone();
    let suffix = format!("--sw{}", &heard.split_once("x--sw").unwrap().1[..12]);
    there.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    let event = |kind: &str, id: &str, attributes: &str| {
        format!(
            "{{\"Type\":\"{kind}\",\"Action\":\"x\",\"Actor\":{{\"ID\":\"{id}\",\"Attributes\":{{{attributes}}}}}}}\n"
        )
    };
    let own = format!("\"sockwarden.owner\":\"{owner}\"");
    let other = "\"sockwarden.owner\":\"somebody\"";
    for (line, passes) in [
        (event("container", "1", &own), true),
        (event("container", "2", other), false),
        (event("container", "2", &format!("\"name\":\"web{suffix}\"")), false),
        (event("image", "3", "\"name\":\"a\""), false),
        (event("image", "3", &own), true),
        (event("volume", &format!("data{suffix}"), ""), true),
        (event("volume", "data", ""), false),
        (event("network", "4", &format!("\"name\":\"net{suffix}\"")), true),
        (event("network", "5", "\"name\":\"bridge\",\"container\":\"2\""), false),
        (event("daemon", "6", "\"name\":\"host\""), false),
        (event("plugin", "6", &own), false),
        ("no document\n".to_owned(), false),
        ("{\"Type\":\"container\",\"Type\":\"network\"}\n".to_owned(), false),
        (event("container", "last", &own), true),
    ] {
        // Each half by itself, so that a line is not what the engine sent at once.
        let (one, two) = line.split_at(line.len() / 2);
        for half in [one, two] {
            there.send(format!("{:x}\r\n{half}\r\n", half.len()));
        }
        if passes {
            let shown = line.replace(&suffix, "");
            let mut received = String::new();
            while !received.contains('\n') {
                received += &chunk(&mut client);
            }
            assert_eq!(received, shown);
        }
    }
}

/// The next chunk of an answer whose head may still have to come
fn chunk(client: &mut Peer) -> String {
    let mut line = Vec::new();
    loop {
        line.extend(client.exactly(1));
        if line.ends_with(b"\r\n\r\n") && line.starts_with(b"HTTP/1.1") {
            line.clear();
        } else if line.ends_with(b"\r\n") && !line.starts_with(b"HTTP/1.1") {
            let length = std::str::from_utf8(&line).unwrap().trim();
            let length = usize::from_str_radix(length, 16).unwrap_or_else(|_| panic!("no chunk: {length}"));
            let text = client.exactly(length);
            client.exactly(2);
            return String::from_utf8(text).unwrap();
        }
    }
}
