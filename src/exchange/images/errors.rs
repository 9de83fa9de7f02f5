//! Whether a stream of progress tells of a failure: the engine says `200 OK` before it knows.
//!
//! What it writes is one JSON object after another. A failure is an object with a key `errorDetail` (20.10 to 28.5); the
//! same word in a value, or deeper, is none. Nothing is kept but where in the text we are.

/// Reads a stream of JSON objects as it passes
#[derive(Debug, Default)]
pub struct Errors {
    depth: usize,
    text: Option<Text>,
    /// Whether a text that begins now is a key of an object that is not in another
    at_key: bool,
    found: bool,
}

/// A text that is being read
#[derive(Debug)]
struct Text {
    escaped: bool,
    /// Bytes of the key that were met; none once it is another text
    met: Option<usize>,
}

impl Errors {
    /// Reads the next piece
    pub fn read(&mut self, piece: &[u8]) {
        for byte in piece {
            self.byte(*byte);
        }
    }

    /// Whether a failure was told of
    pub fn found(&self) -> bool {
        self.found
    }

    /// Whether what was read ends where an object ends
    pub fn is_whole(&self) -> bool {
        self.depth == 0 && self.text.is_none()
    }

    fn byte(&mut self, byte: u8) {
        if let Some(text) = &mut self.text {
            match byte {
                _ if text.escaped => text.escaped = false,
                b'\\' => (text.escaped, text.met) = (true, None),
                b'"' => {
                    self.found |= text.met == Some(KEY.len());
                    self.text = None;
                    self.at_key = false;
                }
                byte => text.met = text.met.filter(|met| KEY.get(*met) == Some(&byte)).map(|met| met + 1),
            }
            return;
        }
        match byte {
            b'"' => self.text = Some(Text { escaped: false, met: self.at_key.then_some(0) }),
            b'{' | b'[' => {
                self.depth += 1;
                self.at_key = byte == b'{' && self.depth == 1;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.at_key = false;
            }
            b',' => self.at_key = self.depth == 1,
            _ => {}
        }
    }
}

const KEY: &[u8] = b"errorDetail";

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> bool {
        let whole = {
            let mut errors = Errors::default();
            errors.read(text.as_bytes());
            errors.found()
        };
        // The same byte by byte.
        let mut errors = Errors::default();
        text.bytes().for_each(|byte| errors.read(&[byte]));
        assert_eq!(errors.found(), whole, "{text}");
        whole
    }

    #[test]
    fn a_failure_is_found_wherever_it_stands() {
        for text in [
            r#"{"errorDetail":{"message":"x"},"error":"x"}"#,
            "{\"status\":\"Pulling\"}\r\n{\"errorDetail\":{\"message\":\"x\"},\"error\":\"x\"}\r\n",
            r#"{"status":"a","progressDetail":{"current":1},"errorDetail":{"code":1}}"#,
            r#"{"error":"x","errorDetail":{}}{"status":"more"}"#,
            r#"{ "a" : [1,{"b":2}] , "errorDetail" : {} }"#,
        ] {
            assert!(found(text), "{text}");
        }
    }

    #[test]
    fn the_word_elsewhere_is_no_failure() {
        for text in [
            r#"{"status":"errorDetail"}"#,
            r#"{"stream":"{\"errorDetail\":{}}"}"#,
            r#"{"aux":{"errorDetail":1}}"#,
            r#"{"a":["errorDetail","errorDetail"]}"#,
            r#"{"errorDetails":1,"xerrorDetail":2,"errorDetai":3,"a\"errorDetail":4}"#,
            r#"{"stream":"\\","a":"errorDetail"}"#,
            "",
        ] {
            assert!(!found(text), "{text}");
        }
    }

    #[test]
    fn half_an_object_is_not_whole() {
        for (text, whole) in
            [("{}", true), ("{\"a\":\"}\"", false), ("{\"a\":1}\r\n", true), ("{}{", false), ("", true)]
        {
            let mut errors = Errors::default();
            errors.read(text.as_bytes());
            assert_eq!(errors.is_whole(), whole, "{text}");
        }
    }
}
