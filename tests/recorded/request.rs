//! Recorded requests as they are kept in `data/recorded`: a text file for each client, a line `===` before each request.
//!
//! Only line ends were changed, and streams left out: their framing stands in the head, their place holds `<stream>`.

use std::fmt;
use std::fs;
use std::path::Path;

/// One request of one client
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The file's name without its ending
    pub client: String,
    /// Line of the file
    pub line: usize,
    /// Method
    pub method: String,
    /// Target as it was sent
    pub target: String,
    /// Names and values of the headers as they were sent
    pub headers: Vec<(String, String)>,
    /// Body; of a stream as many zeros as are announced
    pub body: Vec<u8>,
}

impl Recorded {
    /// A header's value
    pub fn header(&self, wanted: &str) -> Option<String> {
        self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.clone())
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, line, method, target, .. } = self;
        write!(f, "{client}.http:{line}: {method} {target}")
    }
}

/// All of them
pub fn recorded() -> Vec<Recorded> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recorded");
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(|file| requests(file)).collect()
}

fn requests(file: &Path) -> Vec<Recorded> {
    let client = file.file_stem().unwrap().to_str().unwrap();
    let text = fs::read_to_string(file).unwrap();
    let mut found = Vec::new();
    let mut line = 1;
    for (index, part) in text.split("===\n").enumerate() {
        if index > 0 {
            found.push(request(client, line + 1, part));
        }
        line += part.lines().count() + usize::from(index > 0);
    }
    found
}

fn request(client: &str, line: usize, text: &str) -> Recorded {
    let text = text.strip_suffix('\n').unwrap();
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let mut words = lines.next().unwrap().split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1"), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        panic!("{client}.http:{line}: no request line");
    };
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_owned(), value.trim().to_owned())
    };
    Recorded {
        client: client.to_owned(),
        line,
        method: method.to_owned(),
        target: target.to_owned(),
        headers: lines.map(header).collect(),
        body: if body == "<stream>" { vec![0; 1024] } else { body.as_bytes().to_vec() },
    }
}
