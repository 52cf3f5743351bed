//! The media server in this process as live service.

use media::hub::Hub;
use media::name::StreamName;
use room::sweep::Pushing;
use room::{Millis, StreamId};

use super::{Live, MixOutcome};
use crate::store::Answer;

/// Asks the hub.
#[derive(Clone)]
pub struct Embedded(pub Hub);

impl Embedded {
    fn one(&self, stream: &StreamId, now: Millis) -> Pushing {
        let info = StreamName::new(stream.as_str()).ok().and_then(|name| self.0.info(&name));
        // A stream without a single frame so far says nothing for its pusher.
        info.filter(|info| info.frames > 0).map_or(Pushing::No, |info| {
            let silent = u64::try_from(info.silent.as_millis()).unwrap_or(u64::MAX);
            Pushing::Until(Millis(now.0.saturating_sub(silent)))
        })
    }
}

impl Live for Embedded {
    fn pushing<'a>(&'a self, streams: &'a [StreamId], now: Millis) -> Answer<'a, Vec<Pushing>> {
        Box::pin(async move { Ok(streams.iter().map(|stream| self.one(stream, now)).collect()) })
    }

    fn mix<'a>(&'a self, params: &'a serde_json::Value, _streams: &'a [StreamId]) -> Answer<'a, MixOutcome> {
        let para = &params["interface"]["para"];
        let inputs = para["input_stream_list"].as_array().map_or(0, Vec::len);
        let stops = inputs == 1 || para["interface"] == "mix_streamv2.cancel_mix_stream";
        let outcome = if stops {
            MixOutcome { code: 0, message: "Success!".into() }
        } else {
            MixOutcome { code: -10031, message: "this server does not mix yet".into() }
        };
        Box::pin(async move { Ok(outcome) })
    }
}
