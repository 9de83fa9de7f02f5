//! How a container is attached to networks: `NetworkingConfig` and its `EndpointSettings`.
//!
//! The engine joins every key of `EndpointsConfig` whatever `NetworkMode` says, and `NetworkID` overrides the key
//! (20.10 to 28.5). Fields the engine fills in itself (`EndpointID`, `IPAddress`, …) are read, since clients send back
//! what inspect gave them; the engine ignores them.

use std::collections::BTreeMap;

use crate::api::value::Plain;
use crate::object;

object! {
    /// `NetworkingConfig` of container create
    pub struct NetworkingConfig {
        /// Networks to join, by name or id
        "EndpointsConfig" => endpoints_config: Option<BTreeMap<String, Option<Box<EndpointSettings>>>>,
    }
}

object! {
    /// One attachment
    pub struct EndpointSettings {
        /// Static addresses
        "IPAMConfig" => ipam_config: Option<Box<EndpointIpam>>,
        /// Links on this network, `REF:alias`
        "Links" => links: Option<Vec<String>>,
        /// DNS names on this network
        "Aliases" => aliases: Option<Vec<String>>,
        /// Overrides the network's name; must agree with it
        "NetworkID" => network_id: String,
        /// Options of the network driver
        "DriverOpts" => driver_opts: Option<BTreeMap<String, String>>,
        /// Hardware address
        "MacAddress" => mac_address: String,
        /// Which network gives the default route (1.48)
        "GwPriority" since 48 => gw_priority: i64,
        /// Filled in by the engine
        "EndpointID" => endpoint_id: String,
        /// Filled in by the engine
        "Gateway" => gateway: String,
        /// Filled in by the engine
        "IPAddress" => ip_address: String,
        /// Filled in by the engine
        "IPPrefixLen" => ip_prefix_len: i64,
        /// Filled in by the engine
        "IPv6Gateway" => ipv6_gateway: String,
        /// Filled in by the engine
        "GlobalIPv6Address" => global_ipv6_address: String,
        /// Filled in by the engine
        "GlobalIPv6PrefixLen" => global_ipv6_prefix_len: i64,
        /// Filled in by the engine (1.44)
        "DNSNames" since 44 => dns_names: Option<Vec<String>>,
    }
}

object! {
    /// Static addresses of an attachment
    pub struct EndpointIpam {
        /// IPv4 address
        "IPv4Address" => ipv4_address: String,
        /// IPv6 address
        "IPv6Address" => ipv6_address: String,
        /// Link-local addresses
        "LinkLocalIPs" => link_local_ips: Option<Vec<String>>,
    }
}

object! {
    /// Body of `POST /networks/{id}/connect`
    pub struct Connect {
        /// Container, by name or id
        "Container" => container: String,
        /// The attachment
        "EndpointConfig" => endpoint_config: Option<Box<EndpointSettings>>,
    }
}

object! {
    /// Body of `POST /networks/{id}/disconnect`
    pub struct Disconnect {
        /// Container, by name or id
        "Container" => container: String,
        /// Also when the container is gone
        "Force" => force: bool,
    }
}

object! {
    /// Body of `POST /networks/create`
    pub struct CreateNetwork {
        /// Name; may repeat on engines up to 24
        "Name" => name: String,
        /// Refuse a name that exists; always so since 25
        "CheckDuplicate" => check_duplicate: bool,
        /// `bridge` (default), `macvlan`, `ipvlan`, `overlay` or a plugin
        "Driver" => driver: String,
        /// `local` or `swarm` (1.30)
        "Scope" since 30 => scope: String,
        /// `null` is the engine's default (1.48)
        "EnableIPv4" since 48 => enable_ipv4: Option<bool>,
        /// `null` is the engine's default
        "EnableIPv6" => enable_ipv6: Option<bool>,
        /// Subnets
        "IPAM" => ipam: Option<Box<Ipam>>,
        /// No route to the outside
        "Internal" => internal: bool,
        /// Swarm: joinable by containers
        "Attachable" => attachable: bool,
        /// Swarm: the routing mesh
        "Ingress" => ingress: bool,
        /// Only a template for others (1.30)
        "ConfigOnly" since 30 => config_only: bool,
        /// Template to take options from (1.30)
        "ConfigFrom" since 30 => config_from: Option<Box<ConfigFrom>>,
        /// Options of the driver
        "Options" => options: Option<BTreeMap<String, String>>,
        /// Labels
        "Labels" => labels: Option<BTreeMap<String, String>>,
    }
}

object! {
    /// Address management of a network
    pub struct Ipam {
        /// `default` or a plugin
        "Driver" => driver: String,
        /// Options of the driver
        "Options" => options: Option<BTreeMap<String, String>>,
        /// Pools
        "Config" => config: Option<Vec<Plain<IpamPool>>>,
    }
}

object! {
    /// One pool of addresses
    pub struct IpamPool {
        /// CIDR
        "Subnet" => subnet: String,
        /// CIDR inside the subnet
        "IPRange" => ip_range: String,
        /// Address of the gateway
        "Gateway" => gateway: String,
        /// Addresses kept free
        "AuxiliaryAddresses" => auxiliary_addresses: Option<BTreeMap<String, String>>,
    }
}

object! {
    /// Template of a network
    pub struct ConfigFrom {
        /// Name of the template
        "Network" => network: String,
    }
}
