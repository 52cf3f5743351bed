//! Tencent's live service: asked whether streams are pushed, never about one stream twice at a time,
//! never about very many at a time, and believed only when it is clear; mixes; and who must stop.

pub mod api;
pub mod events;
pub mod mix;
mod old;
mod online;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use hashbrown::HashSet;
use parking_lot::Mutex;
use room::sweep::Pushing;
use room::{Millis, StreamId};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use api::{Api, Trouble};
use events::Events;
use mix::Order;
use old::Old;
use online::Online;
use outbound::{Breaker, Client, Failed, Retry};
use store::Answer;
use store::clock::Clock;
use store::error::Error;
use streams::live::{Live, MixOutcome, Mixable, Settings, Version};

/// Questions at a time.
const PARALLEL: usize = 16;
/// How long one question may take.
const QUESTION_WITHIN: Duration = Duration::from_secs(3);
/// How long all questions of one sweep may take.
const SWEEP_WITHIN: Duration = Duration::from_secs(5);
/// How long a mix may take, tries included.
const MIX_WITHIN: Duration = Duration::from_secs(8);
/// How long any other call may take.
const CALL_WITHIN: Duration = Duration::from_secs(5);
/// So long, in milliseconds, the service may not know yet of a stream that it notified us of.
const NEWS: u64 = 30_000;
/// Waits between tries of a mix whose inputs are not there yet, or that the service could not make just now: it asks for five
/// seconds at most.
const PATIENCE: Retry = Retry { tries: 3, first: Duration::from_secs(2), most: Duration::from_secs(3) };
/// Failures in a row after which the service counts as away, and how often it is tried then.
const FAILURES: u32 = 16;
const TRIED_EVERY: Duration = Duration::from_secs(3);
/// Longest ban that the service knows, in seconds.
const MAX_BAN: u64 = 90 * 24 * 3600;

enum Speaks {
    New(Box<Api>),
    Old(Box<Old>),
}

/// The live service for rooms.
pub struct LiveService {
    speaks: Speaks,
    /// Push domain and app: with the stream's name they say which stream is meant.
    domain: String,
    app: String,
    clock: Arc<dyn Clock>,
    events: Events,
    questions: Semaphore,
    asking: Mutex<HashSet<StreamId>>,
    online: Online,
    breaker: Breaker,
}

impl LiveService {
    /// Puts the parts together.
    #[must_use]
    pub fn new(settings: &Settings, client: Client, clock: Arc<dyn Clock>) -> Self {
        let own = &settings.tencent;
        let speaks = match own.api {
            Version::New => {
                let base = outbound::base_of(&own.host);
                let id = &own.secret_id;
                let key = own.secret_key.clone();
                Speaks::New(Box::new(Api::new(client, base, id, key, own.rate, clock.clone())))
            }
            Version::Old => {
                let base = outbound::base_of(&own.old_host);
                let key = own.api_key.clone();
                Speaks::Old(Box::new(Old::new(client, base, own.app_id, key, own.rate, clock.clone())))
            }
        };
        let host = settings.tencent_push_host();
        let domain = host.rsplit_once(':').map_or(host.as_str(), |(host, _)| host).to_owned();
        Self {
            speaks,
            domain,
            app: own.app_name.clone(),
            clock,
            events: Events::default(),
            questions: Semaphore::new(PARALLEL),
            asking: Mutex::default(),
            online: Online::default(),
            breaker: Breaker::new(FAILURES, TRIED_EVERY),
        }
    }

