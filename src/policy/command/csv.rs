//! `type=bind,"volume-opt=o=a,b"`: fields divided by commas, as `--mount` and `--network` take them.

use crate::policy::command::BadRequest;

/// Fields as key and value; a field without `=` has none
pub(super) fn fields(text: &str) -> Result<Vec<(String, Option<String>)>, BadRequest> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.iter_mut().next_back().into_iter().for_each(|field| field.push(c)),
        }
    }
    if quoted {
        return Err(BadRequest::new("a quote is not closed"));
    }
    let pair = |field: String| match field.split_once('=') {
        Some((key, value)) => (key.to_lowercase(), Some(value.to_owned())),
        None => (field, None),
    };
    Ok(fields.into_iter().map(pair).collect())
}

/// A field that is true unless it says otherwise
pub(super) fn switch(value: Option<&str>) -> Result<bool, BadRequest> {
    match value {
        None | Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(BadRequest::new(format!("`{other}` is neither true nor false"))),
    }
}
