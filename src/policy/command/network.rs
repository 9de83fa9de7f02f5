//! Networks: `--network` and its like on a container, and `docker network create` and `connect`.

use serde_json::{Value, json};

use crate::policy::command::csv::fields;
use crate::policy::command::draft::Draft;
use crate::policy::command::option::{Kind, Opt, opt};
use crate::policy::command::value::slot;
use crate::policy::command::words::Word;
use crate::policy::command::{BadRequest, Http};

/// `--network name`, or `--network name=…,alias=…,ip=…`
pub(super) fn network(draft: &mut Draft, text: &str) -> Result<(), BadRequest> {
    let fields = if text.contains('=') { fields(text)? } else { vec![("name".to_owned(), Some(text.to_owned()))] };
    let name = fields.iter().find(|(key, _)| key == "name").and_then(|(_, name)| name.clone()).unwrap_or_default();
    if draft.slot("HostConfig.NetworkMode").is_null() {
        *draft.slot("HostConfig.NetworkMode") = json!(name);
    }
    if !is_predefined(&name) {
        let _: &mut Value = slot(draft.entry("NetworkingConfig.EndpointsConfig", &name), "Aliases");
    }
    for (key, value) in fields {
        let value = value.unwrap_or_default();
        match key.as_str() {
            "name" => {}
            "alias" | "ip" | "ip6" | "mac-address" | "link-local-ip" => endpoint(draft, &name, &key, &value),
            "driver-opt" => {
                let (option, value) = value.split_once('=').unwrap_or((&value, ""));
                let settings = draft.entry("NetworkingConfig.EndpointsConfig", &name);
                *slot(slot(settings, "DriverOpts"), option) = json!(value);
            }
            other => return Err(BadRequest::new(format!("`--network` has no field `{other}`"))),
        }
    }
    Ok(())
}

/// `--ip`, `--network-alias` and their like are about the one network that was named
pub(super) fn attachment(draft: &mut Draft) {
    let mode = draft.body.pointer("/HostConfig/NetworkMode").and_then(Value::as_str).unwrap_or("default").to_owned();
    for (note, value) in draft.notes.clone() {
        let key = match note {
            "network-alias" => "alias",
            "ip" | "ip6" | "link-local-ip" => note,
            _ => continue,
        };
        endpoint(draft, &mode, key, &value);
    }
}

fn endpoint(draft: &mut Draft, network: &str, key: &str, value: &str) {
    let settings = draft.entry("NetworkingConfig.EndpointsConfig", network);
    match key {
        "ip" => *slot(slot(settings, "IPAMConfig"), "IPv4Address") = json!(value),
        "ip6" => *slot(slot(settings, "IPAMConfig"), "IPv6Address") = json!(value),
        "link-local-ip" => push(slot(slot(settings, "IPAMConfig"), "LinkLocalIPs"), value),
        "mac-address" => *slot(settings, "MacAddress") = json!(value),
        _ => push(slot(settings, "Aliases"), value),
    }
}

fn push(list: &mut Value, value: &str) {
    match list.as_array_mut() {
        Some(list) => list.push(json!(value)),
        None => *list = json!([value]),
    }
}

fn is_predefined(name: &str) -> bool {
    matches!(name, "" | "default" | "bridge" | "host" | "none") || name.starts_with("container:")
}

/// `docker network create [options] name`
pub(super) fn create(mut draft: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    let [name] = operands else { return Err(BadRequest::new("`docker network create` takes one name")) };
    *draft.slot("Name") = json!(name.text);
    for (note, value) in draft.notes.clone() {
        let Some(key) = pool(note) else { continue };
        let slot = slot(draft.slot("IPAM.Config"), key);
        if !slot.is_null() {
            return Err(BadRequest::new(format!("more than one `--{note}` is not read here")));
        }
        *slot = json!(value);
    }
    let pool = draft.body.pointer("/IPAM/Config").cloned();
    if let Some(pool) = pool {
        *draft.slot("IPAM.Config") = json!([pool]);
    }
    Ok(vec![draft.request("POST", "/networks/create", "")])
}

fn pool(note: &str) -> Option<&'static str> {
    match note {
        "subnet" => Some("Subnet"),
        "gateway" => Some("Gateway"),
        "ip-range" => Some("IPRange"),
        _ => None,
    }
}

/// `docker network connect [options] network container`, and `disconnect`
pub(super) fn connect(draft: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    connection(draft, operands, "/networks/{}/connect")
}

pub(super) fn disconnect(draft: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    connection(draft, operands, "/networks/{}/disconnect")
}

fn connection(mut draft: Draft, operands: &[Word], path: &str) -> Result<Vec<Http>, BadRequest> {
    let [network, container] = operands else {
        return Err(BadRequest::new("this command takes a network and a container"));
    };
    *draft.slot("Container") = json!(container.text);
    Ok(vec![draft.request("POST", path, &network.text)])
}

pub(super) const CREATE: &[Opt] = &[
    opt("driver", "d", "Driver", Kind::Text),
    opt("opt", "o", "Options", Kind::Map),
    opt("label", "", "Labels", Kind::Map),
    opt("scope", "", "Scope", Kind::Text),
    opt("internal", "", "Internal", Kind::Switch),
    opt("attachable", "", "Attachable", Kind::Switch),
    opt("ingress", "", "Ingress", Kind::Switch),
    opt("config-only", "", "ConfigOnly", Kind::Switch),
    opt("config-from", "", "ConfigFrom.Network", Kind::Text),
    opt("ipv4", "", "EnableIPv4", Kind::Switch),
    opt("ipv6", "", "EnableIPv6", Kind::Switch),
    opt("ipam-driver", "", "IPAM.Driver", Kind::Text),
    opt("ipam-opt", "", "IPAM.Options", Kind::Map),
    opt("subnet", "", "", Kind::Note),
    opt("gateway", "", "", Kind::Note),
    opt("ip-range", "", "", Kind::Note),
];

pub(super) const CONNECT: &[Opt] = &[
    opt("alias", "", "EndpointConfig.Aliases", Kind::List),
    opt("driver-opt", "", "EndpointConfig.DriverOpts", Kind::Map),
    opt("ip", "", "EndpointConfig.IPAMConfig.IPv4Address", Kind::Text),
    opt("ip6", "", "EndpointConfig.IPAMConfig.IPv6Address", Kind::Text),
    opt("link", "", "EndpointConfig.Links", Kind::List),
    opt("link-local-ip", "", "EndpointConfig.IPAMConfig.LinkLocalIPs", Kind::List),
];
