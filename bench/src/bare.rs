//! The bare handler: axum on hyper with mimalloc, JSON in, a heartbeat's reply out, and nothing else.
//! What a call costs beyond this is what the server adds.

use crate::table::Verdict;
use crate::{Failure, Outcome};
use axum::extract::Json;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HeaderName};
use axum::response::IntoResponse;
use axum::routing::post;
use axum::serve::ListenerExt;
use axum::{Router, serve};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The path it answers: a heartbeat's, so that the same request bytes can be sent to both servers.
pub const PATH: &str = "/weapp/multi_room/pusher_heartbeat";

#[derive(clap::Args)]
pub struct Options {
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1:5758")]
    listen: SocketAddr,
}

#[derive(Deserialize)]
struct Beat {
    #[serde(rename = "roomID")]
    room_id: String,
    #[serde(rename = "userID")]
    user_id: String,
}

#[derive(Serialize)]
struct Reply {
    code: i32,
    message: &'static str,
}

/// Serves until the process is ended.
pub fn run(options: &Options) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(listen(options.listen))?;
    Ok(Verdict::Reached)
}

async fn listen(address: SocketAddr) -> Result<(), Failure> {
    let listener = tokio::net::TcpListener::bind(address).await?.tap_io(|stream| {
        // A socket that cannot be told so is about to be closed anyway.
        let _ = stream.set_nodelay(true);
    });
    let router = Router::new().route(PATH, post(answer));
    Ok(serve(listener, router).await?)
}

async fn answer(Json(beat): Json<Beat>) -> impl IntoResponse {
    let known = !beat.room_id.is_empty() && !beat.user_id.is_empty();
    let reply =
        if known { Reply { code: 0, message: "请求成功" } } else { Reply { code: 1, message: "参数错误" } };
    let headers: [(HeaderName, &str); 1] = [(ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (headers, Json(reply))
}
