//! What of the limits a request that is no call of the room protocol falls under, and the answer to a caller that asks for more: 429 in the shape of the protocol's
//! answers, or for the operator API of its problems, with `Retry-After`.

use std::net::IpAddr;

use super::api;
use super::weapp::{Fail, Reply, Whole, respond};
use crate::web::Web;
use access::limits::Budget;

/// What a request that is no call of the protocol asks for; none for pages and for those who watch over the server.
fn of_path(path: &str) -> Option<Budget> {
    let mut parts = path.strip_prefix('/')?.split('/');
    Some(match (parts.next()?, parts.next(), parts.next()) {
        ("whip" | "whep", ..) | ("rtc", Some("v1"), _) | ("ws", None, _) => Budget::Join,
        // Segments of a stream are many; its playlist and an FLV player's request are one.
        ("live", Some(_), None) | ("webrtc", Some("v1"), Some("pullstream")) => Budget::Join,
        ("weapp" | "live" | "recordings" | "rtc" | "webrtc" | "ws" | "v1" | "v4" | "api", ..) => Budget::Call,
        _ => return None,
    })
}

/// Refuses a request of an address that asks for too much.
pub fn refuse(web: &Web, from: IpAddr, path: &str) -> Option<Whole> {
    let much = web.limits.address(from, of_path(path)?).err()?;
    if path.starts_with("/api/") {
        return Some(api::too_many(much));
    }
    Some(respond(&web.cors, path, Reply::from_sent(Err(Fail::too_much(much)), None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_fall_under_their_limits() {
        for (path, what) in [
            ("/whip/s", Some(Budget::Join)),
            ("/rtc/v1/play/", Some(Budget::Join)),
            ("/rtc/session/1", Some(Budget::Call)),
            ("/webrtc/v1/pullstream", Some(Budget::Join)),
            ("/webrtc/v1/stopstream", Some(Budget::Call)),
            ("/live/s.flv", Some(Budget::Join)),
            ("/live/s/1.m4s", Some(Budget::Call)),
            ("/ws", Some(Budget::Join)),
            ("/ws/validate", Some(Budget::Call)),
            ("/v4/openim/login", Some(Budget::Call)),
            ("/", None),
            ("/web/demo.js", None),
            ("/metrics", None),
            ("*", None),
        ] {
            assert_eq!(of_path(path), what, "{path}");
        }
    }
}
