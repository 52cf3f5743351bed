//! `merge_stream` with the mixer of this process, or of another node: a session is mixed at one of them, whichever is asked.

use std::time::Duration;

use media::mix::{Output, Refused, Running};
use media::name::StreamName;
use serde_json::Value;

use super::mix::{self, Asked, Pushed};
use super::{Embedded, MixOutcome, Mixable};
use crate::nodes::mixes::{Ask, Claim};

/// How often other nodes hear what is mixed here.
const TELL: Duration = Duration::from_secs(1);

type Outcome = Result<MixOutcome, MixOutcome>;

impl Embedded {
    /// Does what a client asks for, here or at the node that mixes the session already.
    pub(super) async fn merge(&self, params: &Value, streams: &Mixable) -> Outcome {
        let Some(nodes) = &self.nodes else { return self.merge_here(params, streams, &|| true).await };
        let session = mix::session(params).unwrap_or_default();
        let elsewhere = async || match self.mixer.output(&session) {
            Some(_) => None,
            None => nodes.who_mixes(&session).await,
        };
        // Between the look and the claim another node may be faster: then it is asked.
        for _ in 0..2 {
            if let Some(place) = elsewhere().await {
                let ask = Ask::Mix { params: params.clone(), streams: streams.clone() };
                let outcome = nodes.ask(&place, &ask).await;
                return outcome.ok_or_else(|| mix::refuse(-10031, "the node that mixes does not answer"));
            }
            match self.merge_here(params, streams, &|| true).await {
                Err(MixOutcome { code: MOVED, .. }) => {}
                outcome => return outcome,
            }
        }
        Err(mix::refuse(-10031, "the session is begun at several nodes at once"))
    }

    /// `still`: whether it is wanted when all that it waits for is there.
    pub(super) async fn merge_here(
        &self,
        params: &Value,
        streams: &Mixable,
        still: &(dyn Fn() -> bool + Sync),
    ) -> Outcome {
        if let Some(nodes) = &self.nodes {
            let wanted = mix::streams(params);
            let wanted = wanted.iter().filter(|input| streams.may_mix(input));
            nodes.bring(&wanted.filter_map(|input| StreamName::new(input).ok()).collect::<Vec<_>>()).await;
        }
        let mixed = mix::session(params).map(|session| self.mixer.inputs_of(&session)).unwrap_or_default();
        let pushed = |stream: &str| {
            let name = StreamName::new(stream).ok()?;
            let Some(info) = self.hub.info(&name).filter(|info| info.frames > 0) else {
                // One that is away stays in the mix that runs: who asks for the same again is not refused.
                return mixed.contains(&name).then(Pushed::default);
            };
            let (width, height) = info.video.map_or((0, 0), |video| (video.width, video.height));
            Some(Pushed { width, height })
        };
        let (session, output, layout) = match mix::read(params, streams, pushed)? {
            Asked::Mix { session, output, layout } => (session, output, layout),
            Asked::Stop { session, output } => return self.stop(&session, &output, streams),
        };
        // Sessions are named by clients: one room must not meet another's.
        if self.mixer.output(&session).is_some_and(|of| !belongs(&of, streams)) {
            return Err(mix::refuse(-508, "the session is another room's"));
        }
        if let Some(nodes) = &self.nodes
            && self.mixer.output(&session).is_none()
        {
            if let Output::Own(name) = &output
                && nodes.is_elsewhere(name).await
            {
                return Err(mix::refuse(-300, "output_stream_id is in use"));
            }
            let mix = Running { session: session.clone(), output: output.clone(), inputs: layout.inputs.len() };
            match nodes.claim_mix(&mix).await {
                Ok(Claim::Ours) => {}
                Ok(Claim::Theirs) => return Err(mix::refuse(MOVED, "")),
                Ok(Claim::Taken) => return Err(mix::refuse(-508, Refused::Taken.to_string())),
                Err(error) => tracing::debug!(%session, %error, "mixed without asking other nodes"),
            }
        }
        if !still() {
            return Err(mix::refuse(GONE, "it is not wanted any more"));
        }
        match self.mixer.start(&session, output, layout) {
            Ok(()) => {
                self.keep(&session, params, streams);
                Ok(done())
            }
            Err(why @ (Refused::OtherOutput | Refused::Taken)) => Err(mix::refuse(-508, why.to_string())),
            Err(why @ (Refused::NoProgram | Refused::TooMany)) => {
                tracing::warn!(%why, "a mix cannot be started");
                Err(mix::refuse(-10031, why.to_string()))
            }
        }
    }

