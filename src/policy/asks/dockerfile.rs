//! Asks of a Dockerfile that the classic builder reads: the images that it is made of, and what the engine fetches for it.

use crate::api::dockerfile::{BadDockerfile, Source, Taken};
use crate::policy::ask::{Ask, Flag, What};
use crate::policy::asks::found::{Found, real_name};

/// What a Dockerfile asks for, or the triggers of an image that `of` names
pub fn taken(read: &Result<Vec<Source>, BadDockerfile>, of: &str) -> Found {
    let mut found = Found::default();
    if let Err(BadDockerfile { line, instruction, why }) = read {
        found.asks.push(Ask { what: What::Unread(why.to_string()), field: at(of, *line, instruction) });
    }
    for source in read.iter().flatten() {
        let field = place(of, source);
        let what = match &source.what {
            Taken::Image(image) => {
                found.names.extend(real_name(image, &field));
                What::Image(image.clone())
            }
            Taken::Url(url) => What::Flag(Flag::Remote, url.clone()),
        };
        found.asks.push(Ask { what, field });
    }
    found
}

/// Where something is taken, as `Dockerfile:3 FROM`
pub fn place(of: &str, source: &Source) -> String {
    at(of, source.line, source.instruction)
}

fn at(of: &str, line: u32, instruction: &str) -> String {
    format!("{of}:{line} {instruction}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::api::dockerfile::sources;

    #[test]
    fn each_line_that_fetches_is_an_ask_of_its_own() {
        let text = b"FROM a:1 AS x\nRUN true\nADD http://h.example/x /\nCOPY --from=b:2 / /\nFROM x\n";
        let Found { asks, .. } = taken(&sources(text, &BTreeMap::new(), ""), "Dockerfile");
        let said: Vec<String> = asks.iter().map(|ask| format!("{} ({})", ask.what, ask.field)).collect();
        assert_eq!(
            said,
            [
                "image docker.io/library/a:1 (Dockerfile:1 FROM)",
                "remote=http://h.example/x (Dockerfile:3 ADD)",
                "image docker.io/library/b:2 (Dockerfile:4 COPY --from)",
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_an_ask_that_no_policy_grants() {
        let Found { asks, .. } = taken(&sources(b"FROM a\nCOPY <<x /\n", &BTreeMap::new(), ""), "Dockerfile");
        assert!(matches!(asks.as_slice(), [Ask { what: What::Unread(_), .. }]), "{asks:?}");
    }
}
