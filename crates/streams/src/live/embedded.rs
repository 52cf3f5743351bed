//! The media server in this process as live service.

use std::sync::Arc;

use futures_util::StreamExt;
use media::hub::Hub;
use media::mix::Mixer;
use media::name::StreamName;
use media::{Ended, Protocol};
use room::sweep::Pushing;
use room::{Millis, StreamId};

use super::{KeptMixes, Live, MixOutcome, Mixable};
use crate::nodes::Nodes;
use store::Answer;

/// Streams asked about at the same time.
const ABREAST: usize = 32;

/// Asks the hub, and the mixer.
#[derive(Clone)]
pub struct Embedded {
    pub(super) hub: Hub,
    pub(super) mixer: Mixer,
    pub(super) nodes: Option<Arc<Nodes>>,
    pub(super) kept: Option<Arc<KeptMixes>>,
}

impl Embedded {
    /// Puts them together.
    #[must_use]
    pub fn new(hub: Hub, mixer: Mixer) -> Self {
        Self { hub, mixer, nodes: None, kept: None }
    }

    /// The same as one of several nodes.
    #[must_use]
    pub fn among(self, nodes: Option<Arc<Nodes>>) -> Self {
        Self { nodes, ..self }
    }

    /// The same, which begins its mixes again after a restart.
    #[must_use]
    pub fn keeping(self, kept: Option<Arc<KeptMixes>>) -> Self {
        Self { kept, ..self }
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
            let unheard = u64::try_from(info.unheard.as_millis()).unwrap_or(u64::MAX);
            Pushing::Until(Millis(now.0.saturating_sub(unheard)))
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

    fn mix<'a>(&'a self, params: &'a serde_json::Value, streams: &'a Mixable) -> Answer<'a, MixOutcome> {
        Box::pin(async move { Ok(self.merge(params, streams).await.unwrap_or_else(|refused| refused)) })
    }

    fn stop<'a>(&'a self, stream: &'a StreamId, _forbid: Option<u64>) -> Answer<'a, bool> {
        // Who may push at all is the gate's affair here.
        Box::pin(async move {
            let Ok(name) = StreamName::new(stream.as_str()) else { return Ok(false) };
            // No mix shows it any longer, either.
            self.end_over(&name);
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
        let others = self.nodes.iter().flat_map(|nodes| nodes.mixes()).map(|other| other.mix);
        self.mixer.list().into_iter().chain(others).collect()
    }

    fn end_mix(&self, session: &str) -> bool {
        self.forget_session(session);
        self.mixer.stop(session) || self.end_elsewhere(session)
    }

    fn lacks(&self) -> Vec<String> {
        let text = || "mix.ffmpeg: no such program, so merge_stream is refused; install ffmpeg".to_owned();
        self.mixer.program().is_none().then(text).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::hub::Origin;
    use media::{Codec, Frame};
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn who_is_there_counts_as_pushing_while_its_picture_stands_still() {
        let hub = Hub::new(media::hub::Settings::default());
        let live = Embedded::new(hub.clone(), super::super::mix::Settings::default().mixer(&hub));
        let origin = Origin { protocol: Protocol::Rtmp, peer: "127.0.0.1:9".parse().unwrap() };
        let publisher = hub.publish(&StreamName::new("s").unwrap(), origin).unwrap();
        publisher.push(Frame::audio(Codec::Opus, 0, vec![1].into())).unwrap();
        let streams = [StreamId::parse("s").unwrap()];
        let wait = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        wait(15).await;
        assert_eq!(live.pushing(&streams, Millis(100_000)).await.unwrap(), [Pushing::Until(Millis(85_000))]);
        publisher.is_there();
        wait(10).await;
        assert_eq!(live.pushing(&streams, Millis(110_000)).await.unwrap(), [Pushing::Until(Millis(100_000))]);
    }
}
