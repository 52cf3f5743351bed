//! What fuzzing reaches of the server: whole requests without sockets, and the readers of what others wrote. Compiled for
//! the targets in fuzz/ only.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::http::Request;
use tower::ServiceExt;

use crate::config::{Mode, Settings};
use crate::start::Around;
use store::clock;
use tencent::clouds::Clouds;

struct World {
    runtime: tokio::runtime::Runtime,
    router: axum::Router,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut settings = Settings { mode: Mode::Development, ..Settings::default() };
        settings.data_dir = std::env::temp_dir().join(format!("roomservice-fuzz-{}", std::process::id()));
        settings.store.kind = store::Place::Memory;
        crate::keys::complete(&mut settings).expect("keys are made");
        let logs = crate::start::open_logs(&settings).expect("logs can be opened");
        let assembled = crate::start::assemble(settings, logs, Arc::new(clock::System), Around::bare(Clouds::client()));
        let (parts, _) = runtime.block_on(assembled).expect("the settings fit");
        World { router: crate::http::router(&crate::start::doors_of(&Arc::new(parts))), runtime }
    })
}

/// One request: its path and query up to the first line's end, then a letter for its content type, then its body.
pub fn request(bytes: &[u8]) {
    let Some((line, rest)) = bytes.iter().position(|b| *b == b'\n').map(|at| bytes.split_at(at)) else { return };
    let Ok(path) = std::str::from_utf8(line) else { return };
    let [_, kind, body @ ..] = rest else { return };
    let kind = match kind {
        b'f' => "application/x-www-form-urlencoded",
        b'x' => "text/xml",
        _ => "application/json",
    };
    let request = Request::post(path).header("content-type", kind).header("host", "h").body(Body::from(body.to_vec()));
    let Ok(mut request) = request else { return };
    let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
    let world = world();
    let answered = world.runtime.block_on(async {
        let answer = world.router.clone().oneshot(request);
        tokio::time::timeout(std::time::Duration::from_millis(200), answer).await
    });
    // Long polls may wait; everything else answers, and nothing fails inside.
    if let Ok(Ok(response)) = answered {
        assert_ne!(response.status().as_u16(), 500, "{path}");
    }
}

/// A frame of WebSocket chat.
pub fn chat_frame(text: &str) {
    crate::ws::read(text);
}

/// A journal, whole or cut.
pub fn journal(bytes: &[u8]) {
    store::read_records(bytes);
}

/// A settings file.
pub fn settings(text: &str) {
    if let Ok(settings) = toml::from_str::<Settings>(text) {
        drop(settings.problems());
    }
}
