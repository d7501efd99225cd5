//! The names a certificate of the local CA is made out to.

use rustls::pki_types::ServerName;

/// localhost and this host, the configured addresses, and the domains with their buckets.
pub(crate) fn server_names(addresses: &[&str], domains: &[String]) -> Vec<String> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let fixed = ["localhost", "*.localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let configured = addresses.iter().filter_map(|address| host_of(address));
    let buckets = domains.iter().flat_map(|domain| [domain.clone(), format!("*.{domain}")]);
    let mut names: Vec<String> = Vec::new();
    for name in fixed.into_iter().chain([host]).chain(configured).chain(buckets) {
        let name = name.to_ascii_lowercase();
        if is_name(&name) && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The host of `HOST:PORT`, unless it stands for every address.
fn host_of(address: &str) -> Option<String> {
    let (host, _) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let unspecified = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    (!host.is_empty() && !unspecified).then(|| host.to_owned())
}

fn is_name(name: &str) -> bool {
    ServerName::try_from(name.strip_prefix("*.").unwrap_or(name)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_domains_are_named_once_each() {
        let names = server_names(&["10.1.2.3:9000", "0.0.0.0:9001", "[::]:1", "localhost:1"], &["S3.test".to_owned()]);
        for name in ["localhost", "127.0.0.1", "::1", "10.1.2.3", "s3.test", "*.s3.test"] {
            assert_eq!(names.iter().filter(|candidate| *candidate == name).count(), 1, "{name} in {names:?}");
        }
        assert!(!names.iter().any(|name| name == "0.0.0.0" || name == "::"), "{names:?}");
    }
}
