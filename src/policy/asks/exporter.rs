//! Asks of what becomes of a build by BuildKit: names of images, pushes, and what goes back to the client.
//!
//! An exporter's attributes are a closed set: what it does not know itself an exporter takes for metadata of the result,
//! and with that for the image's configuration (BuildKit 0.8 to 0.25).

use std::collections::BTreeMap;

use crate::api::buildkit::bridge::Return;
use crate::api::buildkit::control::Solve;
use crate::api::buildkit::image_config::{is_config, labelled};
use crate::api::image_ref::{ImageRef, Meaning, Named};
use crate::policy::ask::{Flag, What};
use crate::policy::asks::{Asks, RESERVED_LABELS};

pub(super) fn exporters(solve: &Solve, asks: &mut Asks) {
    let Solve { exporter, exporter_attrs, exporters, enable_session_exporter, .. } = solve;
    // The session would choose, and nobody reads that here.
    if *enable_session_exporter {
        asks.add(What::Odd("exporter", "of the session".to_owned()), "EnableSessionExporter");
    }
    for (index, one) in exporters.iter().enumerate() {
        self::exporter(&one.kind, &one.attrs, &format!("Exporters[{index}]"), asks);
    }
    // Engines up to 25 read this one, newer ones the list; clients say the same in both.
    let again = exporters.first().is_some_and(|first| first.kind == *exporter && first.attrs == *exporter_attrs);
    let is_empty = exporter.is_empty() && exporter_attrs.is_empty();
    match exporters.is_empty() {
        _ if again || is_empty => {}
        true => self::exporter(exporter, exporter_attrs, DEPRECATED, asks),
        false => asks.add(What::Odd("exporter", exporter.clone()), DEPRECATED),
    }
}

fn exporter(kind: &str, attrs: &BTreeMap<String, String>, field: &str, asks: &mut Asks) {
    let makes_image = match kind {
        "moby" | "image" => true,
        "local" | "tar" | "oci" | "docker" => false,
        other => return asks.add(What::Odd("exporter", other.to_owned()), field),
    };
    if !makes_image {
        asks.flag(Flag::Output, kind, field);
    }
    for (key, value) in attrs {
        let field = format!("{field}.{key}");
        match key.as_str() {
            // In an archive or directory they are the client's own.
            "name" if makes_image => names(value, &field, asks),
            "name" => {}
            "push" if is_off(value) => {}
            "push" => asks.add(What::Operation("image.push"), field),
            "registry.insecure" if is_off(value) => {}
            _ if ATTRIBUTES.contains(&key.as_str()) || key.starts_with("annotation") => {}
            _ => asks.add(What::Odd("exporter attribute", format!("{key}={value}")), field),
        }
    }
}

/// Names, as the engine takes the list apart; what is no name with a tag is none that can be claimed
fn names(list: &str, field: &str, asks: &mut Asks) {
    if list.is_empty() {
        return;
    }
    for (index, name) in list.split(',').enumerate() {
        let field = format!("{field}[{index}]");
        match ImageRef::read(name) {
            Ok(image) if matches!(image.meaning(), Meaning::Named(Named { digest: None, .. })) => {
                asks.add(What::Image(image), field);
            }
            _ => asks.add(What::Odd("image name", name.to_owned()), field),
        }
    }
}

/// The result of a frontend, and with it the image's configuration, whose labels will say whose it is
pub(super) fn returned(returned: &Return, asks: &mut Asks) {
    let Return { result, error: _ } = returned;
    for (key, value) in result.iter().flat_map(|result| &result.metadata).filter(|(key, _)| is_config(key)) {
        if let Err(why) = labelled(value, RESERVED_LABELS, &BTreeMap::new()) {
            asks.add(What::Odd("image configuration", why), format!("result.metadata.{key}"));
        }
    }
}

/// What the engine takes for no; all else is yes, or an error of its own
pub(super) fn is_off(value: &str) -> bool {
    matches!(value, "0" | "f" | "F" | "false" | "FALSE" | "False")
}

/// Where engines up to 25 look
const DEPRECATED: &str = "ExporterDeprecated";

