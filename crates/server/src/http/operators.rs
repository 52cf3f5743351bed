//! Who is let in where operators act over HTTP: the operator's key, and that no other site's page speaks in its name.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::http::{HeaderMap, StatusCode};

use access::operator::{Operator, Operators};
use room::Millis;

/// Why a caller is not let in.
#[derive(Debug)]
pub struct Refused {
    /// The HTTP status.
    pub status: StatusCode,
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub message: &'static str,
}

/// The operator that makes this request.
///
/// # Errors
/// It is no operator's, or made by a page of another site.
pub fn admit(
    operators: &Operators,
    now: Millis,
    peer: Option<SocketAddr>,
    headers: &HeaderMap,
) -> Result<Operator, Refused> {
    let text = |name: &str| headers.get(name).and_then(|h| h.to_str().ok());
    // Another site's page in the operator's browser must not act in the operator's name.
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        let message = "only pages of this server may ask";
        return Err(Refused { status: StatusCode::FORBIDDEN, code: "cross_site", message });
    }
    let open = operators.is_open();
    if open {
        at_this_machine(text("host"), headers)?;
    }
    let bearer = text("authorization").and_then(|h| h.strip_prefix("Bearer "));
    // Development mode knows no keys; who is on this machine is the operator.
    let local = peer.is_some_and(|peer| peer.ip().is_loopback());
    let operator = if !open || local { operators.admit(bearer, now) } else { None };
    let message = "operators only: Authorization: Bearer KEY";
    operator.ok_or(Refused { status: StatusCode::UNAUTHORIZED, code: "unauthorised", message })
}

/// Whether a request of development mode, which knows no keys, is made by this machine's own name or address, and by no
/// page of another site. Programs that are no browsers send nothing of what is looked at but `Host`.
///
/// # Errors
/// It is not.
pub fn at_this_machine(host: Option<&str>, headers: &HeaderMap) -> Result<(), Refused> {
    let refused = |code, message| Err(Refused { status: StatusCode::FORBIDDEN, code, message });
    // Another name in `Host` is a page that had its own name lead here.
    if host.is_some_and(|host| address_of(name_of(host)).is_none()) {
        return refused("foreign_host", "in development mode this is asked by the server's address, or as localhost");
    }
    let text = |name: &str| headers.get(name).map(|header| header.to_str().unwrap_or_default());
    let origin = text("origin").map(|origin| origin.split_once("://").map(|(_, origin)| name_of(origin)));
    let ours = host.map(name_of);
    // Pages at any port of this machine are one site; to browsers `localhost` and `127.0.0.1` are two.
    let here = origin.flatten().is_some_and(is_loopback) && ours.is_some_and(is_loopback);
    let cross_site = text("sec-fetch-site").is_some_and(|site| site == "cross-site");
    let foreign = origin.is_some_and(|origin| origin != ours);
    if (cross_site || foreign) && !here {
        return refused("cross_site", "in development mode no page of another site may ask this");
    }
    Ok(())
}

/// What precedes the port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The address that a name stands for, of those that lead to no machine elsewhere: an address, or `localhost`.
fn address_of(name: &str) -> Option<IpAddr> {
    if name.eq_ignore_ascii_case("localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name).parse().ok()
}

/// A name by which a machine calls itself alone.
fn is_loopback(name: &str) -> bool {
    address_of(name).is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(host: &str, more: &[(&'static str, &str)]) -> bool {
        let headers = more.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect();
        at_this_machine(Some(host), &headers).is_ok()
    }

    #[test]
    fn only_names_of_this_machine_are_answered() {
        for host in ["localhost", "localhost:5757", "127.0.0.1:80", "[::1]:5757", "[::1]", "192.168.1.7:5757"] {
            assert!(asked(host, &[]), "{host}");
        }
        for host in ["", "evil.example", "evil.example:5757", "localhost.evil.example", "127.0.0.1.evil.example:1"] {
            assert!(!asked(host, &[]), "{host}");
        }
        assert!(at_this_machine(None, &HeaderMap::new()).is_ok(), "no browser leaves Host out");
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        for (origin, site) in [
            ("http://localhost:5757", "same-origin"),
            ("http://localhost:5173", "same-site"),
            ("http://localhost", "none"),
        ] {
            assert!(asked("localhost:5757", &[("origin", origin), ("sec-fetch-site", site)]), "{origin} {site}");
        }
        for origin in ["https://evil.example", "null", "", "http://localhost.evil.example", "http://192.168.1.7:5757"] {
            assert!(!asked("localhost:5757", &[("origin", origin)]), "{origin}");
        }
        for (host, origin) in [("localhost:5757", "http://127.0.0.1:5173"), ("127.0.0.1:5757", "http://[::1]:80")] {
            assert!(asked(host, &[("origin", origin), ("sec-fetch-site", "cross-site")]), "{host} {origin}");
        }
        assert!(!asked("192.168.1.7:5757", &[("origin", "http://127.0.0.1:5173"), ("sec-fetch-site", "cross-site")]));
        assert!(!asked("localhost:5757", &[("sec-fetch-site", "cross-site")]));
    }
}
