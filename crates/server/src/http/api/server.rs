//! The server as a whole.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::door::Api;
use super::request::{Answer, Caller};
use access::operator::Need;

/// The server at this moment.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Unix milliseconds.
    at: u64,
    /// The program's version.
    version: &'static str,
    /// Rooms, entered or not.
    rooms: usize,
    /// Streams of this node.
    streams: u64,
    /// Players of them.
    viewers: u64,
    /// Chat connections of this node.
    chat: usize,
    /// Payload bits a second from publishers.
    bits_in: u64,
    /// Bits a second to players.
    bits_out: u64,
    /// Mixes of this node.
    mixes: usize,
    /// Users who are kept out of something.
    bans: usize,
}

/// How much there is of everything. Graphs are better made of `/metrics`.
#[utoipa::path(get, operation_id = "getStats", path = "/stats", tag = "server",
    responses((status = 200, description = "The server now", body = Stats)))]
pub async fn stats(State(api): State<Arc<Api>>, caller: Caller) -> Answer<Stats> {
    caller.may(Need::Look)?;
    let now = api.figures.now();
    Ok(axum::Json(Stats {
        at: now.at,
        version: env!("CARGO_PKG_VERSION"),
        rooms: now.rooms,
        streams: now.streams,
        viewers: now.viewers,
        chat: now.chat,
        bits_in: now.bits_in,
        bits_out: now.bits_out,
        mixes: api.live.mixes(),
        bans: api.moderation.bans.list(api.web.clock.now()).len(),
    }))
}
