//! A command line to words, with the quotes of a shell and none of its other powers.

use std::ops::Range;

use crate::policy::command::BadRequest;

/// A word and where it stands in the line
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub text: String,
    pub span: Range<usize>,
}

/// Splits a line
pub(super) fn split(line: &str) -> Result<Vec<Word>, BadRequest> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        if c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let current = word.get_or_insert_with(|| Word { text: String::new(), span: at..at });
        let fail = |what: &str| BadRequest { what: what.to_owned(), word: Some(at..at + c.len_utf8()), help: None };
        match c {
            '\'' => loop {
                match chars.next() {
                    Some((_, '\'')) => break,
                    Some((_, c)) => current.text.push(c),
                    None => return Err(fail("this quote is not closed")),
                }
            },
            '"' => loop {
                match chars.next() {
                    Some((_, '"')) => break,
                    Some((_, '\\')) => current.text.extend(chars.next().map(|(_, c)| c)),
                    Some((_, c)) => current.text.push(c),
                    None => return Err(fail("this quote is not closed")),
                }
            },
            '\\' => current.text.extend(chars.next().map(|(_, c)| c)),
            '$' | '`' | '|' | '<' | '>' | '&' | ';' | '(' | ')' => {
                return Err(
                    fail("no shell reads this line").help("put the word into quotes, or write what it stands for")
                );
            }
            c => current.text.push(c),
        }
        current.span.end = chars.as_str().as_ptr() as usize - line.as_ptr() as usize;
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        split(line).unwrap().into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn quotes_join_and_nothing_else_is_special() {
        assert_eq!(texts("docker run  a"), ["docker", "run", "a"]);
        assert_eq!(texts(r#"a 'b c' "d \" e"f g\ h ''"#), ["a", "b c", "d \" ef", "g h", ""]);
        assert_eq!(texts(""), Vec::<String>::new());
        for line in ["a $B", "a `b`", "a | b", "a > b", "a; b", "a 'b", "a \"b"] {
            assert!(split(line).is_err(), "{line}");
        }
    }

    #[test]
    fn spans_are_those_of_the_line() {
        let line = "docker 'run it' ä";
        let spans: Vec<&str> = split(line).unwrap().into_iter().map(|word| &line[word.span]).collect();
        assert_eq!(spans, ["docker", "'run it'", "ä"]);
    }
}
