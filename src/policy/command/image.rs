//! Commands on images that need more than a line of the table, `docker build` and `docker login`.

use serde_json::json;

use crate::policy::command::draft::Draft;
use crate::policy::command::option::{Kind, Opt, opt};
use crate::policy::command::value::{json_param, slot, ulimit};
use crate::policy::command::words::Word;
use crate::policy::command::{BadRequest, Http};

/// `docker pull [-a] image`
pub(super) fn pull(mut draft: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    let [image] = operands else { return Err(BadRequest::new("`docker pull` takes one image")) };
    let (name, tag) = parts(&image.text);
    draft.param("fromImage", name);
    if draft.note("all-tags").is_none() {
        draft.param("tag", tag.unwrap_or("latest"));
    }
    Ok(vec![draft.request("POST", "/images/create", "")])
}

/// `docker push [-a] image`
pub(super) fn push(mut draft: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    let [image] = operands else { return Err(BadRequest::new("`docker push` takes one image")) };
    let (name, tag) = parts(&image.text);
    if draft.note("all-tags").is_none() {
        draft.param("tag", tag.unwrap_or("latest"));
    }
    Ok(vec![draft.request("POST", "/images/{}/push", name)])
}

/// `docker tag source target`
pub(super) fn tag(mut draft: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    let [source, target] = operands else { return Err(BadRequest::new("`docker tag` takes two images")) };
    let (name, tag) = parts(&target.text);
    draft.param("repo", name);
    draft.param("tag", tag.unwrap_or("latest"));
    Ok(vec![draft.request("POST", "/images/{}/tag", &source.text)])
}

/// `docker save image…`
pub(super) fn save(mut draft: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    if operands.is_empty() {
        return Err(BadRequest::new("`docker save` needs an image"));
    }
    operands.iter().for_each(|word| draft.param("names", word.text.clone()));
    Ok(vec![draft.request("GET", "/images/get", "")])
}

/// `docker import file|URL|- [repository[:tag]]`
pub(super) fn import(mut draft: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    let [source, image @ ..] = operands else { return Err(BadRequest::new("`docker import` needs a source")) };
    let remote = source.text.contains("://");
    draft.param("fromSrc", if remote { source.text.as_str() } else { "-" });
    if let Some(image) = image.first() {
        draft.param("repo", image.text.clone());
    }
    Ok(vec![draft.request("POST", "/images/create", "")])
}

/// `docker search term`
pub(super) fn search(mut draft: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    let [term] = operands else { return Err(BadRequest::new("`docker search` takes one word")) };
    draft.param("term", term.text.clone());
    Ok(vec![draft.request("GET", "/images/search", "")])
}

/// `docker build [options] context`
pub(super) fn build(draft: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    let [_context] = operands else { return Err(BadRequest::new("`docker build` takes one context")) };
    // Without BuildKit the CLI fetches a context from elsewhere itself, and sends it like a directory.
    Ok(vec![draft.request("POST", "/build", "")])
}

/// `docker login [registry]`
pub(super) fn login(mut draft: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    let registry = operands.first().map_or("https://index.docker.io/v1/", |word| word.text.as_str());
    *draft.slot("serveraddress") = json!(registry);
    Ok(vec![draft.request("POST", "/auth", "")])
}

/// Name, and tag or digest
fn parts(image: &str) -> (&str, Option<&str>) {
    if let Some((name, digest)) = image.split_once('@') {
        return (name, Some(digest));
    }
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (image, None),
    }
}

fn build_arg(draft: &mut Draft, text: &str) -> Result<(), BadRequest> {
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    json_param(draft, "buildargs", |args| *slot(args, name) = json!(value));
    Ok(())
}

fn label(draft: &mut Draft, text: &str) -> Result<(), BadRequest> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    json_param(draft, "labels", |labels| *slot(labels, name) = json!(value));
    Ok(())
}

fn append(draft: &mut Draft, param: &str, value: serde_json::Value) {
    json_param(draft, param, |list| match list.as_array_mut() {
        Some(list) => list.push(value),
        None => *list = json!([value]),
    });
}

pub(super) const BUILD: &[Opt] = &[
    opt("add-host", "", "?extrahosts", Kind::Text),
    opt("build-arg", "", "", Kind::Special(build_arg)),
    opt(
        "cache-from",
        "",
        "",
        Kind::Special(|draft, text| {
            append(draft, "cachefrom", json!(text));
            Ok(())
        }),
    ),
    opt("cgroup-parent", "", "?cgroupparent", Kind::Text),
    opt("compress", "", "", Kind::SwitchNote),
    opt("cpu-period", "", "?cpuperiod", Kind::Int),
    opt("cpu-quota", "", "?cpuquota", Kind::Int),
    opt("cpu-shares", "c", "?cpushares", Kind::Int),
    opt("cpuset-cpus", "", "?cpusetcpus", Kind::Text),
    opt("cpuset-mems", "", "?cpusetmems", Kind::Text),
    opt("disable-content-trust", "", "", Kind::SwitchNote),
    opt("file", "f", "?dockerfile", Kind::Text),
    opt("force-rm", "", "?forcerm", Kind::Switch),
    opt("iidfile", "", "", Kind::Note),
    opt("label", "", "", Kind::Special(label)),
    opt("memory", "m", "?memory", Kind::Bytes),
    opt("memory-swap", "", "?memswap", Kind::Bytes),
    opt("network", "", "?networkmode", Kind::Text),
    opt("no-cache", "", "?nocache", Kind::Switch),
    opt("platform", "", "?platform", Kind::Text),
    opt("pull", "", "?pull", Kind::Switch),
    opt("quiet", "q", "?q", Kind::Switch),
    opt("rm", "", "?rm", Kind::Switch),
    opt("shm-size", "", "?shmsize", Kind::Bytes),
    opt("squash", "", "?squash", Kind::Switch),
    opt("tag", "t", "?t", Kind::Text),
    opt("target", "", "?target", Kind::Text),
    opt(
        "ulimit",
        "",
        "",
        Kind::Special(|draft, text| {
            append(draft, "ulimits", ulimit(text)?);
            Ok(())
        }),
    ),
];

pub(super) const PULL: &[Opt] = &[
    opt("all-tags", "a", "", Kind::SwitchNote),
    opt("disable-content-trust", "", "", Kind::SwitchNote),
    opt("platform", "", "?platform", Kind::Text),
    opt("quiet", "q", "", Kind::SwitchNote),
];

pub(super) const LOGIN: &[Opt] = &[
    opt("username", "u", "username", Kind::Text),
    opt("password", "p", "password", Kind::Text),
    opt("password-stdin", "", "", Kind::SwitchNote),
];
