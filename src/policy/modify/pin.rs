//! Full ids in the place of names, so that what was judged is what the engine acts on, however names move meanwhile.

use crate::api::bind::BindSource;
use crate::api::create::Create;
use crate::api::endpoint::EndpointSettings;
use crate::api::names::Name as _;
use crate::api::operation::Operation;
use crate::api::request::{JsonBody, Request};
use crate::policy::ask::Object;
use crate::policy::judge::Pin;

/// Puts one looked-up id where its name stood
pub(super) fn pin(operation: &mut Operation, pin: &Pin) {
    if pin.subject {
        return operation.pin_subject(&pin.id);
    }
    match operation {
        Operation::ContainerCreate(Request { body: JsonBody(body), .. }) => match pin.object {
            Object::Container => containers(body, pin),
            Object::Network => network(body, pin),
            Object::Image => image(body, pin),
            Object::Volume => volume(body, pin),
        },
        Operation::ImageExportMany(Request { query, .. }) if pin.object == Object::Image => {
            query.names.iter_mut().filter(|name| **name == pin.name).for_each(|name| name.clone_from(&pin.id));
        }
        Operation::NetworkConnect(Request { body: JsonBody(body), .. }) => {
            if pin.object == Object::Container {
                body.container.clone_from(&pin.id);
            }
            if let Some(settings) = body.endpoint_config.as_deref_mut() {
                attachment(settings, pin);
            }
        }
        Operation::NetworkDisconnect(Request { body: JsonBody(body), .. }) if pin.object == Object::Container => {
            body.container.clone_from(&pin.id);
        }
        Operation::VolumeCreate(Request { body: JsonBody(body), .. }) if body.name == pin.name => {
            body.name.clone_from(&pin.found);
        }
        Operation::NetworkCreate(Request { body: JsonBody(body), .. }) => {
            if let Some(from) = body.config_from.as_deref_mut() {
                from.network.clone_from(&pin.found);
            }
        }
        Operation::BuildClassic(Request { query, .. }) => match pin.object {
            Object::Container => mode(&mut query.network_mode, pin),
            Object::Network => query.network_mode.clone_from(&pin.found),
            Object::Volume | Object::Image => {}
        },
        Operation::ContainerList(Request { query, .. }) => {
            for key in ["before", "since"] {
                let names = query.filters.0.get_mut(key).into_iter().flatten();
                names.filter(|name| is(name, pin)).for_each(|name| name.clone_from(&pin.id));
            }
        }
        Operation::ImageCommit(Request { query, .. }) => {
            if let Some(container) = &mut query.container {
                container.pin(&pin.id);
            }
        }
        _ => {}
    }
}

fn containers(body: &mut Create, pin: &Pin) {
    let settings = &mut body.host_mut().settings;
    for text in [&mut settings.network_mode, &mut settings.pid_mode, &mut settings.ipc_mode, &mut settings.cgroup] {
        mode(text, pin);
    }
    for from in settings.volumes_from.iter_mut().flatten() {
        let (name, mode) = from.split_once(':').map_or((from.as_str(), None), |(name, mode)| (name, Some(mode)));
        if is(name, pin) {
            *from = mode.map_or_else(|| pin.id.clone(), |mode| format!("{}:{mode}", pin.id));
        }
    }
    settings.links.iter_mut().flatten().for_each(|text| link(text, pin));
    for settings in body.networking_config.iter_mut().flat_map(|config| config.endpoints_config.iter_mut().flatten()) {
        if let Some(settings) = settings.1 {
            attachment(settings, pin);
        }
    }
}

fn mode(text: &mut String, pin: &Pin) {
    if text.strip_prefix("container:").is_some_and(|name| is(name, pin)) {
        *text = format!("container:{}", pin.id);
    }
}

/// A volume's name is its id
fn volume(body: &mut Create, pin: &Pin) {
    let settings = &mut body.host_mut().settings;
    for bind in settings.binds.iter_mut().flatten() {
        if let BindSource::Volume(name) = &mut bind.source
            && is(name.as_str(), pin)
        {
            name.pin(&pin.found);
        }
    }
    for mount in settings.mounts.iter_mut().flatten() {
        mount.pin_volume(&pin.name, &pin.found);
    }
}

fn image(body: &mut Create, pin: &Pin) {
    if body.config.image == pin.name {
        body.config.image.clone_from(&pin.id);
    }
    for mount in body.host_mut().settings.mounts.iter_mut().flatten() {
        mount.pin_image(&pin.name, &pin.id);
    }
}

/// The engine looks a network up by its key when the container starts; `NetworkID` overrides the key (20.10 to 28.5)
fn network(body: &mut Create, pin: &Pin) {
    let config = body.networking_config.get_or_insert_default();
    let endpoints = config.endpoints_config.get_or_insert_default();
    if let Some(key) = endpoints.keys().find(|key| is(key, pin)).cloned() {
        let settings = endpoints.remove(&key).flatten();
        endpoints.insert(pin.found.clone(), settings);
    }
    let mode = &mut body.host_mut().settings.network_mode;
    if is(mode, pin) {
        mode.clone_from(&pin.found);
    }
    let mode = mode.clone();
    let endpoints = body.networking_config.get_or_insert_default().endpoints_config.get_or_insert_default();
    if mode == pin.found && !endpoints.contains_key(&mode) {
        endpoints.insert(mode, None);
    }
    for (key, settings) in endpoints {
        let named = settings.as_ref().map_or("", |settings| settings.network_id.as_str());
        if is(named, pin) || (named.is_empty() && *key == pin.found) {
            settings.get_or_insert_default().network_id.clone_from(&pin.id);
        }
    }
}

fn attachment(settings: &mut EndpointSettings, pin: &Pin) {
    match pin.object {
        Object::Container => settings.links.iter_mut().flatten().for_each(|text| link(text, pin)),
        Object::Network if is(&settings.network_id, pin) => settings.network_id.clone_from(&pin.id),
        Object::Network | Object::Volume | Object::Image => {}
    }
}

/// `REF` alone has the name for its alias
fn link(text: &mut String, pin: &Pin) {
    let (name, alias) = text.split_once(':').unwrap_or((text, text));
    if is(name, pin) {
        *text = format!("{}:{}", pin.id, alias.trim_start_matches('/'));
    }
}

fn is(name: &str, pin: &Pin) -> bool {
    name.strip_prefix('/').unwrap_or(name) == pin.name
}
