//! `docker load`: an archive gives images the names that are in it, so those are held against the policy.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::gate::Gate;
use super::http::{Framing, ask, request, send};
use super::setting::Engine;
use super::stage::Stage;
use super::tar::{archive, disguised, entry};

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let mut failed = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            failed.push(what);
        }
    };
    let mut stage = Stage::new(&engine.socket, &format!("swt-{}-load-", std::process::id()));
    stage.image();
    let gate = Gate::start(&engine.socket, "ci");
    let there = |name: &str| ask(&engine.socket, "GET", &format!("/images/{name}/json"), "").status == 200;
    for (how, pack) in [("plain", <[u8]>::to_vec as fn(&[u8]) -> Vec<u8>), ("gzipped", gzipped)] {
        for (name, allowed) in [("image", true), ("foreign_image", false)] {
            let name = stage.names[name].clone();
            let saved = ask(&engine.socket, "GET", &format!("/images/{name}/get"), "").body;
            expect(saved.len() > 1000, format!("{name} was not saved"));
            ask(&engine.socket, "DELETE", &format!("/images/{name}"), "");
            for framing in [Framing::Length, Framing::Chunked] {
                let headers = ["Content-Type: application/x-tar".to_owned()];
                let load = request("POST", "/images/load?quiet=1", &headers, &pack(&saved), framing);
                let answer = send(&gate.socket(), &load, 1).remove(0);
                let loaded = there(&name);
                if allowed {
                    expect(
                        answer.status == 200 && loaded,
                        format!("{how} {name}: {} {}", answer.status, answer.text()),
                    );
                    ask(&engine.socket, "DELETE", &format!("/images/{name}"), "");
                } else {
                    let told = answer.status == 403 && answer.text().contains("registry.example.com");
                    expect(told && !loaded, format!("{how} {name}: {loaded} {} {}", answer.status, answer.text()));
                }
            }
            // Sent to the engine itself it is what it says, also for what comes after this test.
            let load = request("POST", "/images/load?quiet=1", &[], &saved, Framing::Length);
            send(&engine.socket, &load, 1);
            expect(there(&name), format!("{name} cannot be loaded at all"));
        }
    }
    // An archive that the engine takes for another, by how its first name begins.
    let name = stage.names["foreign_image"].clone();
    let saved = ask(&engine.socket, "GET", &format!("/images/{name}/get"), "").body;
    let manifest = entry(b"manifest.json", b'0', "", b"[]");
    let load = request("POST", "/images/load?quiet=1", &[], &archive(&[disguised(&saved), manifest]), Framing::Length);
    for (socket, works) in [(&gate.socket(), false), (&engine.socket, engine.name != "bookworm")] {
        ask(&engine.socket, "DELETE", &format!("/images/{name}"), "");
        let answer = send(socket, &load, 1).remove(0);
        expect(there(&name) == works, format!("{name} as another archive: {} {}", answer.status, answer.text()));
    }
    send(&engine.socket, &request("POST", "/images/load?quiet=1", &[], &saved, Framing::Length), 1);
    let record = gate.record();
    expect(record.contains("\"event\":\"archive\"") && record.contains("\"outcome\":\"refused\""), record);
    failed
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}
