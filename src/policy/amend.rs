//! Rules that change a container's creation: what they take away is not asked for, what they force is not judged.
//!
//! The words of the client that a rule replaces are gone before anything is judged, so they need no grant. What a rule
//! puts in comes last and beats `[force]`.

mod imports;

use crate::api::create::Create;
use crate::api::operation::Operation;
use crate::api::request::{JsonBody, Request};
use crate::policy::facts::named_facts;
use crate::policy::judge::{Facts, matches, real_name_facts};
use crate::policy::modify::Change;
use crate::policy::{Effect, Line, Policy, Rights, Rule};

/// What rules make of an operation
#[derive(Default)]
pub struct Amended<'a> {
    /// As it is judged, where that is not as it came
    operation: Option<Operation>,
    /// What was taken away
    changes: Vec<Change>,
    /// The runtime that a rule forces, what the client asked for, and the rule
    runtime: Option<(&'a Rule, String, String)>,
}

/// Takes away what rules strip, and what they will replace
pub fn amend<'a>(policy: &'a Policy, operation: &Operation, facts: &Facts) -> Amended<'a> {
    let mut amended = Amended::default();
    if let Some((operation, changes)) = imports::leave_out(policy, operation) {
        (amended.operation, amended.changes) = (Some(operation), changes);
    }
    if !policy.rules.iter().any(|rule| rule.effect == Effect::Change) {
        return amended;
    }
    let mut named = named_facts(operation);
    named.extend(facts.names.iter().flat_map(real_name_facts));
    let name = operation.endpoint().name;
    for rule in policy.rules.iter().filter(|rule| rule.effect == Effect::Change && matches(rule, name, &named)) {
        let Some(body) = create(amended.operation.get_or_insert_with(|| operation.clone())) else { continue };
        let settings = &mut body.host_mut().settings;
        if rule.privileged == Some(Rights::Strip) && settings.privileged {
            settings.privileged = false;
            amended.changes.push(change("HostConfig.Privileged", "true", "false", rule));
        }
        if let (Some(runtime), None) = (&rule.runtime, &amended.runtime) {
            amended.runtime = Some((rule, std::mem::take(&mut settings.runtime), runtime.clone()));
        }
    }
    amended
}

impl Amended<'_> {
    /// The operation as it is judged
    pub fn judged<'b>(&'b self, came: &'b Operation) -> &'b Operation {
        self.operation.as_ref().unwrap_or(came)
    }

    /// The rule that grants `--privileged`, which only the one whose runtime is used can do
    pub fn privileged(&self) -> Option<&Line> {
        let (rule, ..) = self.runtime.as_ref()?;
        (rule.privileged == Some(Rights::Allow)).then_some(&rule.line)
    }

    /// What is sent: `modify` makes it of what was judged, and what rules force comes last
    pub fn finish(
        self,
        came: Operation,
        modify: impl FnOnce(Operation) -> (Operation, Vec<Change>),
    ) -> (Operation, Vec<Change>) {
        let Self { operation, changes: mut all, runtime } = self;
        let (mut operation, changes) = modify(operation.unwrap_or(came));
        all.extend(changes);
        if let (Some((rule, asked, forced)), Some(body)) = (runtime, create(&mut operation)) {
            // What `[force]` said before is beaten, so it is not told of.
            all.retain(|change| change.field != RUNTIME);
            if asked != forced {
                all.push(change(RUNTIME, &asked, &forced, rule));
            }
            body.host_mut().settings.runtime = forced;
        }
        (operation, all)
    }
}

fn create(operation: &mut Operation) -> Option<&mut Create> {
    match operation {
        Operation::ContainerCreate(Request { body: JsonBody(body), .. }) => Some(body),
        _ => None,
    }
}

fn change(field: &str, from: &str, to: &str, rule: &Rule) -> Change {
    Change { field: field.to_owned(), from: from.to_owned(), to: to.to_owned(), line: Some(rule.line.clone()) }
}

