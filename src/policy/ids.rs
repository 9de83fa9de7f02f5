//! Ids by which builds and sessions are known: clients choose them, and whoever says one reaches what it names.
//!
//! With a view of its own an owner's ids carry its suffix on the engine, as its names do, so that nobody can say another's.

use crate::api::buildkit::{BuildId, is_id};
use crate::api::names::Name as _;
use crate::api::operation::Operation;
use crate::api::request::{Protobuf, Request};

/// An id in an operation
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id {
    /// What it is of
    pub of: Kind,
    /// As the client gave it
    pub id: String,
    /// Where
    pub field: String,
}

/// What an id is of
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A build
    Build,
    /// A session, which gives a build files and secrets
    Session,
}

impl Id {
    /// Whether it is one that clients make
    pub fn is_plain(&self) -> bool {
        is_id(&self.id)
    }
}

impl Kind {
    /// In a word
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Session => "session",
        }
    }
}

/// Every id that an operation says
pub fn ids(operation: &Operation) -> Vec<Id> {
    let mut found = Vec::new();
    let mut add = |of, id: &str, field: &str| found.push(Id { of, id: id.to_owned(), field: field.to_owned() });
    use Operation as O;
    match operation {
        O::BuildSession(Request { headers, .. }) => add(Kind::Session, &headers.id, "X-Docker-Expose-Session-Uuid"),
        O::BuildSolve(Request { body: Protobuf(solve), .. }) => {
            add(Kind::Build, &solve.reference, "Ref");
            for (id, field) in [(&solve.session, "Session"), (&solve.source_policy_session, "SourcePolicySession")] {
                said(id).for_each(|id| add(Kind::Session, id, field));
            }
            for (key, id) in solve.frontend_attrs.iter().filter(|(key, _)| key.starts_with(SESSION_OF)) {
                add(Kind::Session, id, &format!("FrontendAttrs.{key}"));
            }
        }
        O::BuildStatus(Request { body: Protobuf(status), .. }) => add(Kind::Build, &status.reference, "Ref"),
        // Without one, all builds are meant.
        O::BuildHistory(Request { body: Protobuf(history), .. }) => {
            said(&history.reference).for_each(|id| add(Kind::Build, id, "Ref"));
        }
        O::BuildHistoryUpdate(Request { body: Protobuf(update), .. }) => add(Kind::Build, &update.reference, "Ref"),
        O::BridgeSolve(Request { body: Protobuf(solve), .. }) => {
            for (key, id) in solve.frontend_opt.iter().filter(|(key, _)| key.starts_with(SESSION_OF)) {
                add(Kind::Session, id, &format!("FrontendOpt.{key}"));
            }
        }
        O::BridgeResolveImage(Request { body: Protobuf(resolve), .. }) => {
            said(&resolve.session_id).for_each(|id| add(Kind::Session, id, "SessionID"));
        }
        O::BridgeResolveSource(Request { body: Protobuf(resolve), .. }) => {
            let attrs = resolve.source.iter().flat_map(|source| &source.attrs);
            for (key, id) in attrs.filter(|(key, id)| SESSION_IN.contains(&key.as_str()) && !id.is_empty()) {
                add(Kind::Session, id, &format!("Source.attrs.{key}"));
            }
        }
        _ => {}
    }
    subject(operation).into_iter().for_each(|id| add(Kind::Build, id.as_str(), "buildkit-controlapi-buildid"));
    found
}

/// Puts the id on the engine in the place of each that an operation says
pub fn replace(operation: &mut Operation, full: impl Fn(&str) -> String) {
    let put = |id: &mut String| {
        if !id.is_empty() {
            *id = full(id);
        }
    };
    use Operation as O;
    match operation {
        O::BuildSession(Request { headers, .. }) => put(&mut headers.id),
        O::BuildSolve(Request { body: Protobuf(solve), .. }) => {
            put(&mut solve.reference);
            put(&mut solve.session);
            put(&mut solve.source_policy_session);
            let attrs = solve.frontend_attrs.iter_mut().filter(|(key, _)| key.starts_with(SESSION_OF));
            attrs.for_each(|(_, id)| put(id));
        }
        O::BuildStatus(Request { body: Protobuf(status), .. }) => put(&mut status.reference),
        O::BuildHistory(Request { body: Protobuf(history), .. }) => put(&mut history.reference),
        O::BuildHistoryUpdate(Request { body: Protobuf(update), .. }) => put(&mut update.reference),
        O::BridgeSolve(Request { body: Protobuf(solve), .. }) => {
            let attrs = solve.frontend_opt.iter_mut().filter(|(key, _)| key.starts_with(SESSION_OF));
            attrs.for_each(|(_, id)| put(id));
        }
        O::BridgeResolveImage(Request { body: Protobuf(resolve), .. }) => put(&mut resolve.session_id),
        O::BridgeResolveSource(Request { body: Protobuf(resolve), .. }) => {
            let attrs = resolve.source.iter_mut().flat_map(|source| &mut source.attrs);
            attrs.filter(|(key, _)| SESSION_IN.contains(&key.as_str())).for_each(|(_, id)| put(id));
        }
        _ => {}
    }
    if let Some(full) = subject(operation).map(|id| full(id.as_str())) {
        operation.pin_subject(&full);
    }
}

