//! Chat on a real server, with real sockets on ports of their own.

pub mod client;
mod counted;
mod documented;
mod listeners;
mod moderated;
mod reconnect;
mod restart;
mod sanctions;
mod shared;

use std::net::SocketAddr;

use room::{Kind, RoomId, UserId};
use sign::token::Generation;

use crate::config::Settings;
use crate::start::Server;

/// A server of a test's own.
pub struct World {
    pub server: Server,
    pub at: SocketAddr,
}

impl World {
    /// Starts one. Tests say things faster than people do.
    pub async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        settings.http.listen = any;
        settings.rtmp.listen = any;
        settings.chat.rate = 100_000;
        settings.chat.burst = 100_000;
        settings.logs.level = "error".into();
        settings.data_dir = std::env::temp_dir().join(format!("roomservice-chat-{:016x}", sign::fresh_id()));
        change(&mut settings);
        let server = Server::start(settings).await.unwrap();
        Self { at: server.http, server }
    }

    /// A session of the rooms API.
    pub fn token(&self, user: &str) -> String {
        let app = &self.server.app;
        app.sessions.open(&self::user(user), Generation::Second, app.clock.now()).unwrap()
    }

    /// Lets a user push in a room, which is made if it is not there.
    pub async fn enter(&self, kind: Kind, room: &str, who: &str) {
        let room = self::room(room);
        let user = self::user(who);
        let stream = room::StreamId::parse(&format!("1000_{who}")).unwrap();
        let new = room::NewPusher { room: &room, kind, user: &user, name: "", avatar: "", stream: &stream, info: None };
        self.server.app.rooms.add_pusher(&new).await.unwrap();
    }

    pub async fn stop(self) {
        let dir = self.server.app.settings.data_dir.clone();
        self.server.stop().await;
        let _ = std::fs::remove_dir_all(dir);
    }
}

pub fn room(text: &str) -> RoomId {
    RoomId::parse(text).unwrap()
}

pub fn user(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}
