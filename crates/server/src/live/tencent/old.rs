//! The retired API 2.0, `common_access` (tencent.md, section 3), for who still has something that
//! speaks it. Behind a switch.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, header};
use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use room::StreamId;
use room::sweep::Pushing;
use serde_json::Value;
use sign::{Secret, callback};

use crate::clock::Clock;
use crate::cloud::{Call, Client, Failed, Limiter};
use crate::live::MixOutcome;

/// Seconds for which a call's signature is good.
const VALID: u64 = 60;

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
        let (app, sign) = (self.app_id, callback::sign_live(&self.key, until));
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

    /// Whether a stream is being pushed.
    ///
    /// # Errors
    /// No answer that could be read.
    pub async fn state(&self, stream: &StreamId, within: Duration) -> Result<Pushing, Failed> {
        let more = format!("&Param.s.channel_id={}", utf8_percent_encode(stream.as_str(), NON_ALPHANUMERIC));
        let answer = self.call("Live_Channel_GetStatus", &more, None, within).await?;
        let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
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

    /// Hands on a mix as the client asked for it; only the account is put right.
    ///
    /// # Errors
    /// No answer that could be read.
    pub async fn mix(&self, params: &Value, within: Duration) -> Result<MixOutcome, Failed> {
        let mut params = params.clone();
        // Clients put the chat service's app there.
        params["interface"]["para"]["app_id"] = self.app_id.into();
        let answer = self.call("Mix_StreamV2", "", Some(&params), within).await?;
        let code = answer["code"].as_i64().and_then(|code| i32::try_from(code).ok()).ok_or(Failed::NotJson)?;
        let message = answer["message"].as_str().unwrap_or_default().chars().take(256).collect();
        Ok(MixOutcome { code, message })
    }
}
