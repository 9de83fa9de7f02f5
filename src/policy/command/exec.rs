//! Commands on containers that need more than a line of the table.

use serde_json::{Value, json};

use crate::policy::command::draft::Draft;
use crate::policy::command::option::{Kind, Opt, opt};
use crate::policy::command::words::Word;
use crate::policy::command::{BadRequest, Http};

/// `docker exec [options] container command…`
pub(super) fn exec(mut draft: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    let [container, command @ ..] = operands else { return Err(BadRequest::new("the container is missing")) };
    if command.is_empty() {
        return Err(BadRequest::new("the command is missing"));
    }
    *draft.slot("Cmd") = json!(command.iter().map(|word| &word.text).collect::<Vec<_>>());
    let tty = draft.body.get("Tty").and_then(Value::as_bool).unwrap_or_default();
    let mut start = Draft::default();
    *start.slot("Tty") = json!(tty);
    *start.slot("Detach") = json!(draft.note("detach").is_some());
    let create = draft.request("POST", "/containers/{}/exec", &container.text);
    Ok(vec![create, start.request("POST", "/exec/new/start", "")])
}

/// `docker cp container:path -`, or the reverse
pub(super) fn copy(_: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    let [from, to] = operands else { return Err(BadRequest::new("`docker cp` takes a source and a destination")) };
    let inside = |word: &Word| {
        let (container, path) = word.text.split_once(':').filter(|_| !word.text.starts_with(['/', '.']))?;
        Some((container.to_owned(), path.to_owned()))
    };
    let request = |method: &str, (container, path): &(String, String)| {
        let mut draft = Draft::default();
        draft.param("path", path.clone());
        draft.request(method, "/containers/{}/archive", container)
    };
    match (inside(from), inside(to)) {
        (Some(from), None) => Ok(vec![request("HEAD", &from), request("GET", &from)]),
        (None, Some(to)) => Ok(vec![request("HEAD", &to), request("PUT", &to)]),
        _ => Err(BadRequest::new("one of the two must be `container:path`, the other a path")),
    }
}

/// `docker top container [ps options]`
pub(super) fn top(mut draft: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    let [container, options @ ..] = operands else { return Err(BadRequest::new("the container is missing")) };
    if !options.is_empty() {
        let options: Vec<&str> = options.iter().map(|word| word.text.as_str()).collect();
        draft.param("ps_args", options.join(" "));
    }
    Ok(vec![draft.request("GET", "/containers/{}/top", &container.text)])
}

/// `docker rename container name`
pub(super) fn rename(mut draft: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    let [container, name] = operands else { return Err(BadRequest::new("`docker rename` takes two names")) };
    draft.param("name", name.text.clone());
    Ok(vec![draft.request("POST", "/containers/{}/rename", &container.text)])
}

/// `docker update [options] container…`
pub(super) fn update(mut draft: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    // The options are those of `docker run`; here the fields stand at the top.
    draft.body = draft.body.get("HostConfig").cloned().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    Ok(operands.iter().map(|word| draft.request("POST", "/containers/{}/update", &word.text)).collect())
}

/// `docker stats [container…]`
pub(super) fn stats(_: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    let list = Draft::default().request("GET", "/containers/json", "");
    let one = |word: &Word| Draft::default().request("GET", "/containers/{}/stats", &word.text);
    Ok(if operands.is_empty() { vec![list] } else { operands.iter().map(one).collect() })
}

/// `docker commit [options] container [repository[:tag]]`
pub(super) fn commit(mut draft: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    let [container, image @ ..] = operands else { return Err(BadRequest::new("the container is missing")) };
    draft.param("container", container.text.clone());
    if let Some(image) = image.first() {
        draft.param("repo", image.text.clone());
    }
    Ok(vec![draft.request("POST", "/commit", "")])
}

pub(super) const EXEC: &[Opt] = &[
    opt("detach", "d", "", Kind::SwitchNote),
    opt("detach-keys", "", "", Kind::Note),
    opt("env", "e", "Env", Kind::List),
    opt("env-file", "", "", Kind::File),
    opt("interactive", "i", "AttachStdin", Kind::Switch),
    opt("privileged", "", "Privileged", Kind::Switch),
    opt("tty", "t", "Tty", Kind::Switch),
    opt("user", "u", "User", Kind::Text),
    opt("workdir", "w", "WorkingDir", Kind::Text),
];

pub(super) const COMMIT: &[Opt] = &[
    opt("author", "a", "?author", Kind::Text),
    opt("change", "c", "?changes", Kind::Text),
    opt("message", "m", "?comment", Kind::Text),
    opt("pause", "p", "?pause", Kind::Switch),
];
