//! Names that could be ids, ids that have names, and objects that were there before: what the engine would look up is
//! looked up first.
//!
//! The policies here do not isolate: what a caller may touch hangs on names alone.

use serde_json::{Value, json};

use super::gate::Gate;
use super::http::{Answer, ask};
use super::setting::Engine;
use super::stage::Stage;

/// One engine, with objects of its own to be taken over
struct Play<'a> {
    engine: &'a Engine,
    stage: Stage,
    failed: Vec<String>,
}

/// Runs on one engine; says what failed
pub fn run(engine: &Engine) -> Vec<String> {
    let mut stage = Stage::new(&engine.socket, &format!("swt-{}-references-", std::process::id()));
    stage.image();
    let mut play = Play { engine, stage, failed: Vec::new() };
    play.a_forbidden_image_is_forbidden_by_every_reference();
    play.an_id_of_an_allowed_image_is_allowed();
    play.an_image_of_a_name_that_is_not_allowed_is_not_used_by_its_id();
    play.a_tag_named_like_an_id_is_that_tag();
    play.a_forbidden_network_is_forbidden_by_its_id();
    play.a_container_of_a_forbidden_name_is_not_joined_by_its_id();
    play.a_volume_that_was_there_before_is_judged_by_its_options();
    play.a_missing_image_is_answered_as_the_engine_answers();
    play.failed
}

