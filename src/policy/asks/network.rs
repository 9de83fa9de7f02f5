//! Asks of networks: modes, attachments, new networks.

use crate::api::endpoint::{
    ConfigFrom, Connect, CreateNetwork, EndpointIpam, EndpointSettings, Ipam, IpamPool, NetworkingConfig,
};
use crate::api::names::{Name, NetworkRef};
use crate::policy::ask::{Flag, What};
use crate::policy::asks::{Asks, plain};
use crate::policy::view::is_reserved;

/// `NetworkMode`, of a container or of a build
pub(super) fn mode(mode: &str, field: &str, asks: &mut Asks) {
    match mode {
        "default" | "bridge" | "none" => {}
        // `ns:PATH` is for a policy to name. Any other word before a colon is a network's name to Docker and an option to
        // Podman (`pasta:-T,auto` opens the host's ports), and no network that is looked up.
        odd if odd.contains(':') && !odd.starts_with("container:") && !odd.starts_with("ns:") => {
            asks.add(What::Odd("network mode", odd.to_owned()), field);
        }
        odd if is_reserved(odd) => asks.add(What::Odd("network name", odd.to_owned()), field),
        other => asks.text(Flag::Network, other, field),
    }
}

pub(super) fn networking(config: &NetworkingConfig, asks: &mut Asks) {
    let NetworkingConfig { endpoints_config } = config;
    for (network, settings) in endpoints_config.iter().flatten() {
        let field = format!("NetworkingConfig.EndpointsConfig.{network}");
        mode(network, &field, asks);
        if let Some(settings) = settings {
            endpoint(network, settings, &field, asks);
        }
    }
}

pub(super) fn connect(network: &NetworkRef, body: &Connect, asks: &mut Asks) {
    let Connect { container: _, endpoint_config } = body;
    mode(network.as_str(), "path.id", asks);
    if let Some(settings) = endpoint_config {
        endpoint(network.as_str(), settings, "EndpointConfig", asks);
    }
}

fn endpoint(network: &str, settings: &EndpointSettings, field: &str, asks: &mut Asks) {
    let EndpointSettings {
        ipam_config,
        links,
        network_id,
        driver_opts,
        mac_address,
        // Names on a network that the caller may join anyway.
        aliases: _,
        gw_priority: _,
        // Filled in by the engine, ignored when sent.
        endpoint_id: _,
        gateway: _,
        ip_address: _,
        ip_prefix_len: _,
        ipv6_gateway: _,
        global_ipv6_address: _,
        global_ipv6_prefix_len: _,
        dns_names: _,
    } = settings;
    // The engine joins this network in place of the one named by the key.
    if network_id != network {
        let field = format!("{field}.NetworkID");
        asks.new_name("network name", network_id, &field);
        asks.text(Flag::Network, network_id, &field);
    }
    if let Some(EndpointIpam { ipv4_address, ipv6_address, link_local_ips }) = ipam_config.as_deref() {
        asks.text(Flag::Ip, ipv4_address, &format!("{field}.IPAMConfig.IPv4Address"));
        asks.text(Flag::Ip, ipv6_address, &format!("{field}.IPAMConfig.IPv6Address"));
        asks.texts(Flag::Ip, link_local_ips.iter().flatten(), &format!("{field}.IPAMConfig.LinkLocalIPs"));
    }
    asks.texts(Flag::Link, links.iter().flatten(), &format!("{field}.Links"));
    asks.options(Flag::NetworkOpt, driver_opts, &format!("{field}.DriverOpts"));
    asks.text(Flag::MacAddress, mac_address, &format!("{field}.MacAddress"));
}

pub(super) fn create(body: &CreateNetwork, asks: &mut Asks) {
    let CreateNetwork {
        driver,
        scope,
        ipam,
        attachable,
        ingress,
        config_only,
        config_from,
        options,
        labels,
        name,
        check_duplicate: _,
        enable_ipv4: _,
        enable_ipv6: _,
        internal: _,
    } = body;
    asks.new_name("network name", name, "Name");
    if driver != "bridge" {
        asks.text(Flag::NetworkDriver, driver, "Driver");
    }
    if scope != "local" {
        asks.text(Flag::NetworkScope, scope, "Scope");
    }
    for (on, word, field) in [
        (attachable, "attachable", "Attachable"),
        (ingress, "ingress", "Ingress"),
        (config_only, "config-only", "ConfigOnly"),
    ] {
        if *on {
            asks.flag(Flag::NetworkScope, word, field);
        }
    }
    if let Some(ConfigFrom { network }) = config_from.as_deref() {
        asks.text(Flag::NetworkScope, network, "ConfigFrom.Network");
    }
    if let Some(Ipam { driver, options, config }) = ipam.as_deref() {
        if driver != "default" {
            asks.text(Flag::NetworkDriver, driver, "IPAM.Driver");
        }
        asks.options(Flag::NetworkCreateOpt, options, "IPAM.Options");
        for (index, pool) in config.iter().flatten().enumerate() {
            let IpamPool { subnet, ip_range, gateway, auxiliary_addresses: _ } = plain(pool);
            for (value, name) in [(subnet, "Subnet"), (ip_range, "IPRange"), (gateway, "Gateway")] {
                asks.text(Flag::Subnet, value, &format!("IPAM.Config[{index}].{name}"));
            }
        }
    }
    asks.options(Flag::NetworkCreateOpt, options, "Options");
    asks.label_map(labels, "Labels");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_that_two_engines_read_in_two_ways_is_no_policys_to_grant() {
        let asked = |text: &str| {
            let mut asks = Asks(Vec::new());
            mode(text, "HostConfig.NetworkMode", &mut asks);
            asks.0.into_iter().map(|ask| ask.what).collect::<Vec<_>>()
        };
        for text in ["host:", "pasta:-T,auto", "slirp4netns:allow_host_loopback=true", "Container:x"] {
            assert_eq!(asked(text), [What::Odd("network mode", text.to_owned())]);
        }
        for text in ["container:x", "ns:/proc/1/ns/net", "app", "host"] {
            assert_eq!(asked(text), [What::Flag(Flag::Network, text.to_owned())]);
        }
        assert!(asked("none").is_empty());
    }
}
