//! Takes one word out of a stream of bytes, wherever pieces of the stream begin and end, in constant memory.

use crate::shown::{Sieve, TooLong};

/// The word, and what may be its beginning at the end of what came so far
#[derive(Debug)]
pub struct Strip {
    word: Vec<u8>,
    held: Vec<u8>,
}

impl Strip {
    /// Takes `word` out
    pub fn new(word: &str) -> Self {
        Self { word: word.as_bytes().to_vec(), held: Vec::new() }
    }

    fn passed(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(piece);
        let mut passed = Vec::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        while let Some(at) = self.begins(rest) {
            let (before, from) = rest.split_at(at);
            passed.extend_from_slice(before);
            match from.strip_prefix(self.word.as_slice()) {
                Some(after) => rest = after,
                // It may go on in the next piece.
                None => {
                    self.held = from.to_vec();
                    return passed;
                }
            }
        }
        passed.extend_from_slice(rest);
        passed
    }

    /// Where the word, or at the end its beginning, is found first
    fn begins(&self, bytes: &[u8]) -> Option<usize> {
        let first = *self.word.first()?;
        let mut from = 0;
        loop {
            let rest = bytes.get(from..)?;
            let at = from + rest.iter().position(|byte| *byte == first)?;
            let here = bytes.get(at..)?;
            if here.starts_with(&self.word) || self.word.starts_with(here) {
                return Some(at);
            }
            from = at + 1;
        }
    }
}

/// All of a text without the word
pub fn stripped(word: &str, bytes: &[u8]) -> Vec<u8> {
    let mut strip = Strip::new(word);
    let mut stripped = strip.passed(bytes);
    stripped.extend(strip.end());
    stripped
}

impl Sieve for Strip {
    fn pass(&mut self, piece: &[u8]) -> Result<Vec<u8>, TooLong> {
        Ok(self.passed(piece))
    }

    fn end(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WORD: &str = "--sw0123456789ab";

    fn passed(pieces: &[&[u8]]) -> Vec<u8> {
        let mut strip = Strip::new(WORD);
        let mut out: Vec<u8> = pieces.iter().flat_map(|piece| strip.pass(piece).unwrap()).collect();
        out.extend(strip.end());
        out
    }

    proptest! {
        #[test]
        fn the_word_is_gone_wherever_pieces_begin(
            parts in proptest::collection::vec(prop_oneof![Just(WORD), Just("--sw"), Just("-"), Just("0123456789ab"), Just("\"web"), Just("--sw0123456789ac")], 0..8),
            cuts in proptest::collection::vec(0usize..100, 0..6),
        ) {
            let text = parts.concat();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|two| &text.as_bytes()[two[0]..two[1]]).collect();
            prop_assert_eq!(String::from_utf8(passed(&pieces)).unwrap(), text.replace(WORD, ""));
        }
    }

    #[test]
    fn no_more_is_held_back_than_the_word_is_long() {
        let mut strip = Strip::new(WORD);
        for _ in 0..1000 {
            strip.pass(b"----------sw--sw0123456789a").unwrap();
            assert!(strip.held.len() < WORD.len());
        }
    }
}
