//! The retired API 2.0, `common_access`, for who still has something that
//! speaks it. Behind a switch.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use room::StreamId;
use room::sweep::Pushing;
use serde_json::Value;
use sign::{Secret, callback};

use super::api::Trouble;
use outbound::{Call, Client, Failed, Limiter};
use store::clock::Clock;
use streams::live::MixOutcome;

/// Seconds for which a call's signature is good.
const VALID: u64 = 60;
/// What a stream may be set to: allowed, or broken off once.
pub const ALLOW: u8 = 1;
/// See [`ALLOW`].
pub const DROP: u8 = 2;

/// The API, for one account.
pub struct Old {
    client: Client,
    base: String,
    app_id: u64,
    key: Secret,
    clock: Arc<dyn Clock>,
    limit: Limiter,
}

impl Old {
    /// Puts the parts together; `rate` bounds the calls in a second.
    #[must_use]
    pub fn new(client: Client, base: String, app_id: u64, key: Secret, rate: u32, clock: Arc<dyn Clock>) -> Self {
        Self { client, base, app_id, key, clock, limit: Limiter::new(rate, rate / 4) }
    }

    async fn call(&self, interface: &str, more: &str, body: Option<&Value>, within: Duration) -> Result<Value, Failed> {
        if !self.limit.turn(within).await {
            return Err(Failed::Timeout);
        }
        let until = self.clock.now().secs().saturating_add(VALID);
        let app = self.app_id;
        let sign = callback::sign_live(&self.key, until);
        let url = format!("{}/common_access?appid={app}&interface={interface}&t={until}&sign={sign}{more}", self.base);
        let call = Call {
            method: if body.is_some() { Method::POST } else { Method::GET },
            url,
            headers: vec![(header::CONTENT_TYPE, "application/json".into())],
            body: body.map(|body| Bytes::from(body.to_string())).unwrap_or_default(),
            within,
        };
        self.client.json(call).await
    }

    async fn about(&self, interface: &str, stream: &StreamId, more: &str, within: Duration) -> Result<Value, Failed> {
        let channel = utf8_percent_encode(stream.as_str(), NON_ALPHANUMERIC);
        self.call(interface, &format!("&Param.s.channel_id={channel}{more}"), None, within).await
    }

    /// Sets a stream to [`ALLOW`] or [`DROP`].
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn set(&self, stream: &StreamId, to: u8, within: Duration) -> Result<(), Trouble> {
        let said = self.about("Live_Channel_SetStatus", stream, &format!("&Param.n.status={to}"), within).await;
        done(&said.map_err(Trouble::Away)?)
    }

    /// Forbids a stream until then, in Unix seconds.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn forbid(&self, stream: &StreamId, until: u64, within: Duration) -> Result<(), Trouble> {
        let more = format!("&Param.n.abstime_end={until}&Param.s.action=forbid");
        done(&self.about("channel_manager", stream, &more, within).await.map_err(Trouble::Away)?)
    }

    /// Asks something that changes nothing: which setting is wrong, and why; `None` if none is.
    pub async fn check(&self, within: Duration) -> Option<(&'static str, String)> {
        let stream = StreamId::parse("roomservice_check").ok()?;
        match self.state(&stream, within).await {
            Ok(Pushing::Unknown) => Some(("live.tencent.appID", "the service does not know it".into())),
            Ok(_) => None,
            Err(Failed::Status(403 | 404)) => {
                Some(("live.tencent.APIKey", "the service refuses signatures made with this key".into()))
            }
            Err(Failed::NotJson) => {
                Some(("live.tencent.appID", "the service answers something that is not JSON".into()))
            }
            Err(failed) => Some(("live.tencent.oldHost", failed.to_string())),
        }
    }

    /// Whether a stream is being pushed.
    ///
    /// # Errors
    /// No answer that could be read.
    pub async fn state(&self, stream: &StreamId, within: Duration) -> Result<Pushing, Failed> {
        let answer = self.about("Live_Channel_GetStatus", stream, "", within).await?;
        Ok(match (number(&answer["ret"]), answer["output"].as_array()) {
            // It was never pushed.
            (Some(20601), _) => Pushing::No,
            (Some(0), Some(rates)) => {
                let states: Vec<_> = rates.iter().map(|rate| number(&rate["status"])).collect();
                if states.contains(&Some(1)) {
                    Pushing::Yes
                } else if !states.is_empty() && states.iter().all(|s| matches!(s, Some(0 | 3))) {
                    Pushing::No
                } else {
                    Pushing::Unknown
                }
            }
            _ => Pushing::Unknown,
        })
    }

    /// Hands on a mix as the client asked for it; account and session are put right.
    ///
    /// # Errors
    /// No answer that could be read.
    pub async fn mix(&self, params: &Value, session: &str, within: Duration) -> Result<MixOutcome, Failed> {
        let mut params = params.clone();
        // Clients put the chat service's app there; and sessions belong to the whole account.
        if let Some(para) = params["interface"]["para"].as_object_mut() {
            para.insert("app_id".into(), self.app_id.into());
            para.insert("mix_stream_session_id".into(), session.into());
        }
        let answer = self.call("Mix_StreamV2", "", Some(&params), within).await?;
        let code = answer["code"].as_i64().and_then(|code| i32::try_from(code).ok()).ok_or(Failed::NotJson)?;
        let message = answer["message"].as_str().unwrap_or_default().chars().take(256).collect();
        Ok(MixOutcome { code, message })
    }
}

/// Numbers come as numbers or as text.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn done(answer: &Value) -> Result<(), Trouble> {
    match number(&answer["ret"]) {
        Some(0) => Ok(()),
        Some(code) => Err(Trouble::Said { code: format!("ret {code}"), message: String::new() }),
        None => Err(Trouble::Away(Failed::NotJson)),
    }
}
