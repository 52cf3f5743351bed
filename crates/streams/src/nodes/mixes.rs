//! The mixes of all nodes: of a session there is one, whichever node it is asked of, and the audiences of all nodes see it.
//! Knows neither layouts nor ffmpeg: who mixes here answers what other nodes ask.

use std::future::Future;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use media::StreamName;
use media::mix::{Output, Running};
use redis::{AsyncCommands, Script};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Nodes;
use super::places::{self, NOW, Place};
use super::pull;
use crate::live::{MixOutcome, Mixable};
use store::error::Error;
use store::redis::keys::Keys;

/// For how long, in milliseconds, a mix counts without being published again. Nodes publish once a second.
const KEPT: u64 = 5_000;
/// How long another node may take to answer.
const ANSWERS: Duration = Duration::from_secs(5);
/// How often is looked whether it has come.
const LOOK: Duration = Duration::from_millis(40);
/// How long what is to be mixed may take to come here.
const COMES: Duration = Duration::from_secs(4);

/// What a node asks of the one that mixes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// As a client gave it to `merge_stream`, with the streams that it may be made of.
    Mix {
        /// `mergeParams`.
        params: Value,
        /// The streams.
        streams: Mixable,
    },
    /// The end of a session, at an operator's wish.
    End {
        /// Which.
        session: String,
    },
}

/// A mix of any node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mixed {
    /// The node.
    pub place: Place,
    /// The mix.
    pub mix: Running,
}

/// Whether a session may be mixed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It may.
    Ours,
    /// Another node mixes it.
    Theirs,
    /// Another session at another node mixes into the same stream.
    Taken,
}

/// Reads an entry: time, node, kind of output, stream, inputs, address.
const READ: &str = r"
    local function read(text)
        local time, node, kind, stream, inputs, address = string.match(text, '^(%d+) (%S+) (%S+) (%S+) (%d+) (.*)$')
        return tonumber(time), node, kind, stream, inputs, address
    end
    local function write(node, kind, stream, inputs, address)
        return string.format('%.0f', now) .. ' ' .. node .. ' ' .. kind .. ' ' .. stream .. ' ' .. inputs .. ' ' .. address
    end
";

fn script(code: &str) -> Script {
    Script::new(&[NOW, READ, code].concat())
}

/// Keys: mixes. Arguments: node, address, milliseconds that count, then session, kind, stream and inputs of each mix of the
/// node. What another node mixes and says so stays that node's. Answers all that count: session and entry.
static TELL: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
    local mixes, me, address, counts_for, first = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), 4
    local mine = {}
    for n = first, #ARGV, 4 do
        local session, kind, stream, inputs = ARGV[n], ARGV[n + 1], ARGV[n + 2], ARGV[n + 3]
        mine[session] = true
        local held = redis.call('HGET', mixes, session)
        local time, node
        if held then time, node = read(held) end
        if not time or node == me or now - time > counts_for then
            redis.call('HSET', mixes, session, write(me, kind, stream, inputs, address))
        end
    end
    local all = redis.call('HGETALL', mixes)
    local told = {}
    for n = 1, #all, 2 do
        local time, node = read(all[n + 1])
        if not time or now - time > counts_for or (node == me and not mine[all[n]]) then
            redis.call('HDEL', mixes, all[n])
        else
            told[#told + 1] = all[n]
            told[#told + 1] = all[n + 1]
        end
    end
    return told
",
    )
});

/// Keys: mixes. Arguments: node, address, milliseconds that count, session, kind, stream, inputs, a node that is gone.
/// Answers nothing if it is ours, the entry of who mixes the session, or `taken`.
static CLAIM: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
    local mixes, me, my_address, counts_for = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
    local my_session, my_kind, my_stream, my_inputs, gone = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
    local all = redis.call('HGETALL', mixes)
    for n = 1, #all, 2 do
        local time, node, kind, stream = read(all[n + 1])
        if time and now - time <= counts_for and node ~= me and node ~= gone then
            if all[n] == my_session then return all[n + 1] end
            if stream == my_stream then return 'taken' end
        end
    end
    redis.call('HSET', mixes, my_session, write(me, my_kind, my_stream, my_inputs, my_address))
    return ''
",
    )
});

/// What an entry says, and when its node said so.
fn entry(session: &str, text: &str) -> Option<Mixed> {
    let mut parts = text.splitn(6, ' ').skip(1);
    let mut next = || parts.next();
    let node = next()?;
    let kind = next()?;
    let stream = next()?;
    let inputs = next()?;
    let address = next()?;
    let stream = StreamName::new(stream).ok()?;
    let output = if kind == "own" { Output::Own(stream) } else { Output::Over(stream) };
    let mix = Running { session: session.into(), output, inputs: inputs.parse().ok()? };
    Some(Mixed { place: Place { node: node.into(), address: address.into() }, mix })
}

fn kind(output: &Output) -> &'static str {
    match output {
        Output::Over(_) => "over",
        Output::Own(_) => "own",
    }
}