impl Play<'_> {
    fn name(&self, name: &str) -> String {
        self.stage.names[name].clone()
    }

    fn gate(&self, sections: &str) -> Gate {
        Gate::with_policy(
            &self.engine.socket,
            &format!(
                "version = 1\nname = \"references\"\nallow = [\"container\", \"image\", \"network\", \"volume\"]\n{sections}"
            ),
        )
    }

    fn create(&self, gate: &Gate, name: &str, body: &Value) -> Answer {
        let name = format!("{}{name}", self.name("prefix"));
        ask(&gate.socket(), "POST", &format!("/containers/create?name={name}"), &body.to_string())
    }

    /// What the engine itself says
    fn engine(&self, method: &str, target: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        ask(&self.engine.socket, method, target, &body).json()
    }

    fn expect(&mut self, claim: &str, answer: &Answer, status: u16, said: &str) {
        if answer.status != status || !answer.text().contains(said) {
            self.failed.push(format!(
                "{claim}: expected {status} with `{said}`, got {} {}",
                answer.status,
                answer.text()
            ));
        }
    }

    fn a_forbidden_image_is_forbidden_by_every_reference(&mut self) {
        let id = self.name("image_id");
        let hex = id.strip_prefix("sha256:").unwrap_or(&id).to_owned();
        let repository = format!("{}image", self.name("prefix"));
        let forbid = format!("[images]\nallow = [\"**\"]\nforbid = [\"docker.io/library/{repository}\"]\n");
        let gate = self.gate(&forbid);
        let spellings = [
            format!("{repository}:1"),
            format!("docker.io/library/{repository}:1"),
            id.clone(),
            hex.clone(),
            hex[..12].to_owned(),
            hex[..20].to_owned(),
            format!("sha256:{}", &hex[..12]),
            // Until 24 a tag that looks like an id is one, within its repository.
            format!("registry.example.com/{repository}:{}", &hex[..12]),
        ];
        for image in &spellings {
            let claim = format!("a forbidden image is not used as `{image}`");
            let answer = self.create(&gate, "forbidden", &json!({ "Image": image }));
            let absent = image.starts_with("registry.") && answer.status == 404;
            if !absent {
                self.expect(&claim, &answer, 403, "forbid");
            }
        }
        for target in [format!("/images/{}/get", &hex[..12]), format!("/images/get?names={}", &hex[..12])] {
            let answer = ask(&gate.socket(), "GET", &target, "");
            self.expect("a forbidden image is not exported by its id", &answer, 403, "forbid");
        }
        let target = format!("/images/{}/tag?repo={}taken&tag=1", &hex[..12], self.name("prefix"));
        let answer = ask(&gate.socket(), "POST", &target, "");
        self.expect("a forbidden image gets no other name by its id", &answer, 403, "forbid");
        let answer = ask(&gate.socket(), "DELETE", &format!("/images/{hex}?force=true"), "");
        self.expect("a forbidden image is not removed by its id", &answer, 403, "forbid");
    }

    fn an_id_of_an_allowed_image_is_allowed(&mut self) {
        let id = self.name("image_id");
        let gate = self.gate(&format!("[images]\nallow = [\"docker.io/library/{}image\"]\n", self.name("prefix")));
        let answer = self.create(&gate, "byid", &json!({ "Image": id[7..19] }));
        self.expect("an allowed image is used by its short id", &answer, 201, "Id");
        let made = self.engine("GET", &format!("/containers/{}byid/json", self.name("prefix")), &Value::Null);
        if made["Config"]["Image"] != id.as_str() {
            self.failed.push(format!("the full id was not sent: {}", made["Config"]["Image"]));
        }
    }

    fn an_image_of_a_name_that_is_not_allowed_is_not_used_by_its_id(&mut self) {
        let id = self.name("image_id");
        // It has two names, and both are elsewhere.
        let gate = self.gate("[images]\nallow = [\"r.example/**\", \"sha256:*\"]\n");
        for image in [&id, &id[7..], &id[7..19]] {
            let answer = self.create(&gate, "named", &json!({ "Image": image }));
            self.expect("an image with names is not used as one without", &answer, 403, "is refused");
        }
        let gate = self.gate(&format!("[images]\nallow = [\"{id}\"]\n"));
        let answer = self.create(&gate, "exact", &json!({ "Image": id[7..19] }));
        self.expect("an image that is allowed by its id is used by it", &answer, 201, "Id");
        let nameless = self.commit(&id);
        let gate = self.gate("[images]\nallow = [\"sha256:*\"]\n");
        let answer = self.create(&gate, "nameless", &json!({ "Image": nameless }));
        self.expect("an image without a name is used by its id", &answer, 201, "Id");
        self.engine("DELETE", &format!("/containers/{}nameless", self.name("prefix")), &Value::Null);
        self.engine("DELETE", &format!("/images/{nameless}"), &Value::Null);
    }

    /// An image without a name
    fn commit(&self, image: &str) -> String {
        let made =
            self.engine("POST", "/containers/create", &json!({"Image": image}))["Id"].as_str().unwrap_or("").to_owned();
        let image = self.engine("POST", &format!("/commit?container={made}"), &json!({}))["Id"]
            .as_str()
            .unwrap_or("")
            .to_owned();
        self.engine("DELETE", &format!("/containers/{made}"), &Value::Null);
        image
    }

    fn a_tag_named_like_an_id_is_that_tag(&mut self) {
        let id = self.name("image_id");
        // One of our own: while a name is like its id, nobody finds it by that.
        let other = self.commit(&id);
        let like_an_id = &other[7..19];
        self.engine("POST", &format!("/images/{id}/tag?repo={like_an_id}&tag=latest"), &Value::Null);
        let gate = self.gate(&format!("[images]\nallow = [\"docker.io/library/{like_an_id}\"]\n"));
        let answer = self.create(&gate, "shadow", &json!({ "Image": like_an_id }));
        self.expect("a name is judged as the name it is", &answer, 201, "Id");
        let made = self.engine("GET", &format!("/containers/{}shadow/json", self.name("prefix")), &Value::Null);
        if made["Image"] != id.as_str() || made["Config"]["Image"] != format!("docker.io/library/{like_an_id}:latest") {
            self.failed
                .push(format!("a name like an id was not sent in full: {} {}", made["Image"], made["Config"]["Image"]));
        }
        self.engine("DELETE", &format!("/images/{like_an_id}:latest"), &Value::Null);
        let answer = self.create(&gate, "gone", &json!({ "Image": like_an_id }));
        self.expect("without the tag it is the id of an image that is not allowed", &answer, 403, "is refused");
        self.engine("DELETE", &format!("/images/{other}"), &Value::Null);
    }

    fn a_forbidden_network_is_forbidden_by_its_id(&mut self) {
        let id = self.engine("GET", "/networks/host", &Value::Null)["Id"].as_str().unwrap_or("").to_owned();
        let gate = self.gate("[images]\nallow = [\"**\"]\n[run]\nnetwork = { allow = [\"*\"], forbid = [\"host\"] }\n");
        let image = self.name("image");
        for network in [id.as_str(), &id[..12], &id[..40], "host"] {
            let mode = json!({"Image": image, "HostConfig": {"NetworkMode": network}});
            let key = json!({"Image": image, "NetworkingConfig": {"EndpointsConfig": {network: {}}}});
            let inner =
                json!({"Image": image, "NetworkingConfig": {"EndpointsConfig": {"bridge": {"NetworkID": network}}}});
            for body in [mode, key, inner] {
                let answer = self.create(&gate, "host", &body);
                self.expect(&format!("the host's network is refused in {body}"), &answer, 403, "network=host");
            }
        }
    }

    fn a_container_of_a_forbidden_name_is_not_joined_by_its_id(&mut self) {
        let web = format!("{}web", self.name("prefix"));
        let body = json!({"Image": self.name("image"), "Cmd": ["sleep", "1000"]});
        let id = self.engine("POST", &format!("/containers/create?name={web}"), &body)["Id"]
            .as_str()
            .unwrap_or("")
            .to_owned();
        let gate = self.gate(&format!(
            "[images]\nallow = [\"**\"]\n[run]\npid = {{ allow = [\"container:*\"], forbid = [\"container:{web}\"] }}\n"
        ));
        for name in [web.as_str(), &id, &id[..12], &format!("/{web}"), &format!("/{id}"), &format!("/{}", &id[..12])] {
            let body = json!({"Image": self.name("image"), "HostConfig": {"PidMode": format!("container:{name}")}});
            let answer = self.create(&gate, "joins", &body);
            self.expect("a container that is forbidden by name is forbidden by id", &answer, 403, "forbid");
        }
    }

    fn a_volume_that_was_there_before_is_judged_by_its_options(&mut self) {
        let volume = format!("{}trap", self.name("prefix"));
        let options = json!({"type": "none", "o": "bind", "device": "/etc"});
        self.engine("POST", "/volumes/create", &json!({"Name": volume, "DriverOpts": options}));
        let gate = self.gate("[images]\nallow = [\"**\"]\n");
        let image = self.name("image");
        for host in [
            json!({"Binds": [format!("{volume}:/x")]}),
            json!({"Mounts": [{"Type": "volume", "Source": volume, "Target": "/x"}]}),
        ] {
            let answer = self.create(&gate, "trapped", &json!({"Image": image, "HostConfig": host}));
            self.expect("a volume that is a bind of the host is not mounted", &answer, 403, "volume_opt");
        }
        let answer = ask(&gate.socket(), "POST", "/volumes/create", &json!({"Name": volume}).to_string());
        self.expect("it is not handed out as a new one either", &answer, 403, "volume_opt");
    }

    fn a_missing_image_is_answered_as_the_engine_answers(&mut self) {
        let body = json!({"Image": format!("{}nowhere:1", self.name("prefix"))});
        let gate = self.gate("[images]\nallow = [\"**\"]\n[run]\nnetwork = [\"*\"]\n");
        let ours = self.create(&gate, "missing", &body);
        let bare = ask(&self.engine.socket, "POST", "/containers/create", &body.to_string());
        let target = "/networks/bridge/disconnect";
        let absent = json!({"Container": format!("{}nowhere", self.name("prefix"))}).to_string();
        let (there, here) =
            (ask(&self.engine.socket, "POST", target, &absent), ask(&gate.socket(), "POST", target, &absent));
        self.expect(
            "a missing container is missing",
            &here,
            there.status,
            there.json()["message"].as_str().unwrap_or("?"),
        );
        self.expect("a missing image is missing", &ours, bare.status, bare.json()["message"].as_str().unwrap_or("?"));
    }
}
