//! Builds of an owner as they are known on the engine, and of what is kept between builds, what is its own.

use crate::api::operation::Operation;
use crate::api::request::{Protobuf, Request};
use crate::policy::ids::replace;
use crate::policy::judge::Facts;
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
        // Whose a record is, is found in the answer; this is for the engine's limit, which counts what its filters let pass.
        Operation::BuildHistory(Request { body: Protobuf(history), .. }) if history.reference.is_empty() => {
            let own = format!("ref~=/{}$/", view.suffix());
            history.filter = both(&own, &history.filter, |filter| refs(view, filter));
        }
        Operation::BuildDiskUsage(Request { body: Protobuf(usage), .. }) => {
            usage.filter = both(&own_mounts(view, facts), &usage.filter, str::to_owned);
        }
        Operation::BuildCachePrune(Request { body: Protobuf(prune), .. }) => {
            prune.filter = both(&own_mounts(view, facts), &prune.filter, str::to_owned);
        }
        _ => {}
    }
}

/// What passes `own`, and one of the filters; ours come first, as nothing behind it changes what a filter has said before
fn both(own: &str, filters: &[String], written: impl Fn(&str) -> String) -> Vec<String> {
    let narrowed = |filter: &String| match filter.as_str() {
        "" => own.to_owned(),
        filter => format!("{own},{}", written(filter)),
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

/// A filter of the history with the names on the engine
fn refs(view: &View, filter: &str) -> String {
    let full = |field: &str| match field.strip_prefix("ref==").or_else(|| field.strip_prefix("ref!=")) {
        Some(id) if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) => view.full(field),
        _ => field.to_owned(),
    };
    filter.split(',').map(full).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::buildkit::control::{BuildHistoryRequest, DiskUsage};
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
    fn records_of_others_do_not_count_in_a_limit() {
        let filter = vec!["status==completed,ref==abc".to_owned(), "ref~=a".to_owned()];
        let history = BuildHistoryRequest { filter, limit: 3, ..BuildHistoryRequest::default() };
        let Operation::BuildHistory(Request { body: Protobuf(history), .. }) =
            given(Operation::BuildHistory(of(history)), None)
        else {
            panic!("another operation");
        };
        let own = "ref~=/--sw0123456789ab$/";
        let full = format!("{own},status==completed,ref==abc--sw0123456789ab");
        assert_eq!(history.filter, [full, format!("{own},ref~=a")]);
        assert_eq!(history.limit, 3);
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
