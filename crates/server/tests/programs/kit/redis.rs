//! Servers that share a Redis of a test's own.

use super::{Server, directory};
use testkit::RedisServer;

/// One of several servers on this Redis.
pub fn node(redis: &RedisServer) -> Server {
    node_with(redis, &[])
}

/// The same with variables of its own.
pub fn node_with(redis: &RedisServer, more: &[(&str, &str)]) -> Server {
    let url = redis.url(0);
    let mut variables = vec![
        ("ROOMSERVICE_STORE__KIND", "redis"),
        ("ROOMSERVICE_STORE__REDIS", url.as_str()),
        ("ROOMSERVICE_SESSIONS__SECRET", "shared by all nodes"),
        ("ROOMSERVICE_LIVE__PUSHSECRETKEY", "shared by all nodes"),
        ("ROOMSERVICE_IM__SDKAPPID", "1400000000"),
        ("ROOMSERVICE_IM__SECRETKEY", "shared by all nodes"),
        ("ROOMSERVICE_WEBRTC__LISTEN", "127.0.0.1:0"),
    ];
    variables.extend(more);
    Server::with(directory(), &variables)
}
