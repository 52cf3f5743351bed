//! Calls to Tencent's live API 3.0 (its "API Overview" of CSS), signed with TC3. Knows no rooms; what to do
//! about a failure is the caller's.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, header};
use serde_json::Value;
use sign::{Secret, tc3};

use outbound::{Call, Client, Failed, Limiter};
use store::clock::Clock;

const VERSION: &str = "2018-08-01";
const SERVICE: &str = "live";

/// Why a call did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There was no answer that could be read.
    Away(Failed),
    /// We held the call back: too many in this second.
    HeldBack,
    /// The service answered with a code; the old API's number stands in `message` where it has one.
    Said {
        /// Such as `AuthFailure.SignatureFailure`.
        code: String,
        /// In words.
        message: String,
    },
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Away(failed) => failed.fmt(f),
            Self::HeldBack => f.write_str("held back: too many calls"),
            // The message is the service's: it may repeat what we sent.
            Self::Said { code, .. } => f.write_str(code),
        }
    }
}

impl Trouble {
    /// Whether the same call may go better in a moment.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Away(failed) => failed.may_pass(),
            Self::HeldBack => true,
            Self::Said { code, .. } => {
                let never = ["AuthFailure", "UnauthorizedOperation", "UnsupportedOperation", "ResourceNotFound"];
                !never.iter().any(|never| code.starts_with(never))
            }
        }
    }

    /// The setting that this speaks of, and what is wrong with it; `None` if no setting is to blame.
    #[must_use]
    pub fn setting(&self) -> Option<(&'static str, &'static str)> {
        let code = match self {
            Self::Said { code, .. } => code.as_str(),
            Self::Away(Failed::Status(400..=499) | Failed::NotJson | Failed::Unsendable(_)) => {
                return Some(("live.tencent.host", "does not answer as API 3.0 does"));
            }
            Self::Away(_) => return Some(("live.tencent.host", "cannot be reached")),
            Self::HeldBack => return None,
        };
        Some(match code {
            "AuthFailure.SecretIdNotFound" | "AuthFailure.InvalidSecretId" | "AuthFailure.TokenFailure" => {
                ("live.tencent.secretId", "the service knows no such SecretId")
            }
            "AuthFailure.SignatureFailure" => {
                ("live.tencent.secretKey", "the service refuses signatures made with this key")
            }
            "AuthFailure.SignatureExpire" => {
                ("live.tencent.secretKey", "signatures are refused as expired: this machine's clock is wrong")
            }
            "AuthFailure.MFAFailure" | "AuthFailure.UnauthorizedOperation" | "UnauthorizedOperation" => {
                ("live.tencent.secretId", "is not allowed to use the live service")
            }
            code if code.starts_with("ResourceNotFound") || code.starts_with("InvalidParameter") => {
                ("live.pushHost", "the service knows no such push domain")
            }
            _ => return None,
        })
    }
}

/// The API, for one account.
pub struct Api {
    client: Client,
    base: String,
    signer: tc3::Signer,
    clock: Arc<dyn Clock>,
    limit: Limiter,
}

impl Api {
    /// Puts the parts together; `rate` bounds the calls in a second.
    #[must_use]
    pub fn new(
        client: Client,
        base: String,
        secret_id: &str,
        secret_key: Secret,
        rate: u32,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let signer = tc3::Signer::new(secret_id, secret_key, SERVICE);
        Self { client, base, signer, clock, limit: Limiter::new(rate, rate / 4) }
    }

    /// Makes one call and gives what stands in `Response`.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn call(&self, action: &'static str, body: &Value, within: Duration) -> Result<Value, Trouble> {
        let begun = tokio::time::Instant::now();
        if !self.limit.turn(within).await {
            return Err(Trouble::HeldBack);
        }
        let body = Bytes::from(body.to_string());
        let host = self.base.split_once("://").map_or(self.base.as_str(), |(_, host)| host);
        let signed = self.signer.sign(&tc3::Call {
            method: "POST",
            host,
            query: "",
            content_type: tc3::JSON,
            signed_action: Some(action),
            body: &body,
            timestamp: self.clock.now().secs(),
        });
        let signed = signed.map_err(|_| Trouble::Away(Failed::Unsendable("timestamp")))?;
        let name = HeaderName::from_static;
        let call = Call {
            method: Method::POST,
            url: format!("{}/", self.base),
            headers: vec![
                (header::HOST, host.to_owned()),
                (header::CONTENT_TYPE, tc3::JSON.to_owned()),
                (header::AUTHORIZATION, signed.authorization),
                (name("x-tc-action"), action.to_owned()),
                (name("x-tc-version"), VERSION.to_owned()),
                (name("x-tc-timestamp"), signed.timestamp.to_string()),
            ],
            body,
            within: within.saturating_sub(begun.elapsed()),
        };
        let mut answer = self.client.json(call).await.map_err(Trouble::Away)?;
        let response = answer["Response"].take();
        let text = |value: &Value| value.as_str().unwrap_or_default().chars().take(256).collect::<String>();
        match &response["Error"] {
            // An answer of this service says which request it belongs to.
            Value::Null if response["RequestId"].is_string() => Ok(response),
            Value::Null => Err(Trouble::Away(Failed::NotJson)),
            error => Err(Trouble::Said { code: text(&error["Code"]), message: text(&error["Message"]) }),
        }
    }
}