/// Attributes about the shape of a result, not about whose it is or where it goes
const ATTRIBUTES: &[&str] = &[
    "attestation-inline",
    "attestation-prefix",
    "buildinfo",
    "buildinfo-attrs",
    "compression",
    "compression-level",
    "force-compression",
    "load",
    "mode",
    "name-canonical",
    "oci-artifact",
    "oci-mediatypes",
    "platform-split",
    "prefer-image-digest",
    "prefer-nondist-layers",
    "push-by-digest",
    "rewrite-timestamp",
    "source-date-epoch",
    "store",
    "tar",
    "unpack",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::buildkit::control::Exporter;
    use crate::api::operation::Operation;
    use crate::api::request::{Protobuf, Request};
    use crate::policy::compile::compile;
    use crate::policy::judge::{Decision, Facts, judge};

    fn attrs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn asked(solve: &Solve) -> Vec<String> {
        let mut asks = Asks(Vec::new());
        exporters(solve, &mut asks);
        asks.0.into_iter().map(|ask| format!("{} {}", ask.field, ask.what)).collect()
    }

    fn one(kind: &str, pairs: &[(&str, &str)]) -> Vec<String> {
        let exporters = vec![Exporter { kind: kind.to_owned(), attrs: attrs(pairs) }];
        asked(&Solve { exporters, ..Solve::default() })
    }

    #[test]
    fn every_name_of_an_image_is_asked_for() {
        let asked = one("moby", &[("name", "a,docker.io/library/b:1,r.example/c"), ("push", "false")]);
        let names = [
            "Exporters[0].name[0] image docker.io/library/a:latest",
            "Exporters[0].name[1] image docker.io/library/b:1",
            "Exporters[0].name[2] image r.example/c:latest",
        ];
        assert_eq!(asked, names);
        assert!(one("image", &[]).is_empty() && one("moby", &[("name", "")]).is_empty());
        let digest = format!("a@sha256:{}", "0".repeat(64));
        for name in ["*", "a, b", "a,", "A", &"0".repeat(64), &digest, "sha256:00"] {
            assert!(one("moby", &[("name", name)]).iter().any(|ask| ask.contains("image name")), "{name}");
        }
    }

    #[test]
    fn what_goes_elsewhere_than_into_the_engine_is_asked_for() {
        assert_eq!(one("local", &[("platform-split", "true")]), ["Exporters[0] output=local"]);
        assert_eq!(one("oci", &[("name", "not/claimed"), ("tar", "false")]), ["Exporters[0] output=oci"]);
        for on in ["true", "1", "", "yes"] {
            assert_eq!(one("image", &[("push", on)]), ["Exporters[0].push image.push"], "{on}");
        }
        assert!(one("image", &[("push", "0"), ("registry.insecure", "false")]).is_empty());
    }

    #[test]
    fn a_build_that_pushes_is_a_push() {
        let solve = |push: &str| {
            let attrs = attrs(&[("name", "r.example/a"), ("push", push)]);
            let exporters = vec![Exporter { kind: "image".to_owned(), attrs }];
            let body = Protobuf(Solve { reference: "r".to_owned(), exporters, ..Solve::default() });
            Operation::BuildSolve(Request { subject: (), query: (), body, headers: () })
        };
        let denied = |policy: &str, push: &str| {
            let policy = compile("x", policy).unwrap_or_else(|report| panic!("{report}"));
            judge(&policy, solve(push), &Facts::default()).1.decision == Decision::Deny
        };
        let images = "[images]\nallow = ['**']\n";
        let build = format!("allow = ['build']\n{images}");
        assert!(denied(&build, "true") && !denied(&build, "false"));
        let push = format!("allow = ['build', 'image.push']\n{images}");
        assert!(!denied(&push, "true"));
        let rule = "[[rule]]\nid = 'x'\nforbid = 'image.push'\nwhen = { image = '^r\\.example/' }\n";
        assert!(denied(&format!("{push}{rule}"), "true") && !denied(&format!("{push}{rule}"), "false"));
    }

    #[test]
    fn what_is_not_known_is_no_policys_to_grant() {
        for kind in ["", "Moby", "nydus", "registry"] {
            assert!(one(kind, &[("name", "a")]).iter().all(|ask| ask.contains("exporter `")), "{kind}");
        }
        for (key, value) in [
            ("registry.insecure", "true"),
            ("dangling-name-prefix", "a"),
            ("containerimage.config", "{}"),
            ("Name", "a"),
            ("image.name", "a"),
        ] {
            assert!(one("moby", &[(key, value)]).iter().any(|ask| ask.contains("exporter attribute")), "{key}");
        }
        let solve = Solve { enable_session_exporter: true, ..Solve::default() };
        assert_eq!(asked(&solve), ["EnableSessionExporter exporter `of the session`"]);
    }

    #[test]
    fn the_two_places_of_an_exporter_say_the_same() {
        let (kind, named) = ("moby".to_owned(), attrs(&[("name", "a")]));
        let list = vec![Exporter { kind: kind.clone(), attrs: named.clone() }];
        let both = Solve {
            exporter: kind.clone(),
            exporter_attrs: named.clone(),
            exporters: list.clone(),
            ..Solve::default()
        };
        assert_eq!(asked(&both), ["Exporters[0].name[0] image docker.io/library/a:latest"]);
        let old = Solve { exporters: Vec::new(), ..both.clone() };
        assert_eq!(asked(&old), ["ExporterDeprecated.name[0] image docker.io/library/a:latest"]);
        let new = Solve { exporter: String::new(), exporter_attrs: BTreeMap::new(), ..both.clone() };
        assert_eq!(asked(&new).len(), 1);
        for other in [
            Solve { exporter_attrs: attrs(&[("name", "b")]), ..both.clone() },
            Solve { exporter: "local".to_owned(), ..both.clone() },
            Solve { exporter: String::new(), ..both },
        ] {
            assert!(asked(&other).iter().any(|ask| ask.starts_with("ExporterDeprecated exporter `")), "{other:?}");
        }
    }
}
