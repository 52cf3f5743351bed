//! Tokens for the app's backend: it has checked who its user is, and logs that user in here.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use room::UserId;
use serde::{Deserialize, Serialize};
use sign::token::Generation;
use utoipa::ToSchema;

use super::door::Api;
use super::problem::Problem;
use super::request::{Caller, Json, user_of};
use access::operator::{Grants, LONGEST, Need};

/// Whom to log in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Who {
    /// The user.
    #[serde(rename = "userID")]
    #[schema(pattern = "^[!#-&(-_a-~]{1,64}$")]
    user: String,
}

impl Who {
    fn user(&self, api: &Api, caller: &Caller) -> Result<UserId, Problem> {
        let user = user_of(&self.user)?;
        caller.may(Need::Tokens)?;
        if api.tokens.identity.is_administrator(user.as_str()) {
            return Err(Problem::new(StatusCode::CONFLICT, "refused", "nobody gets the administrator's signature"));
        }
        if api.moderation.bans.until(&user, None, api.web.clock.now()).is_some() {
            return Err(Problem::new(StatusCode::CONFLICT, "banned", "the user is kept out of everything"));
        }
        Ok(user)
    }
}

fn unsigned(why: sign::Invalid) -> Problem {
    Problem::new(StatusCode::CONFLICT, "refused", why.to_string())
}

/// A session of the room protocol.
#[derive(Serialize, ToSchema)]
pub struct Session {
    /// Whose.
    #[serde(rename = "userID")]
    user: String,
    /// For the query of calls and WebSockets: `?userID=U&token=T`.
    token: String,
    /// Until when, in Unix milliseconds.
    expires: u64,
}

/// Logs a user in, as `login` does with a signature; as a client of the second generation.
#[utoipa::path(post, operation_id = "createSession", path = "/tokens/session", tag = "tokens", request_body = Who,
    responses((status = 201, description = "The session", body = Session)))]
pub async fn session(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(who): Json<Who>,
) -> Result<(StatusCode, axum::Json<Session>), Problem> {
    let user = who.user(&api, &caller)?;
    let now = api.web.clock.now();
    let token = api.tokens.sessions.open(&user, Generation::Second, now).map_err(unsigned)?;
    let expires = now.plus(api.tokens.lifetime.saturating_mul(1000)).0;
    Ok((StatusCode::CREATED, axum::Json(Session { user: user.to_string(), token, expires })))
}

/// A user's signature.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserSig {
    /// Whose.
    #[serde(rename = "userID")]
    user: String,
    /// The api.
    #[serde(rename = "sdkAppID")]
    sdk_app_id: u64,
    /// What `login` of the first generation asks for.
    account_type: String,
    /// The signature.
    user_sig: String,
}

/// Signs for a user, who then logs in with the signature.
#[utoipa::path(post, operation_id = "createUserSig", path = "/tokens/usersig", tag = "tokens", request_body = Who,
    responses((status = 201, description = "The signature", body = UserSig)))]
pub async fn user_sig(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(who): Json<Who>,
) -> Result<(StatusCode, axum::Json<UserSig>), Problem> {
    let user = who.user(&api, &caller)?;
    let user_sig = api.tokens.identity.sign(&user, api.web.clock.now()).map_err(unsigned)?;
    let made = UserSig {
        user: user.to_string(),
        sdk_app_id: api.tokens.identity.sdk_app_id(),
        account_type: api.tokens.identity.account_type().to_owned(),
        user_sig,
    };
    Ok((StatusCode::CREATED, axum::Json(made)))
}

/// What an operator's token is to allow.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOperator {
    /// For how many seconds; a day at most.
    #[serde(deserialize_with = "super::request::whole")]
    #[schema(minimum = 1, maximum = 86400, value_type = u64)]
    seconds: Option<u64>,
    /// The grants, as they stand in a token's `video`.
    grants: Grants,
}

/// An operator's token.
#[derive(Serialize, ToSchema)]
pub struct OperatorToken {
    /// For `Authorization: Bearer`.
    token: String,
    /// Until when, in Unix milliseconds.
    expires: u64,
}

/// A short token for somebody who is to do a part of what operators do. Whoever has a key can as well sign one with any
/// library for JSON web tokens.
#[utoipa::path(post, operation_id = "createOperatorToken", path = "/tokens/operator", tag = "tokens", request_body = NewOperator,
    responses((status = 201, description = "The token", body = OperatorToken)))]
pub async fn operator(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(new): Json<NewOperator>,
) -> Result<(StatusCode, axum::Json<OperatorToken>), Problem> {
    caller.may(Need::Server)?;
    let wrong = || Problem::malformed(format!("seconds: 1 to {LONGEST}"));
    let seconds = new.seconds.filter(|seconds| (1..=LONGEST).contains(seconds)).ok_or_else(wrong)?;
    let now = api.web.clock.now();
    let none = || Problem::new(StatusCode::CONFLICT, "no_key", "operator.keys has no key to sign with");
    let token = api.operators.issue(&new.grants, seconds, now).ok_or_else(none)?;
    let expires = now.secs().saturating_add(seconds).saturating_mul(1000);
    Ok((StatusCode::CREATED, axum::Json(OperatorToken { token, expires })))
}
