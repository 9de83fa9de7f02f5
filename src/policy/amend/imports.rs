//! Caches that a build would read and that no line grants: it goes on without them, as it does when there are none.
//!
//! What BuildKit reads becomes part of the engine's own cache, and everybody's later builds are served from it (0.8 to
//! 0.32). An image in the engine counts as such a cache, too, if it has the name that was given.

use std::collections::BTreeMap;

use crate::api::buildkit::bridge::Solve as BridgeSolve;
use crate::api::buildkit::control::{CacheOptionsEntry, Solve};
use crate::api::operation::Operation;
use crate::api::request::{Protobuf, Request};
use crate::policy::ask::{Flag, What};
use crate::policy::asks::buildkit::cache::{of_image, said, write, written};
use crate::policy::judge::granted;
use crate::policy::modify::Change;
use crate::policy::{Mode, Policy};

/// The operation without them, and what was left out; nothing where all is granted
pub(super) fn leave_out(policy: &Policy, operation: &Operation) -> Option<(Operation, Vec<Change>)> {
    if policy.mode != Mode::Enforce {
        return None;
    }
    let mut kept = Kept { policy, changes: Vec::new() };
    let mut operation = match operation {
        Operation::BuildSolve(_) | Operation::BridgeSolve(_) => operation.clone(),
        _ => return None,
    };
    match &mut operation {
        Operation::BuildSolve(Request { body: Protobuf(body), .. }) => kept.solve(body),
        Operation::BridgeSolve(Request { body: Protobuf(body), .. }) => kept.bridge_solve(body),
        _ => {}
    }
    (!kept.changes.is_empty()).then_some((operation, kept.changes))
}

struct Kept<'a> {
    policy: &'a Policy,
    changes: Vec<Change>,
}

impl Kept<'_> {
    fn solve(&mut self, body: &mut Solve) {
        self.options(&mut body.frontend_attrs, "FrontendAttrs");
        if let Some(cache) = &mut body.cache {
            cache.import_refs.retain(|image| self.keeps(&of_image(image), "Cache.ImportRefsDeprecated"));
            self.entries(&mut cache.imports, "Cache.Imports");
        }
    }

    fn bridge_solve(&mut self, body: &mut BridgeSolve) {
        self.options(&mut body.frontend_opt, "FrontendOpt");
        body.import_cache_refs.retain(|image| self.keeps(&of_image(image), "ImportCacheRefsDeprecated"));
        self.entries(&mut body.cache_imports, "CacheImports");
    }

    fn entries(&mut self, entries: &mut Vec<CacheOptionsEntry>, field: &str) {
        entries.retain(|entry| self.keeps(&said(&entry.kind, &entry.attrs), field));
    }

    /// What cannot be read is refused as such
    fn options(&mut self, options: &mut BTreeMap<String, String>, field: &str) {
        if let Some(json) = options.get_mut(IMPORTS)
            && let Some(mut imports) = written(json)
        {
            let before = imports.len();
            imports.retain(|(kind, attrs)| self.keeps(&said(kind, attrs), &format!("{field}.{IMPORTS}")));
            if imports.len() < before {
                *json = write(imports);
            }
        }
        if let Some(list) = options.get_mut(FROM).filter(|list| !list.is_empty() && !list.contains('"')) {
            let here = format!("{field}.{FROM}");
            let kept: Vec<&str> = list.split(',').filter(|image| self.keeps(&of_image(image), &here)).collect();
            *list = kept.join(",");
        }
    }

    fn keeps(&mut self, import: &str, field: &str) -> bool {
        let Err(refusal) = granted(self.policy, &What::Flag(Flag::CacheImport, import.to_owned())) else { return true };
        let from = What::Flag(Flag::CacheImport, import.to_owned()).to_string();
        self.changes.push(Change { field: field.to_owned(), from, to: String::new(), line: refusal.line });
        false
    }
}

const IMPORTS: &str = "cache-imports";
const FROM: &str = "cache-from";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::buildkit::BuildId;
    use crate::api::names::Name as _;
    use crate::policy::compile::compile;
    use crate::policy::judge::{Decision, Facts, judge};

    fn entry(image: &str) -> CacheOptionsEntry {
        let attrs = [("ref".to_owned(), image.to_owned())].into();
        CacheOptionsEntry { kind: "registry".to_owned(), attrs }
    }

    fn build() -> Operation {
        let json = r#"[{"Type":"registry","Attrs":{"ref":"r.example/own:1"}},{"Type":"local","Attrs":{"src":"x"}}]"#;
        let options = [(IMPORTS, json), (FROM, "r.example/own:1,evil.example/x")];
        let body = BridgeSolve {
            frontend: "dockerfile.v0".to_owned(),
            frontend_opt: options.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            import_cache_refs: vec!["evil.example/x".to_owned()],
            cache_imports: vec![entry("evil.example/x"), entry("r.example/own:1")],
            allow_result_return: true,
            allow_result_array_ref: true,
            ..BridgeSolve::default()
        };
        Operation::BridgeSolve(Request {
            subject: BuildId::parse("r").unwrap(),
            query: (),
            body: Protobuf(body),
            headers: (),
        })
    }

    fn judged(policy: &str) -> (Decision, BridgeSolve, usize) {
        let policy = compile("x", policy).unwrap_or_else(|report| panic!("{report}"));
        let (operation, verdict) = judge(&policy, build(), &Facts::default());
        let Operation::BridgeSolve(Request { body: Protobuf(body), .. }) = operation else { panic!() };
        let left_out = verdict.changes.iter().filter(|change| change.to.is_empty());
        (verdict.decision, body, left_out.count())
    }

    #[test]
    fn a_cache_that_no_line_grants_is_left_out_wherever_it_stands() {
        let images = "allow = ['build']\n[images]\nallow = ['**']\n";
        let (decision, body, changes) = judged(images);
        assert_eq!((decision, changes), (Decision::Modify, 7));
        assert!(body.cache_imports.is_empty() && body.import_cache_refs.is_empty());
        assert_eq!((body.frontend_opt[IMPORTS].as_str(), body.frontend_opt[FROM].as_str()), ("[]", ""));

        let (decision, body, changes) =
            judged(&format!("{images}[build]\ncache_import = ['type=registry,ref=r.example/*']"));
        assert_eq!((decision, changes), (Decision::Modify, 4));
        assert_eq!(body.cache_imports, [entry("r.example/own:1")]);
        assert_eq!(body.frontend_opt[IMPORTS], r#"[{"Type":"registry","Attrs":{"ref":"r.example/own:1"}}]"#);
        assert_eq!(body.frontend_opt[FROM], "r.example/own:1");

        let (decision, body, changes) = judged(&format!("{images}[build]\ncache_import = true"));
        assert_eq!((decision, body.cache_imports.len(), changes), (Decision::Modify, 2, 0));
    }

    #[test]
    fn a_registry_of_a_granted_cache_is_judged_like_that_of_an_image() {
        let (decision, _, _) =
            judged("allow = ['build']\n[images]\nallow = ['r.example/**']\n[build]\ncache_import = true");
        assert_eq!(decision, Decision::Deny);
    }

    #[test]
    fn imports_with_another_reading_are_refused() {
        for json in [
            r#"[{"type":"registry","Attrs":{}}]"#,
            r#"[{"Type":"registry","Type":"local"}]"#,
            r#"[{"Type":"registry","Attrs":{"ref":"a","ref":"b"}}]"#,
            r#"[{"Type":"registry","Other":1}]"#,
            r#"{"Type":"registry"}"#,
            "[",
        ] {
            assert_eq!(written(json), None, "{json}");
        }
    }
}
