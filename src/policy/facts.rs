//! Named facts about a request, for `[[rule]]`.

use crate::api::bind::BindSource;
use crate::api::create::Create;
use crate::api::names::Name;
use crate::api::operation::Operation;
use crate::api::request::{JsonBody, Request};
use crate::policy::Fact;
use crate::policy::ask::What;
use crate::policy::asks::asks;

/// Every named fact of an operation; a name may come several times
pub fn named_facts(operation: &Operation) -> Vec<(Fact, String)> {
    let mut facts = Vec::new();
    for ask in asks(operation) {
        match ask.what {
            What::Image(image) => facts.push((Fact::Image, image.to_string())),
            What::Mount(mount) => facts.push((Fact::Mount, mount.source)),
            _ => {}
        }
    }
    if let Some(name) = operation.write().name {
        facts.push((Fact::Target, name));
    }
    match operation {
        Operation::ContainerCreate(Request { query, body: JsonBody(body), .. }) => {
            facts.push((Fact::Name, query.name.as_ref().map_or(String::new(), |name| name.as_str().to_owned())));
            create(body, &mut facts);
        }
        Operation::ExecCreate(Request { body: JsonBody(body), .. }) => {
            facts.push((Fact::User, body.user.clone()));
            facts.push((Fact::Command, body.cmd.iter().flatten().cloned().collect::<Vec<_>>().join(" ")));
            facts.extend(body.env.iter().flatten().map(|env| (Fact::Env, env.clone())));
        }
        Operation::ContainerRename(Request { query, .. }) => {
            facts.extend(query.name.as_ref().map(|name| (Fact::Name, name.as_str().to_owned())));
        }
        Operation::VolumeCreate(Request { body: JsonBody(body), .. }) => {
            facts.push((Fact::Name, body.name.clone()));
            facts.extend(body.labels.iter().flatten().map(label));
        }
        Operation::NetworkCreate(Request { body: JsonBody(body), .. }) => {
            facts.push((Fact::Name, body.name.clone()));
            facts.extend(body.labels.iter().flatten().map(label));
        }
        Operation::ContainerArchiveGet(Request { query, .. })
        | Operation::ContainerArchiveStat(Request { query, .. }) => {
            facts.push((Fact::Path, query.path.clone()));
        }
        Operation::ContainerArchivePut(Request { query, .. }) => facts.push((Fact::Path, query.path.clone())),
        Operation::BuildClassic(Request { query, .. }) => {
            facts.push((Fact::Network, query.network_mode.clone()));
            facts.extend(query.labels.0.iter().flatten().map(label));
        }
        _ => {}
    }
    facts
}

fn create(body: &Create, facts: &mut Vec<(Fact, String)>) {
    let config = &body.config;
    facts.push((Fact::User, config.user.clone()));
    let words: Vec<&str> = config.entrypoint.iter().chain(config.cmd.iter()).map(String::as_str).collect();
    facts.push((Fact::Command, words.join(" ")));
    facts.extend(config.env.iter().flatten().map(|env| (Fact::Env, env.clone())));
    facts.extend(config.labels.iter().flatten().map(label));
    let Some(settings) = body.host_config.as_ref().map(|host| &host.settings) else { return };
    facts.push((Fact::Network, settings.network_mode.clone()));
    for bind in settings.binds.iter().flatten() {
        if let BindSource::Volume(name) = &bind.source {
            facts.push((Fact::Mount, name.as_str().to_owned()));
        }
    }
}

fn label((key, value): (&String, &String)) -> (Fact, String) {
    (Fact::Label, format!("{key}={value}"))
}
