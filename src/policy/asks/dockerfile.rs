//! Asks of a Dockerfile that the classic builder reads: the images that it is made of, and what the engine fetches for it.

use crate::api::dockerfile::{BadDockerfile, Source, Taken, Why};
use crate::policy::ask::{Ask, Flag, What};
use crate::policy::asks::buildkit::steps::{Found, real_name};

/// What a Dockerfile asks for, or the triggers of an image that `of` names
pub fn taken(read: Result<Vec<Source>, BadDockerfile>, of: &str) -> Found {
    let mut found = Found::default();
    let sources = read.unwrap_or_else(|BadDockerfile { line, instruction, why }| {
        let field = at(of, line, instruction);
        found.asks.push(Ask { what: What::Unread(why.to_string()), field });
        Vec::new()
    });
    for source in sources {
        let field = place(of, &source);
        let what = match source.what {
            Taken::Image(image) => {
                found.names.extend(real_name(&image, &field));
                What::Image(image)
            }
            Taken::Url(url) => What::Flag(Flag::Remote, url),
        };
        found.asks.push(Ask { what, field });
    }
    found
}

/// Whether every engine refuses the whole text before it builds anything of it, and says so better than we do
///
/// The classic builder reads all instructions before the first one counts (20.10 to 28.5), and knows no others than are
/// known here.
pub fn is_refused_by_engines(BadDockerfile { line: _, instruction, why }: &BadDockerfile) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic());
    // One within a trigger is read when that fires.
    instruction.is_empty() && matches!(why, Why::Instruction(word) if is_word(word))
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
        let Found { asks, .. } = taken(sources(text, &BTreeMap::new()), "Dockerfile");
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
    fn a_word_that_is_no_instruction_is_left_to_the_engine() {
        let left =
            |text: &str| sources(text.as_bytes(), &BTreeMap::new()).is_err_and(|error| is_refused_by_engines(&error));
        assert!(left("FROM a\nWHATEVER\n") && left("nonsense"));
        for text in
            ["FROM a\nONBUILD WHATEVER\n", "FROM a\nONBU\u{130}LD ADD x /\n", "FROM a\n\"x\"\n", "FROM a\nADD=x /\n"]
        {
            assert!(!left(text), "{text}");
        }
        assert!(!left("FROM a\nCOPY <<x /\nWHATEVER\n"), "what stands before it counts first");
    }

    #[test]
    fn what_is_not_understood_is_an_ask_that_no_policy_grants() {
        let Found { asks, .. } = taken(sources(b"FROM a\nCOPY <<x /\n", &BTreeMap::new()), "Dockerfile");
        assert!(matches!(asks.as_slice(), [Ask { what: What::Unread(_), .. }]), "{asks:?}");
    }
}
