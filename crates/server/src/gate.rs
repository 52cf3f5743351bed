//! Who may push and who may play: answers the media server's questions by the URL's signature.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use media::record::Recorder;
use media::request::{PlayOptions, PublishOptions, Request};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::live::Urls;

/// `[rtmp]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether there is an RTMP server.
    pub enabled: bool,
    /// Where it listens.
    pub listen: SocketAddr,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 1935)) }
    }
}

/// Answers until the media server is gone.
pub async fn keep(
    mut requests: mpsc::Receiver<Request>,
    urls: Arc<Urls>,
    clock: Arc<dyn Clock>,
    recorder: Option<Recorder>,
) {
    while let Some(request) = requests.recv().await {
        answer(request, &urls, &*clock, recorder.as_ref());
    }
}

fn answer(request: Request, urls: &Urls, clock: &dyn Clock, recorder: Option<&Recorder>) {
    let (stream, now) = (request.what().stream.clone(), clock.now());
    let query = &request.what().query.0;
    let allowed = match &request {
        Request::Publish(_) => urls.may_push(stream.as_str(), query, now),
        Request::Play(_) => urls.may_play(stream.as_str(), query, now),
    };
    match (allowed, request) {
        (Ok(_), Request::Publish(ask)) => {
            let mut options = PublishOptions::default();
            // Who pushes may have it recorded, where the operator allows recordings at all.
            if let Some(recorder) = recorder.filter(|_| ask.what.query.0.split('&').any(|pair| pair == "record=1")) {
                options.record = true;
                recorder.record(&stream);
            }
            ask.accept(options);
        }
        (Ok(_), Request::Play(ask)) => ask.accept(PlayOptions::default()),
        (Err(why), request) => request.reject(why.to_string()),
    }
}
