//! Host names under which the server answers.

use std::net::IpAddr;

/// Accepted values of the `Host` header.
///
/// A page on any domain can make its own name resolve to this machine (DNS rebinding). The browser
/// then treats the served files as that domain's own and lets the page read them. It still sends
/// the domain's name as `Host`, so refusing unknown names closes the hole. Addresses are not names
/// and cannot be rebound.
pub struct Hosts {
    listening: IpAddr,
    names: Vec<String>,
}

impl Hosts {
    /// `listening` is the address of the socket, `names` are further host names to accept.
    pub fn new(listening: IpAddr, names: &[String]) -> Self {
        let names = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { listening, names }
    }

    /// Checks a `Host` header: a name or an address, with or without a port.
    pub fn accept(&self, header: &str) -> bool {
        let Some(host) = without_port(header) else {
            return false;
        };
        if let Ok(address) = host.parse::<IpAddr>() {
            let anywhere = self.listening.is_unspecified();
            return anywhere || address.is_loopback() || address == self.listening;
        }
        let host = host.to_ascii_lowercase();
        host == "localhost" || self.names.contains(&host)
    }
}

/// `localhost` of `localhost:8000`, `::1` of `[::1]:8000`.
fn without_port(header: &str) -> Option<&str> {
    let (host, port) = match header.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => header.split_at(header.find(':').unwrap_or(header.len())),
    };
    let digits = port.strip_prefix(':').unwrap_or_default();
    let sound = port.is_empty() || digits.parse::<u16>().is_ok();
    (sound && !host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(listening: &str, names: &[&str]) -> Hosts {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Hosts::new(listening.parse().unwrap(), &names)
    }

    #[test]
    fn this_machine_is_accepted_under_its_own_names_only() {
        let local = hosts("127.0.0.1", &[]);
        for host in [
            "localhost",
            "localhost:8000",
            "LocalHost:80",
            "127.0.0.1:8000",
            "[::1]:8000",
            "[::1]",
        ] {
            assert!(local.accept(host), "{host}");
        }
        for host in [
            "",
            "rebound.example",
            "rebound.example:8000",
            "localhost.rebound.example",
            "127.0.0.1.rebound.example",
            "127.0.0.1:8000:9",
            "localhost:port",
            "192.168.1.5:8000",
            "[::1",
            "[::1]8000",
            ":8000",
        ] {
            assert!(!local.accept(host), "{host}");
        }
    }

    #[test]
    fn the_address_given_by_host_is_accepted() {
        let lan = hosts("192.168.1.5", &[]);
        assert!(lan.accept("192.168.1.5:8000"));
        assert!(lan.accept("localhost:8000"));
        assert!(!lan.accept("192.168.1.6:8000"));
        assert!(!lan.accept("rebound.example"));
    }

    #[test]
    fn a_server_on_every_interface_accepts_addresses_but_no_names() {
        for everywhere in [hosts("0.0.0.0", &[]), hosts("::", &[])] {
            assert!(everywhere.accept("192.168.1.5:8000"));
            assert!(everywhere.accept("[fe80::1]:8000"));
            assert!(!everywhere.accept("rebound.example:8000"));
        }
    }

    #[test]
    fn further_names_are_accepted_when_they_are_listed() {
        let named = hosts("127.0.0.1", &["Studio.Example"]);
        assert!(named.accept("studio.example:8000"));
        assert!(!named.accept("example"));
    }
}
