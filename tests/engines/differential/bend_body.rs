//! Bends of a JSON body: keys, values, doubles, and what stands around the document.

use super::bend::{Bend, recase};
use super::draft::{Draft, Json};
use super::random::Random;

/// Bends the body; `false` if there is nothing to bend
pub fn apply(bend: Bend, draft: &mut Draft, aim: &[String], random: &mut Random) -> bool {
    let Some(body) = &mut draft.body else { return false };
    match bend {
        Bend::Wrap => {
            let text = body.json.text();
            let quoted = serde_json::Value::from(text.as_str()).to_string();
            let object = format!("{{\"body\":{text}}}");
            body.json = Json::Raw(random.pick(&[format!("[{text}]"), object, quoted, format!("{{{text}}}")]));
        }
        Bend::Bom => body.before = "\u{feff}".to_owned(),
        Bend::Trailing => {
            let more = ["{}", "null", "}", "]", " x", "\u{0}", "{\"Image\":\"x\"}", "//", ","];
            body.after += random.pick(&more);
        }
        Bend::TrailingSpace => body.after += random.pick(&["\n", " \t\r\n", "      "]),
        Bend::Padding => body.before = " ".repeat(70_000 + random.below(9000)),
        Bend::Hoist => return hoist(&mut body.json),
        Bend::NullElsewhere | Bend::ZeroUnknown | Bend::Unknown => add(bend, &mut body.json, random),
        Bend::Surrogate => return surrogate(&mut body.json, random),
        _ => return at_member(bend, &mut body.json, aim, random),
    }
    true
}

/// Bends at one member: most often at one that leads to what matters
fn at_member(bend: Bend, json: &mut Json, aim: &[String], random: &mut Random) -> bool {
    let members = json.members();
    let leads = |keys: &[String]| aim.starts_with(keys) || keys.starts_with(aim);
    let aimed: Vec<_> = members.iter().filter(|(_, keys)| leads(keys)).cloned().collect();
    let from = if random.chance(4, 5) && !aimed.is_empty() { aimed } else { members };
    // Not every member can be bent every way, so they are tried from one of them on.
    let first = random.below(from.len());
    (0..from.len()).any(|step| {
        let (path, _) = &from[(first + step) % from.len()];
        json.holder(path).is_some_and(|(members, at)| member(bend, members, at, random))
    })
}

fn member(bend: Bend, members: &mut Vec<(String, Json)>, at: usize, random: &mut Random) -> bool {
    let (key, value) = members[at].clone();
    let folded = key.replacen(['s', 'S'], "\u{17f}", 1).replacen(['k', 'K'], "\u{212a}", 1);
    match bend {
        Bend::KeyCase => members[at].0 = recase(&key, random),
        Bend::KeyFold if folded != key => members[at].0 = folded,
        Bend::KeyFoldEscaped if folded != key => {
            members[at].0 = folded.replace('\u{17f}', "\\u017f").replace('\u{212a}', "\\u212A");
        }
        Bend::KeyEscape => members[at].0 = escape(&key, random),
        Bend::TwiceDangerLast => members.insert(at, (key, harmless(&value))),
        Bend::TwiceDangerFirst => members.insert(at + 1, (key, harmless(&value))),
        Bend::TwiceThenNull => {
            let ways = [key.clone(), recase(&key, random), folded, escape(&key, random)];
            let again = random.pick(&ways);
            members.insert(at + 1, (again, Json::Raw("null".to_owned())));
        }
        Bend::TwiceOtherCase => {
            let ways = [recase(&key, random), folded, escape(&key, random)];
            let other = random.pick(&ways);
            let places = [(key, harmless(&value)), (other, value)];
            members.splice(at..=at, places);
        }
        Bend::SplitObject => return split(members, at, random),
        Bend::OtherType => members[at].1 = other_type(&value, random),
        // Go takes a text for a list where the type says so: `CapAdd`, `Cmd`, `Entrypoint`.
        Bend::ListAsText => match &value {
            Json::List(elements) if matches!(elements.as_slice(), [Json::Raw(_)]) => {
                members[at].1 = elements[0].clone()
            }
            _ => return false,
        },
        Bend::Spaces => {
            let text = value.text().replace([',', ':'], " ");
            let space = random.pick(&[" ", "\n\t", "\r\n"]);
            // Only where the replacement cannot touch a string.
            let plain =
                if text.contains('"') { value.text() } else { value.text().replace(',', &format!("{space},{space}")) };
            members[at].1 = Json::Raw(format!("{space}{plain}{space}"));
        }
        Bend::ValueEscape | Bend::ValueCase | Bend::ValueSpace | Bend::ValuePath => {
            return first_text(&mut members[at].1, &mut |text| reword(bend, text, random));
        }
        _ => return false,
    }
    true
}

/// A value of the same type that asks for nothing
fn harmless(value: &Json) -> Json {
    match value {
        Json::Object(_) => Json::Object(Vec::new()),
        Json::List(_) => Json::List(Vec::new()),
        Json::Raw(text) if text.starts_with('"') => Json::Raw("\"\"".to_owned()),
        Json::Raw(text) if text == "true" || text == "false" => Json::Raw("false".to_owned()),
        Json::Raw(_) => Json::Raw("0".to_owned()),
    }
}

/// Two objects under one key, which Go merges
fn split(members: &mut Vec<(String, Json)>, at: usize, random: &mut Random) -> bool {
    let (key, Json::Object(inner)) = members[at].clone() else { return false };
    let empty = Json::Object(Vec::new());
    let again = if random.chance(1, 2) { key.clone() } else { recase(&key, random) };
    let (first, second) = match inner.len() {
        0 | 1 if random.chance(1, 2) => (Json::Object(inner), empty),
        0 | 1 => (empty, Json::Object(inner)),
        length => {
            let (left, right) = inner.split_at(length / 2);
            (Json::Object(left.to_vec()), Json::Object(right.to_vec()))
        }
    };
    members.splice(at..=at, [(key, first), (again, second)]);
    true
}

