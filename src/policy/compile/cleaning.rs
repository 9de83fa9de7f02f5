//! What `[owner]` says of cleaning up.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use crate::policy::cleaning::{CleanUp, Cleaning, Keep};
use crate::policy::compile::{amount, word};
use crate::policy::file;
use crate::policy::file::value::Amount;
use crate::policy::report::{Code, Problem, Report};

pub(super) fn add(cleaning: &mut Cleaning, written: &file::cleaning::Cleaning, report: &mut Report) {
    let file::cleaning::Cleaning { clean_up, lease, grace, keep, images } = written;
    if let Some(clean_up) = clean_up {
        cleaning.when = word(clean_up, CLEAN_UP, report).unwrap_or(cleaning.when);
    }
    if let Some(lease) = lease {
        cleaning.lease = time(lease, SHORTEST_LEASE, LONGEST_LEASE, report).or(cleaning.lease);
    }
    if let Some(grace) = grace {
        cleaning.grace = time(grace, Duration::ZERO, LONGEST_GRACE, report).unwrap_or(cleaning.grace);
    }
    if let Some(keep) = keep {
        cleaning.keep = word(keep, KEEP, report).unwrap_or(cleaning.keep);
    }
    if let Some(images) = images {
        cleaning.images = *images.as_ref();
    }
    // A word that is not known is a mistake of its own.
    let never = !cleaning.is_on() && clean_up.as_ref().is_none_or(|word| word.as_ref() == "never");
    let idle = [span(lease), span(grace), span(keep), span(images)].into_iter().flatten();
    for span in idle.filter(|_| never) {
        report.push(no_effect(span, "nothing is cleaned up").help("say when, as `clean_up = \"when-caller-ends\"`"));
    }
    if let (Some(keep), CleanUp::WhenSockwardenEnds) = (span(keep), cleaning.when) {
        report.push(no_effect(keep, "nobody's end is waited for that could fail"));
    }
}

fn span<T>(written: &Option<Spanned<T>>) -> Option<Range<usize>> {
    written.as_ref().map(Spanned::span)
}

fn no_effect(span: Range<usize>, why: &str) -> Problem {
    Problem::new(Code::NoEffect, span, "this key has no effect here").label(why)
}

fn time(written: &Spanned<Amount>, least: Duration, most: Duration, report: &mut Report) -> Option<Duration> {
    match amount::time(written.as_ref(), least, most) {
        Ok(time) => Some(time),
        Err(what) => {
            report.push(Problem::new(Code::BadAmount, written.span(), "this time cannot be used").label(what));
            None
        }
    }
}

const CLEAN_UP: &[(&str, CleanUp)] = &[
    ("never", CleanUp::Never),
    ("when-caller-ends", CleanUp::WhenCallerEnds),
    ("when-sockwarden-ends", CleanUp::WhenSockwardenEnds),
];

const KEEP: &[(&str, Keep)] = &[("nothing", Keep::Nothing), ("on-failure", Keep::OnFailure)];

/// A lease is looked at every few seconds
const SHORTEST_LEASE: Duration = Duration::from_secs(10);
const LONGEST_LEASE: Duration = Duration::from_secs(366 * 24 * 3600);
/// The engine's answer to a stop is waited for as long
const LONGEST_GRACE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::compile::compile;

    #[test]
    fn every_key_is_read_and_a_child_adds_to_its_parent() {
        let cleaning = |text: &str| compile("x", text).unwrap_or_else(|report| panic!("{report}")).cleaning;
        let whole =
            "[owner]\nclean_up = 'when-caller-ends'\nlease = '4h'\ngrace = '10s'\nkeep = 'on-failure'\nimages = true\n";
        assert_eq!(
            cleaning(whole),
            Cleaning {
                when: CleanUp::WhenCallerEnds,
                lease: Some(Duration::from_secs(4 * 3600)),
                grace: Duration::from_secs(10),
                keep: Keep::OnFailure,
                images: true,
            }
        );
        assert_eq!(cleaning(""), Cleaning::default());
        assert_eq!(cleaning("[owner]\nclean_up = 'when-sockwarden-ends'").when, CleanUp::WhenSockwardenEnds);
        assert_eq!(cleaning("extends = 'ci'\n[owner]\nclean_up = 'never'").when, CleanUp::Never);
    }
}