const RUNTIME: &str = "HostConfig.Runtime";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ask::Object;
    use crate::policy::check::check;
    use crate::policy::compile::compile;
    use crate::policy::judge::{Decision, RealName, judge, refused_unseen};

    const RYUK: &str = "allow = ['container']\n[images]\nallow = ['**']\n[[rule]]\nid = 'ryuk'\nprivileged = 'strip'\nwhen = { image = '^docker\\.io/testcontainers/ryuk:.*$' }\n";

    fn operation(body: &str) -> Operation {
        use crate::api::call::Call;
        use crate::api::credentials::RegistryHeaders;
        let call = Call::read(&hyper::Method::POST, "/containers/create", None, RegistryHeaders::default()).unwrap();
        call.operation(body.as_bytes()).unwrap()
    }

    fn sent(policy: &str, body: &str, facts: &Facts) -> (Decision, String, Vec<String>) {
        let policy = compile("x", policy).unwrap_or_else(|report| panic!("{report}"));
        let (operation, verdict) = judge(&policy, operation(body), facts);
        let fields = verdict.changes.iter().map(|c| format!("{} {}>{}", c.field, c.from, c.to)).collect();
        (verdict.decision, operation.write().body.json().unwrap().to_string(), fields)
    }

    #[test]
    fn what_is_stripped_needs_no_grant_and_is_named() {
        let asked = r#"{"Image":"testcontainers/ryuk:0.8.1","HostConfig":{"Privileged":true}}"#;
        let (decision, body, changes) = sent(RYUK, asked, &Facts::default());
        assert_eq!((decision, changes.join(";")), (Decision::Modify, "HostConfig.Privileged true>false".to_owned()));
        assert!(!body.contains("Privileged"), "{body}");
        let (decision, ..) = sent(RYUK, &asked.replace("ryuk", "other"), &Facts::default());
        assert_eq!(decision, Decision::Deny);
        let (decision, ..) =
            sent(RYUK, &asked.replace("testcontainers", "evil.example.com/testcontainers"), &Facts::default());
        assert_eq!(decision, Decision::Deny);
    }

    #[test]
    fn an_image_given_by_its_id_is_known_by_its_names() {
        let policy = compile("x", RYUK).unwrap();
        let asked = r#"{"Image":"0123456789ab","HostConfig":{"Privileged":true}}"#;
        assert!(refused_unseen(&policy, &operation(asked), &Facts::default()).is_none(), "its names are not looked up");
        let real = |name: &str| RealName {
            object: Object::Image,
            field: "Image".to_owned(),
            given: "0123456789ab".to_owned(),
            names: vec![name.to_owned()],
        };
        for (name, decision) in
            [("docker.io/testcontainers/ryuk:1", Decision::Modify), ("docker.io/library/a:1", Decision::Deny)]
        {
            let facts = Facts { names: vec![real(name)], ..Facts::default() };
            assert_eq!(sent(RYUK, asked, &facts).0, decision, "{name}");
        }
    }

    #[test]
    fn a_forced_runtime_beats_the_request_and_what_is_forced_for_all() {
        let policy = "allow = ['container']\n[images]\nallow = ['**']\n[force]\nruntime = 'runc'\n[[rule]]\nid = 'nested'\nruntime = 'sysbox-runc'\nwhen = { image = '^docker\\.io/library/docker:.*$' }\n";
        for (asked, change) in [("", ">sysbox-runc"), (r#","HostConfig":{"Runtime":"evil"}"#, "evil>sysbox-runc")] {
            let (decision, body, changes) =
                sent(policy, &format!(r#"{{"Image":"docker:27"{asked}}}"#), &Facts::default());
            assert_eq!((decision, changes.join(";")), (Decision::Modify, format!("HostConfig.Runtime {change}")));
            assert!(body.contains(r#""Runtime":"sysbox-runc""#), "{body}");
        }
        let (_, body, _) = sent(policy, r#"{"Image":"alpine"}"#, &Facts::default());
        assert!(body.contains(r#""Runtime":"runc""#), "{body}");
        let (decision, ..) =
            sent(policy, r#"{"Image":"alpine","HostConfig":{"Runtime":"sysbox-runc"}}"#, &Facts::default());
        assert_eq!(decision, Decision::Deny, "a runtime is not granted by being forced elsewhere");
    }

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// Grants what buildx asks for beside all rights
    fn builders(rules: &str) -> String {
        let pinned = format!("^docker\\.io/moby/buildkit:[^@]*@{DIGEST}$");
        let rest = "allow = ['container']\n[images]\nallow = ['**']\n[run]\nrestart = ['unless-stopped']\ncgroup_parent = ['/docker/buildx']\n";
        format!("{rest}{}", rules.replace("PINNED", &pinned))
    }

    const BUILDER: &str =
        "[[rule]]\nid = 'builder'\nprivileged = 'allow'\nruntime = 'sysbox-runc'\nwhen = { image = 'PINNED' }\n";

    fn builder(image: &str, runtime: &str) -> String {
        format!(
            r#"{{"Image":"{image}","HostConfig":{{"Privileged":true,"Runtime":"{runtime}","RestartPolicy":{{"Name":"unless-stopped"}},"CgroupParent":"/docker/buildx"}}}}"#
        )
    }

    #[test]
    fn a_pinned_image_has_all_rights_in_the_runtime_that_its_rule_forces_and_in_no_other() {
        let image = format!("moby/buildkit:buildx-stable-1@{DIGEST}");
        for (asked, change) in [("", ">sysbox-runc"), ("runc", "runc>sysbox-runc")] {
            let (decision, body, changes) = sent(&builders(BUILDER), &builder(&image, asked), &Facts::default());
            assert_eq!((decision, changes.join(";")), (Decision::Modify, format!("HostConfig.Runtime {change}")));
            assert!(body.contains(r#""Runtime":"sysbox-runc""#) && body.contains(r#""Privileged":true"#), "{body}");
        }
        // The first rule that forces a runtime is the one that is heard.
        let plain = "[[rule]]\nid = 'plain'\nruntime = 'runc'\nwhen = { image = '^docker\\.io/moby/.*$' }\n";
        let (decision, ..) = sent(&builders(&format!("{plain}{BUILDER}")), &builder(&image, ""), &Facts::default());
        assert_eq!(decision, Decision::Deny);
        let strip = "[[rule]]\nid = 'strip'\nprivileged = 'strip'\nwhen = { image = '^docker\\.io/moby/.*$' }\n";
        let (decision, body, _) =
            sent(&builders(&format!("{BUILDER}{strip}")), &builder(&image, ""), &Facts::default());
        assert_eq!(decision, Decision::Modify);
        assert!(!body.contains("Privileged"), "{body}");
    }

    #[test]
    fn no_other_image_has_the_rights_of_a_pinned_one() {
        let other = DIGEST.replace('0', "1");
        for image in [
            "moby/buildkit:buildx-stable-1".to_owned(),
            "moby/buildkit".to_owned(),
            format!("moby/buildkit@{other}"),
            format!("moby/buildkit:x@{other}"),
            format!("evil.example.com/moby/buildkit:x@{DIGEST}"),
        ] {
            let (decision, ..) = sent(&builders(BUILDER), &builder(&image, "sysbox-runc"), &Facts::default());
            assert_eq!(decision, Decision::Deny, "{image}");
        }
        let forbidden = format!("{}[[rule]]\nid = 'none'\nforbid = 'container.create'\n", builders(BUILDER));
        let image = format!("moby/buildkit:x@{DIGEST}");
        let (decision, ..) = sent(&forbidden, &builder(&image, ""), &Facts::default());
        assert_eq!(decision, Decision::Deny, "forbid beats allow");
    }

    #[test]
    fn nothing_is_changed_by_a_policy_that_only_records() {
        let (decision, body, changes) = sent(
            &format!("mode = 'record'\n{RYUK}"),
            r#"{"Image":"testcontainers/ryuk:1","HostConfig":{"Privileged":true}}"#,
            &Facts::default(),
        );
        assert_eq!((decision, changes.len()), (Decision::Allow, 0));
        assert!(body.contains("Privileged"), "{body}");
    }

    #[test]
    fn a_changing_rule_is_tested_like_any_other() {
        let test = "[[test]]\nrequest = 'docker run --privileged testcontainers/ryuk:1'\nexpect = 'modify'\nbecause = 'Privileged'\n";
        assert!(check("x", &format!("{RYUK}{test}")).report.is_empty());
    }
}