    /// Stops a mix. Clients also say so when they never started one, which is fine.
    fn stop(&self, session: &str, output: &StreamName, streams: &Mixable) -> Outcome {
        match self.mixer.output(session) {
            Some(of) if !belongs(&of, streams) => Err(mix::refuse(-31001, "the session is another room's")),
            Some(Output::Over(name) | Output::Own(name)) if name != *output => {
                Err(mix::refuse(-31003, "the session has another output"))
            }
            _ => {
                self.mixer.stop(session);
                self.forget(session, streams);
                Ok(done())
            }
        }
    }

    /// Ends the mix that is seen in place of a stream, wherever it is made.
    pub(super) fn end_over(&self, name: &StreamName) {
        self.mixer.stop_output(name);
        let others = self.nodes.iter().flat_map(|nodes| nodes.mixes());
        for other in others.filter(|other| other.mix.output.name() == name) {
            self.end_elsewhere(&other.mix.session);
        }
    }

    /// Ends a mix of another node. Says whether there is one.
    pub(super) fn end_elsewhere(&self, session: &str) -> bool {
        let Some(nodes) = self.nodes.clone() else { return false };
        let Some(other) = nodes.mixes().into_iter().find(|other| other.mix.session == session) else { return false };
        let ask = Ask::End { session: session.into() };
        tokio::spawn(async move {
            if nodes.ask(&other.place, &ask).await.is_none() {
                tracing::warn!(address = other.place.address, "a node did not say that it ended a mix");
            }
        });
        true
    }

    /// Shares mixes with other nodes for ever: what is mixed here is published, what is asked of this node is done, and what is
    /// mixed here comes here, wherever it is pushed to.
    pub async fn share(self) {
        let Some(nodes) = self.nodes.clone() else { return };
        let here = self.clone();
        let answers = nodes.clone().answer(move |ask| {
            let here = here.clone();
            async move {
                match ask {
                    Ask::Mix { params, streams } => {
                        here.merge_here(&params, &streams, &|| true).await.unwrap_or_else(|no| no)
                    }
                    Ask::End { session } => {
                        here.forget_session(&session);
                        here.mixer.stop(&session);
                        done()
                    }
                }
            }
        });
        let tells = async {
            let mut tick = tokio::time::interval(TELL);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                for input in self.mixer.inputs() {
                    if self.hub.info(&input).is_none() && nodes.is_elsewhere(&input).await {
                        nodes.want(&input);
                    }
                }
                // While Redis is unavailable, viewers see what this node has.
                for session in nodes.tell_mixes(&self.mixer.list()).await.unwrap_or_default() {
                    tracing::warn!(session, "the session is mixed at another node: it ends here");
                    self.mixer.stop(&session);
                }
            }
        };
        tokio::join!(answers, tells);
    }
}

/// Says among these functions that another node has begun the session: no client is given this number.
pub(super) const MOVED: i32 = i32::MIN;
/// Likewise that the mix is wanted no more.
pub(super) const GONE: i32 = i32::MIN + 1;

fn done() -> MixOutcome {
    MixOutcome { code: 0, message: "Success!".into() }
}

/// Whether a mix is one of the room.
fn belongs(output: &Output, streams: &Mixable) -> bool {
    match output {
        Output::Over(name) => streams.in_room(name.as_str()),
        Output::Own(name) => streams.name_own(name.as_str()),
    }
}
