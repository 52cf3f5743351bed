//! Who is let in where operators act over HTTP: the operator's key, and that no other site's page speaks in its name.

use std::net::SocketAddr;

use axum::http::{HeaderMap, StatusCode};

use crate::app::App;
use crate::config::Mode;
use crate::operator::Operator;

/// Why somebody is not let in.
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
/// It is nobody's, or made by a page of another site.
pub fn admit(app: &App, peer: Option<SocketAddr>, headers: &HeaderMap) -> Result<Operator, Refused> {
    let text = |name: &str| headers.get(name).and_then(|h| h.to_str().ok());
    // Another site's page in the operator's browser must not act in the operator's name.
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        let (status, message) = (StatusCode::FORBIDDEN, "only pages of this server may ask");
        return Err(Refused { status, code: "cross_site", message });
    }
    let bearer = text("authorization").and_then(|h| h.strip_prefix("Bearer "));
    // Development mode knows no keys; who is on this machine is the operator. A name that is not this machine's in
    // `Host` is a page that had its own name lead here.
    let local = peer.is_some_and(|peer| peer.ip().is_loopback()) && text("host").is_some_and(is_this_machine);
    let open = app.settings.mode == Mode::Development;
    let operator = if !open || local { app.operators.admit(bearer, app.clock.now()) } else { None };
    let message = "operators only: Authorization: Bearer KEY";
    operator.ok_or(Refused { status: StatusCode::UNAUTHORIZED, code: "unauthorised", message })
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in ["localhost", "localhost:5757", "127.0.0.1:80", "[::1]:5757", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["", "evil.example", "evil.example:5757", "localhost.evil.example", "127.0.0.1.evil.example:1"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
