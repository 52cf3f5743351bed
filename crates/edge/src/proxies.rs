//! The proxies in front, by address: who they say comes is believed. Pure.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use parking_lot::RwLock;

/// Most names of a chain of proxies that are looked at.
const CHAIN: usize = 16;

/// Addresses and networks of proxies.
#[derive(Debug, Default)]
pub struct Proxies(RwLock<Vec<(u128, u32)>>);

/// IPv4 as it stands within IPv6, so that one number compares both.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

impl Proxies {
    /// From addresses and networks (`10.0.0.0/8`, `fd00::/8`).
    ///
    /// # Errors
    /// Which is neither.
    pub fn new(list: &[String]) -> Result<Self, String> {
        let parse = |text: &String| {
            let (address, length) = text.split_once('/').map_or((text.as_str(), None), |(a, l)| (a, Some(l)));
            let address: IpAddr = address.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let length = length.map_or(Some(most), |length| length.parse().ok()).filter(|length| *length <= most)?;
            let length = length + 128 - most;
            Some((number(address) & mask(length), length))
        };
        let one = |text| parse(text).ok_or_else(|| format!("\"{text}\" is neither an address nor a network"));
        list.iter().map(one).collect::<Result<_, _>>().map(|list| Self(RwLock::new(list)))
    }

    /// Every address.
    #[must_use]
    pub fn all() -> Self {
        Self(RwLock::new(vec![(0, 0)]))
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = number(address);
        self.0.read().iter().any(|(network, length)| address & mask(*length) == *network)
    }

    /// Others from now on.
    pub fn set(&self, others: Self) {
        *self.0.write() = others.0.into_inner();
    }

    /// Who really asks: the last of `X-Forwarded-For` that is no proxy itself, if a proxy brings it.
    #[must_use]
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        const NAME: &str = "x-forwarded-for";
        if !headers.contains_key(NAME) || !self.trusts(peer.ip()) {
            return peer;
        }
        let lines = headers.get_all(NAME).iter().rev().filter_map(|line| line.to_str().ok());
        let mut found = peer;
        for name in lines.flat_map(|line| line.rsplit(',')).map(str::trim).take(CHAIN) {
            let address = name.parse().map(|ip| SocketAddr::new(ip, 0)).or_else(|_| name.parse());
            // What stands before a part that is malformed may be invented by the client.
            let Ok(address) = address else { break };
            found = address;
            if !self.trusts(address.ip()) {
                break;
            }
        }
        found
    }
}

fn mask(length: u32) -> u128 {
    // 128 places to the left are none.
    u128::MAX.checked_shl(128 - length.min(128)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(list: &[&str]) -> Result<Proxies, String> {
        Proxies::new(&list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
    }

    fn client(list: &[&str], peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        proxies(list).unwrap().client(SocketAddr::new(peer.parse().unwrap(), 1), &headers).ip().to_string()
    }

    #[test]
    fn networks_hold_their_addresses() {
        let known = proxies(&["10.0.0.0/8", "192.0.2.7", "fd00::/8", "::1"]).unwrap();
        for yes in ["10.255.0.1", "192.0.2.7", "fd12::1", "::1", "::ffff:10.0.0.1"] {
            assert!(known.trusts(yes.parse().unwrap()), "{yes}");
        }
        for no in ["11.0.0.1", "192.0.2.8", "fe80::1", "::2", "127.0.0.1"] {
            assert!(!known.trusts(no.parse().unwrap()), "{no}");
        }
        assert!(proxies(&["0.0.0.0/0"]).unwrap().trusts("8.8.8.8".parse().unwrap()));
        for bad in ["", "x", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.1:80"] {
            assert!(proxies(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_proxies_are_believed() {
        let list = ["127.0.0.1", "10.0.0.0/8"];
        assert_eq!(client(&list, "127.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(client(&list, "198.51.100.1", &["203.0.113.9"]), "198.51.100.1", "a stranger's word");
        // What the client itself wrote stands before what proxies added.
        assert_eq!(client(&list, "127.0.0.1", &["1.2.3.4, 203.0.113.9, 10.1.1.1"]), "203.0.113.9");
        assert_eq!(client(&list, "127.0.0.1", &["1.2.3.4", "203.0.113.9"]), "203.0.113.9");
        assert_eq!(client(&list, "127.0.0.1", &["nonsense, 10.1.1.1"]), "10.1.1.1");
        assert_eq!(client(&list, "127.0.0.1", &["203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(client(&list, "127.0.0.1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(client(&list, "127.0.0.1", &[]), "127.0.0.1");
        let long = vec!["10.0.0.1"; 1000].join(",");
        assert_eq!(client(&list, "127.0.0.1", &[&format!("203.0.113.9,{long}")]), "10.0.0.1");
    }
}
