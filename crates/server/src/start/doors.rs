//! The doors: what each group of handlers is given of the server's parts.

use std::sync::Arc;

use crate::chat_door::ChatDoor;
use crate::config::Mode;
use crate::http::{Api, Callbacks, Checks, Choices, Console, Doors, Health, Media, Repeats, Sessions, Tokens, Weapp};
use crate::parts::Parts;
use crate::report;
use crate::web::Web;

/// Opens all of them.
#[must_use]
pub fn open(parts: &Arc<Parts>) -> Doors {
    let web = Arc::new(parts.web());
    Doors {
        weapp: Arc::new(weapp(parts, &web)),
        callbacks: Arc::new(callbacks(parts, &web)),
        media: Arc::new(media(parts)),
        chat: Arc::new(chat(parts, &web)),
        api: Arc::new(api(parts, &web)),
        console: Arc::new(console(parts, &web)),
        health: Arc::new(health(parts)),
        web,
    }
}

fn weapp(parts: &Parts, web: &Arc<Web>) -> Weapp {
    Weapp {
        web: web.clone(),
        rooms: parts.rooms.clone(),
        urls: parts.urls.clone(),
        live: parts.live.clone(),
        identity: parts.identity.clone(),
        sessions: parts.sessions.clone(),
        bans: parts.bans.clone(),
        operators: parts.operators.clone(),
        store: parts.store.clone(),
        chat: parts.chat.clone(),
        checks: checks(parts),
        choices: Choices {
            tls_by_proxy: parts.settings.http.tls_by_proxy,
            open_webrtc: parts.settings.rooms.open_webrtc,
            bizid: parts.settings.live.bizid,
            keep_owners: parts.settings.record.enabled || parts.clouds.live.is_some(),
            listed: parts.settings.record.list,
            generation0: parts.settings.rooms.generation0 && parts.settings.mode == Mode::Development,
            lan: parts.settings.lan.is_some(),
            mix_elsewhere: parts.settings.rooms.mix_elsewhere,
        },
    }
}

fn callbacks(parts: &Parts, web: &Arc<Web>) -> Callbacks {
    Callbacks {
        web: web.clone(),
        clouds: parts.clouds.clone(),
        rooms: parts.rooms.clone(),
        bans: parts.bans.clone(),
        chat_path: parts.settings.chat.tencent.callback_path.clone(),
        live_path: parts.settings.live.tencent.callback_path.clone(),
    }
}

fn media(parts: &Parts) -> Media {
    Media {
        requests: parts.requests.clone(),
        gate: parts.gate.clone(),
        renditions: parts.renditions.clone(),
        hls: parts.hls.clone(),
        webrtc: parts.webrtc.clone(),
        sessions: Sessions { server: parts.webrtc.clone(), nodes: parts.nodes.clone() },
        recorder: parts.recorder.clone(),
        ice: parts.settings.webrtc.clone(),
        cors: parts.cors.clone(),
        clock: parts.clock.clone(),
    }
}

fn chat(parts: &Parts, web: &Arc<Web>) -> ChatDoor {
    ChatDoor {
        web: web.clone(),
        chat: parts.chat.clone(),
        elsewhere: parts.settings.chat.elsewhere(parts.identity.sdk_app_id()),
        rooms: parts.rooms.clone(),
        identity: parts.identity.clone(),
        sessions: parts.sessions.clone(),
        store: parts.store.clone(),
        bans: parts.bans.clone(),
        moderation: parts.moderation(),
        hooks: parts.hooks.clone(),
    }
}

fn api(parts: &Parts, web: &Arc<Web>) -> Api {
    Api {
        web: web.clone(),
        operators: parts.operators.clone(),
        moderation: parts.moderation(),
        rooms: parts.rooms.clone(),
        chat: parts.chat.clone(),
        hub: parts.hub.clone(),
        live: parts.live.clone(),
        recorder: parts.recorder.clone(),
        hooks: parts.hooks.clone(),
        figures: parts.figures.clone(),
        tokens: Tokens {
            identity: parts.identity.clone(),
            sessions: parts.sessions.clone(),
            lifetime: parts.settings.sessions.lifetime,
        },
        repeats: Arc::new(Repeats::of(&parts.settings.store)),
    }
}

fn console(parts: &Parts, web: &Arc<Web>) -> Console {
    Console {
        web: web.clone(),
        operators: parts.operators.clone(),
        moderation: parts.moderation(),
        rooms: parts.rooms.clone(),
        chat: parts.chat.clone(),
        hub: parts.hub.clone(),
        live: parts.live.clone(),
        recorder: parts.recorder.clone(),
        hooks: parts.hooks.clone(),
        figures: parts.figures.clone(),
        webrtc: parts.webrtc.clone(),
        checks: checks(parts),
    }
}

fn health(parts: &Arc<Parts>) -> Health {
    let all = parts.clone();
    Health {
        probe: parts.probe.clone(),
        live: parts.live.clone(),
        webrtc: parts.webrtc.clone(),
        hooks: parts.hooks.clone(),
        leaving: parts.leaving.clone(),
        disk: parts.disk.clone(),
        operators: parts.operators.clone(),
        clock: parts.clock.clone(),
        page: Box::new(move || report::page(&all)),
    }
}

fn checks(parts: &Parts) -> Checks {
    Checks {
        settings: parts.settings.clone(),
        clouds: parts.clouds.clone(),
        live: parts.live.clone(),
        webrtc: parts.webrtc.clone(),
    }
}
