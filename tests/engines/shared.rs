//! What a policy shares: every owner sees and uses it, and none changes or removes it.

use std::path::Path;

use serde_json::{Value, json};

use super::gate::Gate;
use super::http::{Answer, ask};
use super::setting::Engine;
use super::stage::Stage;

/// Plays on one engine; what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let prefix = format!("swt-{}-shared-", std::process::id());
    let mut stage = Stage::new(&engine.socket, &prefix);
    stage.image();
    let named = |name: &str| format!("{prefix}{name}");
    let (net, volume, own) = (named("net"), named("vol"), named("own"));
    let host = |target: &str, body: &Value| to(&engine.socket, "POST", target, body);
    let network = host("/networks/create", &json!({"Name": net, "CheckDuplicate": true})).json();
    host("/volumes/create", &json!({"Name": volume}));
    let neighbour =
        json!({"Image": stage.names["image"], "Cmd": ["sleep", "10000"], "HostConfig": {"NetworkMode": net}});
    host(&format!("/containers/create?name={}", named("neighbour")), &neighbour);
    host(&format!("/containers/{}/start", named("neighbour")), &Value::Null);
    // As wide as can be: what an owner made is not in it.
    let policy = format!("extends = 'ci'\n[owner]\nshare = {{ networks = ['{prefix}*'], volumes = ['*'] }}\n");
    let gate = Gate::with_owner(&engine.socket, &policy, &named("a"));
    let another = Gate::with_owner(&engine.socket, "extends = 'ci'", &named("b"));
    to(&another.socket(), "POST", "/networks/create", &json!({"Name": named("others"), "CheckDuplicate": true}));
    to(&another.socket(), "POST", "/volumes/create", &json!({"Name": named("others")}));

    let mut failed = Vec::new();
    let mut expect = |what: &str, answer: &Answer, status: u16, said: &str| {
        if answer.status != status || !answer.text().contains(said) {
            failed.push(format!("{what}: expected {status} {said}, got {} {:.600}", answer.status, answer.text()));
        }
    };
    let ours = |method: &str, target: &str, body: &Value| to(&gate.socket(), method, target, body);
    for (target, name) in [("/networks", &net), ("/volumes", &volume)] {
        expect("it is in lists", &ours("GET", target, &Value::Null), 200, &format!("\"{name}\""));
        let filtered = format!("{target}?filters=%7B%22name%22%3A%5B%22%5E{name}%24%22%5D%7D");
        expect("and found by its name", &ours("GET", &filtered, &Value::Null), 200, &format!("\"{name}\""));
        expect("it is looked at", &ours("GET", &format!("{target}/{name}"), &Value::Null), 200, name);
        expect(
            "it is not removed",
            &ours("DELETE", &format!("{target}/{name}"), &Value::Null),
            403,
            "there to be used",
        );
        let others = ours("GET", &format!("{target}/{}{}", named("others"), another.suffix()), &Value::Null);
        expect("what an owner made is not shared", &others, 404, "");
        let list = ours("GET", target, &Value::Null);
        if list.text().contains("others") {
            expect("nor in lists", &list, 0, "");
        }
    }
    let id = network["Id"].as_str().unwrap_or_default();
    expect("nor by its id", &ours("DELETE", &format!("/networks/{id}"), &Value::Null), 403, "there to be used");
    let shown = ours("GET", &format!("/networks/{net}"), &Value::Null);
    if shown.text().contains("neighbour") {
        expect("others on it are not shown", &shown, 0, "");
    }
    let body = json!({"Image": stage.names["image"], "Cmd": ["sleep", "10000"], "HostConfig": {
        "NetworkMode": net, "Binds": [format!("{volume}:/data"), format!("{own}:/own")],
    }});
    expect("it is used", &ours("POST", &format!("/containers/create?name={own}"), &body), 201, "");
    expect("and starts", &ours("POST", &format!("/containers/{own}/start"), &Value::Null), 204, "");
    let found = ours("GET", &format!("/containers/{own}/json"), &Value::Null);
    for said in [format!("\"{volume}:/data\""), format!("\"{own}:/own\""), format!("\"NetworkMode\":\"{net}\"")] {
        expect("under its own name", &found, 200, &said);
    }
    let shown = ours("GET", &format!("/networks/{net}"), &Value::Null);
    expect("one's own container on it is shown", &shown, 200, &format!("\"Name\":\"{own}\""));
    let there = to(&engine.socket, "GET", &format!("/containers/{own}{}/json", gate.suffix()), &Value::Null);
    expect("the shared volume is mounted", &there, 200, &format!("\"Name\":\"{volume}\""));
    expect("and one's own beside it", &there, 200, &format!("\"Name\":\"{own}{}\"", gate.suffix()));
    for target in ["disconnect", "connect"] {
        let body = json!({"Container": own});
        expect(target, &ours("POST", &format!("/networks/{net}/{target}"), &body), 200, "");
    }
    let body = json!({"Container": named("neighbour")});
    let answer = ours("POST", &format!("/networks/{net}/disconnect"), &body);
    expect("another's container stays on it", &answer, 404, "No such container");
    ours("DELETE", &format!("/containers/{own}?force=1&v=1"), &Value::Null);
    for target in ["/networks/prune", "/v1.41/volumes/prune"] {
        ours("POST", target, &Value::Null);
    }
    expect("a prune leaves it", &to(&engine.socket, "GET", &format!("/volumes/{volume}"), &Value::Null), 200, "");
    failed
}

fn to(socket: &Path, method: &str, target: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    ask(socket, method, target, &body)
}
