//! Lists and prunes of an owner: the engine is asked for what carries the owner's label, and by the names it knows.
//!
//! What a client filters by only narrows this further: labels are joined by *and*, and every other key has its own.

use crate::api::operation::Operation;
use crate::api::query::Filters;
use crate::api::request::Request;
use crate::policy::view::View;

/// Narrows a list or prune to what the owner has
pub(super) fn narrow(view: &View, operation: &mut Operation) {
    match operation {
        Operation::ContainerList(Request { query, .. }) => {
            own(view, &mut query.filters);
            patterns(&mut query.filters, |pattern| vec![named(view, pattern)]);
            exact(view, &mut query.filters, &["network", "volume"]);
        }
        Operation::ContainerPrune(Request { query, .. })
        | Operation::ImagePrune(Request { query, .. })
        | Operation::NetworkPrune(Request { query, .. })
        | Operation::VolumePrune(Request { query, .. }) => own(view, &mut query.filters),
        Operation::VolumeList(Request { query, .. }) => {
            // What others made and this owner sees has another label, and is found in the answer.
            if !view.borrows_volumes() {
                own(view, &mut query.filters);
            }
            let borrowed = |pattern: &str| view.borrows_volumes().then(|| pattern.to_owned());
            patterns(&mut query.filters, |pattern| {
                [named(view, pattern), unnamed(pattern)].into_iter().chain(borrowed(pattern)).collect()
            });
        }
        // What of it is to be seen, and what has the name, is found in the answer.
        Operation::NetworkList(Request { query, .. }) => {
            query.filters.0.remove("name");
        }
        Operation::Events(Request { query, .. }) => {
            // Events of networks and volumes have no labels; where they are not asked for, the engine says less.
            let types = query.filters.0.get("type");
            let containers = types.is_some_and(|types| types.iter().all(|kind| kind == "container"));
            if containers || query.filters.0.contains_key("label") {
                own(view, &mut query.filters);
            }
            exact(view, &mut query.filters, &["container", "network", "volume"]);
        }
        // What is in BuildKit's cache does not say whose it is, but for cache mounts, which no filter here can tell.
        Operation::BuildPrune(Request { query, .. }) => {
            query.filters.0.insert("id".to_owned(), vec![view.suffix().to_owned()]);
        }
        _ => {}
    }
}

/// Only what carries the owner's label
pub(super) fn own(view: &View, filters: &mut Filters) {
    filters.0.entry("label".to_owned()).or_default().push(view.label());
}

/// One of several values is enough, and nobody else's object has the name with the suffix
fn exact(view: &View, filters: &mut Filters, keys: &[&str]) {
    for (_, values) in filters.0.iter_mut().filter(|(key, _)| keys.contains(&key.as_str())) {
        let full: Vec<String> = values.iter().map(|value| view.full(value)).collect();
        values.extend(full);
    }
}

fn patterns(filters: &mut Filters, rewrite: impl Fn(&str) -> Vec<String>) {
    if let Some(values) = filters.0.get_mut("name") {
        *values = values.iter().flat_map(|value| rewrite(value)).collect();
    }
}

/// A pattern over names, which matches before the suffix what it would match without one
///
/// What ends in `$` ends before the suffix; anything else may go on until there, and never begins in it.
fn named(view: &View, pattern: &str) -> String {
    let suffix = view.suffix();
    let mut ended = false;
    let mut written = String::new();
    let (mut escaped, mut class) = (false, false);
    for c in pattern.chars() {
        match c {
            '$' if !escaped && !class => {
                ended = true;
                written.push_str(suffix);
            }
            '[' if !escaped => class = true,
            ']' if !escaped => class = false,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        written.push(c);
    }
    if ended { format!("(?:{written})(?:.*{suffix})?$") } else { format!("(?:{pattern}).*{suffix}$") }
}

/// The same for what has no name but digits of the engine's choice
fn unnamed(pattern: &str) -> String {
    format!("^[0-9a-f]*(?:{pattern})[0-9a-f]*$")
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    fn view() -> View {
        View::new("job-7", "0123456789ab", "calm_otter1")
    }

    fn finds(pattern: &str, name: &str) -> bool {
        Regex::new(&named(&view(), pattern)).unwrap().is_match(&view().full(name))
    }

    #[test]
    fn a_pattern_finds_what_it_would_find_without_a_suffix() {
        let names = ["web", "web-1", "db", "my.web", "swallow", "0123"];
        let patterns = [
            "web",
            "^web$",
            "^/?web$",
            "web$",
            "^web",
            "w.b",
            "^db$|^web-1$",
            "a",
            "0",
            "sw",
            "1",
            "[$w]eb",
            r"\$",
            "^$",
            "b",
        ];
        for pattern in patterns {
            for name in names {
                // Beyond the last alternative that has an end of its own nothing is lost, and little is won.
                assert_eq!(finds(pattern, name), Regex::new(pattern).unwrap().is_match(name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn nothing_of_the_client_takes_the_owners_label_out_of_a_filter() {
        for written in [
            r#"null"#,
            r#"{"label":null}"#,
            r#"{"label":["a=b"]}"#,
            r#"{"label":{"sockwarden.owner=other":true}}"#,
            r#"{"label!":["sockwarden.owner=job-7"]}"#,
        ] {
            let mut filters = <Filters as crate::api::query::Param>::read(vec![written.to_owned()]).unwrap();
            own(&view(), &mut filters);
            assert!(filters.0["label"].contains(&"sockwarden.owner=job-7".to_owned()), "{written}: {filters:?}");
        }
    }
}