    /// What the service notified us of.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.events
    }

    fn which(&self, stream: &str) -> Value {
        json!({ "AppName": self.app, "DomainName": self.domain, "StreamName": stream })
    }

    async fn ask(&self, stream: &StreamId, now: Millis) -> Pushing {
        let Some(_asking) = Asking::begin(self, stream) else { return Pushing::Unknown };
        let Ok(_turn) = self.questions.acquire().await else { return Pushing::Unknown };
        if !self.breaker.admits() {
            return Pushing::Unknown;
        }
        let said = match &self.speaks {
            Speaks::New(api) => {
                let said = api.call("DescribeLiveStreamState", &self.which(stream.as_str()), QUESTION_WITHIN).await;
                said.map(|answer| match answer["StreamState"].as_str() {
                    Some("active") => Pushing::Yes,
                    Some("inactive" | "forbid") => Pushing::No,
                    _ => Pushing::Unknown,
                })
            }
            Speaks::Old(old) => old.state(stream, QUESTION_WITHIN).await.map_err(Trouble::Away),
        };
        let said = self.heard(said).unwrap_or(Pushing::Unknown);
        self.unless_fresh(stream, said, now)
    }

    /// Notes how a question went.
    fn heard<T>(&self, said: Result<T, Trouble>) -> Option<T> {
        match said {
            Ok(said) => {
                if self.breaker.succeeded() {
                    tracing::info!("the live service answers again");
                }
                Some(said)
            }
            Err(trouble) => {
                tracing::debug!(%trouble, "the live service could not tell");
                if self.breaker.failed() {
                    let setting = trouble.setting().map_or("", |(name, _)| name);
                    tracing::error!(%trouble, setting, "the live service is away; nobody is removed for that");
                }
                None
            }
        }
    }

    /// The service itself may not know yet what it notified us of.
    fn unless_fresh(&self, stream: &StreamId, said: Pushing, now: Millis) -> Pushing {
        let fresh = || self.events.began(stream.as_str()).is_some_and(|at| now.since(at) < NEWS);
        if said == Pushing::No && fresh() { Pushing::Unknown } else { said }
    }

    /// What the list of all streams says of these; `None` if there is none to be had.
    async fn listed(&self, streams: &[StreamId], now: Millis) -> Option<Vec<Pushing>> {
        let Speaks::New(api) = &self.speaks else { return None };
        let fetch = async {
            if !self.breaker.admits() {
                return None;
            }
            self.heard(online::list(api, &self.domain, &self.app, QUESTION_WITHIN).await).flatten()
        };
        let pushed = self.online.all(fetch).await?;
        let say = |stream: &StreamId| {
            let said = if pushed.contains(stream.as_str()) { Pushing::Yes } else { Pushing::No };
            self.unless_fresh(stream, said, now)
        };
        Some(streams.iter().map(say).collect())
    }

    /// Asks once for a mix, or its end. Says whether that may go better in a moment. What was asked `before` may have been done
    /// although no answer came.
    async fn order(&self, params: &Value, order: &Order, before: bool, within: Duration) -> (MixOutcome, bool) {
        let api = match &self.speaks {
            Speaks::New(api) => api,
            Speaks::Old(old) => {
                let said = old.mix(params, order.session(), within).await;
                let passes = said.as_ref().map_or_else(Failed::may_pass, |outcome| mix::passes(outcome.code));
                let failed = |failed: Failed| MixOutcome { code: mix::TRIGGER_FAILED, message: failed.to_string() };
                return (said.unwrap_or_else(failed), passes);
            }
        };
        let (action, body, gone_is_fine) = match order {
            Order::Start(body) => ("CreateCommonMixStream", body, false),
            Order::Cancel { body, implied } => ("CancelCommonMixStream", body, *implied || before),
        };
        let said = api.call(action, body, within).await;
        let outcome = mix::outcome(&said, gone_is_fine);
        let passes = mix::passes(outcome.code) && said.err().is_none_or(|trouble| trouble.may_pass());
        (outcome, passes)
    }

    async fn mix_as_asked(&self, params: &Value, streams: &Mixable) -> MixOutcome {
        let order = match mix::translate(params, streams) {
            Ok(order) => order,
            Err(refused) => return refused,
        };
        let deadline = Instant::now() + MIX_WITHIN;
        let mut failures = 0;
        loop {
            let within = deadline.saturating_duration_since(Instant::now()).min(CALL_WITHIN);
            let (outcome, passes) = self.order(params, &order, failures > 0, within).await;
            failures += 1;
            let wait = PATIENCE.after(failures).filter(|_| passes);
            match wait {
                Some(wait) if Instant::now() + wait < deadline => tokio::time::sleep(wait).await,
                _ => return outcome,
            }
        }
    }

    /// Breaks a stream off; its pusher may come back.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn drop_stream(&self, stream: &StreamId) -> Result<(), Trouble> {
        match &self.speaks {
            Speaks::New(api) => self.tell(api, "DropLiveStream", &self.which(stream.as_str())).await,
            Speaks::Old(old) => old.set(stream, old::DROP, CALL_WITHIN).await,
        }
    }

    /// Forbids a stream for so many seconds (90 days at most). By the service's rules this may hit every
    /// stream of this name in the account.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn forbid_stream(&self, stream: &StreamId, seconds: u64, reason: &str) -> Result<(), Trouble> {
        let until = self.clock.now().secs().saturating_add(seconds.min(MAX_BAN));
        let api = match &self.speaks {
            Speaks::New(api) => api,
            Speaks::Old(old) => return old.forbid(stream, until, CALL_WITHIN).await,
        };
        let time = i64::try_from(until).ok().and_then(|t| time::OffsetDateTime::from_unix_timestamp(t).ok());
        let format = time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        let mut body = self.which(stream.as_str());
        if let Some(until) = time.and_then(|time| time.format(format).ok()) {
            body["ResumeTime"] = until.into();
        }
        body["Reason"] = reason.chars().take(500).collect::<String>().into();
        self.tell(api, "ForbidLiveStream", &body).await
    }

    /// Allows a forbidden stream again.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn resume_stream(&self, stream: &StreamId) -> Result<(), Trouble> {
        match &self.speaks {
            Speaks::New(api) => self.tell(api, "ResumeLiveStream", &self.which(stream.as_str())).await,
            Speaks::Old(old) => old.set(stream, old::ALLOW, CALL_WITHIN).await,
        }
    }

    async fn tell(&self, api: &Api, action: &'static str, body: &Value) -> Result<(), Trouble> {
        api.call(action, body, CALL_WITHIN).await.map(drop)
    }

    /// Asks something that changes nothing: which setting is wrong, and why; `None` if none is.
    pub async fn check(&self) -> Option<(&'static str, String)> {
        match &self.speaks {
            Speaks::New(api) => {
                let said = api.call("DescribeLiveStreamState", &self.which("roomservice_check"), CALL_WITHIN).await;
                let trouble = said.err()?;
                let (name, why) = trouble.setting().unwrap_or(("live.tencent.host", "the service answers"));
                Some((name, format!("{why} ({trouble})")))
            }
            Speaks::Old(old) => old.check(CALL_WITHIN).await,
        }
    }
}

