//! What isolation costs: the look-ups that the engine hears before a call of an owner.

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
