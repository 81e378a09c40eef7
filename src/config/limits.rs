//! The settings of limits, and of who stands between us and those who are limited.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Limits;
use super::read::Reader;
use crate::secret::Secret;

impl Reader<'_> {
    pub(super) fn limits(&mut self) -> Limits {
        Limits {
            per_user: self.pace("RATE_LIMIT_PER_USER", 120),
            global: self.pace("RATE_LIMIT_GLOBAL", 6_000),
            webhooks: self.pace("RATE_LIMIT_WEBHOOKS", 12_000),
            model_per_user: self.pace("RATE_LIMIT_LLM_PER_USER", 20),
            model_global: self.pace("RATE_LIMIT_LLM_GLOBAL", 300),
            trusted_proxies: self
                .parsed("TRUSTED_PROXIES", |text| {
                    text.split(',')
                        .map(|part| network(part.trim()))
                        .collect::<Option<Vec<_>>>()
                        .ok_or_else(|| {
                            "must be networks such as 10.0.0.0/8, parted by commas".to_owned()
                        })
                })
                .unwrap_or_default(),
            redis_url: self.parsed("REDIS_URL", |text| {
                redis::Client::open(text)
                    .map(|_| Secret::new(text.to_owned()))
                    .map_err(|_| "must be a URL such as redis://host:6379".to_owned())
            }),
        }
    }
}

/// A network, or the one address.
fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .ok()
}

/// Whether the networks together are everybody, of either version.
pub(super) fn are_everybody(networks: &[IpNet]) -> bool {
    IpNet::aggregate(&networks.to_vec())
        .iter()
        .any(|network| network.prefix_len() == 0)
}