impl Nodes {
    /// Claims a session for a mix that is about to begin here.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn claim_mix(&self, mix: &Running) -> Result<Claim, Error> {
        let mut gone: Option<String> = None;
        loop {
            let mut script = CLAIM.prepare_invoke();
            script.key(Keys::MIXES).arg(&self.me.node).arg(&self.me.address).arg(KEPT).arg(&mix.session);
            script.arg(kind(&mix.output)).arg(mix.output.name().as_str()).arg(mix.inputs);
            script.arg(gone.as_deref().unwrap_or_default());
            let held: String = self.link.run(async |mut redis| script.invoke_async(&mut redis).await).await?;
            let place = match &*held {
                "" => return Ok(Claim::Ours),
                "taken" => return Ok(Claim::Taken),
                text => entry(&mix.session, text).map(|mixed| mixed.place),
            };
            let Some(place) = place else { return Ok(Claim::Taken) };
            if gone.is_some() || !self.is_gone(&place).await {
                return Ok(Claim::Theirs);
            }
            gone = Some(place.node);
        }
    }

    /// The node that mixes a session, if another one does and is there.
    pub async fn who_mixes(&self, session: &str) -> Option<Place> {
        let found: Result<Option<String>, _> =
            self.link.run(async |mut redis| redis.hget(Keys::MIXES, session).await).await;
        let place = entry(session, &found.ok()??)?.place;
        (place.node != self.me.node && !self.is_gone(&place).await).then_some(place)
    }

    /// The mixes of other nodes, as of a moment ago.
    #[must_use]
    pub fn mixes(&self) -> Vec<Mixed> {
        self.mixes.lock().clone()
    }

    /// Whether a stream is published at another node.
    pub async fn is_elsewhere(&self, stream: &StreamName) -> bool {
        let found = places::find(&self.link, stream).await;
        found.is_ok_and(|found| found.is_some_and(|found| found.place.node != self.me.node))
    }

    /// Has streams come here that are published elsewhere, and waits until they flow; bounded in time.
    pub async fn bring(self: &Arc<Self>, streams: &[StreamName]) {
        let mut coming = Vec::new();
        for stream in streams.iter().filter(|stream| self.hub.info(stream).is_none_or(|info| info.frames == 0)) {
            if self.is_elsewhere(stream).await {
                self.want(stream);
                coming.push(stream);
            }
        }
        let until = Instant::now() + COMES;
        // The size of a picture is known with its configuration; a stream that is only heard has none.
        let flows = |stream: &&StreamName| {
            self.hub.info(stream).is_some_and(|info| info.frames > 50 || (info.frames > 0 && info.video.is_some()))
        };
        while !coming.iter().all(flows) && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Asks another node, and waits for its answer; none if it does not answer in time.
    pub async fn ask(&self, place: &Place, ask: &Ask) -> Option<MixOutcome> {
        let text = serde_json::to_string(ask).ok()?;
        let answer = self.post(Keys::asks(&place.node), &text, ANSWERS).await?;
        let (code, message) = serde_json::from_str(&answer).ok()?;
        Some(MixOutcome { code, message })
    }

    /// Answers what other nodes ask, until it is dropped.
    pub async fn answer<F>(self: Arc<Self>, ask: impl Fn(Ask) -> F + Send + Sync + 'static)
    where
        F: Future<Output = MixOutcome> + Send + 'static,
    {
        let key = Keys::asks(&self.me.node);
        let answer = move |asked: String| {
            let outcome = serde_json::from_str(&asked).ok().map(&ask);
            async move {
                let MixOutcome { code, message } = outcome?.await;
                serde_json::to_string(&(code, message)).ok()
            }
        };
        self.take(key, answer).await;
    }

    /// Says what is mixed here, and shows the audience here what others mix. Gives the sessions that are another node's.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn tell_mixes(self: &Arc<Self>, here: &[Running]) -> Result<Vec<String>, Error> {
        let mut script = TELL.prepare_invoke();
        script.key(Keys::MIXES).arg(&self.me.node).arg(&self.me.address).arg(KEPT);
        for mix in here {
            script.arg(&mix.session).arg(kind(&mix.output)).arg(mix.output.name().as_str()).arg(mix.inputs);
        }
        let told: Vec<(String, String)> =
            self.link.run(async |mut redis| script.invoke_async(&mut redis).await).await?;
        let all = told.iter().filter_map(|(session, text)| entry(session, text));
        let others: Vec<Mixed> = all.filter(|mixed| mixed.place.node != self.me.node).collect();
        for Mixed { place, mix } in &others {
            if let Output::Over(home) = &mix.output {
                self.show(home, place);
            }
        }
        let theirs = here.iter().filter(|mix| others.iter().any(|other| other.mix.session == mix.session));
        let theirs = theirs.map(|mix| mix.session.clone()).collect();
        *self.mixes.lock() = others;
        Ok(theirs)
    }

    /// Shows the audience here what another node mixes in place of a stream, for as long as there is one.
    fn show(self: &Arc<Self>, home: &StreamName, from: &Place) {
        let over = media::Hub::overlay_name(home);
        if from.address.is_empty() || self.hub.info(&over).is_some() || !self.hub.has_audience(home) {
            return;
        }
        let stop = CancellationToken::new();
        {
            let mut pulls = self.pulls.lock();
            if pulls.contains_key(&over) {
                return;
            }
            pulls.insert(over, stop.clone());
        }
        tokio::spawn(pull::overlay(self.clone(), home.clone(), from.clone(), stop));
    }
}
