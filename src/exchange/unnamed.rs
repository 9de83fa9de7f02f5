//! Names for containers that got none, in the engine's manner; a choice of the engine's own would carry no suffix.

/// The name that goes with the id of a request
///
/// Requests count on, so that names do not repeat before 23 million of them.
pub fn unnamed(id: &str) -> String {
    let number = u64::from_str_radix(id, 16).unwrap_or_default();
    let word = |words: &[&'static str], number: u64| {
        let index = usize::try_from(number % (words.len() as u64)).unwrap_or_default();
        words.get(index).copied().unwrap_or("calm")
    };
    let (first, second) = (number / NUMBERS, number / NUMBERS / LEFT.len() as u64);
    format!("{}_{}{}", word(LEFT, first), word(RIGHT, second), number % NUMBERS)
}

/// Numbers after one pair of words
const NUMBERS: u64 = 100_000;

const LEFT: &[&str] = &[
    "bold", "brave", "brisk", "calm", "clear", "deft", "eager", "fair", "glad", "keen", "kind", "lucid", "merry",
    "quick", "sunny",
];

const RIGHT: &[&str] = &[
    "badger", "beaver", "crane", "falcon", "heron", "ibis", "lynx", "marten", "newt", "otter", "plover", "raven",
    "stoat", "swift", "tern", "wren",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_do_not_repeat() {
        let names: BTreeSet<String> =
            (0..300_000_u64).map(|id| unnamed(&format!("{:x}", 0x0006_4400_0000_0000 + id))).collect();
        assert_eq!(names.len(), 300_000);
        assert_eq!(unnamed("no number"), "bold_badger0");
    }
}