fn other_type(value: &Json, random: &mut Random) -> Json {
    let text = value.text();
    let quoted = serde_json::Value::from(text.as_str()).to_string();
    let ways = match value {
        Json::Raw(word) if word.starts_with('"') => {
            vec![format!("[{text}]"), "1".to_owned(), format!("{{\"a\":{text}}}")]
        }
        Json::Raw(word) if word == "true" => {
            vec!["1".to_owned(), "\"true\"".to_owned(), "[true]".to_owned(), "1.0".to_owned()]
        }
        Json::Raw(_) => vec![quoted, format!("{text}.0"), format!("{text}e0"), format!("0{text}"), format!("+{text}")],
        Json::List(elements) if elements.len() == 1 => {
            vec![elements[0].text(), format!("{{\"0\":{}}}", elements[0].text()), format!("[{text}]"), quoted]
        }
        Json::List(_) | Json::Object(_) => vec![format!("[{text}]"), quoted, "true".to_owned()],
    };
    Json::Raw(random.pick(&ways))
}

/// Rewords the first text in a value that can be
fn first_text(value: &mut Json, reword: &mut dyn FnMut(&str) -> Option<String>) -> bool {
    match value {
        Json::Raw(text) => {
            let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).map(str::to_owned);
            let new = inner.filter(|inner| !inner.is_empty()).and_then(|inner| reword(&inner));
            new.map(|new| *text = format!("\"{new}\"")).is_some()
        }
        Json::List(elements) => elements.iter_mut().any(|element| first_text(element, reword)),
        Json::Object(members) => members.iter_mut().any(|(_, value)| first_text(value, reword)),
    }
}

fn reword(bend: Bend, text: &str, random: &mut Random) -> Option<String> {
    match bend {
        Bend::ValueEscape => Some(escape(text, random)),
        Bend::ValueCase => Some(recase(text, random)).filter(|new| new != text),
        Bend::ValueSpace => {
            Some(random.pick(&[format!(" {text}"), format!("{text} "), format!("{text}\\n"), format!("{text}\\u0000")]))
        }
        _ if text.starts_with('/') => {
            // Of a bind, only what is before the first colon is a path of the host.
            let (path, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            let path = random.pick(&[
                format!("/{path}"),
                format!("/.{path}"),
                format!("/tmp/..{path}"),
                format!("/usr/share/../..{path}"),
                format!("{path}/"),
                format!("{path}/."),
                format!("{path}/.."),
                format!("{path}/../../.."),
                format!("{path}/../link"),
                format!("{path}/../alias/../inside"),
            ]);
            Some(path + rest)
        }
        _ => None,
    }
}

/// Some characters as `\uXXXX`
fn escape(text: &str, random: &mut Random) -> String {
    let (every, upper) = (random.below(3) + 1, random.chance(1, 2));
    let mut escaped = false;
    let one = |(index, c): (usize, char)| {
        // What is an escape already stays one.
        let skip = escaped || c == '\\';
        escaped = c == '\\';
        match (index % every == 0 && !skip && c.is_ascii_alphanumeric(), upper) {
            (false, _) => c.to_string(),
            (true, true) => format!("\\u{:04X}", c as u32),
            (true, false) => format!("\\u{:04x}", c as u32),
        }
    };
    if text.contains("\\u") { text.to_owned() } else { text.chars().enumerate().map(one).collect() }
}

/// What is under `HostConfig` also at the top, where engines up to 26.1 read it
fn hoist(json: &mut Json) -> bool {
    let Json::Object(members) = json else { return false };
    let Some(at) = members.iter().position(|(key, _)| key == "HostConfig") else { return false };
    let Json::Object(inner) = members.remove(at).1 else { return false };
    members.extend(inner);
    true
}

/// Fields that say nothing, or that nobody knows
fn add(bend: Bend, json: &mut Json, random: &mut Random) {
    let raw = |text: &str| Json::Raw(text.to_owned());
    let (key, value) = match bend {
        Bend::NullElsewhere => (random.pick(&["Labels", "Env", "Entrypoint", "Options"]), raw("null")),
        Bend::ZeroUnknown => ("Unheard", raw(random.pick(&["null", "\"\"", "0", "false", "[]", "{}", "0.0"]))),
        _ => ("Unheard", raw(random.pick(&["true", "\"x\"", "1", "[0]", "{\"a\":{}}", "{\"Privileged\":true}"]))),
    };
    let Json::Object(members) = json else { return };
    let known = members.iter().any(|(there, _)| there == key);
    let inner = members.iter_mut().find_map(|(key, value)| match value {
        Json::Object(inner) if key == "HostConfig" => Some(inner),
        _ => None,
    });
    match inner {
        Some(inner) if random.chance(1, 2) && bend != Bend::NullElsewhere => inner.insert(0, (key.to_owned(), value)),
        _ if known => members.push(("Unheard".to_owned(), raw("null"))),
        _ => members.push((key.to_owned(), value)),
    }
}

/// Text that is no text, in a place that matters to nobody
fn surrogate(json: &mut Json, random: &mut Random) -> bool {
    let Json::Object(members) = json else { return false };
    if members.iter().any(|(key, _)| key == "Env") || !members.iter().any(|(key, _)| key == "Image") {
        return false;
    }
    let text = random.pick(&["\"A=\\ud800\"", "\"A=\\udc00\\ud800\"", "\"A=\\uD83D\\uDE00\""]);
    members.push(("Env".to_owned(), Json::List(vec![Json::Raw(text.to_owned())])));
    true
}
