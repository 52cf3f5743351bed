//! The media server in this process as live service.

use std::sync::Arc;

use futures_util::StreamExt;
use media::hub::Hub;
use media::mix::{Mixer, Output, Refused};
use media::name::StreamName;
use media::{Ended, Protocol};
use room::sweep::Pushing;
use room::{Millis, StreamId};

use super::mix::{self, Asked, Pushed};
use super::{Live, MixOutcome};
use crate::nodes::Nodes;
use crate::store::Answer;

/// Streams asked about at the same time.
const ABREAST: usize = 32;

/// Asks the hub, and the mixer.
#[derive(Clone)]
pub struct Embedded {
    hub: Hub,
    mixer: Mixer,
    nodes: Option<Arc<Nodes>>,
}

impl Embedded {
    /// Puts them together.
    #[must_use]
    pub fn new(hub: Hub, mixer: Mixer) -> Self {
        Self { hub, mixer, nodes: None }
    }

    /// The same as one of several nodes.
    #[must_use]
    pub fn among(self, nodes: Option<Arc<Nodes>>) -> Self {
        Self { nodes, ..self }
    }

    async fn one(&self, stream: &StreamId, now: Millis) -> Pushing {
        let info = StreamName::new(stream.as_str()).ok().and_then(|name| self.hub.info(&name));
        if let Some(nodes) = &self.nodes
            && info.as_ref().is_none_or(|info| info.protocol == Protocol::Relay)
        {
            return nodes.pushing(stream, now).await;
        }
        // A stream without a single frame so far says nothing for its pusher.
        info.filter(|info| info.frames > 0).map_or(Pushing::No, |info| {
            let silent = u64::try_from(info.silent.as_millis()).unwrap_or(u64::MAX);
            Pushing::Until(Millis(now.0.saturating_sub(silent)))
        })
    }
}

impl Live for Embedded {
    fn pushing<'a>(&'a self, streams: &'a [StreamId], now: Millis) -> Answer<'a, Vec<Pushing>> {
        Box::pin(async move {
            let asked: Vec<_> = streams.iter().map(|stream| self.one(stream, now)).collect();
            Ok(futures_util::stream::iter(asked).buffered(ABREAST).collect().await)
        })
    }

    fn mix<'a>(&'a self, params: &'a serde_json::Value, streams: &'a [StreamId]) -> Answer<'a, MixOutcome> {
        for name in streams.iter().filter_map(|stream| StreamName::new(stream.as_str()).ok()) {
            // What is to be mixed comes here; until it flows, clients are told to ask again.
            if let Some(nodes) = &self.nodes {
                nodes.want(&name);
            }
        }
        let outcome = self.merge(params, streams).unwrap_or_else(|refused| refused);
        Box::pin(async move { Ok(outcome) })
    }

    fn stop<'a>(&'a self, stream: &'a StreamId, _forbid: Option<u64>) -> Answer<'a, bool> {
        // Who may push at all is the gate's affair here.
        Box::pin(async move {
            let Ok(name) = StreamName::new(stream.as_str()) else { return Ok(false) };
            if let Some(nodes) = &self.nodes
                && self.hub.info(&name).is_none_or(|info| info.protocol == Protocol::Relay)
            {
                return nodes.end(&name).await;
            }
            Ok(self.hub.end(&name, Ended::Kicked("an operator".into())))
        })
    }

    fn allow<'a>(&'a self, _: &'a StreamId) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn mixes(&self) -> usize {
        self.mixer.len()
    }

    fn list_mixes(&self) -> Vec<media::mix::Running> {
        self.mixer.list()
    }

    fn end_mix(&self, session: &str) -> bool {
        self.mixer.stop(session)
    }

    fn lacks(&self) -> Vec<String> {
        let text = || "mix.ffmpeg: no such program, so merge_stream is refused; install ffmpeg".to_owned();
        self.mixer.program().is_none().then(text).into_iter().collect()
    }
}

impl Embedded {
    fn merge(&self, params: &serde_json::Value, streams: &[StreamId]) -> Result<MixOutcome, MixOutcome> {
        let names: Vec<&str> = streams.iter().map(StreamId::as_str).collect();
        let pushed = |stream: &str| {
            let info = self.hub.info(&StreamName::new(stream).ok()?).filter(|info| info.frames > 0)?;
            let (width, height) = info.video.map_or((0, 0), |video| (video.width, video.height));
            Some(Pushed { width, height })
        };
        let (session, output, layout) = match mix::read(params, &names, pushed)? {
            Asked::Mix { session, output, layout } => (session, output, layout),
            Asked::Stop { session, output } => return self.stop(&session, &output, &names),
        };
        // Sessions are named by clients: one room must not meet another's.
        if self.mixer.output(&session).is_some_and(|of| !belongs(&of, &names)) {
            return Err(mix::refuse(-508, "the session is another room's"));
        }
        match self.mixer.start(&session, output, layout) {
            Ok(()) => Ok(done()),
            Err(why @ (Refused::OtherOutput | Refused::Taken)) => Err(mix::refuse(-508, why.to_string())),
            Err(why @ (Refused::NoProgram | Refused::TooMany)) => {
                tracing::warn!(%why, "a mix cannot be started");
                Err(mix::refuse(-10031, why.to_string()))
            }
        }
    }

    /// Stops a mix. Clients also say so when they never started one, which is fine.
    fn stop(&self, session: &str, output: &StreamName, streams: &[&str]) -> Result<MixOutcome, MixOutcome> {
        match self.mixer.output(session) {
            Some(of) if !belongs(&of, streams) => Err(mix::refuse(-31001, "the session is another room's")),
            Some(Output::Over(name) | Output::Own(name)) if name != *output => {
                Err(mix::refuse(-31003, "the session has another output"))
            }
            Some(_) => {
                self.mixer.stop(session);
                Ok(done())
            }
            None => Ok(done()),
        }
    }
}

fn done() -> MixOutcome {
    MixOutcome { code: 0, message: "Success!".into() }
}

/// Whether a mix is one of the room with these streams.
fn belongs(output: &Output, streams: &[&str]) -> bool {
    match output {
        Output::Over(name) => streams.contains(&name.as_str()),
        Output::Own(name) => streams.iter().any(|stream| name.as_str().starts_with(&format!("{stream}_"))),
    }
}