/// The build that a frontend's call is about
fn subject(operation: &Operation) -> Option<&BuildId> {
    use Operation as O;
    match operation {
        O::BridgeSolve(Request { subject, .. })
        | O::BridgePing(Request { subject, .. })
        | O::BridgeReturn(Request { subject, .. })
        | O::BridgeInputs(Request { subject, .. })
        | O::BridgeEvaluate(Request { subject, .. })
        | O::BridgeReadFile(Request { subject, .. })
        | O::BridgeReadDir(Request { subject, .. })
        | O::BridgeStatFile(Request { subject, .. })
        | O::BridgeResolveImage(Request { subject, .. })
        | O::BridgeResolveSource(Request { subject, .. })
        | O::BridgeWarn(Request { subject, .. })
        | O::BridgeContainerNew(Request { subject, .. })
        | O::BridgeContainerRelease(Request { subject, .. })
        | O::BridgeContainerExec(Request { subject, .. }) => Some(subject),
        _ => None,
    }
}

fn said(id: &String) -> impl Iterator<Item = &String> {
    Some(id).filter(|id| !id.is_empty()).into_iter()
}

/// Attributes of a frontend that say whose files a context is made of
const SESSION_OF: &str = "local-sessionid:";
/// Attributes of a source that do
const SESSION_IN: &[&str] = &["local.session", "oci.session"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::buildkit::BuildId;
    use crate::api::buildkit::bridge::ResolveSourceMeta;
    use crate::api::buildkit::control::Solve;
    use crate::api::buildkit::llb::SourceOp;
    use crate::api::operation::METHODS;
    use crate::api::operation::Operation as O;
    use crate::api::request::{Content, Parts};

    /// Every field of every method, one at a time
    fn samples() -> impl Iterator<Item = (String, Operation)> {
        METHODS.iter().flat_map(|endpoint| {
            (endpoint.fields)().into_iter().filter_map(move |field| {
                let name = Some("abc".to_owned()).filter(|_| endpoint.path.contains(".frontend.LLBBridge/"));
                let parts = Parts { name, body: Content::Message(field.message.into()), ..Parts::default() };
                Some((format!("{} {}", endpoint.name, field.path), (endpoint.read)(parts).ok()?))
            })
        })
    }

    #[test]
    fn every_id_that_is_said_is_replaced() {
        for (sample, operation) in samples() {
            let mut replaced = operation.clone();
            replace(&mut replaced, |id| format!("{id}--x"));
            let before: Vec<String> = ids(&operation).into_iter().map(|id| id.id).collect();
            let after: Vec<String> = ids(&replaced).into_iter().map(|id| id.id).collect();
            let full = |id: &String| if id.is_empty() { String::new() } else { format!("{id}--x") };
            assert_eq!(after, before.iter().map(full).collect::<Vec<_>>(), "{sample}");
            assert_eq!(replaced == operation, before.iter().all(String::is_empty), "{sample}");
        }
    }

    #[test]
    fn every_field_that_is_called_a_ref_or_a_session_is_known() {
        for (sample, operation) in samples() {
            let word = sample.rsplit(['.', ' ']).next().unwrap_or_default();
            // Within its build the engine chose it; or it is an image.
            let of_a_result = sample.starts_with("build.frontend.") && word == "Ref";
            if matches!(word, "Ref" | "Session" | "SessionID" | "SourcePolicySession") && !of_a_result {
                assert!(ids(&operation).iter().any(|id| id.field == word), "{sample}: {:?}", ids(&operation));
            }
        }
    }

    #[test]
    fn a_session_in_an_attribute_is_an_id_and_nothing_else_there_is() {
        let attrs = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, id)| ((*key).into(), (*id).into())).collect();
        let solve = Solve {
            frontend_attrs: attrs(&[("local-sessionid:context", "abc"), ("context", "abc")]),
            ..Solve::default()
        };
        let mut operation = O::BuildSolve(of(solve));
        replace(&mut operation, |id| format!("{id}--x"));
        let O::BuildSolve(Request { body: Protobuf(solve), .. }) = &operation else { unreachable!() };
        assert_eq!(solve.frontend_attrs["local-sessionid:context"], "abc--x");
        assert_eq!(solve.frontend_attrs["context"], "abc");
        assert!(ids(&operation).iter().any(|id| id.field == "FrontendAttrs.local-sessionid:context"));

        let source = SourceOp { attrs: attrs(&[("oci.session", "abc"), ("oci.store", "abc")]), ..SourceOp::default() };
        let resolve = ResolveSourceMeta { source: Some(source), ..ResolveSourceMeta::default() };
        let subject = BuildId::parse("ref").unwrap();
        let mut operation =
            O::BridgeResolveSource(Request { subject, query: (), body: Protobuf(resolve), headers: () });
        assert_eq!(ids(&operation).len(), 2, "the build's as well");
        replace(&mut operation, |id| format!("{id}--x"));
        let said: Vec<String> = ids(&operation).into_iter().map(|id| id.id).collect();
        assert_eq!(said, ["abc--x", "ref--x"]);
    }

    fn of<T>(message: T) -> Request<(), (), Protobuf<T>> {
        Request { subject: (), query: (), body: Protobuf(message), headers: () }
    }
}
