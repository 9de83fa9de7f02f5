//! Asks of Dockerfile instructions in a query (`changes` of commit and import): they may set a label that names an owner,
//! and triggers that fetch something for whoever builds on the image.
//!
//! The builder drops quotes and escapes, puts variables in and joins continued lines, so that `LABEL sock\warden.owner=x`
//! sets `sockwarden.owner` (20.10 to 28.5). For labels that is not imitated here: what it might read in a way of its own is
//! refused.

use std::collections::BTreeMap;

use crate::api::dockerfile::sources;
use crate::policy::ask::What;
use crate::policy::asks::dockerfile::taken;
use crate::policy::asks::{Asks, RESERVED_LABELS};

pub(super) fn changes(changes: &[String], asks: &mut Asks) {
    for (index, change) in changes.iter().enumerate() {
        let field = format!("query.changes[{index}]");
        if is_more_than_one_line(change) {
            asks.add(What::Odd("instruction", change.clone()), field);
        } else if may_name_an_owner(change) {
            asks.add(What::ReservedLabel(change.clone()), field);
        } else {
            asks.0.extend(taken(&sources(change.as_bytes(), &BTreeMap::new(), ""), &field).asks);
        }
    }
}

/// A directive (`# escape=`) or a line that goes on would change how the others are read
fn is_more_than_one_line(change: &str) -> bool {
    change.contains(['\n', '\r']) || change.trim_start().starts_with('#') || change.trim_end().ends_with(['\\', '`'])
}

fn may_name_an_owner(change: &str) -> bool {
    let text = change.replace(['"', '\'', '\\', '`'], "").to_ascii_lowercase();
    let sets_a_label = text.split_whitespace().take(2).any(|word| word == "label");
    text.contains(RESERVED_LABELS) || sets_a_label && text.contains('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(texts: &[&str]) -> usize {
        let mut asks = Asks(Vec::new());
        changes(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), &mut asks);
        asks.0.len()
    }

    #[test]
    fn a_label_that_may_name_an_owner_is_an_ask() {
        for change in [
            "LABEL sockwarden.owner=x",
            "label Sockwarden.owner=x",
            r"LABEL sock\warden.owner=x",
            r#"LABEL "sock"warden.owner=x"#,
            "LABEL 'sock'warden.owner=x",
            "LABEL ${A}warden.owner=x",
            "ONBUILD LABEL $A=x",
            "LABEL a=b\nLABEL sock\\\nwarden.owner=x",
            "LABEL sock\\",
            "# escape=`",
        ] {
            assert_eq!(asked(&[change]), 1, "{change}");
        }
    }

    #[test]
    fn what_a_trigger_fetches_is_an_ask() {
        let mut asks = Asks(Vec::new());
        let changes =
            ["USER a", "onbuild ADD http://127.0.0.1/x /y", "ONBUILD COPY --from=a:1 x y", "ONBUILD ADD $X /y"];
        super::changes(&changes.map(str::to_owned), &mut asks);
        let said: Vec<_> = asks.0.iter().map(|ask| format!("{} ({})", ask.what, ask.field)).collect();
        assert_eq!(
            said[..2],
            [
                "remote=http://127.0.0.1/x (query.changes[1]:1 ONBUILD ADD)",
                "image docker.io/library/a:1 (query.changes[2]:1 ONBUILD COPY --from)",
            ]
        );
        assert!(
            said[2].contains("not understood") && said[2].ends_with("(query.changes[3]:1 ONBUILD ADD)"),
            "{said:?}"
        );
    }

    #[test]
    fn instructions_of_everyday_are_none() {
        let changes = [
            r#"CMD ["sh", "-c", "echo \"$HOME\""]"#,
            "ENV PATH=$PATH:/opt/bin",
            r#"LABEL a="b c" org.example.version=1"#,
            "WORKDIR /srv",
            "EXPOSE 80/tcp",
            "ONBUILD COPY . /src",
            "onbuild RUN make",
            "",
        ];
        assert_eq!(asked(&changes), 0);
    }
}
