//! How each kind of pattern matches.

use std::net::IpAddr;

use crate::policy::ask::{HostMount, Publish};
use crate::policy::{ImagePattern, MountPattern, PublishPattern};

impl ImagePattern {
    /// Whether the normalised reference is one of these
    pub fn matches(&self, image: &str) -> bool {
        self.reference.is_match(image)
    }

    /// Whether the normalised reference is one of these, or every tag of its repository (`:*`) holds one
    pub fn touches(&self, image: &str) -> bool {
        let every_tag = || image.strip_suffix(":*").is_some_and(|repository| self.repository.is_match(repository));
        self.matches(image) || every_tag()
    }

    /// Whether any image of the registry in `image` could be one of these
    pub fn matches_registry(&self, image: &str) -> bool {
        // `docker login` without a registry names the index of docker.io.
        let registry = image.split('/').next().map(|host| if host == "index.docker.io" { "docker.io" } else { host });
        registry.is_some_and(|registry| self.registry.is_match(registry))
    }
}

impl MountPattern {
    /// Whether the mount is no more than this grants
    pub fn grants(&self, mount: &HostMount) -> bool {
        self.source.is_match(&mount.source) && mount.access <= self.access && mount.propagation <= self.propagation
    }

    /// Whether a forbidden path is the mount, holds it, or lies below it
    pub fn touches(&self, mount: &HostMount) -> bool {
        self.source.is_match(&mount.source) || self.above.is_match(&mount.source)
    }
}

impl PublishPattern {
    /// Whether every port of the ask is granted on its address
    pub fn grants(&self, publish: &Publish) -> bool {
        let Publish { address, ports } = publish;
        let address = match &self.address {
            None => true,
            Some(allowed) => match (allowed.parse::<IpAddr>(), address.parse::<IpAddr>()) {
                (Ok(allowed), Ok(address)) => allowed == address,
                _ => allowed == address,
            },
        };
        // Port 0 is an ephemeral one and has to be granted as such.
        address && self.ports.0 <= ports.0 && ports.1 <= self.ports.1
    }

    /// Whether a port of the ask could be one of these, on an address that is one of these
    pub fn touches(&self, publish: &Publish) -> bool {
        let Publish { address, ports } = publish;
        let everywhere =
            |address: &str| address.is_empty() || address.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified());
        let address = match &self.address {
            None => true,
            Some(forbidden) => {
                everywhere(address)
                    || everywhere(forbidden)
                    || self.grants(&Publish { ports: self.ports, ..publish.clone() })
            }
        };
        address && ports.0 <= self.ports.1 && self.ports.0 <= ports.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ask::{Access, Propagation};
    use crate::policy::compile::pattern::path;

    #[test]
    fn forbidding_a_port_forbids_every_range_and_address_that_holds_it() {
        let on = |address: &str, ports| Publish { address: address.to_owned(), ports };
        let everywhere = PublishPattern { address: None, ports: (8080, 8080) };
        assert!(everywhere.touches(&on("", (8000, 9000))));
        assert!(!everywhere.touches(&on("", (8081, 9000))));
        let local = PublishPattern { address: Some("127.0.0.1".to_owned()), ports: (8080, 8080) };
        for address in ["", "0.0.0.0", "::", "127.0.0.1"] {
            assert!(local.touches(&on(address, (8080, 8080))), "{address}");
        }
        assert!(!local.touches(&on("10.0.0.1", (8080, 8080))));
    }

    #[test]
    fn forbidding_a_path_forbids_its_parents_and_children() {
        let (source, above) = path("/var/run/docker.sock").unwrap();
        let pattern = MountPattern { source, above, access: Access::ReadWrite, propagation: Propagation::Shared };
        let mount = |source: &str| HostMount {
            source: source.to_owned(),
            access: Access::ReadOnly,
            propagation: Propagation::Private,
        };
        for source in ["/", "/var", "/var/run", "/var/run/docker.sock"] {
            assert!(pattern.touches(&mount(source)), "{source}");
        }
        assert!(!pattern.touches(&mount("/var/runner")));
        assert!(!pattern.touches(&mount("/srv")));
    }
}
