//! Archives that name parts of an image and do not bring them: an engine with containerd's store takes those that it has.

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::gate::Gate;
use super::generation::Store;
use super::http::{Answer, Framing, ask, request, send};
use super::setting::Engine;
use super::stage::Stage;
use super::tar::{files, tar};

const POLICY: &str = "version = 1\nname = \"parts\"\nallow = [\"container\", \"image\", \"build\"]\n[images]\nallow = [\"**\"]\n\
                      [owner]\nisolate = true\n";

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let stage = Stage::new(&engine.socket, &format!("swt-{}-parts-", std::process::id()));
    let owners = ["a", "b"].map(|name| format!("swt-{}-parts-{name}", std::process::id()));
    let gate = Gate::with_owners(&engine.socket, POLICY, &owners);
    let [a, b] = owners.each_ref().map(|owner| gate.socket_of(owner));
    let prefix = &stage.names["prefix"];
    let (secret, taken) = (format!("{prefix}secret:1"), format!("{prefix}taken:1"));
    let mut failed = Vec::new();
    let mut holds = |claim: &str, holds: bool, shown: String| {
        if !holds {
            failed.push(format!("{claim}: {shown}"));
        }
    };

    let built = build(&a, &secret, prefix);
    holds("it is built", built.text().contains("Successfully tagged"), built.text());
    let made = image(&engine.socket, &secret);
    let saved = ask(&a, "GET", &format!("/images/{secret}/get"), "").body;
    let manifest =
        made.pointer("/Descriptor/digest").or(made.pointer("/Id")).and_then(Value::as_str).unwrap_or_default();
    let size = made.pointer("/Descriptor/size").and_then(Value::as_u64).unwrap_or(1);
    let part = json!({"mediaType": MANIFEST, "digest": manifest, "size": size, "platform": {"architecture": "amd64", "os": "linux"}});
    let called = (format!("blobs/sha256/{}", &manifest[7..]), b"{}".to_vec());
    for (way, archive, told) in [
        ("by its digest", archive(&part, &taken, Vec::new()), "does not bring it"),
        ("by its digest on something else", archive(&part, &taken, vec![called]), "is not what its name says"),
        ("in an index of one's own", within(&[&part], &taken, Vec::new()), "of another owner"),
    ] {
        load(&engine.socket, &archive);
        let works = content(&engine.socket, &taken).contains(prefix);
        let expected = engine.store() == Store::Containerd;
        holds(&format!("{way}: the engine itself gives it"), works == expected, format!("{works}"));
        ask(&engine.socket, "DELETE", &format!("/images/{taken}?force=1"), "");
        let answer = load(&b, &archive);
        // What the other store has no use for, its engine refuses itself.
        let refused = !expected || answer.status >= 400 && answer.text().contains(told);
        holds(&format!("{way}: it is refused"), refused, answer.text());
        holds(&format!("{way}: nothing is taken"), image(&engine.socket, &taken)["Id"].is_null(), taken.clone());
    }

    let answer = load(&a, &saved);
    holds("a whole image is loaded", answer.is_success() && !answer.text().contains("errorDetail"), answer.text());
    if engine.store() == Store::Containerd {
        // What an engine saves of an image of several platforms of which it has one.
        let elsewhere = json!({"mediaType": MANIFEST, "digest": format!("sha256:{}", "1".repeat(64)), "size": 500, "platform": {"architecture": "arm64", "os": "linux"}});
        let blobs =
            files(&saved).into_iter().filter(|(name, _)| name.starts_with("blobs/sha256/") && !name.ends_with('/'));
        let blobs: Vec<_> = blobs.map(|(name, content)| (name.to_owned(), content.to_vec())).collect();
        let mine = format!("{prefix}mine:1");
        let answer = load(&a, &within(&[&part, &elsewhere], &mine, blobs));
        let there = content(&engine.socket, &mine).contains(prefix);
        holds("an image of which some platforms are nowhere is loaded", there, answer.text());
    }
    failed
}

/// An image with the secret in a file
fn build(socket: &Path, name: &str, secret: &str) -> Answer {
    let context = tar(&[("Dockerfile", b"FROM busybox:test\nCOPY secret /secret\n"), ("secret", secret.as_bytes())]);
    let headers = ["Content-Type: application/x-tar".to_owned()];
    send(socket, &request("POST", &format!("/build?t={name}"), &headers, &context, Framing::Length), 1).remove(0)
}

fn image(engine: &Path, name: &str) -> Value {
    ask(engine, "GET", &format!("/images/{name}/json"), "").json()
}

fn load(socket: &Path, archive: &[u8]) -> Answer {
    let headers = ["Content-Type: application/x-tar".to_owned()];
    send(socket, &request("POST", "/images/load?quiet=1", &headers, archive, Framing::Length), 1).remove(0)
}

/// What is in the file of an image
fn content(engine: &Path, name: &str) -> String {
    let made = ask(engine, "POST", "/containers/create", &json!({"Image": name, "Cmd": ["true"]}).to_string()).json();
    let Some(id) = made["Id"].as_str() else { return String::new() };
    let file = ask(engine, "GET", &format!("/containers/{id}/archive?path=/secret"), "").text();
    ask(engine, "DELETE", &format!("/containers/{id}"), "");
    file
}

/// An archive of the OCI layout that gives one part a name
fn archive(part: &Value, name: &str, blobs: Vec<(String, Vec<u8>)>) -> Vec<u8> {
    let mut part = part.clone();
    part["annotations"] = json!({"io.containerd.image.name": format!("docker.io/library/{name}")});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [part]}).to_string();
    let mut files = vec![("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec())];
    files.extend(blobs);
    files.push(("index.json".to_owned(), index.into_bytes()));
    let files: Vec<_> = files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    tar(&files)
}

/// The same with an index of one's own around the parts
fn within(parts: &[&Value], name: &str, mut blobs: Vec<(String, Vec<u8>)>) -> Vec<u8> {
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": parts}).to_string().into_bytes();
    let hex = Sha256::digest(&index).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let part = json!({"mediaType": INDEX, "digest": format!("sha256:{hex}"), "size": index.len()});
    blobs.push((format!("blobs/sha256/{hex}"), index));
    archive(&part, name, blobs)
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
