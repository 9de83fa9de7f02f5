//! Builds of an owner as they are known on the engine, and of what is kept between builds, what is its own.

use crate::api::buildkit::control::BuildHistoryRequest;
use crate::api::operation::Operation;
use crate::api::request::{Protobuf, Request};
use crate::policy::ids::replace;
use crate::policy::judge::Facts;
use crate::policy::modify::Changes;
use crate::policy::view::{View, suffix};

/// Puts the ids on the engine in the place of the owner's, and parts what is its own from what is others'
pub(super) fn give(view: &View, operation: &mut Operation, facts: &Facts) {
    replace(operation, |id| view.full(id));
    match operation {
        // A context of the same name, key and figures is taken for the one that the engine has already.
        Operation::BuildSession(Request { headers, .. }) => {
            if let Some(cache) = &facts.cache {
                headers.shared_key = format!("{cache}:{}", headers.shared_key);
            }
        }
        Operation::BuildDiskUsage(Request { body: Protobuf(usage), .. }) => {
            usage.filter = both(&own_mounts(view, facts), &usage.filter);
        }
        Operation::BuildCachePrune(Request { body: Protobuf(prune), .. }) => {
            prune.filter = both(&own_mounts(view, facts), &prune.filter);
        }
        _ => {}
    }
}

/// Asks the history for all that there is
///
/// An engine of 28.5 ends where a record is sifted or counted that was removed while somebody looked at it. Clients sift what
/// they get themselves, as engines before 28.0 do not; and a limit would count the builds of others.
pub(super) fn history(history: &mut BuildHistoryRequest, changes: &mut Changes) {
    for filter in std::mem::take(&mut history.filter) {
        changes.add("Filter", filter, "", None);
    }
    if history.limit != 0 {
        changes.add("Limit", std::mem::take(&mut history.limit), "", None);
    }
}

/// What passes `own`, and one of the filters; ours come first, as nothing behind it changes what a filter has said before
fn both(own: &str, filters: &[String]) -> Vec<String> {
    let narrowed = |filter: &String| match filter.as_str() {
        "" => own.to_owned(),
        filter => format!("{own},{filter}"),
    };
    if filters.is_empty() { vec![own.to_owned()] } else { filters.iter().map(narrowed).collect() }
}

/// A filter of records of the cache: an owner's cache mounts carry its word in their ids, which end their descriptions
///
/// Nothing else in the cache says whose it is. What a project shares is no owner's own.
fn own_mounts(view: &View, facts: &Facts) -> String {
    match facts.cache.as_ref().filter(|cache| suffix(cache) == view.suffix()) {
        Some(cache) => format!("type==exec.cachemount,description~=| with id \"{cache}/[^\"]*\"$|"),
        None => format!("id=={}", view.suffix()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::buildkit::control::DiskUsage;
    use crate::api::buildkit::session::Session;

    fn given(operation: Operation, cache: Option<&str>) -> Operation {
        let view = View::new("job-7", "0123456789ab", "calm_otter1");
        let facts = Facts { cache: cache.map(str::to_owned), ..Facts::default() };
        let mut operation = operation;
        give(&view, &mut operation, &facts);
        operation
    }

    fn of<T>(message: T) -> Request<(), (), Protobuf<T>> {
        Request { subject: (), query: (), body: Protobuf(message), headers: () }
    }

    fn usage(filter: &[&str], cache: Option<&str>) -> Vec<String> {
        let filter = filter.iter().map(|filter| (*filter).to_owned()).collect();
        match given(Operation::BuildDiskUsage(of(DiskUsage { filter, ..DiskUsage::default() })), cache) {
            Operation::BuildDiskUsage(Request { body: Protobuf(usage), .. }) => usage.filter,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn of_the_cache_only_mounts_of_ones_own_are_asked_for() {
        let own = "type==exec.cachemount,description~=| with id \"0123456789ab/[^\"]*\"$|";
        assert_eq!(usage(&[], Some("0123456789ab")), [own]);
        assert_eq!(usage(&[""], Some("0123456789ab")), [own], "as buildx says that it has none");
        assert_eq!(usage(&["a", "b"], Some("0123456789ab")), [format!("{own},a"), format!("{own},b")]);
        for cache in [Some("0123456789ac"), None] {
            assert_eq!(usage(&["type==regular"], cache), ["id==--sw0123456789ab,type==regular"]);
        }
    }

    #[test]
    fn the_engine_is_never_asked_to_sift_its_history() {
        let asked = BuildHistoryRequest {
            filter: vec!["status==completed".to_owned()],
            limit: 3,
            early_exit: true,
            ..BuildHistoryRequest::default()
        };
        let (mut sent, mut changes) = (asked.clone(), Changes(Vec::new()));
        history(&mut sent, &mut changes);
        assert_eq!(sent, BuildHistoryRequest { early_exit: true, ..BuildHistoryRequest::default() });
        let changed: Vec<&str> = changes.0.iter().map(|change| change.field.as_str()).collect();
        assert_eq!(changed, ["Filter", "Limit"]);
    }

    #[test]
    fn contexts_are_shared_with_whom_the_cache_is() {
        let session = || {
            let headers = Session { id: "abc".to_owned(), shared_key: "dir:node".to_owned(), ..Session::default() };
            Operation::BuildSession(Request { subject: (), query: (), body: (), headers })
        };
        for (cache, key) in [(Some("0123456789ac"), "0123456789ac:dir:node"), (None, "dir:node")] {
            let Operation::BuildSession(Request { headers, .. }) = given(session(), cache) else {
                panic!("another operation");
            };
            assert_eq!((headers.id.as_str(), headers.shared_key.as_str()), ("abc--sw0123456789ab", key));
        }
    }
}