/// While it lives, no other task asks about this stream.
struct Asking<'a>(&'a LiveService, &'a StreamId);

impl<'a> Asking<'a> {
    fn begin(live: &'a LiveService, stream: &'a StreamId) -> Option<Self> {
        live.asking.lock().insert(stream.clone()).then_some(Self(live, stream))
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.asking.lock().remove(self.1);
    }
}

impl Live for LiveService {
    fn is_away(&self) -> bool {
        self.breaker.is_broken()
    }

    fn pushing<'a>(&'a self, streams: &'a [StreamId], now: Millis) -> Answer<'a, Vec<Pushing>> {
        Box::pin(async move {
            let deadline = Instant::now() + SWEEP_WITHIN;
            if self.online.too_many(streams.len())
                && let Some(said) = self.listed(streams, now).await
            {
                return Ok(said);
            }
            let mut said = vec![Pushing::Unknown; streams.len()];
            let mut questions = Vec::with_capacity(streams.len());
            for (at, stream) in streams.iter().enumerate() {
                questions.push(async move { (at, self.ask(stream, now).await) });
            }
            let mut answers = std::pin::pin!(stream::iter(questions).buffer_unordered(PARALLEL));
            // What is not known by the deadline stays unknown and is asked again later.
            while let Ok(Some((at, pushing))) = tokio::time::timeout_at(deadline, answers.next()).await {
                said[at] = pushing;
            }
            Ok(said)
        })
    }

    fn stop<'a>(&'a self, stream: &'a StreamId, forbid: Option<u64>) -> Answer<'a, bool> {
        Box::pin(async move {
            match forbid {
                Some(seconds) => self.forbid_stream(stream, seconds, "an operator's ban").await,
                None => self.drop_stream(stream).await,
            }
            .map(|()| true)
            .map_err(|trouble| Error::Unavailable(format!("the live service: {trouble}")))
        })
    }

    fn allow<'a>(&'a self, stream: &'a StreamId) -> Answer<'a, ()> {
        Box::pin(async move {
            let resumed = self.resume_stream(stream).await;
            resumed.map_err(|trouble| Error::Unavailable(format!("the live service: {trouble}")))
        })
    }

    fn mix<'a>(&'a self, params: &'a Value, streams: &'a Mixable) -> Answer<'a, MixOutcome> {
        Box::pin(async move { Ok(self.mix_as_asked(params, streams).await) })
    }
}
