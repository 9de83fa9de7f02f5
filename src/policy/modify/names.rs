//! Names of what an owner makes, as they are on the engine, and the names by which its containers find each other.
//!
//! Names of what exists already were looked up, and stand in pins.

use crate::api::create::Create;
use crate::api::endpoint::EndpointSettings;
use crate::api::names::{ContainerRef, Name as _};
use crate::api::operation::Operation;
use crate::api::request::{JsonBody, Request};
use crate::policy::ask::Object;
use crate::policy::judge::Facts;
use crate::policy::references::is_predefined;
use crate::policy::view::View;

/// Puts the names on the engine in the place of the owner's
pub(super) fn give(view: &View, operation: &mut Operation, facts: &Facts) {
    match operation {
        Operation::ContainerCreate(Request { query, body: JsonBody(body), .. }) => {
            if let Some(name) = &query.name {
                found_as(body, name.as_str());
            }
            let full = query.name.as_ref().map_or_else(|| view.unnamed(), |name| view.full(name.as_str()));
            query.name = ContainerRef::parse(&full).ok();
        }
        Operation::ContainerRename(Request { query, .. }) => {
            query.name = query.name.take().and_then(|name| ContainerRef::parse(&view.full(name.as_str())).ok());
        }
        Operation::NetworkCreate(Request { body: JsonBody(body), .. }) if !body.name.is_empty() => {
            body.name = view.full(&body.name);
        }
        Operation::NetworkConnect(Request { subject, body: JsonBody(body), .. }) => {
            let called = |object: Object| facts.names.iter().find(move |real| real.object == object);
            let network = called(Object::Network).and_then(|real| real.names.first()).map_or(subject.as_str(), |n| n);
            let container = called(Object::Container).and_then(|real| real.names.first());
            if let Some(name) = container.filter(|_| !is_predefined(network)) {
                alias(body.endpoint_config.get_or_insert_default(), name);
            }
        }
        _ => {}
    }
}

/// Lets others on the same networks find the container by its owner's name for it
///
/// The engine's DNS knows containers by their names, and gives no alias on its own networks.
fn found_as(body: &mut Create, name: &str) {
    let mode = body.host_config.as_ref().map_or("", |host| host.settings.network_mode.as_str()).to_owned();
    let endpoints = body.networking_config.get_or_insert_default().endpoints_config.get_or_insert_default();
    if !mode.is_empty() && !is_predefined(&mode) && !mode.contains(':') {
        endpoints.entry(mode).or_default();
    }
    for (_, settings) in endpoints.iter_mut().filter(|(network, _)| !is_predefined(network)) {
        alias(settings.get_or_insert_default(), name);
    }
}

fn alias(settings: &mut EndpointSettings, name: &str) {
    let aliases = settings.aliases.get_or_insert_default();
    if !aliases.iter().any(|alias| alias == name) {
        aliases.push(name.to_owned());
    }
}
