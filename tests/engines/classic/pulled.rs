//! Bases that come out of a registry while a build begins, or runs: who may push them may have put triggers into them.

use super::{Play, build, context};
use crate::engines::build::loopback::Loopback;
use crate::engines::http::{Answer, Framing, ask, request, send};
use crate::engines::registry::Registry;
use crate::engines::tar::tar;

impl Play<'_> {
    pub(super) fn a_base_that_is_pulled_brings_no_trigger_that_nobody_judged(&mut self) {
        let registry = Registry::start();
        let service = Loopback::saying("secret");
        let name = |what: &str| format!("{}/{}{what}", registry.address, self.prefix);
        let (base, good, evil) = (name("base"), name("good"), name("bad"));
        let trigger = format!("ONBUILD ADD http://127.0.0.1:{}/x /out", service.port());
        for (name, line) in [(&good, "ENV a=b"), (&evil, trigger.as_str())] {
            let made = build(&self.engine.socket, &format!("t={name}:1"), &context(line));
            self.holds("an image", made.text().contains("Successfully tagged"), made.text());
        }
        let sockets = [("through sockwarden", self.socket("a")), ("on the engine itself", self.engine.socket.clone())];
        let dockerfile = tar(&[("Dockerfile", format!("FROM {base}:1\nRUN true\n").as_bytes())]);
        // What the registry has, and what the engine has of that name.
        for (published, here, query, fetches) in
            [(&good, None, "", false), (&evil, None, "", true), (&evil, Some(&good), "pull=1", true)]
        {
            for (how, socket) in &sockets {
                let bare = *socket == self.engine.socket;
                self.publish(published, &base);
                self.forget(&base);
                if let Some(here) = here {
                    self.tag(here, &base);
                }
                let before = service.came();
                let told = build(socket, &format!("nocache=1&{query}"), &dockerfile);
                let (came, said) = (service.came() - before, told.text());
                let shown = format!("{came} came; {} {said}", told.status);
                match fetches {
                    false => self.holds(how, came == 0 && said.contains("Successfully built"), shown),
                    true if bare => self.holds(how, came > 0, shown),
                    true => {
                        let refused = told.status == 403 && said.contains("remote=http://127.0.0.1:");
                        self.holds(how, came == 0 && refused && said.contains("ONBUILD of"), shown);
                    }
                }
            }
        }
        for (how, socket) in &sockets {
            let bare = *socket == self.engine.socket;
            // The engine has the good one as it was published; then the evil one takes its place there.
            self.publish(&good, &base);
            self.publish(&evil, &base);
            self.tag(&good, &base);
            let before = service.came();
            let other = if bare { socket.clone() } else { self.socket("b") };
            let pull = || ask(&other, "POST", &format!("/images/create?fromImage={base}&tag=1"), "");
            let (told, answer) = self.meanwhile(socket, &format!("{base} {bare}"), &format!("FROM {base}:1"), pull);
            let came = service.came() - before;
            let pulled = told.as_ref().is_some_and(|told| told.status == 200 && !told.text().contains("errorDetail"));
            let shown = format!("{came} came; {told:?}; {}", answer.text());
            self.holds(&format!("{how}: pulled while a build runs"), pulled && (came > 0) == bare, &shown);
            self.holds(
                &format!("{how}: the build goes on"),
                bare || answer.text().contains("Successfully built"),
                shown,
            );
        }
        for name in [&base, &good, &evil] {
            self.forget(name);
        }
    }

    fn host(&self, method: &str, target: &str) -> Answer {
        let nobody = ["X-Registry-Auth: e30=".to_owned()];
        send(&self.engine.socket, &request(method, target, &nobody, b"", Framing::Length), 1).remove(0)
    }

    fn tag(&self, image: &str, name: &str) {
        let told = self.host("POST", &format!("/images/{image}:1/tag?repo={name}&tag=1"));
        assert!(told.is_success(), "{}", told.text());
    }

    /// Puts an image into the registry under a name that the engine has from then on
    fn publish(&self, image: &str, name: &str) {
        self.tag(image, name);
        let told = self.host("POST", &format!("/images/{name}/push?tag=1"));
        assert!(told.is_success() && !told.text().contains("errorDetail"), "{}", told.text());
    }

    fn forget(&self, name: &str) {
        self.host("DELETE", &format!("/images/{name}:1?force=1"));
    }
}
